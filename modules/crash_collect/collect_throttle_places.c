/*
 * Where the configuration takes reports, and by which rules: gathered once, for the page that
 * explains throttling and for trials. <If> sections depend on the request and are not looked into.
 */
#include <apr_fnmatch.h>
#include <apr_strings.h>
#include "collect_report.h"
#include "common/throttle_info.h"

APLOG_USE_MODULE(crash_collect);

/* Of this generation of the configuration. */
static apr_array_header_t *places;

/* ---- a request that is none ---- */

/* As much of one as expressions look at; of this host, with nothing sent. */
request_rec *collect_blank_request(server_rec *s, ap_conf_vector_t *conf, const char *path,
                                   apr_pool_t *p)
{
    request_rec *r = apr_pcalloc(p, sizeof(*r));
    conn_rec *c = apr_pcalloc(p, sizeof(*c));

    apr_sockaddr_info_get(&c->client_addr, "127.0.0.1", APR_INET, 0, 0, p);
    c->local_addr = c->client_addr;
    c->client_ip = c->local_ip = (char *)"127.0.0.1";
    c->pool = r->pool = p;
    c->base_server = r->server = s;
    c->conn_config = ap_create_conn_config(p);
    c->notes = apr_table_make(p, 1);
    r->connection = c;
    r->useragent_addr = c->client_addr;
    r->useragent_ip = c->client_ip;
    r->headers_in = apr_table_make(p, 1);
    r->headers_out = apr_table_make(p, 1);
    r->err_headers_out = apr_table_make(p, 1);
    r->subprocess_env = apr_table_make(p, 1);
    r->notes = apr_table_make(p, 1);
    r->request_config = ap_create_request_config(p);
    r->per_dir_config = conf;
    r->method = "POST";
    r->method_number = M_POST;
    r->protocol = (char *)"HTTP/1.1";
    r->the_request = apr_psprintf(p, "POST %s HTTP/1.1", path);
    r->hostname = s->server_hostname;
    r->uri = r->unparsed_uri = apr_pstrdup(p, path);
    r->request_time = apr_time_now();
    return r;
}

/* ---- sections ---- */

/* What SetHandler says, where it does not depend on the request. */
static const char *handler_of(ap_conf_vector_t *conf, server_rec *s, apr_pool_t *p)
{
    const core_dir_config *core = ap_get_core_module_config(conf);
    const char *err = NULL, *result;

    if (!core->expr_handler) {
        return core->handler;
    }
    result = ap_expr_str_exec(collect_blank_request(s, conf, "/", p), core->expr_handler, &err);
    return err ? NULL : result;
}

static int takes_reports(ap_conf_vector_t *conf, server_rec *s, apr_pool_t *p)
{
    const char *handler = handler_of(conf, s, p);

    return handler && !strcmp(handler, "crash-collect");
}

static int section_fits(const core_dir_config *core, const char *path)
{
    apr_size_t len;

    if (core->r) {
        return !ap_regexec(core->r, path, 0, NULL, 0);
    }
    if (core->d_is_fnmatch) {
        return !apr_fnmatch(core->d, path, APR_FNM_PATHNAME);
    }
    len = strlen(core->d);
    return !strncmp(core->d, path, len) &&
           (!path[len] || path[len] == '/' || (len && path[len - 1] == '/'));
}

/* The configuration of a path, or of a pattern alone, merged as httpd does. */
static ap_conf_vector_t *conf_of(server_rec *s, const char *path, ap_conf_vector_t *only,
                                 apr_pool_t *p)
{
    core_server_config *core = ap_get_core_module_config(s->module_config);
    ap_conf_vector_t *conf = s->lookup_defaults;

    for (int i = 0; i < core->sec_url->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *);

        if (only ? section == only : section_fits(ap_get_core_module_config(section), path)) {
            conf = ap_merge_per_dir_configs(p, conf, section);
        }
    }
    return conf;
}

/* ---- places ---- */

