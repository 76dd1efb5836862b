/*
 * The page of one upload and that of one file, with a look at the head of a .sym.
 */
#include "symbols_books.h"

#include <ctype.h>

#include <apr_strings.h>
#include <zlib.h>

#include "base/text.h"
#include "render/format.h"

APLOG_USE_MODULE(symbols);

enum { FILES_SHOWN = 2000, KEYS_SHOWN = 500, HEAD_BYTES = 32768, HEAD_LINES = 200 };

static int may_see(const symbols_req_t *q, int64_t owner)
{
    return symbols_sees_all(q) || (owner && owner == q->who.user_id);
}

static int no_such(symbols_req_t *q, const char *what)
{
    return symbols_page_message(q, HTTP_NOT_FOUND, what,
                                "It may have been deleted, or the number is mistyped.");
}

static void cut(json_t *o, const char *name, const char *note, size_t max, apr_pool_t *p)
{
    json_t *list = json_object_get(o, name);
    size_t n = json_array_size(list);

    json_object_set_new(o, apr_pstrcat(p, "any_", name, NULL), json_boolean(n > 0));
    if (n <= max) {
        return;
    }
    while (json_array_size(list) > max) {
        json_array_remove(list, json_array_size(list) - 1);
    }
    json_object_set_new(
        o, note,
        json_string(apr_psprintf(p, "%s of %s shown", sal_format_count((apr_int64_t)max, p),
                                 sal_format_count((apr_int64_t)n, p))));
}

static void show_all(json_t *list, void (*show)(json_t *, apr_pool_t *), apr_pool_t *p)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
    {
        show(one, p);
    }
}

static int upload_page(symbols_req_t *q, json_t *u)
{
    apr_pool_t *p = q->r->pool;
    json_int_t id = json_integer_value(json_object_get(u, "id"));
    json_int_t files = json_integer_value(json_object_get(u, "files_count"));

    symbols_show_upload(u, p);
    symbols_show_size(u, "unpacked_size", "unpacked_text", p);
    json_object_set_new(u, "ignored_text",
                        json_string(sal_format_count(
                            (apr_int64_t)json_array_size(json_object_get(u, "ignored_keys")), p)));
    show_all(json_object_get(u, "file_uploads"), symbols_show_file, p);
    show_all(json_object_get(u, "related"), symbols_show_upload, p);
    cut(u, "file_uploads", "files_note", FILES_SHOWN, p);
    cut(u, "skipped_keys", "skipped_note", KEYS_SHOWN, p);
    cut(u, "ignored_keys", "ignored_note", KEYS_SHOWN, p);
    cut(u, "warnings", "warnings_note", KEYS_SHOWN, p);
    cut(u, "related", "related_note", KEYS_SHOWN, p);
    if (files > FILES_SHOWN) {
        json_object_set_new(u, "files_note",
                            json_string(apr_psprintf(p, "%d of %s shown", FILES_SHOWN,
                                                     sal_format_count(files, p))));
    }
    json_object_set_new(u, "title",
                        json_string(apr_psprintf(p, "Upload %" APR_INT64_T_FMT, (apr_int64_t)id)));
    json_object_set_new(u, "tabs", symbols_tabs(q, "Uploads"));
    return symbols_page(q, HTTP_OK, "symbols-upload", u);
}

int symbols_page_upload(symbols_req_t *q, int64_t id)
{
    symbols_one_work_t w = { .id = id, .max_files = FILES_SHOWN };
    sal_error_t err = { 0 };
    apr_status_t rv = id ? web_with_db(q->r, symbols_work_upload, &w, &err) : APR_ENOENT;

    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q, "There is no such upload");
    }
    if (rv != APR_SUCCESS) {
        return symbols_page_sick(q, &err);
    }
    if (!may_see(q, w.owner)) {
        json_decref(w.doc);
        return symbols_page_message(q, HTTP_FORBIDDEN, "Somebody else's upload",
                                    "To see it you need the permission View All Symbols Uploads.");
    }
    return upload_page(q, w.doc);
}

/* ---- a file ---- */

/* "FUNC m 1000 ..." -> the word that colours it. */
static const char *record_of(const char *line)
{
    static const char *const words[] = { "MODULE", "INFO",  "FILE",          "FUNC",
                                         "PUBLIC", "STACK", "INLINE_ORIGIN", "INLINE" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i]);

        if (!strncmp(line, words[i], n) && line[n] == ' ') {
            return words[i];
        }
    }
    return NULL;
}

static json_t *lines_of(char *text, apr_pool_t *p)
{
    json_t *lines = json_array();
    char *next;
    int n = 0;

    for (char *line = text; line && n < HEAD_LINES; line = next, n++) {
        const char *clean, *word;

        next = strchr(line, '\n');
        if (!next) {
            break; /* what is cut off is not shown */
        }
        *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        clean = sal_utf8_clean(line, strlen(line), p);
        word = record_of(clean);
        json_array_append_new(lines, json_pack("{s:s, s:s}", "word", word ? word : "", "text",
                                               word ? clean + strlen(word) : clean));
    }
    return lines;
}

