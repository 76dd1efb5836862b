/*
 * The physical limit of accepting crashes: each thread overwrites a preallocated file of its own
 * and calls fdatasync, which is the least that durability can cost.
 *
 *   bench_fsync DIR BYTES THREADS SECONDS  -> writes a second
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *dir;
static size_t bytes;
static atomic_long done;
static atomic_int stop;

static void *submit(void *arg)
{
    char path[4096], *data = malloc(bytes);
    int fd;

    snprintf(path, sizeof(path), "%s/bench-fsync.%ld", dir, (long)(size_t)arg);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || !data) {
        perror(path);
        exit(1);
    }
    memset(data, (int)(size_t)arg, bytes);
    if (posix_fallocate(fd, 0, (off_t)bytes)) {
        perror(path);
        exit(1);
    }
    while (!stop) {
        if (pwrite(fd, data, bytes, 0) != (ssize_t)bytes || fdatasync(fd)) {
            perror(path);
            exit(1);
        }
        done++;
    }
    close(fd);
    unlink(path);
    free(data);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[256];
    struct timespec start, end;
    long n;

    if (argc != 5) {
        fprintf(stderr, "usage: bench_fsync DIR BYTES THREADS SECONDS\n");
        return 2;
    }
    dir = argv[1];
    bytes = strtoul(argv[2], NULL, 10);
    n = strtol(argv[3], NULL, 10);
    n = n < 1 ? 1 : n > 256 ? 256 : n;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < n; i++) {
        pthread_create(&threads[i], NULL, submit, (void *)(size_t)i);
    }
    usleep((useconds_t)(strtod(argv[4], NULL) * 1e6));
    stop = 1;
    for (long i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.1f\n", (double)done / ((double)(end.tv_sec - start.tv_sec) +
                                     (double)(end.tv_nsec - start.tv_nsec) / 1e9));
    return 0;
}
