/*
 * States, notes and fixes of signatures: rows and the log of who changed them. Which of them came
 * back: states_check.c. Knows no request.
 */
#include "triage/states.h"

#include <string.h>
#include <apr_strings.h>
#include "base/text.h"
#include "hint/hint.h"

/* ---- reading ---- */

const char *sal_state_name(sal_state_kind_t kind)
{
    static const char *const names[] = { "open", "fixed", "regressed", "ignored" };

    return names[kind];
}

/* Columns: o, product, version, regressed, its version, its crash, ignored_until, who, notes. */
static void read_state(sal_state_t *out, const sal_rows_t *rows, int i, apr_time_t now)
{
    bool fixed = !sal_rows_null(rows, i, 1), back = !sal_rows_null(rows, i, 3);

    /* infinity is no date, so 0 */
    out->until = sal_rows_time(rows, i, 6);
    out->assignee = sal_rows_text(rows, i, 7);
    out->notes = sal_rows_int(rows, i, 8);
    if (fixed) {
        out->product = sal_rows_text(rows, i, 1);
        out->version = sal_rows_text(rows, i, 2);
    }
    if (back) {
        out->regressed = sal_rows_time(rows, i, 3);
        out->regressed_version = sal_rows_text(rows, i, 4);
        out->regressed_crash = sal_rows_text(rows, i, 5);
    }
    if (!sal_rows_null(rows, i, 6) && (!out->until || out->until > now)) {
        out->kind = SAL_STATE_IGNORED;
        return;
    }
    out->until = 0;
    out->kind = back ? SAL_STATE_REGRESSED : fixed ? SAL_STATE_FIXED : SAL_STATE_OPEN;
}

apr_status_t sal_states_of(sal_state_t **out, const char *const *signatures, int n,
                           const char *product, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t now = apr_time_now();
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_states, &rows, p, err,
                                  SAL_V_TEXTS(signatures, (apr_size_t)n), SAL_V_TEXT(product));

    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(n + 1));
    for (int i = 0; i < n; i++) {
        (*out)[i] = (sal_state_t){ .signature = signatures[i], .assignee = "" };
        if (rv == APR_SUCCESS && i < sal_rows_count(rows)) {
            read_state(&(*out)[i], rows, i, now);
        }
    }
    return rv;
}

apr_status_t sal_state_notes(sal_rows_t **out, const char *signature, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_notes, out, p, err, SAL_V_TEXT(signature));
}

apr_status_t sal_state_fixes(sal_rows_t **out, const char *signature, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_state_fixes, out, p, err, SAL_V_TEXT(signature));
}

apr_status_t sal_state_history(sal_rows_t **out, const char *signature, int limit, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_state_history, out, p, err, SAL_V_TEXT(signature),
                       SAL_V_INT(limit));
}

/* ---- changes ---- */

/* One change and its line in the log. */
typedef struct change_t {
    const char *signature, *who, *action;
    const char *detail; /* of the log */
    const char *product, *version, *text;
    apr_time_t until;
    int64_t id;
    bool any;
    apr_status_t (*run)(struct change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
} change_t;

static apr_status_t change_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    change_t *c = baton;
    apr_status_t rv = c->run(c, db, p, err);

    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(c->who),
                             SAL_V_TEXT(c->action), SAL_V_TEXT(c->signature),
                             SAL_V_TEXT(c->detail ? c->detail : ""))
               : rv;
}

static apr_status_t check_text(const char *what, const char *text, bool may_be_empty, size_t max,
                               sal_error_t *err)
{
    size_t n = strlen(text);

    if (n == 0 && !may_be_empty) {
        return sal_fail(err, SAL_E_MALFORMED, "the %s is empty", what);
    }
    if (n > max) {
        return sal_fail(err, SAL_E_MALFORMED, "the %s has %zu bytes; %zu are the most", what, n,
                        max);
    }
    return sal_utf8_valid(text, n) ? APR_SUCCESS
                                   : sal_fail(err, SAL_E_MALFORMED, "the %s is no UTF-8", what);
}

static apr_status_t change(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = check_text("signature", c->signature, false, SAL_STATE_SIGNATURE_MAX, err);

    return rv == APR_SUCCESS ? sal_db_txn(db, change_txn, c, p, err) : rv;
}

static apr_status_t run_ignore(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_state_ignore, NULL, p, err, SAL_V_TEXT(c->signature),
                       c->until ? SAL_V_TIME(c->until) : SAL_V_NULL(SAL_T_TIME));
}

apr_status_t sal_state_ignore(const char *signature, apr_time_t until, const char *who,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.ignore",
                   .detail =
                       until ? apr_pstrcat(p, "until ", sal_time_iso(until, p), NULL) : "for good",
                   .until = until,
                   .run = run_ignore };

    return change(&c, db, p, err);
}

