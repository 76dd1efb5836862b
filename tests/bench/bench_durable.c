/*
 * What accepting crashes is measured against: the least that durability can cost, and variant z of
 * the design measurements made again, without anything else that a stored crash has (no zip, no
 * check sums, no compression, no JSON).
 *
 *   bench_durable bound|z|zsha|zday DIR BYTES PROCESSES THREADS SECONDS MAX
 *
 * bound: each thread overwrites a preallocated file of its own and calls fdatasync.
 * z: each thread, for each crash: an unnamed file in pending/, annotations of 2 to 10 kB and BYTES
 * of noise written in steps of 64 KiB, write-back started each MiB; fsync; linkat to pending/ID,
 * linkat to crash/YYYYMMDD/xx/ID.zip, fsync of that directory; the link in pending/ unlinked.
 * zsha: the same, with the SHA-256 of the noise, which a stored crash must have of each dump: where
 * processors are the limit and not the disk, this is what can be reached.
 * zday: as z, with the file opened in the directory of its final name.
 *
 * It ends after SECONDS, or when a process has written its share of MAX crashes (0: no limit). At
 * the end a line as of store_load: done, failed, seconds, 50th, 95th, 99th percentile in ms.
 */
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256
#define TIMES_MAX 100000 /* a thread; more would be other threads' page faults */
#define STEP 65536
#define WRITEBACK (1 << 20)
#define DAY "20260131"

typedef struct slot_t { /* of a thread, in memory that all processes share */
    long done;
    float ms[TIMES_MAX];
} slot_t;

static const char *dir;
static char *data; /* the dump: all threads' and all crashes' */
static size_t bytes;
static long share;
static double seconds;
static struct timespec start;
static slot_t *slots;
static int pending_fd, day_fds[256];
static int in_day, with_sum;

static double since(const struct timespec *from)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static unsigned long long next(unsigned long long *seed) /* xorshift */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void make_noise(void)
{
    unsigned long long seed = 88172645463325252ULL;

    data = malloc(bytes + 8);
    if (!data) {
        die("malloc");
    }
    for (size_t i = 0; i < bytes; i += 8) {
        unsigned long long v = next(&seed);

        memcpy(data + i, &v, 8);
    }
}

/* ---- the bound ---- */

static int own_file(long number)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/bench-bound.%ld", dir, number);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes) || unlink(path)) {
        die(path);
    }
    return fd;
}

static void overwrite(int fd)
{
    if (pwrite(fd, data, bytes, 0) != (ssize_t)bytes || fdatasync(fd)) {
        die("overwrite");
    }
}

/* ---- variant z ---- */

static void put(int fd, EVP_MD_CTX *sum, const char *from, size_t size, off_t *at, off_t *started)
{
    while (size) {
        size_t n = size < STEP ? size : STEP;

        if (sum && !EVP_DigestUpdate(sum, from, n)) {
            die("digest");
        }
        if (pwrite(fd, from, n, *at) != (ssize_t)n) {
            die("write");
        }
        from += n;
        size -= n;
        *at += (off_t)n;
        if (*at - *started >= WRITEBACK) {
            sync_file_range(fd, *started, *at - *started, SYNC_FILE_RANGE_WRITE);
            *started = *at;
        }
    }
}

static void link_to(int fd, int to, const char *name)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, to, name, AT_SYMLINK_FOLLOW)) {
        die("linkat");
    }
}

static void keep(unsigned long long *seed)
{
    static const char annotations[10240];
    unsigned long long a = next(seed), b = next(seed);
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *sum = with_sum ? EVP_MD_CTX_new() : NULL;
    char id[40], name[48];
    int day = day_fds[a >> 56], fd;
    off_t at = 0, started = 0;

    snprintf(id, sizeof(id), "%016llx-%012llx%.6s", a, b >> 16, DAY + 2);
    snprintf(name, sizeof(name), "%s.zip", id);
    fd = openat(in_day ? day : pending_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0640);
    if (fd < 0 || (sum && !EVP_DigestInit_ex(sum, EVP_sha256(), NULL))) {
        die("O_TMPFILE");
    }
    put(fd, NULL, annotations, 2048 + (b & 0x1fff), &at, &started);
    put(fd, sum, data, bytes, &at, &started);
    if (sum && !EVP_DigestFinal_ex(sum, digest, NULL)) {
        die("digest");
    }
    EVP_MD_CTX_free(sum);
    if (fsync(fd)) {
        die("fsync");
    }
    link_to(fd, pending_fd, id);
    link_to(fd, day, name);
    if (fsync(day)) {
        die("fsync of the directory");
    }
    close(fd);
    if (unlinkat(pending_fd, id, 0)) {
        die("unlinkat");
    }
}

