/*
 * The life of a signature on its page: state, fixes, notes, history, bugs; and the forms that
 * change it. Everybody may read; who may write: signature_may_write.
 */
#include "crashstats/signature.h"

#include <apr_strings.h>

#include "base/text.h"
#include "common/person.h"
#include "db/token.h"
#include "render/format.h"
#include "triage/bugs.h"
#include "triage/signatures.h"

enum { HISTORY = 50, BUGS = 100, FORM_MAX = 65536, DAY_S = 86400 };

static void put(json_t *o, const char *key, const char *text)
{
    if (text && *text) {
        json_object_set_new(o, key, json_string(text));
    }
}

/* ---- reading ---- */

apr_status_t signature_life(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv =
        sal_states_of(&s->state, &s->signature, 1, sal_ask_value(s->ask, "product"), db, s->p, err);
    sal_first_t *first;
    int n = 0;

    if (rv == APR_SUCCESS) {
        rv = sal_triage_first(&first, &n, &s->signature, 1, false, db, s->p, err);
    }
    if (rv == APR_SUCCESS && n) {
        s->first_seen = apr_pstrndup(s->p, sal_format_time(first->seen, 1, s->p), 10);
        s->first_build = *first->build ? first->build : NULL;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_bugs_of(&s->bugs, &s->signature, 1, db, s->p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_bug_info_of(&s->bug_info, &s->n_bug_info, s->signature, BUGS, db, s->p, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_NOTES) {
        rv = sal_state_fixes(&s->fixes, s->signature, db, s->p, err);
        if (rv == APR_SUCCESS) {
            rv = sal_state_notes(&s->notes, s->signature, db, s->p, err);
        }
        if (rv == APR_SUCCESS) {
            rv = sal_state_history(&s->history, s->signature, HISTORY, db, s->p, err);
        }
    }
    return rv;
}

/* Who has not signed in sees of an e-mail address what stands before the '@'. */
static const char *name_for(const signature_t *s, const char *name)
{
    const char *at = strchr(name, '@');

    return at && !s->q->who.user ? apr_pstrmemdup(s->p, name, (apr_size_t)(at - name)) : name;
}

static void put_time(json_t *o, apr_time_t t, apr_pool_t *p)
{
    put(o, "at", sal_format_time(t, 1, p));
    put(o, "at_iso", sal_format_datetime(t, p));
}

static json_t *notes_of(const signature_t *s)
{
    bool admin = (s->q->who.permissions & SAL_PERM_ADMIN) != 0;
    json_t *out = json_array();

    for (int i = 0; i < sal_rows_count(s->notes); i++) {
        const char *who = sal_rows_text(s->notes, i, 2);
        json_t *one = json_pack("{s:s, s:s, s:s}", "id", sal_rows_text(s->notes, i, 0), "who",
                                name_for(s, who), "text", sal_rows_text(s->notes, i, 3));

        put_time(one, sal_rows_time(s->notes, i, 1), s->p);
        json_object_set_new(
            one, "mine",
            json_boolean(signature_may_write(s->q) && (admin || !strcmp(who, s->q->who.user))));
        json_array_append_new(out, one);
    }
    return out;
}

static json_t *fixes_of(const signature_t *s)
{
    json_t *out = json_array();

    for (int i = 0; i < sal_rows_count(s->fixes); i++) {
        const char *product = sal_rows_text(s->fixes, i, 0);
        json_t *one = json_pack("{s:s, s:s, s:s}", "product", product, "product_of_fix", product,
                                "version", sal_rows_text(s->fixes, i, 1));

        put_time(one, sal_rows_time(s->fixes, i, 2), s->p);
        put(one, "told", sal_rows_text(s->fixes, i, 3));
        if (!sal_rows_null(s->fixes, i, 4)) {
            put(one, "back_version", sal_rows_text(s->fixes, i, 5));
            put(one, "back_crash", sal_rows_text(s->fixes, i, 6));
            put(one, "back_at", sal_format_time(sal_rows_time(s->fixes, i, 4), 1, s->p));
        }
        json_array_append_new(out, one);
    }
    return out;
}

/* What the log calls an action, in words. */
static const char *words_of(const char *action)
{
    static const char *const words[][2] = {
        { "signature.fix", "fixed in" },        { "signature.unfix", "no longer fixed in" },
        { "signature.ignore", "ignored" },      { "signature.open", "opened again" },
        { "signature.assign", "assigned to" },  { "signature.note", "wrote" },
        { "signature.note-remove", "removed" }, { "signature.regress", "came back in" }
    };

    for (apr_size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcmp(words[i][0], action)) {
            return words[i][1];
        }
    }
    return action;
}

static json_t *history_of(const signature_t *s)
{
    json_t *out = json_array();

    for (int i = 0; i < sal_rows_count(s->history); i++) {
        const char *action = sal_rows_text(s->history, i, 2);
        const char *detail = sal_rows_text(s->history, i, 3);
        bool names = !strcmp(action, "signature.assign") || strstr(action, "note-remove");
        json_t *one =
            json_pack("{s:s, s:s, s:s}", "who", name_for(s, sal_rows_text(s->history, i, 1)),
                      "what", words_of(action), "detail", names ? name_for(s, detail) : detail);

        put_time(one, sal_rows_time(s->history, i, 0), s->p);
        json_array_append_new(out, one);
    }
    return out;
}

/* Whether there is a form, and what it must carry. */
static void put_right(const signature_t *s, json_t *out)
{
    sal_error_t err = { 0 };
    const char *csrf;

    if (!signature_may_write(s->q)) {
        json_object_set_new(out, "signed_in", json_boolean(s->q->who.user != NULL));
        return;
    }
    csrf = web_form_token(s->q->r, &s->q->who, &err);
    if (csrf) {
        json_object_set_new(out, "form",
                            json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "csrf", csrf, "action",
                                      apr_pstrcat(s->p, s->self, sal_ask_query(s->ask), NULL),
                                      "product", s->product ? s->product : "", "assignee",
                                      s->state->assignee, "me", s->q->who.user, "any_state",
                                      s->state->kind != SAL_STATE_OPEN));
    }
}

