/*
 * Stores crashes through lib/crash as httpd's threads do, or looks at what a store holds.
 *
 *   store_load put ROOT [-t THREADS] [-s SECONDS | -n CRASHES] [-b BYTES] [-l LOG] [-d CONNINFO]
 *                  [-c nofsync|nodirsync] [-z DUMP] [-m MARK] [-N] [-p PROCESSES] [-u]
 *                  [-g DOCUMENTS]
 *   store_load check ROOT LOG
 *   store_load check-processed ROOT LOG
 *
 * put: each crash is another; once it is acknowledged its line "ID SHA256" goes to LOG in one
 * write. -c leaves syncs out: controls that a test of durability must see fail. -z FILE takes
 * dumps from a file instead of noise; -m puts a mark into each block of the noise; -d starts a row
 * thread; -N does without unnamed files. -p forks so many processes of THREADS threads; -n is for
 * each thread, and with -s whichever comes first ends it; -u unlinks pending/ID after each crash,
 * which costs what the row thread would have to do. At the end a line: acknowledged, failed,
 * seconds, and the 50th, 95th, 99th percentile in ms.
 *
 * -g stores processed documents instead, so many at once as the processor does: all have their
 * names before the first of them is synced. A line is then "KEY SHA256"; check-processed prints
 * acknowledged, missing, torn.
 *
 * check prints: acknowledged, missing, torn (acknowledged), names, torn names (all), names that
 * have no link in pending/.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "crash/row_thread.h"
#include "crash/store_private.h"

#define PROCESSES_MAX 64
#define PIECE 8000
#define HEAD 8

typedef struct load_t {
    int processes, threads, crashes, log, group;
    bool unlink;
    double seconds;
    apr_size_t bytes;
    const char *conninfo, *mark;
    char *dump; /* of -z, or noise */
    apr_size_t dump_size;
    sal_crash_store_t *store;
    sal_row_thread_t *rows;
    apr_time_t end;
} load_t;

typedef struct worker_t {
    load_t *load;
    int number;
    long done, failed;
    float *ms;
    long room;
    unsigned long long seed;
    json_t *raw;
    char head[HEAD]; /* of this thread's dump; the rest is everybody's */
} worker_t;

typedef enum { ALL_SYNCS, NO_SYNC, NO_DIR_SYNC } syncs_t;
static syncs_t syncs;

/* Stands before the C library's. */
int fsync(int fd)
{
    struct stat st;

    if (syncs == NO_SYNC || (syncs == NO_DIR_SYNC && !fstat(fd, &st) && S_ISDIR(st.st_mode))) {
        return 0;
    }
    return (int)syscall(SYS_fsync, fd);
}

static unsigned long long next(unsigned long long *seed) /* xorshift */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void fill(char *to, apr_size_t size, unsigned long long seed)
{
    for (apr_size_t i = 0; i + 8 <= size; i += 8) {
        unsigned long long v = next(&seed);

        memcpy(to + i, &v, 8);
    }
}

/* Makes the next dump another one: its first bytes are enough for another SHA-256. */
static void change(worker_t *w)
{
    unsigned long long v = next(&w->seed);

    memcpy(w->head, &v, HEAD);
}

/* Made once a thread: what is measured is storing them. One is each crash's own. */
static json_t *annotations(worker_t *w)
{
    char name[16], value[128];

    if (!w->raw) {
        w->raw = json_pack("{s:s, s:s, s:s}", "ProductName", "Load", "Version", "1.0",
                           "submitted_timestamp", "2026-01-31T10:20:30.123456+00:00");
        for (int i = 0; i < 40; i++) {
            snprintf(name, sizeof(name), "Note%d", i);
            snprintf(value, sizeof(value), "thread %d, some more words of a note: %llx", w->number,
                     next(&w->seed));
            json_object_set_new(w->raw, name, json_string(value));
        }
    }
    snprintf(value, sizeof(value), "%ld of process %d", w->done, (int)getpid());
    json_object_set_new(w->raw, "Crash", json_string(value));
    return w->raw;
}

