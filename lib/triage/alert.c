/*
 * Rows of alerts and of what they told.
 */
#include "triage/alert.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

static const char *const kinds[] = { "count", "nth", "rate", "new", "spike" };

const char *sal_alert_kind_name(sal_alert_kind_t kind)
{
    return (unsigned)kind < 5 ? kinds[kind] : "?";
}

bool sal_alert_kind(const char *name, sal_alert_kind_t *out)
{
    for (int i = 0; i < 5; i++) {
        if (strcmp(kinds[i], name) == 0) {
            *out = (sal_alert_kind_t)i;
            return true;
        }
    }
    return false;
}

/* ---- words ---- */

const char *sal_alert_span_words(int seconds, apr_pool_t *p)
{
    static const struct {
        int seconds;
        const char *name;
    } units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    int i = 0;

    while (seconds % units[i].seconds || (i == 0 && seconds == 86400)) {
        i++;
    }
    return apr_psprintf(p, "%d %s%s", seconds / units[i].seconds, units[i].name,
                        seconds / units[i].seconds == 1 ? "" : "s");
}

const char *sal_alert_words(const sal_alert_t *a, apr_pool_t *p)
{
    const char *span = sal_alert_span_words(a->span, p);
    const char *many = a->threshold == 1 ? "" : "es";

    switch (a->kind) {
    case SAL_ALERT_COUNT:
        return apr_psprintf(p, "%.15g crash%s within %s", a->threshold, many, span);
    case SAL_ALERT_NTH:
        return apr_psprintf(p, "every %.15g crash%s", a->threshold, many);
    case SAL_ALERT_RATE:
        return apr_psprintf(p, "%.15g crash%s an hour, over %s", a->threshold, many, span);
    case SAL_ALERT_NEW:
        return apr_psprintf(p, "a new signature with %.15g crash%s within %s", a->threshold, many,
                            span);
    default:
        return apr_psprintf(p, "%.15g times what is usual in %s, and %d crashes at least",
                            a->threshold, span, a->minimum);
    }
}

/* ---- checks ---- */

bool sal_alert_address(const char *text)
{
    const char *at = strchr(text, '@');
    apr_size_t len = strlen(text);

    if (!at || at == text || len > 254 || strchr(at + 1, '@') || !isalnum((unsigned char)*text)) {
        return false;
    }
    for (const char *c = text; *c; c++) {
        bool plain =
            (unsigned char)*c < 0x80 && (isalnum((unsigned char)*c) || *c == '.' || *c == '-' ||
                                         c == at || (c < at && strchr("_+=~", *c)));

        if (!plain) {
            return false;
        }
    }
    return isalnum((unsigned char)at[1]) && isalnum((unsigned char)text[len - 1]);
}

static apr_status_t check(const sal_alert_t *a, sal_error_t *err)
{
    apr_size_t n = strlen(a->name);
    bool whole = a->kind == SAL_ALERT_NTH || a->kind == SAL_ALERT_COUNT || a->kind == SAL_ALERT_NEW;

    if (!n || n > 200 || !sal_utf8_valid(a->name, n)) {
        return sal_fail(err, SAL_E_MALFORMED, "A name has 1 to 200 bytes.");
    }
    if (!isfinite(a->threshold) || a->threshold <= 0 || a->threshold > 1e9 ||
        (whole && a->threshold != floor(a->threshold))) {
        return sal_fail(err, SAL_E_MALFORMED, "The threshold must be a %snumber above 0.",
                        whole ? "whole " : "");
    }
    if (a->kind == SAL_ALERT_SPIKE && (a->threshold <= 1 || a->minimum < 1)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "A spike is more than 1 times what is usual, and at least 1 crash.");
    }
    if (a->span < SAL_ALERT_SPAN_MIN || a->span > SAL_ALERT_SPAN_MAX) {
        return sal_fail(err, SAL_E_MALFORMED, "The time looked at is 5 minutes to 30 days.");
    }
    if (a->quiet < SAL_ALERT_QUIET_MIN || a->quiet > SAL_ALERT_QUIET_MAX) {
        return sal_fail(err, SAL_E_MALFORMED, "The quiet time is 5 minutes to 30 days.");
    }
    if (a->way == SAL_ALERT_MAIL && !sal_alert_address(a->target)) {
        return sal_fail(err, SAL_E_MALFORMED, "This is no address for mail.");
    }
    return APR_SUCCESS;
}

/* ---- rows ---- */

apr_status_t sal_alert_put(int64_t *id, const sal_alert_t *a, int64_t owner, const char *search_key,
                           sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = check(a, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = sal_db_exec(db, &sal_s_alert_put, &rows, p, err, SAL_V_INT(owner), SAL_V_TEXT(search_key),
                     SAL_V_TEXT(a->name), SAL_V_INT(a->kind), SAL_V_DOUBLE(a->threshold),
                     SAL_V_INT(a->minimum), SAL_V_INT(a->span), SAL_V_INT(a->quiet),
                     SAL_V_INT(a->way), SAL_V_TEXT(a->target), SAL_V_INT(SAL_ALERT_MOST));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!sal_rows_bool(rows, 0, 1)) {
        return sal_fail(err, APR_ENOENT, "There is no such saved search of yours.");
    }
    if (sal_rows_bool(rows, 0, 2)) {
        return sal_fail(err, SAL_E_TOOBIG, "There are %d alerts already; delete some first.",
                        SAL_ALERT_MOST);
    }
    if (sal_rows_null(rows, 0, 0)) {
        return sal_fail(err, SAL_E_MALFORMED, "No web hook of this name is configured.");
    }
    *id = sal_rows_int(rows, 0, 0);
    return APR_SUCCESS;
}

