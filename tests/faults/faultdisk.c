/*
 * A disk that can lose power: one file in memory, offered by FUSE for a loop device to sit on.
 *
 *   faultdisk MOUNTPOINT BYTES        (stays in the foreground; fusermount3 -u ends it)
 *
 * MOUNTPOINT/disk is the disk. What was written since the last flush is kept apart. Commands are
 * written to MOUNTPOINT/control, a line each; when the write returns, the command is done:
 *
 *   cut IMAGE SEED      writes to IMAGE what the disk could hold after a power cut now: all that
 *                       was flushed, and of the other 512-byte sectors a random half
 *   fail ERRNO MARK     writes that contain MARK fail with this error; "fail 0 -" ends that
 *   delay MS            every flush takes so long
 *
 * One request after the other: a cut falls between two of them.
 */
#define FUSE_USE_VERSION 31
#include <fuse.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512

static char *now, *flushed;  /* the disk as it is read, and as it surely is on the platter */
static unsigned char *dirty; /* a byte a sector */
static size_t disk_size, first_dirty, last_dirty; /* sectors [first, last) may be dirty */
static int fail_with;
static char mark[64];
static long delay_ms;

static void flush_disk(void)
{
    struct timespec pause = { delay_ms / 1000, delay_ms % 1000 * 1000000 };

    if (delay_ms) {
        nanosleep(&pause, NULL);
    }
    for (size_t s = first_dirty; s < last_dirty; s++) {
        if (dirty[s]) {
            memcpy(flushed + s * SECTOR, now + s * SECTOR, SECTOR);
            dirty[s] = 0;
        }
    }
    first_dirty = disk_size / SECTOR;
    last_dirty = 0;
}

static int all_zero(const char *data, size_t size)
{
    return !data[0] && !memcmp(data, data + 1, size - 1);
}

/* A sparse file: the disk is mostly empty. */
static int cut_power(const char *path, unsigned seed)
{
    char block[8 * SECTOR];
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600), rc = 0;

    if (fd < 0) {
        return -errno;
    }
    srandom(seed);
    for (size_t at = 0; at < disk_size && !rc; at += sizeof(block)) {
        memcpy(block, flushed + at, sizeof(block));
        for (size_t s = 0; s < 8; s++) {
            if (dirty[at / SECTOR + s] && random() & 256) {
                memcpy(block + s * SECTOR, now + at + s * SECTOR, SECTOR);
            }
        }
        if (!all_zero(block, sizeof(block)) &&
            pwrite(fd, block, sizeof(block), (off_t)at) != (ssize_t)sizeof(block)) {
            rc = -EIO;
        }
    }
    if (ftruncate(fd, (off_t)disk_size) != 0) {
        rc = -errno;
    }
    close(fd);
    return rc;
}

static int obey(const char *line)
{
    char path[400], text[64];
    unsigned seed;
    int error;
    long ms;

    if (sscanf(line, "cut %399s %u", path, &seed) == 2) {
        return cut_power(path, seed);
    }
    if (sscanf(line, "fail %d %63s", &error, text) == 2) {
        fail_with = error;
        memcpy(mark, text, sizeof(mark));
        return 0;
    }
    if (sscanf(line, "delay %ld", &ms) == 1) {
        delay_ms = ms;
        return 0;
    }
    return -EINVAL;
}

static int fd_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    (void)fi;
    memset(st, 0, sizeof(*st));
    st->st_nlink = 1;
    st->st_mode = S_IFREG | 0600;
    if (!strcmp(path, "/")) {
        st->st_mode = S_IFDIR | 0700;
    } else if (!strcmp(path, "/disk")) {
        st->st_size = (off_t)disk_size;
    } else if (strcmp(path, "/control") != 0) {
        return -ENOENT;
    }
    return 0;
}

static int fd_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    (void)path;
    (void)at;
    (void)fi;
    (void)flags;
    fill(buf, "disk", NULL, 0, 0);
    fill(buf, "control", NULL, 0, 0);
    return 0;
}

static int fd_open(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    fi->direct_io = 1; /* the kernel keeps no copy: what is written is written here */
    return 0;
}

static int fd_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *fi)
{
    (void)fi;
    if (strcmp(path, "/disk") != 0 || (size_t)at >= disk_size) {
        return 0;
    }
    size = size < disk_size - (size_t)at ? size : disk_size - (size_t)at;
    memcpy(buf, now + at, size);
    return (int)size;
}

static int fd_write(const char *path, const char *buf, size_t size, off_t at,
                    struct fuse_file_info *fi)
{
    size_t from = (size_t)at / SECTOR, to = ((size_t)at + size + SECTOR - 1) / SECTOR;
    char line[512];

    (void)fi;
    if (!strcmp(path, "/control")) {
        int rc;

        snprintf(line, sizeof(line), "%.*s", (int)(size < 500 ? size : 500), buf);
        rc = obey(line);
        return rc < 0 ? rc : (int)size;
    }
    if ((size_t)at > disk_size || size > disk_size - (size_t)at) {
        return -ENOSPC;
    }
    if (fail_with && memmem(buf, size, mark, strlen(mark))) {
        return -fail_with;
    }
    memcpy(now + at, buf, size);
    memset(dirty + from, 1, to - from);
    first_dirty = from < first_dirty ? from : first_dirty;
    last_dirty = to > last_dirty ? to : last_dirty;
    return (int)size;
}

static int fd_fsync(const char *path, int only_data, struct fuse_file_info *fi)
{
    (void)path;
    (void)only_data;
    (void)fi;
    flush_disk();
    return 0;
}

static int fd_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    (void)path;
    (void)size;
    (void)fi;
    return 0; /* the shell opens control with O_TRUNC */
}

/* Discards and zeroing: a disk may ignore the first; the kernel writes zeros itself. */
static int fd_fallocate(const char *path, int mode, off_t at, off_t size, struct fuse_file_info *fi)
{
    (void)path;
    (void)mode;
    (void)at;
    (void)size;
    (void)fi;
    return -EOPNOTSUPP;
}

static const struct fuse_operations operations = {
    .getattr = fd_getattr,
    .readdir = fd_readdir,
    .open = fd_open,
    .read = fd_read,
    .write = fd_write,
    .fsync = fd_fsync,
    .truncate = fd_truncate,
    .fallocate = fd_fallocate,
};

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    if (p == MAP_FAILED) {
        perror("faultdisk: memory");
        exit(1);
    }
    return p;
}

int main(int argc, char **argv)
{
    char *args[] = { argv[0], argc > 1 ? argv[1] : NULL, (char *)"-f", (char *)"-s", NULL };

    if (argc != 3) {
        fprintf(stderr, "usage: faultdisk MOUNTPOINT BYTES\n");
        return 2;
    }
    disk_size = strtoull(argv[2], NULL, 10) / (8 * SECTOR) * (8 * SECTOR);
    now = memory(disk_size);
    flushed = memory(disk_size);
    dirty = memory(disk_size / SECTOR);
    first_dirty = disk_size / SECTOR;
    return fuse_main(4, args, &operations, NULL);
}
