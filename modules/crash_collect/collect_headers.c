/*
 * What the headers of a report say: type, encoding, length. All that can be refused without
 * reading the body is refused here, so that `Expect: 100-continue` saves the upload.
 */
#include "collect_report.h"

#include <apr_lib.h>
#include "base/text.h"

APLOG_USE_MODULE(crash_collect);

static int read_type(collect_report_t *q, collect_refusal_t *why)
{
    static const collect_refusal_t map[] = { [SAL_FORM_NO_TYPE] = REFUSED_NO_CONTENT_TYPE,
                                             [SAL_FORM_WRONG_TYPE] = REFUSED_WRONG_CONTENT_TYPE,
                                             [SAL_FORM_NO_BOUNDARY] = REFUSED_NO_BOUNDARY };
    sal_form_type_t type;

    if (q->shape != COLLECT_FORM) {
        return 1;
    }
    type = sal_form_type_read(apr_table_get(q->r->headers_in, "Content-Type"), q->boundary);
    *why = map[type];
    return type == SAL_FORM_GOOD;
}

static int read_encoding(collect_report_t *q, collect_refusal_t *why)
{
    const char *encoding = apr_table_get(q->r->headers_in, "Content-Encoding");

    q->gzip = encoding && (!strcasecmp(encoding, "gzip") || !strcasecmp(encoding, "x-gzip"));
    *why = REFUSED_ENCODING;
    return q->gzip || !encoding || !*encoding || !strcasecmp(encoding, "identity");
}

/* A length there must be, or chunks, or HTTP/2's frames; too long a body is not read at all. */
static int read_length(collect_report_t *q, collect_refusal_t *why)
{
    const char *length = apr_table_get(q->r->headers_in, "Content-Length");
    int64_t n;

    *why = REFUSED_NO_CONTENT_LENGTH;
    if (!length) {
        return apr_table_get(q->r->headers_in, "Transfer-Encoding") ||
               q->r->proto_num >= HTTP_VERSION(2, 0);
    }
    if (!sal_parse_int(length, 1, INT64_MAX, &n)) {
        return 0;
    }
    *why = REFUSED_TOO_LARGE;
    return n <= collect_max_body(q->dir);
}

int collect_read_headers(collect_report_t *q, int *rc)
{
    collect_refusal_t why;

    if (read_type(q, &why) && read_length(q, &why) && read_encoding(q, &why)) {
        return 1;
    }
    *rc = collect_refuse(q->r, why);
    return 0;
}