static int same_rules(const collect_throttle_dir_t *a, const collect_throttle_dir_t *b)
{
    return a->rules == b->rules && a->fallback == b->fallback && a->products == b->products &&
           a->products_list == b->products_list;
}

static void add_place(apr_array_header_t *out, server_rec *s, const char *path,
                      ap_conf_vector_t *conf)
{
    const collect_dir_t *dir = ap_get_module_config(conf, &crash_collect_module);

    for (int i = 0; i < out->nelts; i++) {
        const collect_place_t *place = &APR_ARRAY_IDX(out, i, collect_place_t);

        if (!strcmp(place->path, path) && same_rules(place->dir, &dir->throttle)) {
            return;
        }
    }
    APR_ARRAY_PUSH(out, collect_place_t) = (collect_place_t){ s, path, conf, &dir->throttle };
}

apr_array_header_t *collect_places(server_rec *s, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 4, sizeof(collect_place_t));

    for (; s; s = s->next) {
        core_server_config *core = ap_get_core_module_config(s->module_config);

        if (takes_reports(s->lookup_defaults, s, p)) {
            add_place(out, s, "/", s->lookup_defaults);
        }
        for (int i = 0; i < core->sec_url->nelts; i++) {
            ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *), *conf;
            const core_dir_config *dir = ap_get_core_module_config(section);

            if (!takes_reports(section, s, p)) {
                continue;
            }
            conf = conf_of(s, dir->d, dir->r || dir->d_is_fnmatch ? section : NULL, p);
            if (takes_reports(conf, s, p)) { /* not taken back by a later section */
                add_place(out, s, dir->d, conf);
            }
        }
    }
    return out;
}

void collect_throttle_places_make(server_rec *s, apr_pool_t *pconf)
{
    places = collect_places(s, pconf);
}

/* ---- for pages ---- */

json_t *collect_rule_json(const sal_throttle_rule_t *rule)
{
    const collect_condition_t *c = rule->condition;

    return json_pack("{s:s, s:s, s:f, s:s, s:s, s:s, s:i}", "name", rule->name, "result",
                     sal_throttle_name(rule->result), "percent", rule->percent, "otherwise",
                     sal_throttle_name(rule->otherwise), "expr", c->text, "file", c->file, "line",
                     (int)c->line);
}

static json_t *count_of(const char *rule)
{
    return json_integer((json_int_t)collect_counted_as(COLLECT_THROTTLE_RULE, rule));
}

static const char *products_of(const collect_throttle_dir_t *d)
{
    return d->products == PRODUCTS_FILE     ? d->products_path
           : d->products == PRODUCTS_LISTED ? "listed"
                                            : "any";
}

static json_t *place_json(const collect_place_t *place)
{
    sal_throttle_rules_t rules;
    json_t *list = json_array();

    collect_throttle_rules(&rules, place->dir);
    for (int i = 0; i < rules.n; i++) {
        json_t *rule = collect_rule_json(&rules.rules[i]);

        if (rule) {
            json_object_set_new(rule, "count", count_of(rules.rules[i].name));
            json_array_append_new(list, rule);
        }
    }
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o}", "server",
        place->s->server_hostname ? place->s->server_hostname : "", "path", place->path, "fallback",
        sal_throttle_name(rules.fallback), "products", products_of(place->dir), "rules", list,
        "unmatched",
        count_of(rules.fallback == SAL_THROTTLE_ACCEPT ? "accept_everything" : "NO_MATCH"));
}

static json_t *salvage_throttle_places(void)
{
    json_t *out = json_array();

    for (int i = 0; places && i < places->nelts; i++) {
        json_t *place = place_json(&APR_ARRAY_IDX(places, i, collect_place_t));

        if (place) {
            json_array_append_new(out, place);
        }
    }
    return out;
}

void collect_throttle_places_hooks(apr_pool_t *p)
{
    (void)p;
    APR_REGISTER_OPTIONAL_FN(salvage_throttle_places);
}
