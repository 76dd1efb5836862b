/*
 * The page /metrics: who adds to it is not known here.
 */
#include "common/metrics.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <apr_strings.h>
#include <util_varbuf.h>

struct web_metrics_t {
    request_rec *r;
    struct ap_varbuf text;
    const char *family;
};

/* Each module has this code to itself, and they share the hook by its name. */
APR_IMPLEMENT_OPTIONAL_HOOK_RUN_ALL(web, WEB, int, salvage_metrics, (web_metrics_t * m), (m), OK,
                                    DECLINED)

request_rec *web_metrics_request(const web_metrics_t *m)
{
    return m->r;
}

static void add(web_metrics_t *m, const char *text)
{
    ap_varbuf_strcat(&m->text, text);
}

void web_metrics_family(web_metrics_t *m, const char *name, const char *type, const char *help)
{
    m->family = name;
    add(m, apr_psprintf(m->r->pool, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type));
}

/* Backslash, quote and newline are escaped; other control characters have no place in a label. */
static const char *escaped(web_metrics_t *m, const char *value)
{
    char *out = apr_palloc(m->r->pool, 2 * strlen(value) + 1), *to = out;

    for (; *value; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n') {
            *to++ = '\\';
        }
        *to++ = *value == '\n' ? 'n' : (unsigned char)*value < ' ' ? '_' : *value;
    }
    *to = '\0';
    return out;
}

static void add_labels(web_metrics_t *m, va_list labels)
{
    const char *name, *before = "{";

    while ((name = va_arg(labels, const char *))) {
        const char *value = va_arg(labels, const char *);

        add(m, apr_pstrcat(m->r->pool, before, name, "=\"", escaped(m, value), "\"", NULL));
        before = ",";
    }
    if (*before == ',') {
        add(m, "}");
    }
}

void web_metrics_sample(web_metrics_t *m, const char *suffix, double value, ...)
{
    va_list labels;
    char text[40];

    add(m, m->family);
    add(m, suffix);
    va_start(labels, value);
    add_labels(m, labels);
    va_end(labels);
    /* Whole numbers as such: counters are 64 bits, and %g would round them. APR's %g leaves out the
       zero before the point, which the format does not allow for. */
    snprintf(text, sizeof(text),
             floor(value) == value && fabs(value) < 9e15 ? " %.0f\n" : " %.9g\n", value);
    add(m, text);
}

void web_metrics_one(web_metrics_t *m, const char *name, const char *type, const char *help,
                     double value)
{
    web_metrics_family(m, name, type, help);
    web_metrics_sample(m, "", value, NULL);
}

int web_metrics_reply(request_rec *r)
{
    web_metrics_t m = { .r = r };
    int rc = web_allow(r, "GET, HEAD");

    if (rc != OK) {
        return rc;
    }
    ap_varbuf_init(r->pool, &m.text, 16384);
    m.text.buf[0] = '\0';
    web_run_salvage_metrics(&m);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    return web_reply(r, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", m.text.buf,
                     strlen(m.text.buf));
}