/* In pieces of 8000 bytes, as httpd's socket gives them. */
static apr_status_t put_dump(worker_t *w, sal_crash_writer_t *crash, sal_error_t *err)
{
    load_t *l = w->load;
    apr_size_t at = l->bytes < HEAD ? l->bytes : HEAD;
    apr_status_t rv = sal_crash_dump_begin(crash, "upload_file_minidump", err);

    if (rv == APR_SUCCESS) {
        rv = sal_crash_dump_data(crash, w->head, at, err);
    }
    for (; at < l->bytes && rv == APR_SUCCESS; at += PIECE) {
        rv = sal_crash_dump_data(crash, l->dump + at, l->bytes - at < PIECE ? l->bytes - at : PIECE,
                                 err);
    }
    return rv;
}

static apr_status_t put_one(worker_t *w, char *id, char *sha, apr_pool_t *p, sal_error_t *err)
{
    load_t *l = w->load;
    sal_crash_writer_t *crash;
    apr_status_t rv = sal_crash_store_admit(l->store, err);

    if (rv == APR_SUCCESS) {
        rv = sal_crash_begin(&crash, l->store, apr_time_now(), p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    memcpy(id, sal_crash_proposed_id(crash), SAL_CRASH_ID_LEN + 1);
    rv = put_dump(w, crash, err);
    if (rv == APR_SUCCESS) {
        rv = sal_crash_dump_end(crash, sha, NULL, err);
    }
    return rv == APR_SUCCESS ? sal_crash_commit(crash, id, annotations(w), err) : rv;
}

static void acknowledge(const load_t *l, const char *id, const char *sha)
{
    char line[SAL_CRASH_ID_LEN + 70];
    int n = snprintf(line, sizeof(line), "%s %s\n", id, sha);

    if (l->log >= 0 && write(l->log, line, (size_t)n) != n) {
        perror("log");
        exit(1);
    }
    if (l->rows) {
        sal_row_thread_add(l->rows, id, apr_time_now());
    }
    if (l->unlink && unlinkat(l->store->pending_fd, id, 0)) {
        perror(id);
        exit(1);
    }
}

/* ---- processed documents ---- */

enum { GROUP_MAX = 16 };

static void digest_of(char hex[65], const json_t *doc, apr_pool_t *p)
{
    const char *text = sal_json_text(doc, p);
    unsigned char digest[32];

    sal_sha256(text, strlen(text), digest);
    sal_hex(hex, digest, 32);
}

/* Noise, so that its file is as long. */
static json_t *document(worker_t *w, apr_pool_t *p)
{
    json_t *doc = sal_json_own(json_object(), p);
    char value[40];

    for (unsigned long long i = 0, n = 1 + next(&w->seed) % 400; i < n; i++) {
        snprintf(value, sizeof(value), "%llx%llx", next(&w->seed), next(&w->seed));
        json_object_set_new(doc, value, json_string(value));
    }
    return doc;
}

/* True if all of a group are on disk, and told. */
static bool put_group(worker_t *w, apr_pool_t *p, sal_error_t *err)
{
    sal_blob_writer_t *blobs[GROUP_MAX];
    const char *keys[GROUP_MAX];
    char sums[GROUP_MAX][65], id[SAL_CRASH_ID_LEN + 1], line[300];
    int n = w->load->group;

    for (int i = 0; i < n; i++) {
        json_t *doc = document(w, p);

        sal_crash_id_make(id, apr_time_now(), 0);
        digest_of(sums[i], doc, p);
        if (sal_processed_begin(&blobs[i], &keys[i], w->load->store, id, w->done + 1, 1, doc, p,
                                err) != APR_SUCCESS) {
            return false;
        }
    }
    for (int i = 0; i < n; i++) {
        if (sal_blob_sync(blobs[i], err) != APR_SUCCESS) {
            return false;
        }
    }
    for (int i = 0; i < n; i++) {
        int size = snprintf(line, sizeof(line), "%s %s\n", keys[i], sums[i]);

        if (w->load->log >= 0 && write(w->load->log, line, (size_t)size) != size) {
            perror("log");
            exit(1);
        }
    }
    return true;
}

static void note_time(worker_t *w, apr_time_t began)
{
    if (w->done == w->room) {
        w->room = w->room ? 2 * w->room : 4096;
        w->ms = realloc(w->ms, (size_t)w->room * sizeof(*w->ms));
    }
    w->ms[w->done++] = (float)(apr_time_now() - began) / 1000;
}

static void *work(void *data)
{
    worker_t *w = data;
    load_t *l = w->load;
    char id[SAL_CRASH_ID_LEN + 1], sha[65];
    apr_allocator_t *allocator;
    apr_pool_t *p;

    apr_allocator_create(&allocator);
    apr_pool_create_ex(&p, NULL, NULL, allocator);
    apr_allocator_owner_set(allocator, p);
    while ((!l->crashes || w->done + w->failed < l->crashes) && apr_time_now() < l->end) {
        apr_time_t began = apr_time_now();
        sal_error_t err;

        change(w);
        if (l->group) {
            if (put_group(w, p, &err)) {
                note_time(w, began);
            } else {
                w->failed++;
            }
        } else if (put_one(w, id, sha, p, &err) == APR_SUCCESS) {
            acknowledge(l, id, sha);
            note_time(w, began);
        } else {
            if (w->failed++ == 0) {
                fprintf(stderr, "not stored: %s\n", err.message);
            }
            usleep(2000);
        }
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    json_decref(w->raw);
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* What a process has done; its times follow. */
typedef struct result_t {
    long done, failed;
    float *ms;
} result_t;

static void gather(result_t *all, const worker_t *workers, int n)
{
    long at = 0;

    for (int i = 0; i < n; i++) {
        all->done += workers[i].done;
        all->failed += workers[i].failed;
    }
    all->ms = calloc((size_t)all->done + 1, sizeof(*all->ms));
    for (int i = 0; i < n; i++) {
        memcpy(all->ms + at, workers[i].ms, (size_t)workers[i].done * sizeof(*all->ms));
        at += workers[i].done;
    }
}

static void report(result_t *all, apr_time_t took)
{
    qsort(all->ms, (size_t)all->done, sizeof(*all->ms), by_time);
    printf("%ld %ld %.3f %.3f %.3f %.3f\n", all->done, all->failed, (double)took / 1e6,
           all->ms[all->done / 2], all->ms[all->done * 95 / 100], all->ms[all->done * 99 / 100]);
    free(all->ms);
}

/* What the dumps consist of. */
static int load_dump(load_t *l, const char *file)
{
    FILE *f = file ? fopen(file, "rb") : NULL;

    l->dump = malloc(l->bytes + 8);
    if (file && !f) {
        perror(file);
        return -1;
    }
    if (!f) {
        fill(l->dump, l->bytes + 8, 88172645463325252ULL);
        for (apr_size_t at = 16; l->mark && at + 64 < l->bytes; at += 4096) {
            memcpy(l->dump + at, l->mark, strlen(l->mark));
        }
        return 0;
    }
    for (apr_size_t at = 0; at < l->bytes;) { /* over and over */
        apr_size_t n = fread(l->dump + at, 1, l->bytes - at, f);

        if (!n && !at) {
            break;
        }
        at += n;
        rewind(f);
    }
    fclose(f);
    return 0;
}

static int run(result_t *all, load_t *l, apr_pool_t *p)
{
    worker_t *workers = calloc((size_t)l->threads, sizeof(*workers));
    pthread_t *threads = calloc((size_t)l->threads, sizeof(*threads));
    sal_error_t err;

    if (l->conninfo && sal_row_thread_start(&l->rows, l->conninfo, l->store, p, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (int i = 0; i < l->threads; i++) {
        workers[i].load = l;
        workers[i].number = i;
        workers[i].seed = (unsigned long long)apr_time_now() * 2654435761u +
                          (unsigned long long)i * 7919 + (unsigned long long)getpid();
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < l->threads; i++) {
        pthread_join(threads[i], NULL);
    }
    gather(all, workers, l->threads);
    return 0;
}

static int write_all(int fd, const void *data, size_t size)
{
    for (const char *at = data; size;) {
        ssize_t n = write(fd, at, size);

        if (n <= 0) {
            return 1;
        }
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* A child's part: what it has done goes through the pipe. */
static int run_child(load_t *l, int fd, apr_pool_t *p)
{
    result_t mine = { 0 };

    return run(&mine, l, p) || write_all(fd, &mine, sizeof(mine)) ||
           write_all(fd, mine.ms, (size_t)mine.done * sizeof(*mine.ms));
}

static int collect_child(result_t *all, FILE *from)
{
    result_t one;

    if (!from || fread(&one, sizeof(one), 1, from) != 1) {
        return 1;
    }
    all->ms = realloc(all->ms, (size_t)(all->done + one.done + 1) * sizeof(*all->ms));
    if (fread(all->ms + all->done, sizeof(*all->ms), (size_t)one.done, from) != (size_t)one.done) {
        return 1;
    }
    all->done += one.done;
    all->failed += one.failed;
    return 0;
}

static int run_processes(result_t *all, load_t *l, apr_pool_t *p)
{
    FILE *from[PROCESSES_MAX] = { NULL };
    int failed = 0, status;

    for (int i = 0; i < l->processes; i++) {
        int ends[2];

        if (pipe(ends)) {
            perror("pipe");
            return 1;
        }
        if (fork() == 0) {
            _exit(run_child(l, ends[1], p));
        }
        close(ends[1]);
        from[i] = fdopen(ends[0], "r");
    }
    for (int i = 0; i < l->processes; i++) {
        failed |= collect_child(all, from[i]);
    }
    while (wait(&status) > 0) {
        failed |= status;
    }
    return failed != 0;
}

static int put(load_t *l, apr_pool_t *p)
{
    result_t all = { 0 };
    apr_time_t began = apr_time_now();

    l->end = l->seconds > 0 ? began + (apr_time_t)(l->seconds * 1e6) : INT64_MAX;
    if (l->processes > 1 ? run_processes(&all, l, p) : run(&all, l, p)) {
        return 1;
    }
    report(&all, apr_time_now() - began);
    return 0;
}

/* ---- check ---- */

typedef struct check_t {
    sal_crash_store_t *store;
    apr_pool_t *pool;
    int names, torn, loose;
} check_t;

/* The SHA-256 of a stored dump as it is; NULL if the container is not whole. */
static const char *read_back(sal_crash_store_t *store, const char *id, apr_pool_t *p)
{
    sal_crash_reader_t *r;
    sal_span_t data;
    unsigned char digest[32];
    char hex[65];
    json_t *raw;

    if (sal_crash_open(&r, store, id, p, NULL) != APR_SUCCESS ||
        sal_crash_raw(&raw, r, NULL) != APR_SUCCESS ||
        sal_crash_dump(&data, r, "upload_file_minidump", UINT64_C(1) << 31, p, NULL) !=
            APR_SUCCESS) {
        return NULL;
    }
    sal_sha256(data.data, data.size, digest);
    sal_hex(hex, digest, 32);
    return apr_pstrdup(p, hex);
}

static apr_status_t check_name(void *baton, const char *id, sal_error_t *err)
{
    check_t *c = baton;
    apr_pool_t *p;

    (void)err;
    apr_pool_create(&p, c->pool);
    c->names++;
    c->torn += read_back(c->store, id, p) == NULL;
    c->loose += faccessat(c->store->pending_fd, id, F_OK, 0) != 0;
    apr_pool_destroy(p);
    return APR_SUCCESS;
}

static void check_days(check_t *c)
{
    DIR *dir = sal_crash_open_list(c->store->crash_fd, ".");
    struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL) {
        if (sal_crash_is_day(e->d_name)) {
            sal_crash_list_day(c->store, e->d_name, check_name, c, NULL);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static int check(sal_crash_store_t *store, const char *log, apr_pool_t *pool)
{
    check_t c = { store, pool, 0, 0, 0 };
    int said = 0, missing = 0, torn = 0;
    char id[40], sha[70];
    FILE *f = fopen(log, "r");

    if (!f) {
        perror(log);
        return 1;
    }
    while (fscanf(f, "%39s %69s", id, sha) == 2) {
        const char *got;
        apr_pool_t *p;

        if (strlen(sha) != 64) {
            break; /* the last line, cut off by a copy */
        }
        apr_pool_create(&p, pool);
        said++;
        got = read_back(store, id, p);
        if (!sal_crash_exists(store, id)) {
            missing++;
        } else if (!got || strcmp(got, sha)) {
            torn++;
        }
        apr_pool_destroy(p);
    }
    fclose(f);
    check_days(&c);
    printf("%d %d %d %d %d %d\n", said, missing, torn, c.names, c.torn, c.loose);
    return 0;
}

static int check_processed(sal_crash_store_t *store, const char *log, apr_pool_t *pool)
{
    int said = 0, missing = 0, torn = 0;
    char key[200], sha[70], got[65];
    FILE *f = fopen(log, "r");

    if (!f) {
        perror(log);
        return 1;
    }
    while (fscanf(f, "%199s %69s", key, sha) == 2 && strlen(sha) == 64) {
        apr_status_t rv;
        json_t *doc;
        apr_pool_t *p;

        apr_pool_create(&p, pool);
        said++;
        rv = sal_processed_get(&doc, store, key, p, NULL);
        if (rv == APR_SUCCESS) {
            digest_of(got, doc, p);
        }
        missing += APR_STATUS_IS_ENOENT(rv);
        torn += !APR_STATUS_IS_ENOENT(rv) && (rv != APR_SUCCESS || strcmp(got, sha) != 0);
        apr_pool_destroy(p);
    }
    fclose(f);
    printf("%d %d %d\n", said, missing, torn);
    return 0;
}

static void to_stderr(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    fprintf(stderr, "%s\n", line);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: store_load put ROOT [options] | store_load check|check-processed ROOT LOG\n");
    return 2;
}

int main(int argc, char **argv)
{
    load_t l = { .processes = 1, .threads = 1, .seconds = 0, .bytes = 20000, .log = -1 };
    const char *file = NULL;
    syncs_t control = ALL_SYNCS;
    int c, named = 0, rc;
    sal_error_t err;
    apr_pool_t *pool;

    if (argc < 3) {
        return usage();
    }
    optind = 3;
    while ((c = getopt(argc, argv, "t:s:n:b:l:d:c:z:m:Np:ug:")) != -1) {
        switch (c) {
        case 't':
            l.threads = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            l.seconds = strtod(optarg, NULL);
            break;
        case 'n':
            l.crashes = (int)strtol(optarg, NULL, 10);
            break;
        case 'b':
            l.bytes = strtoul(optarg, NULL, 10);
            break;
        case 'l':
            l.log = open(optarg, O_CREAT | O_APPEND | O_WRONLY, 0600);
            break;
        case 'd':
            l.conninfo = optarg;
            break;
        case 'p':
            l.processes = (int)strtol(optarg, NULL, 10);
            break;
        case 'g':
            l.group = (int)strtol(optarg, NULL, 10);
            l.group = l.group < 1 ? 1 : l.group > GROUP_MAX ? GROUP_MAX : l.group;
            break;
        case 'u':
            l.unlink = true;
            break;
        case 'c':
            control = !strcmp(optarg, "nofsync") ? NO_SYNC : NO_DIR_SYNC;
            break;
        case 'z':
            file = optarg;
            break;
        case 'm':
            l.mark = optarg;
            break;
        case 'N':
            named = 1;
            break;
        default:
            return usage();
        }
    }
    l.seconds = l.seconds > 0 || l.crashes ? l.seconds : 1;
    l.processes = l.processes < 1 ? 1 : l.processes > PROCESSES_MAX ? PROCESSES_MAX : l.processes;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(to_stderr, NULL);
    if (sal_crash_store_open(&l.store, argv[2], true, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    sal_crash_store_min_free(l.store, 0);
    if (!strcmp(argv[1], "put") && control == ALL_SYNCS &&
        sal_crash_days_ahead(l.store, apr_time_now(), &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    syncs =
        control; /* the store itself is there after a cut, or nothing could be looked for in it */
    if (named) {
        l.store->fs.unnamed = false;
    }
    if (!strcmp(argv[1], "check")) {
        return optind < argc ? check(l.store, argv[optind], pool) : usage();
    }
    if (!strcmp(argv[1], "check-processed")) {
        return optind < argc ? check_processed(l.store, argv[optind], pool) : usage();
    }
    rc = load_dump(&l, file) == 0 ? put(&l, pool) : 1;
    apr_pool_destroy(pool); /* the row thread drains */
    return rc;
}
