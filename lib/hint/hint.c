/*
 * What a processed crash tells, and to whom it was told.
 */
#include "hint/hint.h"

#include <ctype.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "db/people.h"

#define DAY INT64_C(86400)
#define KEEP_DAYS 30 /* a hint that nobody asked for */

/* ---- settings ---- */

static int64_t in_range(int64_t v, int64_t min, int64_t max)
{
    return v < min ? min : v > max ? max : v;
}

void sal_hint_rules(sal_hint_rules_t *out, const sal_conf_t *conf, apr_pool_t *p)
{
    out->on = sal_conf_on(conf, "hints", 0);
    out->confidence = (int)in_range(sal_conf_int(conf, "hint-bit-flip", 75), 1, 100);
    out->places = (int)in_range(sal_conf_int(conf, "hint-places", 4), 2, 100);
    out->window = in_range(sal_conf_int(conf, "hint-window", 14 * DAY), 1, 366 * DAY);
    out->period = in_range(sal_conf_int(conf, "hint-period", 7 * DAY), 0, 366 * DAY);
    out->hardware = sal_hint_line(
        sal_conf_get(conf, "hint-text-hardware",
                     "This crash looks like a fault of the computer's memory or disk. "
                     "A test of the hardware may help."),
        p);
    out->unrelated = sal_hint_line(
        sal_conf_get(conf, "hint-text-unrelated",
                     "Crashes in many unrelated places may come from the computer itself. "
                     "A test of its memory may help."),
        p);
    out->fixed = sal_hint_line(
        sal_conf_get(conf, "hint-text-fixed", "This crash is fixed in version {version}."), p);
}

const char *sal_hint_line(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, sal_utf8_clean(text, strlen(text), p));

    for (char *c = out; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f || *c == '=' ? ' ' : *c;
    }
    sal_utf8_cut(out, SAL_HINT_TEXT_MAX);
    return out;
}

/* ---- clients ---- */

bool sal_hint_client(char out[SAL_HINT_CLIENT_HEX + 1], const unsigned char secret[32],
                     const char *id)
{
    char text[200] = "hint-client:";
    size_t n = strlen(text);

    while (*id && n < sizeof(text) - 1) { /* senders differ in braces and case of the same id */
        if (!strchr("{} \t\r\n", *id)) {
            text[n++] = (char)tolower((unsigned char)*id);
        }
        id++;
    }
    text[n] = '\0';
    if (n < strlen("hint-client:") + 8 ||
        !text[strlen("hint-client:") + strspn(text + strlen("hint-client:"), "0-")] ||
        !strcmp(text, "hint-client:c0ffeec0-ffee-c0ff-eec0-ffeec0ffeec0")) {
        return false;
    }
    sal_web_sign(out, secret, text);
    return true;
}

/* ---- versions ---- */

static const char *skip_esr(const char *s)
{
    return strncmp(s, "esr", 3) ? s : s + 3;
}

/* Compares the numbers that both begin with, of any length; steps behind them. */
static int compare_numbers(const char **a, const char **b)
{
    size_t n, m;
    int d;

    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    n = strspn(*a, "0123456789");
    m = strspn(*b, "0123456789");
    d = n != m ? (n < m ? -1 : 1) : strncmp(*a, *b, n);
    *a += n;
    *b += m;
    return d;
}

int sal_hint_compare_versions(const char *a, const char *b)
{
    while (*a || *b) {
        int d = compare_numbers(&a, &b);
        bool letter_a, letter_b;

        a = skip_esr(a);
        b = skip_esr(b);
        if (d) {
            return d;
        }
        letter_a = *a && *a != '.' && *a != '-' && *a != '+';
        letter_b = *b && *b != '.' && *b != '-' && *b != '+';
        if (letter_a != letter_b) {
            return letter_a ? -1 : 1;
        }
        if (letter_a && *a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        }
        a += *a != '\0';
        b += *b != '\0';
    }
    return 0;
}

/* ---- what a crash tells ---- */

typedef struct told_t {
    const char *kind, *text;
    int rank;
} told_t;

