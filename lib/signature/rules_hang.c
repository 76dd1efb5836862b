/*
 * Signature rules that read a structured text: debug-break aborts and shutdown blockers.
 */
#include "signature/sig_private.h"

#include <stdlib.h>
#include <apr_strings.h>

#define ABORT_MAX 80

/* ---- AbortSignature ---- */

/* Fonts differ from host to host: what stands between the outer parentheses goes. */
static str_t drop_font(str_t m, apr_pool_t *p)
{
    const char *open, *close;

    if (!sig_has(m, STR("unable to find a usable font"))) {
        return m;
    }
    open = memchr(m.s, '(', m.n);
    close = memrchr(m.s, ')', m.n);
    if (!open || !close) {
        return m;
    }
    return sig_cat(p, sig_sub(m, 0, (size_t)(open - m.s)),
                   sig_sub(m, (size_t)(close - m.s) + 1, m.n), STR(""));
}

static str_t ascii_only(str_t m, apr_pool_t *p)
{
    buf_t out;

    sig_buf_init(&out, p);
    for (size_t i = 0; i < m.n; i++) {
        if (m.s[i] >= ' ' && m.s[i] <= '~') {
            sig_buf_add(&out, m.s + i, 1);
        }
    }
    return sig_strip(sig_buf_done(&out));
}

bool sig_rule_abort(sig_run_t *r)
{
    static const str_t mark = STR("###!!! ABORT:");
    const json_t *v = r->in[IN_ABORT];
    str_t m;
    size_t at;

    if (!sig_truthy(v)) {
        return true;
    }
    if (!json_is_string(v)) {
        return sig_failed(r, "abort_message is not a text");
    }
    m = sig_of(v);
    if (sig_has(m, STR("###!!! ABORT: file "))) {
        r->sig = sig_cat(r->p, STR("Abort | "), r->sig, STR(""));
        return true;
    }
    if ((at = sig_find(m, mark, 0)) != SIZE_MAX) {
        m = sig_sub(m, at + mark.n, m.n);
    }
    if ((at = sig_find(m, STR(": file "), 0)) != SIZE_MAX) {
        m = sig_sub(m, 0, at);
    }
    m = ascii_only(drop_font(m, r->p), r->p);
    if (m.n > ABORT_MAX) {
        m = sig_cat(r->p, sig_sub(m, 0, ABORT_MAX - 3), STR("..."), STR(""));
    }
    r->sig = sig_cat(r->p, sig_cat(r->p, STR("Abort | "), m, STR(" | ")), r->sig, STR(""));
    return true;
}

/* ---- SignatureShutdownTimeout ---- */

static int by_code_point(const void *a, const void *b)
{
    const str_t *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n ? memcmp(x->s, y->s, n) : 0;

    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static str_t sorted_list(str_t *item, size_t n, apr_pool_t *p)
{
    buf_t out;

    qsort(item, n, sizeof(*item), by_code_point);
    sig_buf_init(&out, p);
    for (size_t i = 0; i < n; i++) {
        sig_buf_lit(&out, i ? "," : "");
        sig_buf_str(&out, item[i]);
    }
    return sig_buf_done(&out);
}

/* Each condition is an object with a name, or speaks for itself. NULL: an object without name. */
static str_t list_items(const json_t *list, apr_pool_t *p)
{
    size_t n = json_array_size(list);
    str_t *item = apr_palloc(p, n * sizeof(*item) + 1);

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(list, i);

        if (json_is_object(one) && !(one = json_object_get(one, "name"))) {
            return (str_t){ NULL, 0 };
        }
        item[i] = sig_pystr(one, p);
    }
    return sorted_list(item, n, p);
}

static str_t text_items(str_t s, apr_pool_t *p)
{
    str_t *item = apr_palloc(p, s.n * sizeof(*item) + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; n++) {
        size_t start = i;

        sig_next(s, &i);
        item[n] = sig_sub(s, start, i);
    }
    return sorted_list(item, n, p);
}

static str_t key_items(const json_t *object, apr_pool_t *p)
{
    str_t *item = apr_palloc(p, json_object_size(object) * sizeof(*item) + 1);
    void *at = json_object_iter((json_t *)object);
    size_t n = 0;

    for (; at; at = json_object_iter_next((json_t *)object, at)) {
        item[n++] = (str_t){ json_object_iter_key(at), json_object_iter_key_len(at) };
    }
    return sorted_list(item, n, p);
}

/* False: the rule fails. *out.s NULL: an object without name. */
static bool conditions_text(sig_run_t *r, str_t *out, const json_t *v)
{
    if (!sig_truthy(v)) {
        *out = STR("(none)");
    } else if (json_is_array(v)) {
        *out = list_items(v, r->p);
    } else if (json_is_string(v)) {
        *out = text_items(sig_of(v), r->p);
    } else if (json_is_object(v)) {
        *out = key_items(v, r->p);
    } else {
        return sig_failed(r, "conditions is not a list");
    }
    return true;
}

static void parse_note(sig_run_t *r, const char *why)
{
    sig_note(r, STR("Error parsing AsyncShutdownTimeout: "), (str_t){ why, strlen(why) }, STR(""));
}

/* " | phase | conditions"; what could be read before an error stays. */
static bool shutdown_parts(sig_run_t *r, buf_t *out, const json_t *top)
{
    const json_t *phase;
    str_t conditions;

    if (!json_is_object(top)) {
        return sig_failed(r, "async_shutdown_timeout is not an object");
    }
    phase = json_object_get(top, "phase");
    sig_buf_lit(out, " | ");
    sig_buf_str(out, json_is_string(phase) ? sig_of(phase) : STR("(unknown)"));
    if (!conditions_text(r, &conditions, json_object_get(top, "conditions"))) {
        return false;
    }
    if (!conditions.s) {
        parse_note(r, "'name'");
        conditions = STR("UNKNOWN");
    }
    sig_buf_lit(out, " | ");
    sig_buf_str(out, conditions);
    return true;
}

bool sig_rule_shutdown_timeout(sig_run_t *r)
{
    const json_t *v = r->in[IN_SHUTDOWN];
    json_error_t why;
    json_t *top;
    buf_t out;
    bool ok = true;

    if (!sig_truthy(v)) {
        return true;
    }
    if (!json_is_string(v)) {
        return sig_failed(r, "async_shutdown_timeout is not a text");
    }
    sig_buf_init(&out, r->p);
    sig_buf_lit(&out, "AsyncShutdownTimeout");
    top = json_loadb(json_string_value(v), json_string_length(v), JSON_DECODE_ANY | JSON_ALLOW_NUL,
                     &why);
    if (top) {
        ok = shutdown_parts(r, &out, top);
    } else {
        parse_note(r, why.text);
        sig_buf_lit(&out, " | UNKNOWN");
    }
    json_decref(top);
    if (ok) {
        sig_note(r, STR("Signature replaced with a Shutdown Timeout signature, was: \""), r->sig,
                 STR("\""));
        r->sig = sig_buf_done(&out);
    }
    return ok;
}