void signature_put_life(signature_t *s, json_t *data)
{
    json_t *out = json_object(), *notes = notes_of(s), *fixes = fixes_of(s),
           *history = history_of(s);

    json_object_set_new(out, "any_notes", json_boolean(json_array_size(notes)));
    json_object_set_new(out, "any_fixes", json_boolean(json_array_size(fixes)));
    json_object_set_new(out, "any_history", json_boolean(json_array_size(history)));
    json_object_set_new(out, "notes", notes);
    json_object_set_new(out, "fixes", fixes);
    json_object_set_new(out, "history", history);
    put_right(s, out);
    json_object_set_new(data, "life", out);
}

/* ---- bugs ---- */

/* What the tracker said of it last, if it was asked. */
static void put_info(const signature_t *s, json_t *bug, int64_t id)
{
    for (int i = 0; i < s->n_bug_info; i++) {
        const sal_bug_info_t *info = &s->bug_info[i];

        if (info->id == id) {
            put(bug, "summary", info->summary);
            put(bug, "state",
                *info->resolution ? apr_pstrcat(s->p, info->status, " ", info->resolution, NULL)
                                  : info->status);
            put(bug, "kind", *info->resolution ? "ok" : "accent");
        }
    }
}

/* Rows are by bug, then by signature. */
void signature_put_bugs(signature_t *s, json_t *data)
{
    json_t *list = json_array(), *one = NULL, *others = NULL;
    const char *last = "";

    for (int i = 0; s->bugs && i < sal_rows_count(s->bugs); i++) {
        const char *id = sal_rows_text(s->bugs, i, 0), *name = sal_rows_text(s->bugs, i, 1);

        if (strcmp(last, id) != 0) {
            others = json_array();
            one = json_pack("{s:s, s:o}", "id", id, "others", others);
            put(one, "url", crashstats_bug_url(s->q, sal_rows_int(s->bugs, i, 0)));
            put_info(s, one, sal_rows_int(s->bugs, i, 0));
            json_array_append_new(list, one);
            last = id;
        }
        if (strcmp(name, s->signature) != 0) {
            json_array_append_new(
                others, json_pack("{s:o, s:s}", "signature", sal_format_signature(name), "link",
                                  apr_pstrcat(s->p, "/signature/?signature=",
                                              sal_format_urlencode(name, s->p), NULL)));
        }
    }
    json_object_set_new(data, "any_bugs", json_boolean(json_array_size(list)));
    json_object_set_new(data, "bug_count", json_integer((json_int_t)json_array_size(list)));
    json_object_set_new(data, "bugs", list);
}

/* ---- forms ---- */

