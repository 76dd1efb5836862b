/*
 * The page that tries the service. It asks what a client would ask, and shows both texts.
 */
#include "symbolicate_page.h"

#include <ctype.h>
#include <apr_strings.h>
#include "common/page.h"

enum { MAX_OFFSETS = 100 };

/* Hex numbers with or without 0x, between anything but letters and digits; NULL: *problem. */
static json_t *frames_of(const char *text, const char **problem)
{
    json_t *out = json_array();

    for (;;) {
        char *end;
        apr_uint64_t v;

        while (*text && !isalnum((unsigned char)*text)) {
            text++;
        }
        if (!*text) {
            break;
        }
        errno = 0;
        v = strtoull(text, &end, 16);
        if (end == text || isalnum((unsigned char)*end) || errno || v > INT64_MAX) {
            *problem = "An offset is a hex number, with or without 0x.";
            break;
        }
        json_array_append_new(out, json_pack("[i,I]", 0, (json_int_t)v));
        text = end;
    }
    if (!*problem && (json_array_size(out) == 0 || json_array_size(out) > MAX_OFFSETS)) {
        *problem = "Ask for at least one offset, and for at most 100.";
    }
    if (*problem) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static const char *body_of(request_rec *r, const char *file, const char *id, const char *offsets,
                           const char **problem)
{
    json_t *frames = frames_of(offsets, problem);
    json_t *body;
    char *text;
    const char *out;

    if (!frames) {
        return NULL;
    }
    body = json_pack("{s:[{s:[[s,s]],s:[o]}]}", "jobs", "memoryMap", file, id, "stacks", frames);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    out = text ? apr_pstrdup(r->pool, text) : NULL;
    json_decref(body);
    free(text);
    if (!out) { /* the frames went with it */
        *problem = "Module and id must be UTF-8.";
    }
    return out;
}

static json_t *place_of(request_rec *r, json_t *frame)
{
    const char *file = json_string_value(json_object_get(frame, "file"));
    json_int_t line = json_integer_value(json_object_get(frame, "line"));

    if (!file) {
        return json_string("");
    }
    return json_string(line ? apr_psprintf(r->pool, "%s:%" APR_INT64_T_FMT, file, (apr_int64_t)line)
                            : file);
}

static void add_row(request_rec *r, json_t *rows, json_t *frame, json_t *of, bool inlined)
{
    json_t *row = json_pack("{s:o,s:b}", "place", place_of(r, of), "inlined", inlined);
    json_t *function = json_object_get(of, "function");

    json_object_set(row, "offset", json_object_get(frame, "module_offset"));
    json_object_set(row, "function", function ? function : json_null());
    if (!inlined) {
        json_object_set(row, "into", json_object_get(frame, "function_offset"));
    }
    json_array_append_new(rows, row);
}

/* A row for each function, inlined ones first, as a stack shows them. */
static void put_rows(request_rec *r, json_t *data, json_t *job)
{
    json_t *stack = json_array_get(json_object_get(job, "stacks"), 0);
    json_t *rows = json_array(), *frame, *inlined;
    size_t i, k;

    json_array_foreach(stack, i, frame)
    {
        json_array_foreach(json_object_get(frame, "inlines"), k, inlined)
        {
            add_row(r, rows, frame, inlined, true);
        }
        add_row(r, rows, frame, frame, false);
    }
    json_object_set(data, "module", json_object_get(json_array_get(stack, 0), "module"));
    json_object_set_new(data, "rows", rows);
}

static void put_error(json_t *data, json_t *job)
{
    const char *pair;
    json_t *list;

    json_object_foreach(json_object_get(job, "module_errors"), pair, list)
    {
        json_t *e = json_array_get(list, 0);

        json_object_set(data, "error_name", json_object_get(e, "name"));
        json_object_set(data, "error", json_object_get(e, "message"));
    }
}

/* JSON that stands between single quotes of a shell: what is copied from here is run. */
static const char *for_shell(const char *body, apr_pool_t *p)
{
    char *out = apr_palloc(p, 6 * strlen(body) + 1);
    char *to = out;

    for (; *body; body++) {
        if (*body == '\'') {
            memcpy(to, "\\u0027", 6);
            to += 6;
        } else {
            *to++ = *body;
        }
    }
    *to = '\0';
    return out;
}

static void put_answer(request_rec *r, json_t *data, const char *body, const char *answer)
{
    json_t *doc = json_loads(answer, 0, NULL);
    json_t *job = json_array_get(json_object_get(doc, "results"), 0);
    char *pretty = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;

    json_object_set_new(data, "answered", json_true());
    json_object_set_new(data, "body", json_string(for_shell(body, r->pool)));
    json_object_set_new(data, "answer", json_string(pretty ? pretty : answer));
    put_rows(r, data, job);
    put_error(data, job);
    free(pretty);
    json_decref(doc);
}

/* What stands in the form: as it was sent, in UTF-8. */
static const char *field(json_t *data, apr_table_t *query, const char *name)
{
    const char *v = web_param(query, name);
    json_t *text = json_string(v ? v : "");

    json_object_set_new(data, name, text ? text : json_string(""));
    return v ? v : "";
}

int symbolicate_page(request_rec *r, const sal_templates_t *templates, const sal_conf_t *conf,
                     symbolicate_try_fn try)
{
    const web_page_t page = {
        .r = r, .templates = templates, .shared = conf, .user = r->user, .place = "Symbols"
    };
    json_t *data = json_pack("{s:s,s:b}", "title", "Symbolication", "plain_title", 1);
    apr_table_t *query = web_query(r);
    const char *file = field(data, query, "module");
    const char *id = field(data, query, "id");
    const char *offsets = field(data, query, "offsets");
    const char *problem = NULL, *body, *answer;

    json_object_set_new(data, "file", json_incref(json_object_get(data, "module")));
    json_object_set_new(data, "self", json_string(r->uri));
    json_object_set_new(
        data, "url",
        json_string(ap_construct_url(r->pool, apr_pstrcat(r->pool, r->uri, "v5", NULL), r)));
    if (*file || *id || *offsets) {
        body = body_of(r, file, id, offsets, &problem);
        answer = body ? try(r, body, &problem) : NULL;
        if (answer) {
            put_answer(r, data, body, answer);
        } else {
            json_object_set_new(data, "problem", json_string(problem));
        }
    }
    web_page_headers(r);
    return web_page(&page,
                    problem ? (r->status != HTTP_OK ? r->status : HTTP_BAD_REQUEST) : HTTP_OK,
                    "symbolicate", data);
}