static int open_dir(const char *path)
{
    int fd;

    mkdir(path, 0770);
    fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        die(path);
    }
    return fd;
}

static void make_dirs(void)
{
    char path[4096];

    open_dir(dir);
    snprintf(path, sizeof(path), "%s/pending", dir);
    pending_fd = open_dir(path);
    snprintf(path, sizeof(path), "%s/crash", dir);
    close(open_dir(path));
    snprintf(path, sizeof(path), "%s/crash/" DAY, dir);
    close(open_dir(path));
    for (int i = 0; i < 256; i++) {
        snprintf(path, sizeof(path), "%s/crash/" DAY "/%02x", dir, (unsigned)i);
        day_fds[i] = open_dir(path);
    }
    sync();
}

/* ---- threads and processes ---- */

static void *submit(void *arg)
{
    long number = (long)(size_t)arg;
    unsigned long long seed = 0x9e3779b97f4a7c15ULL * (unsigned long long)(number + 1) +
                              (unsigned long long)start.tv_nsec;
    slot_t *slot = &slots[number];
    int fd = pending_fd ? -1 : own_file(number);

    while (since(&start) < seconds && (!share || slot->done < share)) {
        struct timespec began;

        clock_gettime(CLOCK_MONOTONIC, &began);
        if (fd < 0) {
            keep(&seed);
        } else {
            overwrite(fd);
        }
        slot->ms[slot->done % TIMES_MAX] = (float)(since(&began) * 1e3);
        slot->done++;
    }
    return NULL;
}

static void run(long process, long threads)
{
    pthread_t ids[THREADS_MAX];

    for (long i = 0; i < threads; i++) {
        pthread_create(&ids[i], NULL, submit, (void *)(size_t)(process * threads + i));
    }
    for (long i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }
}

static int by_time(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void report(long all)
{
    long done = 0, n = 0;
    double took = since(&start);
    float *ms;

    for (long i = 0; i < all; i++) {
        done += slots[i].done;
    }
    ms = calloc((size_t)done + 1, sizeof(*ms));
    for (long i = 0; i < all; i++) {
        long some = slots[i].done < TIMES_MAX ? slots[i].done : TIMES_MAX;

        memcpy(ms + n, slots[i].ms, (size_t)some * sizeof(*ms));
        n += some;
    }
    qsort(ms, (size_t)n, sizeof(*ms), by_time);
    printf("%ld 0 %.3f %.3f %.3f %.3f\n", done, took, ms[n / 2], ms[n * 95 / 100],
           ms[n * 99 / 100]);
}

int main(int argc, char **argv)
{
    long processes, threads;
    int status, failed = 0;

    if (argc != 8) {
        fprintf(stderr, "usage: bench_durable bound|z|zsha|zday DIR BYTES PROCESSES THREADS "
                        "SECONDS MAX\n");
        return 2;
    }
    dir = argv[2];
    bytes = strtoul(argv[3], NULL, 10);
    processes = strtol(argv[4], NULL, 10);
    threads = strtol(argv[5], NULL, 10);
    seconds = strtod(argv[6], NULL);
    if (processes < 1 || threads < 1 || processes * threads > THREADS_MAX) {
        fprintf(stderr, "1 to %d threads in all\n", THREADS_MAX);
        return 2;
    }
    share = (strtol(argv[7], NULL, 10) + processes * threads - 1) / (processes * threads);
    in_day = !strcmp(argv[1], "zday");
    with_sum = !strcmp(argv[1], "zsha");
    if (strcmp(argv[1], "bound")) {
        make_dirs();
    }
    slots = mmap(NULL, (size_t)(processes * threads) * sizeof(*slots), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) {
        die("mmap");
    }
    make_noise();
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < processes; i++) {
        if (fork() == 0) {
            run(i, threads);
            _exit(0);
        }
    }
    while (wait(&status) > 0) {
        failed |= status;
    }
    if (failed) {
        return 1;
    }
    report(processes * threads);
    return 0;
}