static const char *text_of(const json_t *doc, const char *path)
{
    return json_string_value(sal_json_path(doc, path));
}

/* Reasons with which a system says that hardware failed. */
static bool is_machine_check(const char *reason)
{
    static const char *const words[] = {
        "BUS_MCEERR_A",          "STATUS_HARDWARE_MEMORY_ERROR", "DEVICE_HARDWARE_ERROR",
        "ERROR_MEMORY_HARDWARE", "STATUS_DEVICE_DATA_ERROR",     "STATUS_IO_DEVICE_ERROR",
        "STATUS_CRC_ERROR"
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (reason && strstr(reason, words[i])) {
            return true;
        }
    }
    return false;
}

static void hardware(told_t *out, const json_t *doc, const sal_hint_rules_t *rules)
{
    const json_t *flips = json_object_get(doc, "possible_bit_flips_max_confidence");
    const char *reason = text_of(doc, "reason");

    reason = reason ? reason : text_of(doc, "json_dump.crash_info.type");
    if (is_machine_check(reason)) {
        *out = (told_t){ "machine_check", rules->hardware, 3 };
    } else if (json_is_integer(flips) && json_integer_value(flips) >= rules->confidence) {
        *out = (told_t){ "bit_flip", rules->hardware, 3 };
    }
}

static const char *fill(const char *text, const char *version, apr_pool_t *p)
{
    const char *at = strstr(text, "{version}");

    return at ? sal_hint_line(apr_pstrcat(p, apr_pstrmemdup(p, text, (apr_size_t)(at - text)),
                                          version, at + 9, NULL),
                              p)
              : text;
}

/* Of the crash's product, else of any. One who has the version, or a newer one, is told nothing. */
static apr_status_t fixed(told_t *out, const json_t *doc, const sal_hint_rules_t *rules,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *product = text_of(doc, "product"), *has = text_of(doc, "version");
    const char *version, *note;
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_hint_fixed_find, &rows, p, err, SAL_V_TEXT(product ? product : ""),
                    SAL_V_TEXT(text_of(doc, "signature")));

    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    version = sal_rows_text(rows, 0, 0);
    note = sal_rows_text(rows, 0, 1);
    if (has && *has && sal_hint_compare_versions(has, version) < 0) {
        *out =
            (told_t){ "fixed", fill(*note ? sal_hint_line(note, p) : rules->fixed, version, p), 2 };
    }
    return APR_SUCCESS;
}

/* The module that crashed: of the crashing thread's first frame that has one. */
static const char *module_of(const json_t *doc)
{
    const json_t *frames = sal_json_path(doc, "json_dump.crashing_thread.frames"), *one;
    size_t i;

    json_array_foreach(frames, i, one)
    {
        const char *module = sal_json_str(one, "module");

        if (module && *module) {
            return module;
        }
    }
    return "";
}

/* The crash among others of its client. */
static apr_status_t tally(bool *many, const char *client, const char *crash_id, const json_t *doc,
                          const sal_hint_rules_t *rules, sal_db_t *db, apr_pool_t *p,
                          sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_hint_fault_put, NULL, p, err, SAL_V_TEXT(client),
                                  SAL_V_TEXT(crash_id), SAL_V_TEXT(text_of(doc, "signature")),
                                  SAL_V_TEXT(module_of(doc)));

    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_hint_fault_count, &rows, p, err, SAL_V_TEXT(client),
                         SAL_V_INT(rules->window));
    }
    if (rv == APR_SUCCESS) {
        *many =
            sal_rows_int(rows, 0, 0) >= rules->places && sal_rows_int(rows, 0, 1) >= rules->places;
    }
    return rv;
}

static apr_status_t tell_client(const char *client, const told_t *told, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_hint_client_put, NULL, p, err, SAL_V_TEXT(client),
                       SAL_V_TEXT(told->kind), SAL_V_INT(told->rank), SAL_V_TEXT(told->text));
}

typedef struct note_t {
    const char *crash_id, *client;
    const json_t *doc;
    const sal_hint_rules_t *rules;
    const char *kind;
} note_t;

