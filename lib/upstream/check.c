/*
 * Is a file that came from a server what was asked for? A page of HTML with status 200, another
 * build's symbols, half a file: none of them may reach the cache.
 */
#include "upstream/upstream_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "symbols/cab.h"
#include "symbols/module_id.h"
#include "symbols/sym_header.h"

enum { HEAD = SAL_SYM_HEADER_BYTES, PE_AT = 0x3c };

static uint32_t le32(const unsigned char *s)
{
    return (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

/* "MODULE os cpu id name" first, and a whole last line. */
static const char *check_sym(const char *head, size_t n, int fd, uint64_t size,
                             const sal_upstream_want_t *want, apr_pool_t *p)
{
    const char *words = head, *id = NULL;
    char last = '\0';

    if (n < 7 || strncmp(head, "MODULE ", 7) != 0) {
        return "no symbol file: it does not begin with MODULE";
    }
    for (int i = 0; i < 3; i++) {
        words += strcspn(words, " \t\r\n");
        words += strspn(words, " \t");
        id = words;
    }
    id = apr_pstrmemdup(p, id, strcspn(id, " \t\r\n"));
    if (!sal_debug_id_same(id, want->id)) {
        return apr_psprintf(p, "the symbols are those of %.60s", id);
    }
    if (pread(fd, &last, 1, (off_t)size - 1) != 1 || last != '\n') {
        return "the symbol file is cut off";
    }
    return NULL;
}

/* TimeDateStamp and SizeOfImage, which the code id is made of. */
static const char *check_pe(const char *head, size_t n, const sal_upstream_want_t *want,
                            apr_pool_t *p)
{
    const unsigned char *s = (const unsigned char *)head;
    uint32_t at = n >= PE_AT + 4 ? le32(s + PE_AT) : 0;
    const char *id;

    if (n < 2 || memcmp(s, "MZ", 2) != 0 || at == 0 || at + 84 > n ||
        memcmp(s + at, "PE\0", 4) != 0) {
        return "no PE file";
    }
    id = apr_psprintf(p, "%08X%x", le32(s + at + 8), le32(s + at + 80));
    return !strcasecmp(id, want->id) || (*id == '0' && !strcasecmp(id + strspn(id, "0"), want->id))
               ? NULL
               : apr_psprintf(p, "the file is that of %s", id);
}

static const char *check_magic(const char *head, size_t n, const sal_upstream_want_t *want)
{
    static const char msf[] = "Microsoft C/C++ MSF 7.00\r\n\x1a"
                              "DS";
    size_t len = strlen(want->leaf);

    if (len > 1 && want->leaf[len - 1] == '_') {
        return n >= 4 && !memcmp(head, "MSCF", 4) ? NULL : "no cabinet file";
    }
    if (want->kind == SAL_UPSTREAM_PDB) {
        bool pdb = n >= sizeof(msf) - 1 && !memcmp(head, msf, sizeof(msf) - 1);

        return pdb || (n >= 4 && !memcmp(head, "BSJB", 4)) ? NULL : "no PDB file";
    }
    if (want->kind == SAL_UPSTREAM_ELF) {
        return n >= 4 && !memcmp(head,
                                 "\x7f"
                                 "ELF",
                                 4)
                   ? NULL
                   : "no ELF file";
    }
    return n > 0 ? NULL : "an empty file";
}

const char *upstream_check(int fd, uint64_t size, const sal_upstream_want_t *want, apr_pool_t *p)
{
    char *head = apr_pcalloc(p, HEAD + 1);
    ssize_t n = pread(fd, head, HEAD, 0);
    size_t len = strlen(want->leaf);

    if (n < 0 || size == 0) {
        return "an empty file";
    }
    if (want->kind == SAL_UPSTREAM_SYM) {
        return check_sym(head, (size_t)n, fd, size, want, p);
    }
    if (want->kind == SAL_UPSTREAM_PE && want->leaf[len - 1] != '_') {
        return check_pe(head, (size_t)n, want, p);
    }
    return check_magic(head, (size_t)n, want);
}

static apr_status_t take_piece(void *baton, const void *data, apr_size_t size)
{
    return sal_fd_write_all(*(const int *)baton, data, size);
}

apr_status_t upstream_unpack(int out, uint64_t *size, int cabinet, uint64_t max, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_cab_t *cab;
    apr_status_t rv;

    lseek(cabinet, 0, SEEK_SET);
    rv = sal_cab_open(&cab, cabinet, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *size = sal_cab_size(cab);
    if (*size > max) {
        return sal_fail(err, SAL_E_TOOBIG, "the file is larger than allowed");
    }
    return sal_cab_unpack(cab, take_piece, &out, err);
}