static apr_status_t run_open(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_state_heed, NULL, p, err, SAL_V_TEXT(c->signature));

    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_triage_state_unfix, NULL, p, err, SAL_V_TEXT(c->signature))
               : rv;
}

apr_status_t sal_state_open(const char *signature, const char *who, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    change_t c = {
        .signature = signature, .who = who, .action = "signature.open", .run = run_open
    };

    return change(&c, db, p, err);
}

static apr_status_t run_assign(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_triage_state_assign, NULL, p, err, SAL_V_TEXT(c->signature),
                       SAL_V_TEXT(c->text));
}

apr_status_t sal_state_assign(const char *signature, const char *assignee, const char *who,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.assign",
                   .detail = *assignee ? assignee : "nobody",
                   .text = assignee,
                   .run = run_assign };
    apr_status_t rv = check_text("name", assignee, true, SAL_STATE_NAME_MAX, err);

    return rv == APR_SUCCESS ? change(&c, db, p, err) : rv;
}

/* ---- fixes ---- */

static apr_status_t run_fix(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_hint_fixed_put(c->product, c->signature, c->version, c->text, db, p, err);
}

static const char *of_product(const char *product, const char *version, apr_pool_t *p)
{
    return apr_pstrcat(p, *product ? product : "any product", *version ? " " : "", version, NULL);
}

apr_status_t sal_state_fix(const char *signature, const char *product, const char *version,
                           const char *told, const char *who, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.fix",
                   .detail = of_product(product, version, p),
                   .product = product,
                   .version = version,
                   .text = told,
                   .run = run_fix };
    apr_status_t rv = check_text("version", version, false, SAL_STATE_NAME_MAX, err);

    if (rv == APR_SUCCESS) {
        rv = check_text("product", product, true, SAL_STATE_NAME_MAX, err);
    }
    if (rv == APR_SUCCESS) {
        rv = check_text("text for clients", told, true, SAL_HINT_TEXT_MAX, err);
    }
    return rv == APR_SUCCESS ? change(&c, db, p, err) : rv;
}

static apr_status_t run_unfix(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_hint_fixed_remove(c->product, c->signature, db, p, err);
}

apr_status_t sal_state_unfix(const char *signature, const char *product, const char *who,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.unfix",
                   .detail = of_product(product, "", p),
                   .product = product,
                   .run = run_unfix };
    apr_status_t rv = check_text("product", product, true, SAL_STATE_NAME_MAX, err);

    return rv == APR_SUCCESS ? change(&c, db, p, err) : rv;
}

/* ---- notes ---- */

static apr_status_t run_note(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_triage_note_put, &rows, p, err, SAL_V_TEXT(c->signature),
                    SAL_V_TEXT(c->who), SAL_V_TEXT(c->text), SAL_V_INT(SAL_STATE_NOTES_MAX));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, SAL_E_TOOBIG, "there are %d notes already", SAL_STATE_NOTES_MAX);
    }
    c->id = sal_rows_int(rows, 0, 0);
    c->detail = apr_psprintf(p, "note %" APR_INT64_T_FMT, (apr_int64_t)c->id);
    return APR_SUCCESS;
}

apr_status_t sal_state_note(int64_t *id, const char *signature, const char *text, const char *who,
                            sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.note",
                   .text = text,
                   .run = run_note };
    apr_status_t rv = check_text("note", text, false, SAL_STATE_NOTE_MAX, err);

    rv = rv == APR_SUCCESS ? change(&c, db, p, err) : rv;
    if (id) {
        *id = c.id;
    }
    return rv;
}

static apr_status_t run_note_remove(change_t *c, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_triage_note_who, &rows, p, err,
                                  SAL_V_TEXT(c->signature), SAL_V_INT(c->id));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no such note");
    }
    if (!c->any && strcmp(sal_rows_text(rows, 0, 0), c->who) != 0) {
        return sal_fail(err, SAL_E_DENIED, "the note is somebody else's");
    }
    c->detail = apr_psprintf(p, "note %" APR_INT64_T_FMT " of %s", (apr_int64_t)c->id,
                             sal_rows_text(rows, 0, 0));
    return sal_db_exec(db, &sal_s_triage_note_drop, NULL, p, err, SAL_V_INT(c->id));
}

apr_status_t sal_state_note_remove(const char *signature, int64_t id, const char *who, bool any,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    change_t c = { .signature = signature,
                   .who = who,
                   .action = "signature.note-remove",
                   .id = id,
                   .any = any,
                   .run = run_note_remove };

    return change(&c, db, p, err);
}
