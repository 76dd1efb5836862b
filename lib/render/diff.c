/*
 * The page that compares two reports.
 */
#include "render/diff_private.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/report_private.h"

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = sal_json_str(doc, key);

    return s ? s : "";
}

/* "Northlight 4.2.1 release, Windows 11 24H2", and when it came. */
static json_t *side_view(const sal_diff_side_t *side, const char *letter, apr_pool_t *p)
{
    const json_t *doc = side->processed;
    const char *os = text_of(doc, "os_pretty_version"), *date = text_of(doc, "date_processed");
    json_t *out =
        json_pack("{s:s, s:b, s:s}", "letter", letter, "first", *letter == 'A', "id", side->id);
    apr_time_t t;

    json_object_set_new(
        out, "what",
        json_string(sal_report_cut(
            apr_pstrcat(p, text_of(doc, "product"), " ", text_of(doc, "version"), " ",
                        text_of(doc, "release_channel"), *os ? ", " : "", os, NULL),
            p)));
    json_object_set_new(out, "signature", sal_format_signature(text_of(doc, "signature")));
    json_object_set_new(out, "when", json_false());
    if (sal_time_parse(date, &t)) {
        json_object_set_new(out, "when",
                            json_pack("{s:s, s:s}", "datetime", sal_format_datetime(t, p), "text",
                                      sal_format_time(t, 1, p)));
    }
    return out;
}

json_t *sal_diff_view(const sal_diff_in_t *in, apr_pool_t *p)
{
    json_t *view = json_pack("{s:s, s:b, s:b}", "title", "Compare two reports", "plain_title", 1,
                             "pii", in->pii);
    const json_t *a = in->side[0].processed, *b = in->side[1].processed;
    bool same = strcmp(text_of(a, "signature"), text_of(b, "signature")) == 0;
    int fields, modules;

    sal_report_put(view, "swap",
                   apr_pstrcat(p, "/report/diff/", in->side[1].id, "/", in->side[0].id, NULL));
    json_object_set_new(view, "same_signature", json_boolean(same));
    json_object_set_new(
        view, "sides",
        json_pack("[o, o]", side_view(&in->side[0], "A", p), side_view(&in->side[1], "B", p)));
    sal_diff_put_stacks(in, view, p);
    fields = sal_diff_put_fields(in, view, p);
    modules = sal_diff_put_modules(in, view, p);
    sal_report_put(view, "values_text",
                   apr_psprintf(p, "%s field%s and %s module%s differ", sal_format_count(fields, p),
                                fields == 1 ? "" : "s", sal_format_count(modules, p),
                                modules == 1 ? "" : "s"));
    return view;
}