static void read_alert(sal_alert_t *out, const sal_rows_t *rows, int i)
{
    *out = (sal_alert_t){ .id = sal_rows_int(rows, i, 0),
                          .search = sal_rows_int(rows, i, 1),
                          .owner = sal_rows_int(rows, i, 2),
                          .owner_name = sal_rows_text(rows, i, 3),
                          .owner_active = sal_rows_bool(rows, i, 4),
                          .owner_permissions = (int)sal_rows_int(rows, i, 5),
                          .search_key = sal_rows_text(rows, i, 6),
                          .search_name = sal_rows_text(rows, i, 7),
                          .query = sal_rows_text(rows, i, 8),
                          .name = sal_rows_text(rows, i, 9),
                          .kind = (sal_alert_kind_t)sal_rows_int(rows, i, 10),
                          .threshold = sal_rows_double(rows, i, 11),
                          .minimum = (int)sal_rows_int(rows, i, 12),
                          .span = (int)sal_rows_int(rows, i, 13),
                          .quiet = (int)sal_rows_int(rows, i, 14),
                          .way = (sal_alert_way_t)sal_rows_int(rows, i, 15),
                          .target = sal_rows_text(rows, i, 16),
                          .paused = sal_rows_bool(rows, i, 17),
                          .ready = sal_rows_bool(rows, i, 18),
                          .created = sal_rows_time(rows, i, 19),
                          .looked = sal_rows_time(rows, i, 20),
                          .valued = !sal_rows_null(rows, i, 21),
                          .value = sal_rows_double(rows, i, 21),
                          .usual = sal_rows_double(rows, i, 22),
                          .error = sal_rows_null(rows, i, 23) ? NULL : sal_rows_text(rows, i, 23),
                          .last_alarm = sal_rows_time(rows, i, 24),
                          .mark = sal_rows_time(rows, i, 25),
                          .counted = sal_rows_int(rows, i, 26),
                          .reached = sal_rows_int(rows, i, 27) };
}

apr_status_t sal_alert_list(sal_alert_t **out, int *n, int64_t owner, int64_t id, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_alert_list, &rows, p, err, SAL_V_INT(owner), SAL_V_INT(id));

    if (rv == APR_SUCCESS) {
        *n = sal_rows_count(rows);
        *out = apr_palloc(p, ((apr_size_t)*n + 1) * sizeof **out);
        for (int i = 0; i < *n; i++) {
            read_alert(&(*out)[i], rows, i);
        }
    }
    return rv;
}

static apr_status_t changed(apr_status_t rv, const sal_rows_t *rows, sal_error_t *err)
{
    return rv == APR_SUCCESS && sal_rows_affected(rows) == 0
               ? sal_fail(err, APR_ENOENT, "There is no such alert.")
               : rv;
}

apr_status_t sal_alert_pause(int64_t owner, int64_t id, bool paused, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_alert_pause, &rows, p, err, SAL_V_INT(owner),
                                  SAL_V_INT(id), SAL_V_BOOL(paused));

    return changed(rv, rows, err);
}

apr_status_t sal_alert_drop(int64_t owner, int64_t id, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_alert_drop, &rows, p, err, SAL_V_INT(owner), SAL_V_INT(id));

    return changed(rv, rows, err);
}

apr_status_t sal_alert_hooks(const char ***out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_alert_hooks, NULL, 0, &rows, p, err);

    if (rv == APR_SUCCESS) {
        int n = sal_rows_count(rows);

        *out = apr_pcalloc(p, ((apr_size_t)n + 1) * sizeof **out);
        for (int i = 0; i < n; i++) {
            (*out)[i] = sal_rows_text(rows, i, 0);
        }
    }
    return rv;
}

apr_status_t sal_alert_events(sal_alert_event_t **out, int *n, int64_t alert, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_alert_events, &rows, p, err, SAL_V_INT(alert),
                                  SAL_V_INT(SAL_ALERT_HISTORY));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_palloc(p, ((apr_size_t)*n + 1) * sizeof **out);
    for (int i = 0; i < *n; i++) {
        (*out)[i] =
            (sal_alert_event_t){ .id = sal_rows_int(rows, i, 0),
                                 .at = sal_rows_time(rows, i, 1),
                                 .test = sal_rows_bool(rows, i, 2),
                                 .way = (sal_alert_way_t)sal_rows_int(rows, i, 3),
                                 .target = sal_rows_text(rows, i, 4),
                                 .body = sal_rows_text(rows, i, 5),
                                 .state = (int)sal_rows_int(rows, i, 6),
                                 .attempts = (int)sal_rows_int(rows, i, 7),
                                 .error =
                                     sal_rows_null(rows, i, 8) ? NULL : sal_rows_text(rows, i, 8) };
    }
    return APR_SUCCESS;
}
