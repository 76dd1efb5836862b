/*
 * Names: which may be sent to a server, in which form, and what a server's redirect says. Pure
 * text.
 */
#include "upstream/upstream_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/text.h"
#include "symbols/module_id.h"

enum { NAME_MAX_BYTES = 250 };

char *upstream_cased(const char *s, size_t upper, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, s);

    for (size_t i = 0; out[i]; i++) {
        out[i] =
            (char)(i < upper ? toupper((unsigned char)out[i]) : tolower((unsigned char)out[i]));
    }
    return out;
}

bool upstream_name_ok(const char *s)
{
    return s && strlen(s) <= NAME_MAX_BYTES && sal_symbols_name_valid(s, strlen(s)) &&
           strcmp(s, UPSTREAM_OWN) != 0;
}

/* The id as servers know it; NULL if it is none. */
static const char *usual_id(const sal_upstream_want_t *want, apr_pool_t *p)
{
    char canonical[SAL_DEBUG_ID_SIZE];
    size_t n = want->id ? strlen(want->id) : 0;

    if (!sal_debug_id_valid(want->id) || n > 128) {
        return NULL;
    }
    if (want->kind == SAL_UPSTREAM_ELF) {
        return n >= 8 && n % 2 == 0 ? upstream_cased(want->id, 0, p) : NULL;
    }
    if (want->kind == SAL_UPSTREAM_PE) {
        return upstream_cased(want->id, 8, p);
    }
    return sal_debug_id_canonical(canonical, want->id) ? apr_pstrdup(p, canonical)
                                                       : upstream_cased(want->id, n, p);
}

/* Checks the names and fills in the usual ones. */
apr_status_t upstream_normalise(sal_upstream_want_t *out, const sal_upstream_want_t *want,
                                apr_pool_t *p, sal_error_t *err)
{
    *out = *want;
    out->id = usual_id(want, p);
    if (!out->id) {
        return sal_fail(err, APR_EINVAL, "bad id");
    }
    if (want->kind == SAL_UPSTREAM_ELF) {
        out->leaf = want->leaf ? want->leaf : "debuginfo";
        return !strcmp(out->leaf, "debuginfo") || !strcmp(out->leaf, "executable")
                   ? APR_SUCCESS
                   : sal_fail(err, APR_EINVAL,
                              "debuginfo and executable are all that is asked for");
    }
    if (!upstream_name_ok(want->file)) {
        return sal_fail(err, APR_EINVAL, "such a name is not sent to a server");
    }
    if (!out->leaf) {
        out->leaf = want->kind == SAL_UPSTREAM_SYM ? sal_symbols_leaf(want->file, p) : want->file;
    }
    return upstream_name_ok(out->leaf)
               ? APR_SUCCESS
               : sal_fail(err, APR_EINVAL, "such a name is not sent to a server");
}

/* Appends s percent-encoded but for letters, digits and the characters of `keep`. */
static void encode(apr_array_header_t *out, const char *s, const char *keep, bool plus)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        char hex[4];

        if (plus && c == ' ') {
            APR_ARRAY_PUSH(out, char) = '+';
        } else if (c < 0x80 && (isalnum(c) || strchr(keep, c))) {
            APR_ARRAY_PUSH(out, char) = (char)c;
        } else {
            snprintf(hex, sizeof(hex), "%%%02X", c);
            for (int i = 0; i < 3; i++) {
                APR_ARRAY_PUSH(out, char) = hex[i];
            }
        }
    }
}

static void append(apr_array_header_t *out, const char *s)
{
    for (; *s; s++) {
        APR_ARRAY_PUSH(out, char) = *s;
    }
}

/* What minidump-stackwalk asks for, byte for byte: servers' logs and symbol_url agree then. */
const char *upstream_url_of(const sal_upstream_server_t *server, const char *file, const char *id,
                            const char *leaf, const sal_upstream_want_t *query, apr_pool_t *p)
{
    static const char in_path[] = "-._~!$&'()*+,;=:@", in_query[] = "*-._";
    apr_array_header_t *out = apr_array_make(p, 200, 1);

    append(out, server->url);
    append(out, "/");
    encode(out, file, in_path, false);
    append(out, "/");
    append(out, id);
    append(out, "/");
    encode(out, leaf, in_path, false);
    if (query && query->code_file) {
        append(out, "?code_file=");
        encode(out, sal_basename(query->code_file), in_query, true);
        append(out, "&code_id=");
        encode(out, query->code_id ? query->code_id : "", in_query, true);
    }
    APR_ARRAY_PUSH(out, char) = '\0';
    return out->elts;
}

const char *upstream_url_for(const sal_upstream_server_t *server, const sal_upstream_want_t *want,
                             const char *leaf, apr_pool_t *p)
{
    if (want->kind == SAL_UPSTREAM_ELF) {
        return upstream_url_of(server, "buildid", want->id, leaf, NULL, p);
    }
    return upstream_url_of(server, want->file, want->id, leaf,
                           want->kind == SAL_UPSTREAM_SYM ? want : NULL, p);
}

/* ".../<debug_file>/<debug_id>/<leaf>" of a redirect, or of our memory of one. */
bool upstream_take_identity(const char **debug_file, const char **debug_id, const char *location,
                            apr_pool_t *p)
{
    char *path = apr_pstrmemdup(p, location, strcspn(location, "?#"));
    char *leaf = strrchr(path, '/'), *id, *file;

    if (!leaf) {
        return false;
    }
    *leaf = '\0';
    if (!(id = strrchr(path, '/'))) {
        return false;
    }
    *id++ = '\0';
    file = strrchr(path, '/');
    file = apr_pstrdup(p, file ? file + 1 : path);
    for (char *s = file; (s = strchr(s, '%')) != NULL; s++) {
        uint64_t c;

        if (sal_parse_hex(s + 1, strnlen(s + 1, 2), &c) && s[1] && s[2]) {
            *s = (char)c;
            memmove(s + 1, s + 3, strlen(s + 3) + 1);
        }
    }
    *debug_file = file;
    *debug_id = id;
    return upstream_name_ok(file) && sal_debug_id_valid(id) && strlen(id) <= SAL_DEBUG_ID_SIZE;
}

const char *upstream_code_leaf(const char *code_file, apr_pool_t *p)
{
    size_t n = strlen(code_file);
    bool dll = n > 4 && !strcasecmp(code_file + n - 4, ".dll");

    return apr_pstrcat(p, apr_pstrmemdup(p, code_file, dll ? n - 4 : n), ".sym", NULL);
}
