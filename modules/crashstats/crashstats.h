/*
 * mod_crashstats from the inside: configuration, the frame of pages, who serves what.
 */
#ifndef MODULES_CRASHSTATS_H
#define MODULES_CRASHSTATS_H

#include <stdbool.h>
#include "common/page.h"
#include "common/web.h"
#include "crashstats/limits.h"
#include "crash/crash_store.h"
#include "process/tables.h"
#include "render/template.h"
#include "signature/signature.h"

typedef struct crashstats_conf_t {
    sal_conf_t *shared;
    sal_templates_t *templates; /* parsed once, before the children are made */
    sal_process_data_t *data;   /* field lists; read once, too */
    sal_crash_store_t *store;   /* each child's own; NULL if it could not be opened */
    sal_siglists_t *siglists;   /* NULL if they could not be read */
    crashstats_rate_t api_rate, search_rate;
    const char *cors_headers;         /* more that scripts of other origins may send, or NULL */
    struct crashstats_links_t *links; /* sources, bugs, builds (report.h) */
} crashstats_conf_t;

/* An answer of the API; doc is the owner's. */
typedef struct crashstats_answer_t {
    int status;
    json_t *doc;
} crashstats_answer_t;

/* What every handler gets. */
typedef struct crashstats_req_t {
    request_rec *r;
    crashstats_conf_t *conf;
    web_identity_t who;
    bool pii, rawdump;
    apr_table_t *query;
    const char *product, *version; /* that the page is about; from the query unless a page says */
    const char *report;            /* "home", "topcrashers", "search": where the menus lead to */
    crashstats_answer_t *answer;   /* where an endpoint's answer goes instead of to the client */
} crashstats_req_t;

/*
 * Pages by their paths (routes.def). rest: what follows the path; "" for a page.
 */
int crashstats_route(crashstats_req_t *q); /* routes.c: finds the page and has it answer */
#define CRASHSTATS_ROUTE(path, match, methods, handler)                                            \
    int handler(crashstats_req_t *q, const char *rest);
#include "crashstats/routes.def"
#undef CRASHSTATS_ROUTE

/* Of salvage.conf, for the pages of reports (report_links.c): before and after the fork. */
apr_status_t crashstats_links_read(struct crashstats_links_t **out, const sal_conf_t *conf,
                                   apr_pool_t *p, sal_error_t *err);
void crashstats_links_child(struct crashstats_links_t *links, const sal_conf_t *conf, server_rec *s,
                            apr_pool_t *p);

/*
 * What stands on a report's page of its pings and of reports with the same minidump: a new
 * reference, NULL if there are none (ping_page.c).
 */
json_t *crashstats_kin(crashstats_req_t *q, const char *id, const json_t *processed);

/* JSON as the API writes it, for whoever answers programs (api.c). */
int crashstats_api_reply(crashstats_req_t *q, int status, json_t *steals);
int crashstats_api_error(crashstats_req_t *q, int status, const char *text);
const char *crashstats_trimmed(const char *text, apr_pool_t *p); /* NULL: "" */
int crashstats_api_failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err);

/* Reprocessing from the report page (reprocess.c). view: NULL for those who may not. */
bool crashstats_may_reprocess(const crashstats_req_t *q);
json_t *crashstats_reprocess_view(crashstats_req_t *q, const char *id);

/*
 * Renders a template with data (stolen) in the frame of every page. place: name of the current
 * place in the navigation or NULL. Pages with protected data are not stored by anybody.
 */
int crashstats_page(crashstats_req_t *q, int status, const char *name, const char *place,
                    json_t *data);

/* A page of one message. */
int crashstats_message(crashstats_req_t *q, int status, const char *title, const char *text);

/*
 * DECLINED for readers who hold any of these rights (0: who have signed in); else the answer: to
 * people a redirect to /login/, to scripts, programs and forms 403.
 */
int crashstats_require(crashstats_req_t *q, int permissions);

/* 503 page after a library failure; logs it once. */
int crashstats_sick(crashstats_req_t *q, const sal_error_t *err);

/* Documents reduced to what the reader may see; new references. */
json_t *crashstats_processed(crashstats_req_t *q, const json_t *doc);
json_t *crashstats_raw(crashstats_req_t *q, const json_t *raw);
/* The protected part of a raw crash, for readers with view_pii; NULL for others. */
json_t *crashstats_raw_protected(crashstats_req_t *q, const json_t *raw);

/* What a crash id in a path or parameter is. */
typedef enum {
    CRASHSTATS_ID_OK,
    CRASHSTATS_ID_PREFIXED,
    CRASHSTATS_ID_BAD_DATE,
    CRASHSTATS_ID_NONE
} crashstats_id_t;
crashstats_id_t crashstats_id(const char *text);

/*
 * Where bugs of the tracker are: the address with "%d" for the number (bug-url, or what follows
 * from bugzilla-url), and that of one bug; NULL if nobody has said. report_links.c
 */
const char *crashstats_bug_pattern(crashstats_req_t *q);
const char *crashstats_bug_url(crashstats_req_t *q, apr_int64_t id);

#endif
