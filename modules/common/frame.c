/*
 * The frame of pages: status messages, and the menus in which a reader chooses product, version and
 * report. One statement over small tables.
 */
#include "common/frame.h"

#include <ctype.h>

#include <apr_strings.h>

#include "admin/frame.h"
#include "render/format.h"
#include "render/link.h"

/* Where the menus of products and versions lead: to the report that the reader looks at. */
typedef struct report_t {
    const char *key, *name, *path;
    bool in_path; /* the product is the end of the path */
} report_t;

static const report_t reports[] = { { "home", "Product home", "/home/product/", true },
                                    { "topcrashers", "Top crashers", "/topcrashers/", false },
                                    { "search", "Search", "/search/", false } };
enum { REPORTS = sizeof(reports) / sizeof(reports[0]) };

typedef struct {
    const char *product;
    sal_frame_t frame;
} work_t;

static apr_status_t read_frame(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    work_t *w = baton;

    return sal_frame_read(&w->frame, w->product, db, p, err);
}

/* ---- messages ---- */

static void add_piece(json_t *out, const char *text, apr_size_t n, const char *href)
{
    json_t *piece;

    if (n) {
        piece = json_pack("{s:s%, s:s}", "text", text, n, "href", href ? href : "");
        json_array_append_new(out, piece ? piece : json_object());
    }
}

/* The length of "bug 123" or "bug #123" that begins here, 0: none. */
static apr_size_t bug_at(const char *s, const char *begin, const char **digits)
{
    const char *at = s;

    if (strncasecmp(at, "bug", 3) || (s > begin && isalnum((unsigned char)s[-1]))) {
        return 0;
    }
    for (at += 3; *at == ' '; at++) {
    }
    at += *at == '#';
    *digits = at;
    while (isdigit((unsigned char)*at)) {
        at++;
    }
    return at == *digits || at - *digits > 12 ? 0 : (apr_size_t)(at - s);
}

json_t *web_frame_pieces(const char *message, const char *tracker, apr_pool_t *p)
{
    json_t *out = json_array();
    const char *from = message, *at = message, *digits;

    while (*at) {
        apr_size_t n = tracker ? bug_at(at, message, &digits) : 0;

        if (n) {
            add_piece(out, from, (apr_size_t)(at - from), NULL);
            add_piece(
                out, at, n,
                sal_link_bug(tracker, apr_pstrmemdup(p, digits, (apr_size_t)(at + n - digits)), p));
            from = at += n;
        } else {
            at++;
        }
    }
    add_piece(out, from, (apr_size_t)(at - from), NULL);
    return out;
}

static json_t *message(const sal_frame_message_t *m, const char *tracker, apr_pool_t *p)
{
    bool critical = !strcmp(m->severity, "critical");

    return json_pack("{s:s, s:s, s:b, s:o, s:s, s:s}", "kind",
                     critical                          ? "crash"
                     : !strcmp(m->severity, "warning") ? "warn"
                                                       : "",
                     "severity", m->severity, "sharp", strcmp(m->severity, "info") != 0, "pieces",
                     web_frame_pieces(m->text, tracker, p), "iso",
                     sal_format_datetime(m->created, p), "time", sal_format_time(m->created, 1, p));
}

/* ---- menus ---- */

static const report_t *report_of(const web_page_t *page)
{
    for (int i = 0; page->report && i < REPORTS; i++) {
        if (!strcmp(reports[i].key, page->report)) {
            return &reports[i];
        }
    }
    return &reports[0];
}

static const char *address(const report_t *report, const char *product, const char *version,
                           apr_pool_t *p)
{
    const char *out =
        apr_pstrcat(p, report->path,
                    report->in_path ? "" : "?product=", sal_format_urlencode(product, p), NULL);

    return version && *version ? apr_pstrcat(p, out, report->in_path ? "?" : "&",
                                             "version=", sal_format_urlencode(version, p), NULL)
                               : out;
}

static json_t *entry(const char *name, const char *href, bool here, const char *note)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "name", name, "href", href, "here", here, "note",
                     note);
}

static bool is_here(const char *now, const char *name)
{
    return now && !strcmp(now, name);
}

static void put_versions(const web_page_t *page, const sal_frame_t *f, json_t *frame)
{
    const report_t *report = report_of(page);
    apr_pool_t *p = page->r->pool;
    json_t *featured = json_array(), *active = json_array();

    for (int i = 0; i < f->n_versions; i++) {
        const sal_frame_version_t *v = &f->versions[i];

        json_array_append_new(v->featured ? featured : active,
                              entry(v->name, address(report, page->product, v->name, p),
                                    is_here(page->version, v->name), ""));
    }
    json_object_set_new(frame, "any_featured", json_boolean(json_array_size(featured) > 0));
    json_object_set_new(frame, "any_active", json_boolean(json_array_size(active) > 0));
    json_object_set_new(frame, "featured", featured);
    json_object_set_new(frame, "active", active);
    json_object_set_new(frame, "version_name",
                        json_string(page->version ? page->version : "All versions"));
    json_object_set_new(frame, "all_versions",
                        json_string(address(report, page->product, NULL, p)));
    json_object_set_new(frame, "no_version", json_boolean(!page->version));
}

static void put_reports(const web_page_t *page, json_t *frame)
{
    const report_t *now = page->report ? report_of(page) : NULL;
    apr_pool_t *p = page->r->pool;
    json_t *list = json_array();

    for (int i = 0; i < REPORTS; i++) {
        json_array_append_new(list, entry(reports[i].name,
                                          address(&reports[i], page->product, page->version, p),
                                          now == &reports[i], ""));
    }
    json_object_set_new(frame, "reports", list);
    json_object_set_new(frame, "report_name", json_string(now ? now->name : "Reports"));
}

static json_t *menus(const web_page_t *page, const sal_frame_t *f)
{
    json_t *frame = json_object(), *products = json_array();

    for (int i = 0; i < f->n_products; i++) {
        const char *name = f->products[i].name;

        json_array_append_new(products,
                              entry(name, address(report_of(page), name, NULL, page->r->pool),
                                    is_here(page->product, name), f->products[i].note));
    }
    json_object_set_new(frame, "any_products", json_boolean(json_array_size(products) > 0));
    json_object_set_new(frame, "products", products);
    json_object_set_new(frame, "product_name",
                        json_string(page->product ? page->product : "All products"));
    json_object_set_new(frame, "product", json_boolean(page->product != NULL));
    if (page->product) {
        put_versions(page, f, frame);
        put_reports(page, frame);
    }
    return frame;
}

void web_frame_put(const web_page_t *page, json_t *data)
{
    const char *tracker = page->shared ? sal_conf_get(page->shared, "bug-url", NULL) : NULL;
    work_t w = { .product = page->product };
    json_t *messages = json_array();
    sal_error_t err = { 0 };

    if (web_with_db(page->r, read_frame, &w, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, page->r, "SAL4060: a page without menus: %s",
                      err.message);
        memset(&w.frame, 0, sizeof(w.frame));
    }
    for (int i = 0; i < w.frame.n_messages; i++) {
        json_array_append_new(messages, message(&w.frame.messages[i], tracker, page->r->pool));
    }
    json_object_set_new(data, "messages", messages);
    json_object_set_new(data, "frame", menus(page, &w.frame));
}
