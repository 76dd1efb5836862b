/*
 * The inside of the crash store: what its source files share. Private to the room.
 */
#ifndef SAL_CRASH_STORE_PRIVATE_H
#define SAL_CRASH_STORE_PRIVATE_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <openssl/evp.h>
#include "crash/crash_id.h"
#include "crash/crash_store.h"
#include "crash/press.h"
#include "store/blob.h"
#include "store/durable.h"

#define SAL_COMMIT_SLOTS 256
/* Crashes that the database refuses are named once; of so many this process knows them. */
#define SAL_REFUSED_KEPT 64

/*
 * Which xx directories of a day are known to be on disk, names and all. Written under days_lock;
 * read without: `known` counts for the day that was there before and after it was read.
 */
typedef struct sal_day_t {
    atomic_uint day; /* YYYYMMDD, 0: none */
    atomic_uchar known[256];
} sal_day_t;

struct sal_crash_store_t {
    sal_fs_t fs;
    sal_store_t *blobs; /* processed documents */
    int root_fd, crash_fd, pending_fd, bad_fd, trash_fd;
    const char *doubt;
    apr_int64_t min_free;
    sal_presses_t presses;
    EVP_MD *sha256; /* fetched once: each fetch takes a lock of the whole process */

    pthread_mutex_t days_lock; /* over writing days, and mkdir and fsync of new directories */
    sal_day_t days[2];         /* the two used last: around midnight both are busy */
    atomic_int day_used;       /* which of them was used last */

    atomic_int sick;
    atomic_llong probed; /* apr_time of the last probe while sick */
    atomic_llong space_checked;
    atomic_int space_short;
    atomic_llong commits[SAL_COMMIT_SLOTS]; /* when each running commit began, 0 for free */

    pthread_mutex_t refused_lock; /* guards the two below */
    char refused[SAL_REFUSED_KEPT][SAL_CRASH_ID_LEN + 1];
    int refused_next;
};

/* "YYYYMMDD/xx" of an id. */
void sal_crash_dir_of(char out[12], const char *id);

/* "YYYYMMDD" of a time, and whether a name looks like one. */
void sal_crash_day_of(char out[9], apr_time_t t);
bool sal_crash_is_day(const char *s);

/* Opens a directory for listing; NULL and errno. */
DIR *sal_crash_open_list(int dir_fd, const char *path);

/*
 * Opens crash/YYYYMMDD/xx of an id, making it if need be; when it returns, its name is durable.
 */
apr_status_t sal_crash_open_dir(int *fd, sal_crash_store_t *store, const char *id);

/*
 * Notes a failed write or sync: no more crashes until a probe works. No space, no quota and a
 * file system that was made read-only lose nothing and are passed over.
 */
void sal_crash_store_lost_write(sal_crash_store_t *store, apr_status_t rv);

/* As sal_crash_open, on a descriptor that it takes over; name is for messages. */
apr_status_t sal_crash_open_fd(sal_crash_reader_t **out, int fd, const char *name, apr_pool_t *p,
                               sal_error_t *err);

/* Time of receipt from a container's raw crash; 0 if it has none. */
apr_status_t sal_crash_submitted(apr_time_t *out, sal_crash_reader_t *r, sal_error_t *err);

#endif
