/*
 * Rows of saved searches.
 */
#include "triage/saved.h"

#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"

enum { KEY_BYTES = 12 };

/* ---- queries ---- */

static int hex_of(char c)
{
    uint64_t v;

    return sal_parse_hex(&c, 1, &v) ? (int)v : -1;
}

static const char *decode(const char *s, apr_size_t len, apr_pool_t *p)
{
    char *out = apr_palloc(p, len + 1), *to = out;

    for (apr_size_t i = 0; i < len; i++) {
        int high = s[i] == '%' && len - i > 2 ? hex_of(s[i + 1]) : -1;
        int low = high >= 0 ? hex_of(s[i + 2]) : -1;

        *to = low >= 0 ? (char)(high << 4 | low) : s[i] == '+' ? ' ' : s[i];
        i += low >= 0 ? 2 : 0;
        to += *to != '\0';
    }
    *to = '\0';
    return sal_utf8_clean(out, (apr_size_t)(to - out), p);
}

void sal_saved_read(const char *query, sal_saved_pair_fn pair, void *baton, apr_pool_t *p)
{
    while (*query) {
        apr_size_t len = strcspn(query, "&");
        const char *eq = memchr(query, '=', len);

        if (eq) {
            pair(baton, decode(query, (apr_size_t)(eq - query), p),
                 decode(eq + 1, len - (apr_size_t)(eq - query) - 1, p));
        }
        query += len + (query[len] == '&');
    }
}

/* ---- rows ---- */

static const char *new_key(apr_pool_t *p)
{
    unsigned char bytes[KEY_BYTES];
    char *hex = apr_palloc(p, 2 * KEY_BYTES + 1);

    if (apr_generate_random_bytes(bytes, sizeof bytes) != APR_SUCCESS) {
        return NULL;
    }
    sal_hex(hex, bytes, sizeof bytes);
    return hex;
}

static apr_status_t check(const char *name, const char *query, sal_error_t *err)
{
    apr_size_t n = strlen(name), q = strlen(query);

    if (!n || n > SAL_SAVED_NAME_MAX || !sal_utf8_valid(name, n)) {
        return sal_fail(err, SAL_E_MALFORMED, "A name has 1 to %d bytes.", SAL_SAVED_NAME_MAX);
    }
    if (q > SAL_SAVED_QUERY_MAX || !sal_utf8_valid(query, q)) {
        return sal_fail(err, SAL_E_MALFORMED, "The query is longer than %d bytes.",
                        SAL_SAVED_QUERY_MAX);
    }
    return APR_SUCCESS;
}

apr_status_t sal_saved_put(const char **key, int64_t owner, const char *name, const char *query,
                           bool shared, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *fresh = new_key(p);
    sal_rows_t *rows;
    apr_status_t rv = check(name, query, err);

    if (rv == APR_SUCCESS && !fresh) {
        rv = sal_fail(err, APR_EGENERAL, "the system gives no random bytes");
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_saved_put, &rows, p, err, SAL_V_TEXT(fresh), SAL_V_INT(owner),
                         SAL_V_TEXT(name), SAL_V_TEXT(query), SAL_V_BOOL(shared),
                         SAL_V_INT(SAL_SAVED_MOST));
    }
    if (rv == APR_SUCCESS && sal_rows_count(rows) == 0) {
        rv = sal_fail(err, SAL_E_TOOBIG, "There are %d saved searches already; delete some first.",
                      SAL_SAVED_MOST);
    }
    if (rv == APR_SUCCESS) {
        *key = sal_rows_text(rows, 0, 0);
    }
    return rv;
}

static void read_row(sal_saved_t *out, const sal_rows_t *rows, int i)
{
    *out = (sal_saved_t){ .id = sal_rows_int(rows, i, 0),
                          .key = sal_rows_text(rows, i, 1),
                          .owner = sal_rows_int(rows, i, 2),
                          .owner_name = sal_rows_text(rows, i, 3),
                          .name = sal_rows_text(rows, i, 4),
                          .query = sal_rows_text(rows, i, 5),
                          .shared = sal_rows_bool(rows, i, 6),
                          .created = sal_rows_time(rows, i, 7),
                          .changed = sal_rows_time(rows, i, 8),
                          .alerts = (int)sal_rows_int(rows, i, 9) };
}

static apr_status_t missing(const sal_rows_t *rows, bool affected, sal_error_t *err)
{
    int n = affected ? sal_rows_affected(rows) : sal_rows_count(rows);

    return n ? APR_SUCCESS : sal_fail(err, APR_ENOENT, "There is no such saved search.");
}

apr_status_t sal_saved_find(sal_saved_t *out, const char *key, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_saved_find, &rows, p, err, SAL_V_TEXT(key));

    if (rv == APR_SUCCESS && (rv = missing(rows, false, err)) == APR_SUCCESS) {
        read_row(out, rows, 0);
    }
    return rv;
}

apr_status_t sal_saved_list(sal_saved_t **out, int *n, int64_t owner, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_saved_list, &rows, p, err, SAL_V_INT(owner));

    if (rv == APR_SUCCESS) {
        *n = sal_rows_count(rows);
        *out = apr_palloc(p, ((apr_size_t)*n + 1) * sizeof **out);
        for (int i = 0; i < *n; i++) {
            read_row(&(*out)[i], rows, i);
        }
    }
    return rv;
}

apr_status_t sal_saved_drop(int64_t owner, const char *key, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_saved_drop, &rows, p, err, SAL_V_INT(owner), SAL_V_TEXT(key));

    return rv == APR_SUCCESS ? missing(rows, true, err) : rv;
}

apr_status_t sal_saved_share(int64_t owner, const char *key, bool shared, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_saved_share, &rows, p, err, SAL_V_INT(owner),
                                  SAL_V_TEXT(key), SAL_V_BOOL(shared));

    return rv == APR_SUCCESS ? missing(rows, true, err) : rv;
}
