/*
 * Notes of staged members. They are not synced: after a crash of the machine neither they nor the
 * files they name can be believed, so a note holds the id of the boot it was made in.
 */
#include "upload/adopt.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"
#include "base/text.h"

enum { BOOT_ID = 36, NOTE_MAX = 65536 };

struct sal_adopt_t {
    sal_symbol_store_t *store;
    const char *dir;
    char boot[BOOT_ID + 1];
    bool made; /* the directory is known to exist */
};

/* What stands at the beginning of a note; the packed header follows. */
typedef struct {
    char boot[BOOT_ID + 1];
    uint64_t inode, device;
    sal_upload_entry_t entry;
} note_t;

sal_adopt_t *sal_adopt_make(sal_symbol_store_t *store, int64_t token_id, apr_pool_t *p)
{
    sal_adopt_t *a = apr_pcalloc(p, sizeof(*a));
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, a->boot, BOOT_ID) : 0;

    if (fd >= 0) {
        close(fd);
    }
    if (token_id == 0 || n != BOOT_ID) {
        return NULL;
    }
    a->store = store;
    a->dir = apr_psprintf(p, "%s/stage/%" APR_INT64_T_FMT, sal_symbol_store_root(store), token_id);
    return a;
}

static const char *note_path(const sal_adopt_t *a, const char *name, const sal_upload_entry_t *e,
                             apr_pool_t *p)
{
    const char *text = apr_psprintf(p, "%" APR_UINT64_T_FMT "/%" APR_UINT64_T_FMT "/%u/%d/%s",
                                    (apr_uint64_t)e->size, (apr_uint64_t)e->packed,
                                    (unsigned)e->crc, (e->flags & SAL_UPLOAD_DEFLATED) != 0, name);
    unsigned char digest[32];
    char hex[65];

    sal_sha256(text, strlen(text), digest);
    sal_hex(hex, digest, 16);
    return apr_pstrcat(p, a->dir, "/", hex, NULL);
}

static bool same_file(const char *path, const note_t *note)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_ino == note->inode && st.st_dev == note->device &&
           (uint64_t)st.st_size == note->entry.stored_size;
}

static bool read_note(note_t *note, sal_sym_header_t *header, const sal_adopt_t *a,
                      const char *path, apr_pool_t *p)
{
    apr_size_t size;
    char *data;

    if (sal_file_read(&data, &size, path, NOTE_MAX, p, NULL) != APR_SUCCESS ||
        size < sizeof(*note)) {
        return false;
    }
    memcpy(note, data, sizeof(*note));
    note->entry.temp[SAL_UPLOAD_TEMP_NAME - 1] = '\0';
    if (memcmp(note->boot, a->boot, BOOT_ID) || note->entry.header_len != size - sizeof(*note) ||
        strchr(note->entry.temp, '/')) {
        return false;
    }
    sal_upload_header_unpack(header, data + sizeof(*note), note->entry.header_len, p);
    return true;
}

bool sal_adopt_find(sal_adopt_t *a, const char *name, sal_upload_entry_t *e,
                    sal_sym_header_t *header, apr_pool_t *p)
{
    sal_symbol_temp_t *temp;
    sal_upload_entry_t found;
    const char *path;
    note_t note;

    if (!a || e->packed < SAL_ADOPT_MIN ||
        !read_note(&note, header, a, note_path(a, name, e, p), p) || note.entry.size != e->size ||
        note.entry.crc != e->crc ||
        sal_symbol_temp_link(&temp, a->store, note.entry.temp, p, NULL) != APR_SUCCESS) {
        return false;
    }
    found = note.entry;
    apr_cpystrn(found.temp, sal_symbol_temp_release(temp, p), sizeof(found.temp));
    path = apr_pstrcat(p, sal_symbol_store_root(a->store), "/tmp/", found.temp, NULL);
    if (!same_file(path, &note)) {
        unlink(path); /* the name has been given to somebody else's file since */
        return false;
    }
    found.offset = e->offset;
    found.flags = e->flags | SAL_UPLOAD_ADOPTED;
    found.listed = 0;
    *e = found;
    return true;
}

void sal_adopt_note(sal_adopt_t *a, const char *name, const sal_upload_entry_t *e,
                    const sal_sym_header_t *header, apr_pool_t *p)
{
    apr_size_t header_len;
    const char *packed = sal_upload_header_pack(header, &header_len, p), *path, *temp;
    note_t note = { .entry = *e };
    struct stat st;
    int fd;

    if (!a || e->packed < SAL_ADOPT_MIN || sizeof(note) + header_len > NOTE_MAX ||
        stat(apr_pstrcat(p, sal_symbol_store_root(a->store), "/tmp/", e->temp, NULL), &st)) {
        return;
    }
    if (!a->made && sal_dir_make(a->dir, 0755, 0, p, NULL) != APR_SUCCESS) {
        return;
    }
    a->made = true;
    memcpy(note.boot, a->boot, BOOT_ID);
    note.inode = st.st_ino;
    note.device = st.st_dev;
    note.entry.header_len = (uint32_t)header_len;
    path = note_path(a, name, e, p);
    temp = apr_pstrcat(p, path, ".", e->temp, NULL);
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return;
    }
    if (sal_fd_write_all(fd, &note, sizeof(note)) != APR_SUCCESS ||
        sal_fd_write_all(fd, packed, header_len) != APR_SUCCESS || rename(temp, path)) {
        unlink(temp);
    }
    close(fd);
}

void sal_adopt_forget(sal_adopt_t *a, const char *name, const sal_upload_entry_t *e, apr_pool_t *p)
{
    if (a && e->packed >= SAL_ADOPT_MIN) {
        unlink(note_path(a, name, e, p));
    }
}