bool signature_may_write(const crashstats_req_t *q)
{
    const char *right = sal_conf_get(q->conf->shared, "triage-permission", NULL);
    int bit = right ? sal_permission_bit(right) : 0;

    if (q->who.by_token || !q->who.user || !q->who.user_id) {
        return false;
    }
    /* a name that is none gives the right to nobody but administrators */
    return !right || (q->who.permissions & (bit | SAL_PERM_ADMIN)) != 0;
}

typedef struct form_t {
    signature_t *s;
    apr_table_t *fields;
} form_t;

static const char *field(const form_t *f, const char *name)
{
    const char *text = web_param(f->fields, name);

    return crashstats_trimmed(text, f->s->p);
}

/* "2026-12-24", or nothing: for good. */
static apr_status_t ignore(form_t *f, const char *who, sal_db_t *db, sal_error_t *err)
{
    const char *until = field(f, "until");
    apr_time_t t = 0;

    if (*until && (strlen(until) != 10 ||
                   !sal_time_parse(apr_pstrcat(f->s->p, until, "T00:00:00", NULL), &t))) {
        return sal_fail(err, SAL_E_MALFORMED, "“%s” is not a date; write YYYY-MM-DD", until);
    }
    if (*until && t <= apr_time_now()) {
        return sal_fail(err, SAL_E_MALFORMED, "%s is over already", until);
    }
    return sal_state_ignore(f->s->signature, t, who, db, f->s->p, err);
}

static apr_status_t remove_note(form_t *f, const char *who, sal_db_t *db, sal_error_t *err)
{
    bool admin = (f->s->q->who.permissions & SAL_PERM_ADMIN) != 0;
    int64_t id;

    if (!sal_parse_int(field(f, "id"), 1, INT64_MAX, &id)) {
        return sal_fail(err, SAL_E_MALFORMED, "there is no such note");
    }
    return sal_state_note_remove(f->s->signature, id, who, admin, db, f->s->p, err);
}

static apr_status_t change(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    form_t *f = baton;
    const char *what = field(f, "change"), *sig = f->s->signature, *who = f->s->q->who.user;

    if (!strcmp(what, "note")) {
        return sal_state_note(NULL, sig, field(f, "note"), who, db, p, err);
    }
    if (!strcmp(what, "note-remove")) {
        return remove_note(f, who, db, err);
    }
    if (!strcmp(what, "fix")) {
        return sal_state_fix(sig, field(f, "product"), field(f, "version"), field(f, "told"), who,
                             db, p, err);
    }
    if (!strcmp(what, "unfix")) {
        return sal_state_unfix(sig, field(f, "product"), who, db, p, err);
    }
    if (!strcmp(what, "ignore")) {
        return ignore(f, who, db, err);
    }
    if (!strcmp(what, "assign")) {
        return sal_state_assign(sig, field(f, "assignee"), who, db, p, err);
    }
    if (!strcmp(what, "open")) {
        return sal_state_open(sig, who, db, p, err);
    }
    return sal_fail(err, SAL_E_MALFORMED, "there is no such change");
}

static int not_changed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    int status = rv == SAL_E_MALFORMED      ? HTTP_BAD_REQUEST
                 : rv == SAL_E_TOOBIG       ? HTTP_BAD_REQUEST
                 : rv == SAL_E_DENIED       ? HTTP_FORBIDDEN
                 : APR_STATUS_IS_ENOENT(rv) ? HTTP_NOT_FOUND
                                            : 0;

    return status ? crashstats_message(q, status, "Nothing was changed", err->message)
                  : crashstats_sick(q, err);
}

int crashstats_signature_form(crashstats_req_t *q, const char *rest)
{
    signature_t s;
    form_t f = { .s = &s };
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc = OK;

    (void)rest;
    if (!signature_read(&s, q, 0, &rc)) {
        return rc;
    }
    if (!signature_may_write(q)) {
        return crashstats_message(q, HTTP_FORBIDDEN, "You may not write here",
                                  "Notes and states are for people who have signed in, and have "
                                  "the right that this installation asks for.");
    }
    f.fields = web_form(q->r, FORM_MAX);
    if (!web_form_trusted(q->r, &q->who, web_param(f.fields, "csrf"))) {
        return crashstats_message(q, HTTP_FORBIDDEN, "The form is too old",
                                  "Open the page again and repeat what you did.");
    }
    rv = web_with_db(q->r, change, &f, &err);
    if (rv != APR_SUCCESS) {
        return not_changed(q, rv, &err);
    }
    return web_redirect(
        q->r, HTTP_SEE_OTHER,
        apr_pstrcat(q->r->pool, s.self, s.dated ? sal_ask_query(s.ask) : "", "#notes", NULL));
}
