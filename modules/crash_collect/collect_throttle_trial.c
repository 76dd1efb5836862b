/*
 * `salvage throttle test`: httpd reads its configuration as `httpd -t` does, with the definition
 * SALVAGE_THROTTLE_TEST, and then decides one report from standard input, as a collector with that
 * configuration would. No server runs, no port is opened, nothing is stored.
 *
 * Input: a line of JSON {"path": ..., "server": ..., "draw": ...}, all of which may be left out,
 * and the annotations as a JSON object. Output: a line "salvage-throttle: " with a JSON object.
 */
#include <unistd.h>
#include <apr_strings.h>
#include "base/json.h"
#include "collect_report.h"

APLOG_USE_MODULE(crash_collect);

#define INPUT_MAX (24 * 1024 * 1024)
#define TRIAL_DEFINE "SALVAGE_THROTTLE_TEST"

/* The number of a trial that does without chance. */
static double fixed_draw;

static double draw_fixed(void)
{
    return fixed_draw;
}

/* ---- input ---- */

static char *read_all(apr_size_t *size, apr_pool_t *p)
{
    char *text = apr_palloc(p, INPUT_MAX + 1);
    ssize_t n;

    *size = 0;
    while (*size < INPUT_MAX && (n = read(0, text + *size, INPUT_MAX - *size)) > 0) {
        *size += (apr_size_t)n;
    }
    text[*size] = '\0';
    return text;
}

static int fits(const collect_place_t *place, const json_t *asked)
{
    const char *path = json_string_value(json_object_get(asked, "path"));
    const char *server = json_string_value(json_object_get(asked, "server"));

    return (!path || !strcmp(place->path, path)) &&
           (!server ||
            (place->s->server_hostname && !strcasecmp(place->s->server_hostname, server)));
}

static const collect_place_t *find_place(const apr_array_header_t *all, const json_t *asked)
{
    for (int i = 0; i < all->nelts; i++) {
        if (fits(&APR_ARRAY_IDX(all, i, collect_place_t), asked)) {
            return &APR_ARRAY_IDX(all, i, collect_place_t);
        }
    }
    return NULL;
}

/* ---- products ---- */

/* Where the list is the database's it is read now; what prevents that is told. */
static void find_products(collect_question_t *q, json_t *out)
{
    const char *conninfo = q->site ? sal_conf_get(q->site->conf, "database", NULL) : NULL;
    sal_products_t *list = apr_pcalloc(q->pool, sizeof(*list));
    sal_error_t err;
    sal_db_t *db;

    if (q->dir->products == PRODUCTS_LISTED) {
        q->products = list;
        if (!conninfo) {
            json_object_set_new(out, "products_error", json_string("SalvageConfig is missing"));
        } else if (sal_db_connect(&db, conninfo, q->pool, &err) != APR_SUCCESS ||
                   sal_products_load(list, db, q->pool, &err) != APR_SUCCESS) {
            json_object_set_new(out, "products_error", json_string(err.message));
        }
    }
    json_object_set_new(out, "products", json_integer(collect_products(q)->n));
}

/* ---- the trial ---- */

static void add_step(void *baton, const sal_throttle_step_t *step)
{
    json_t *rule = collect_rule_json(step->rule);

    if (!rule) {
        return;
    }
    json_object_set_new(rule, "matched", json_boolean(step->matched));
    if (step->matched) {
        json_object_set_new(rule, "outcome", json_string(sal_throttle_name(step->result)));
    }
    if (step->drawn >= 0) {
        json_object_set_new(rule, "drawn", json_real(step->drawn));
    }
    json_array_append_new(baton, rule);
}

/* Rules behind the one that decided: they were not asked. */
static void add_rest(json_t *steps, const sal_throttle_rules_t *rules)
{
    for (int i = (int)json_array_size(steps); i < rules->n; i++) {
        json_array_append_new(steps, collect_rule_json(&rules->rules[i]));
    }
}

static json_t *decide(collect_question_t *q, const json_t *asked)
{
    json_t *draw = json_object_get(asked, "draw"), *steps = json_array(), *out = json_object();
    sal_throttle_rules_t rules;
    sal_verdict_t verdict;

    fixed_draw = json_number_value(draw);
    find_products(q, out);
    collect_throttle_rules(&rules, q->dir);
    sal_throttle_explain(&verdict, &rules, q->annotations, json_is_number(draw) ? draw_fixed : NULL,
                         q, add_step, steps);
    add_rest(steps, &rules);
    json_object_set_new(out, "rules", steps);
    json_object_set_new(out, "result", json_string(sal_throttle_name(verdict.result)));
    json_object_set_new(out, "rule", json_string(verdict.rule));
    json_object_set_new(out, "percent", json_real(verdict.percent));
    if (q->failed) {
        json_object_set_new(out, "failed", json_string(q->failed));
    }
    return out;
}

static json_t *failure(const char *text)
{
    return json_pack("{s:s}", "error", text);
}

static json_t *trial(char *text, apr_size_t size, server_rec *s, apr_pool_t *p)
{
    char *body = memchr(text, '\n', size);
    sal_annotations_t *a = sal_annotations_make(INPUT_MAX, p);
    const collect_place_t *place;
    collect_question_t q = { .annotations = a, .pool = p };
    json_t *asked, *out;
    sal_error_t err;

    if (!body || !(asked = json_loadb(text, (size_t)(body - text), 0, NULL))) {
        return failure("the first line of the input is not JSON");
    }
    sal_json_own(asked, p);
    if (sal_annotations_json(a, body + 1, size - (apr_size_t)(body + 1 - text), p, &err) !=
        APR_SUCCESS) {
        return failure(err.message);
    }
    sal_annotations_map_dialect(a, NULL, NULL);
    place = find_place(collect_places(s, p), asked);
    if (!place) {
        return failure("no such place: SetHandler crash-collect is nowhere, or not there");
    }
    q.dir = place->dir;
    q.r = collect_blank_request(place->s, place->conf, place->path, p);
    q.site = collect_server(place->s)->site;
    out = decide(&q, asked);
    json_object_set_new(out, "path", json_string(place->path));
    json_object_set_new(out, "server",
                        json_string(place->s->server_hostname ? place->s->server_hostname : ""));
    return out;
}

static void run_trial(apr_pool_t *pconf, server_rec *s)
{
    apr_pool_t *p;
    apr_size_t size;
    char *text, *line;
    json_t *out;

    if (!ap_exists_config_define(TRIAL_DEFINE)) {
        return;
    }
    apr_pool_create(&p, pconf);
    text = read_all(&size, p);
    out = trial(text, size, s, p);
    line = json_dumps(out, JSON_COMPACT);
    printf("salvage-throttle: %s\n", line ? line : "{}");
    fflush(stdout);
    free(line);
    json_decref(out);
    apr_pool_destroy(p);
}

void collect_throttle_trial_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_test_config(run_trial, NULL, NULL, APR_HOOK_MIDDLE);
}
