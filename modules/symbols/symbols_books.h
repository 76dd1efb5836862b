/*
 * The books of the symbols server over HTTP: the JSON API, pages for people, missing symbols, usage
 * of files. What these files share; nothing of uploading or downloading is known here.
 */
#ifndef MODULES_SYMBOLS_SYMBOLS_BOOKS_H
#define MODULES_SYMBOLS_SYMBOLS_BOOKS_H

#include "common/page.h"
#include "common/person.h"
#include "db/token.h"
#include "books/books.h"
#include "symbols_private.h"

/* What every handler gets. */
typedef struct symbols_req_t {
    request_rec *r;
    const symbols_conf_t *conf;
    web_identity_t who; /* with the rights of a person */
    apr_table_t *query;
    bool crashstats; /* tokens by the rules and at the address of Crash Stats */
} symbols_req_t;

enum { SYMBOLS_PER_PAGE_UPLOADS = 20, SYMBOLS_PER_PAGE_FILES = 40, SYMBOLS_PER_PAGE_MISSING = 100 };

/* ---- shared by API and pages ---- */

/* May this reader see uploads of others? */
int symbols_sees_all(const symbols_req_t *q);

/* The database did not answer: a 503 of JSON; logs why. */
int symbols_api_sick(symbols_req_t *q, const sal_error_t *err);
int symbols_api_not_found(symbols_req_t *q);
int symbols_api_method(symbols_req_t *q, const char *allow);

/* Errors of forms: {"errors": {field: [text]}}; *errors is made when there is the first. */
void symbols_form_error(json_t **errors, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int symbols_form_errors(symbols_req_t *q, json_t *errors);

/* Filters of lists from the query; what cannot be read becomes errors. */
typedef enum { SYMBOLS_LIST_UPLOADS, SYMBOLS_LIST_FILES } symbols_list_t;
void symbols_read_find(sal_books_find_t *find, json_t **errors, symbols_req_t *q,
                       symbols_list_t list);
void symbols_read_missing(sal_books_missing_t *find, json_t **errors, symbols_req_t *q);
int64_t symbols_read_page(json_t **errors, symbols_req_t *q);

/* One unit of work each; baton: what its name says. */
typedef struct symbols_list_work_t {
    const sal_books_find_t *find;
    sal_books_page_t page;
} symbols_list_work_t;
apr_status_t symbols_work_uploads(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);
apr_status_t symbols_work_files(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

typedef struct symbols_one_work_t {
    int64_t id;
    int max_files;
    json_t *doc;
    int64_t owner;
} symbols_one_work_t;
apr_status_t symbols_work_upload(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);
apr_status_t symbols_work_file(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

typedef struct symbols_missing_work_t {
    sal_books_missing_t find;
    sal_books_page_t page;
} symbols_missing_work_t;
apr_status_t symbols_work_missing(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

/* The id at the end of a path, with or without a slash; 0: it is none. */
int64_t symbols_path_id(const char *text);

/* The download address of a key, absolute path. */
const char *symbols_key_path(symbols_req_t *q, const char *key, int is_try);

/* ---- tokens: symbols_tokens.c ---- */

typedef struct symbols_new_token_t {
    int permissions;
    int64_t days;
    const char *notes;
    const char *plain; /* once made */
    int64_t id;
} symbols_new_token_t;

/* A form of a new token; 0 with *status and errors (or *forbidden) when it must be refused. */
int symbols_token_read(symbols_new_token_t *out, json_t **errors, const char **forbidden,
                       symbols_req_t *q, apr_table_t *form);
apr_status_t symbols_token_make(symbols_req_t *q, symbols_new_token_t *t, sal_error_t *err);
apr_status_t symbols_token_drop(symbols_req_t *q, int64_t id, sal_error_t *err);
apr_status_t symbols_token_extend(symbols_req_t *q, int64_t id, int64_t days, sal_error_t *err);

/* {"tokens", "permissions", "totals"} of the reader; state: "", "expired" or "all". */
apr_status_t symbols_token_list(json_t **out, symbols_req_t *q, const char *state,
                                sal_error_t *err);

int symbols_api_tokens(symbols_req_t *q, const char *rest);

/* Rights that the reader may give to a token. */
int symbols_token_rights(const symbols_req_t *q);
/* /api/tokens/ as a page; DECLINED for what is the API's. rest: what follows "/api/tokens". */
int symbols_page_api_tokens(symbols_req_t *q, const char *rest);

/* DECLINED, or the refusal of a change that was neither sent with a token nor from a page of ours.
 */
int symbols_api_forged(symbols_req_t *q, apr_table_t *form);

/* ---- deleting: symbols_delete.c; rest: what follows /api/uploads ---- */

int symbols_api_may_delete(const char *rest);
int symbols_api_delete(symbols_req_t *q, const char *rest);

/* ---- missing symbols: symbols_missing_list.c ---- */

/* /missingsymbols/ and /missingsymbols.csv: for everybody. */
int symbols_missing_json(symbols_req_t *q);
int symbols_missing_csv(symbols_req_t *q);

/* ---- pages ---- */

int symbols_page(symbols_req_t *q, int status, const char *name, json_t *data);
int symbols_page_sick(symbols_req_t *q, const sal_error_t *err);
int symbols_page_message(symbols_req_t *q, int status, const char *title, const char *text);
/* Those who have not signed in; DECLINED for others. */
int symbols_page_anonymous(symbols_req_t *q);
int symbols_page_tokens(symbols_req_t *q, const char *rest);
int symbols_page_upload(symbols_req_t *q, int64_t id);
int symbols_page_file(symbols_req_t *q, int64_t id);
int symbols_page_statistics(symbols_req_t *q);
int symbols_page_upload_now(symbols_req_t *q);
int symbols_page_missing(symbols_req_t *q);

/* Rows of the books as templates show them: members are added. */
void symbols_show_upload(json_t *u, apr_pool_t *p);
void symbols_show_file(json_t *f, apr_pool_t *p);
void symbols_show_size(json_t *o, const char *name, const char *as, apr_pool_t *p);
void symbols_show_time(json_t *o, const char *name, const char *as, apr_pool_t *p);
void symbols_show_count(json_t *o, const char *name, const char *as, apr_pool_t *p);

/* path and the query without `name` and `page`, ending in '&' or '?'. */
const char *symbols_query_without(symbols_req_t *q, const char *path, const char *name);
void symbols_put_pager(symbols_req_t *q, json_t *data, const sal_books_page_t *page, int64_t number,
                       int per_page, const char *path);
/* What could not be read of a form; steals errors. */
void symbols_put_problem(json_t *data, json_t *errors);

/* The tabs of all pages of symbols; here: name of the current one. */
json_t *symbols_tabs(symbols_req_t *q, const char *here);

#endif