static apr_status_t note_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    note_t *n = baton;
    told_t told = { NULL, NULL, 0 };
    bool many = false;
    apr_status_t rv = APR_SUCCESS;

    hardware(&told, n->doc, n->rules);
    if (!told.kind) {
        rv = fixed(&told, n->doc, n->rules, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = told.kind
                 ? sal_db_exec(db, &sal_s_hint_crash_put, NULL, p, err, SAL_V_TEXT(n->crash_id),
                               SAL_V_TEXT(n->client), SAL_V_TEXT(told.kind), SAL_V_TEXT(told.text))
                 : sal_db_exec(db, &sal_s_hint_crash_drop, NULL, p, err, SAL_V_TEXT(n->crash_id));
    }
    if (rv == APR_SUCCESS && n->client) {
        rv = tally(&many, n->client, n->crash_id, n->doc, n->rules, db, p, err);
    }
    if (rv == APR_SUCCESS && many && !told.kind) {
        told = (told_t){ "places", n->rules->unrelated, 1 };
    }
    n->kind = told.kind;
    return rv == APR_SUCCESS && told.kind && n->client ? tell_client(n->client, &told, db, p, err)
                                                       : rv;
}

apr_status_t sal_hint_note(const char **kind, const char *crash_id, const json_t *processed,
                           const sal_hint_rules_t *rules, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    note_t n = { .crash_id = crash_id,
                 .client = text_of(processed, "collector_metadata.client"),
                 .doc = processed,
                 .rules = rules };
    apr_status_t rv;

    if (n.client && (strlen(n.client) != SAL_HINT_CLIENT_HEX ||
                     strspn(n.client, "0123456789abcdef") != SAL_HINT_CLIENT_HEX)) {
        n.client = NULL;
    }
    rv = text_of(processed, "signature") ? sal_db_txn(db, note_txn, &n, p, err) : APR_SUCCESS;
    if (kind) {
        *kind = rv == APR_SUCCESS ? n.kind : NULL;
    }
    return rv;
}

apr_status_t sal_hint_expire(const sal_hint_rules_t *rules, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    int64_t keep = KEEP_DAYS * DAY > rules->period ? KEEP_DAYS * DAY : rules->period;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_hint_fault_expire, NULL, p, err, SAL_V_INT(rules->window));

    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_hint_crash_expire, NULL, p, err, SAL_V_INT(keep));
    }
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_hint_client_expire, NULL, p, err, SAL_V_INT(keep))
               : rv;
}

/* ---- telling ---- */

static apr_status_t first_text(const char **out, const sal_rows_t *rows, apr_status_t rv)
{
    *out = rv == APR_SUCCESS && sal_rows_count(rows) ? sal_rows_text(rows, 0, 0) : NULL;
    return rv;
}

apr_status_t sal_hint_next(const char **text, const char *client, int64_t period, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_hint_next, &rows, p, err, SAL_V_TEXT(client), SAL_V_INT(period));

    return first_text(text, rows, rv);
}

apr_status_t sal_hint_poll(const char **text, const char *crash_id, int64_t period, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_hint_poll, &rows, p, err, SAL_V_TEXT(crash_id), SAL_V_INT(period));

    return first_text(text, rows, rv);
}

/* ---- fixed crashes ---- */

apr_status_t sal_hint_fixed_put(const char *product, const char *signature, const char *version,
                                const char *note, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_hint_fixed_put, NULL, p, err, SAL_V_TEXT(product),
                       SAL_V_TEXT(signature), SAL_V_TEXT(version), SAL_V_TEXT(note));
}

apr_status_t sal_hint_fixed_remove(const char *product, const char *signature, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_hint_fixed_remove, &rows, p, err, SAL_V_TEXT(product),
                                  SAL_V_TEXT(signature));

    if (rv == APR_SUCCESS && sal_rows_affected(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "no such entry (salvage hint fixed list shows all)");
    }
    return rv;
}

apr_status_t sal_hint_fixed_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_hint_fixed_list, NULL, 0, out, p, err);
}