/* The beginning of a stored .sym, which is gzip or plain; nothing if it is not to be had. */
static void put_head(symbols_req_t *q, json_t *f)
{
    apr_pool_t *p = q->r->pool;
    const char *key_text = json_string_value(json_object_get(f, "key")), *path;
    sal_symbol_key_t key;
    char *buf = apr_palloc(p, HEAD_BYTES + 1);
    json_t *lines;
    gzFile in;
    int n;

    if (!q->conf->store || !sal_symbol_key_parse(&key, key_text, strlen(key_text), p)) {
        return;
    }
    path = sal_symbol_store_path(q->conf->store, &key,
                                 json_is_true(json_object_get(f, "try_symbols")), p);
    if (!(in = gzopen(path, "rb"))) {
        return;
    }
    n = gzread(in, buf, HEAD_BYTES);
    gzclose_r(in);
    if (n <= 0) {
        return;
    }
    for (int i = 0; i < n; i++) { /* no line ends at a NUL */
        buf[i] = buf[i] ? buf[i] : ' ';
    }
    buf[n] = '\0';
    lines = lines_of(buf, p);
    json_object_set_new(f, "any_head", json_boolean(json_array_size(lines) > 0));
    json_object_set_new(
        f, "head_note",
        json_string(apr_psprintf(p, "first %d lines", (int)json_array_size(lines))));
    json_object_set_new(f, "head_lines", lines);
}

static void put_facts(json_t *f)
{
    static const char *const names[][2] = { { "debug_filename", "Debug file" },
                                            { "debug_id", "Debug ID" },
                                            { "code_file", "Code file" },
                                            { "code_id", "Code ID" },
                                            { "build_id", "Build ID" },
                                            { "os", "System" },
                                            { "arch", "CPU" },
                                            { "generator", "Made by" },
                                            { "product", "Product" },
                                            { "version", "Version" },
                                            { "channel", "Channel" },
                                            { "build", "Build" },
                                            { "sha256", "SHA-256" },
                                            { "md5", "MD5" } };
    json_t *facts = json_array();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = json_string_value(json_object_get(f, names[i][0]));

        if (value && *value) {
            json_array_append_new(facts, json_pack("{s:s, s:s, s:s}", "name", names[i][1], "value",
                                                   value, "field", names[i][0]));
        }
    }
    json_object_set_new(f, "facts", facts);
}

static int file_page(symbols_req_t *q, json_t *f)
{
    apr_pool_t *p = q->r->pool;
    json_t *upload = json_object_get(f, "upload"), *history = json_object_get(f, "history");

    symbols_show_file(f, p);
    symbols_show_time(f, "last_access", "last_access_text", p);
    symbols_show_time(f, "keep_until", "keep_until_text", p);
    symbols_show_count(f, "hits", "hits_text", p);
    put_facts(f);
    show_all(history, symbols_show_file, p);
    json_object_set_new(f, "any_history", json_boolean(json_array_size(history) > 1));
    if (json_is_object(upload)) {
        json_object_set(f, "upload_id", json_object_get(upload, "id"));
        json_object_set(f, "email", json_object_get(json_object_get(upload, "user"), "email"));
    }
    json_object_set_new(
        f, "url",
        json_string(symbols_key_path(q, json_string_value(json_object_get(f, "key")),
                                     json_is_true(json_object_get(f, "try_symbols")))));
    if (json_is_true(json_object_get(f, "current")) &&
        !strcmp(json_string_value(json_object_get(f, "kind")), "sym")) {
        put_head(q, f);
    }
    json_object_set_new(f, "title", json_copy(json_object_get(f, "leaf_text")));
    json_object_set_new(f, "tabs", symbols_tabs(q, symbols_sees_all(q) ? "Files" : "Uploads"));
    json_object_set_new(f, "sees_all", json_boolean(symbols_sees_all(q)));
    return symbols_page(q, HTTP_OK, "symbols-file", f);
}

int symbols_page_file(symbols_req_t *q, int64_t id)
{
    symbols_one_work_t w = { .id = id };
    sal_error_t err = { 0 };
    apr_status_t rv = id ? web_with_db(q->r, symbols_work_file, &w, &err) : APR_ENOENT;

    if (APR_STATUS_IS_ENOENT(rv)) {
        return no_such(q, "There is no such file");
    }
    if (rv != APR_SUCCESS) {
        return symbols_page_sick(q, &err);
    }
    if (!may_see(q, w.owner)) {
        json_decref(w.doc);
        return symbols_page_message(q, HTTP_FORBIDDEN, "Somebody else's file",
                                    "To see it you need the permission View All Symbols Uploads.");
    }
    return file_page(q, w.doc);
}
