/*
 * Throttle rules: directives, how sections are merged, the decision and what is told of it.
 */
#include "collect_throttle.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include "collect_report.h"

APLOG_USE_MODULE(crash_collect);

#define REFRESH_DEFAULT 60
#define LOGGED_MAX 60 /* of a name that a client sent */

/* Whether some section asks for the products of the database; of this reading of the files. */
static int listed_is_used;

/* ---- merging ---- */

void collect_throttle_init(collect_throttle_dir_t *d, collect_throttle_server_t *s)
{
    if (d) {
        d->fallback = -1;
    }
    if (s) {
        s->refresh = -1;
    }
}

static const sal_throttle_rule_t *find_rule(const apr_array_header_t *rules, const char *name)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const sal_throttle_rule_t *rule = &APR_ARRAY_IDX(rules, i, sal_throttle_rule_t);

        if (!strcasecmp(rule->name, name)) {
            return rule;
        }
    }
    return NULL;
}

/* The inner section's rules come first, but those that have an inherited name take its place. */
static apr_array_header_t *join(apr_array_header_t *base, apr_array_header_t *add, apr_pool_t *p)
{
    apr_array_header_t *out;

    if (!base || !base->nelts) {
        return add;
    }
    if (!add || !add->nelts) {
        return base;
    }
    out = apr_array_make(p, base->nelts + add->nelts, sizeof(sal_throttle_rule_t));
    for (int i = 0; i < add->nelts; i++) {
        const sal_throttle_rule_t *rule = &APR_ARRAY_IDX(add, i, sal_throttle_rule_t);

        if (!find_rule(base, rule->name)) {
            APR_ARRAY_PUSH(out, sal_throttle_rule_t) = *rule;
        }
    }
    for (int i = 0; i < base->nelts; i++) {
        const sal_throttle_rule_t *rule = &APR_ARRAY_IDX(base, i, sal_throttle_rule_t);
        const sal_throttle_rule_t *other = find_rule(add, rule->name);

        APR_ARRAY_PUSH(out, sal_throttle_rule_t) = other ? *other : *rule;
    }
    return out;
}

void collect_throttle_merge_dir(collect_throttle_dir_t *out, const collect_throttle_dir_t *base,
                                const collect_throttle_dir_t *add, apr_pool_t *p)
{
    const collect_throttle_dir_t *of = add->products ? add : base;

    out->forget = add->forget || base->forget;
    out->rules = add->forget ? add->rules : join(base->rules, add->rules, p);
    out->fallback = add->fallback < 0 ? base->fallback : add->fallback;
    out->products = of->products;
    out->products_path = of->products_path;
    out->products_list = of->products_list;
}

void collect_throttle_merge_server(collect_throttle_server_t *out,
                                   const collect_throttle_server_t *base,
                                   const collect_throttle_server_t *add)
{
    out->refresh = add->refresh < 0 ? base->refresh : add->refresh;
}

/* ---- directives ---- */

static collect_throttle_dir_t *of_section(void *dir)
{
    return &((collect_dir_t *)dir)->throttle;
}

/* Conditions are ap_expr; one that fails, e.g. for want of memory in a regex, does not match. */
static bool condition_matches(void *condition, const sal_annotations_t *a, void *baton)
{
    collect_question_t *q = baton;
    collect_condition_t *c = condition;
    ap_regmatch_t match[AP_MAX_REG_MATCH];
    const char *source = NULL, *err = NULL;
    ap_expr_eval_ctx_t ctx = { .r = q->r,
                               .c = q->r->connection,
                               .s = q->r->server,
                               .p = q->pool,
                               .err = &err,
                               .info = c->expr,
                               .re_pmatch = match,
                               .re_nmatch = AP_MAX_REG_MATCH,
                               .re_source = &source,
                               .data = q };
    int rc;

    (void)a; /* it is q->annotations */
    rc = ap_expr_exec_ctx(&ctx);
    if (rc < 0 || err) {
        q->failed = apr_psprintf(q->pool, "%s:%u: %s", c->file, c->line, err ? err : "failed");
        return false;
    }
    return rc > 0;
}

/* The condition for readers: where it was continued on a further line one blank is enough. */
static const char *on_one_line(const char *expr, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, expr), *to = out, quote = 0;

    for (; *expr; expr++) {
        if (!quote && *expr == ' ' && to > out && to[-1] == ' ') {
            continue;
        }
        if (*expr == '\'' || *expr == '"') {
            quote = !quote ? *expr : quote == *expr ? 0 : quote;
        }
        *to++ = *expr;
    }
    *to = '\0';
    return out;
}

const char *collect_set_rule(cmd_parms *cmd, void *dir, const char *name, const char *result,
                             const char *expr)
{
    collect_throttle_dir_t *d = of_section(dir);
    sal_throttle_rule_t rule = { .name = name, .matches = condition_matches };
    collect_condition_t *c = apr_pcalloc(cmd->pool, sizeof(*c));
    const char *err;

    if (!sal_throttle_name_ok(name)) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" cannot be a name: 1 to 64 letters, digits and "
                            "'_', but not NO_MATCH",
                            cmd->cmd->name, name);
    }
    if (find_rule(d->rules, name)) {
        return apr_psprintf(cmd->pool, "%s: there is a rule %s in this section already",
                            cmd->cmd->name, name);
    }
    err = sal_throttle_parse_result(result, &rule, cmd->pool);
    if (!err) {
        c->expr = ap_expr_parse_cmd(cmd, expr, AP_EXPR_FLAG_DONT_VARY, &err, NULL);
    }
    if (err) {
        return apr_psprintf(cmd->pool, "%s %s: %s", cmd->cmd->name, name, err);
    }
    c->text = on_one_line(expr, cmd->pool);
    c->file = cmd->directive ? cmd->directive->filename : "";
    c->line = cmd->directive ? (unsigned)cmd->directive->line_num : 0;
    rule.condition = c;
    if (!d->rules) {
        d->rules = apr_array_make(cmd->pool, 16, sizeof(rule));
    }
    APR_ARRAY_PUSH(d->rules, sal_throttle_rule_t) = rule;
    return NULL;
}

const char *collect_set_rules(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_throttle_dir_t *d = of_section(dir);

    if (strcasecmp(arg, "none")) {
        return apr_psprintf(cmd->pool, "%s: only \"none\" is known, not \"%s\"", cmd->cmd->name,
                            arg);
    }
    d->forget = 1;
    d->rules = NULL;
    return NULL;
}

const char *collect_set_fallback(cmd_parms *cmd, void *dir, const char *arg)
{
    sal_throttle_t v;

    if (!sal_throttle_parse(arg, &v) || v == SAL_THROTTLE_CONTINUE) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is none of accept, defer, reject, fakeaccept",
                            cmd->cmd->name, arg);
    }
    of_section(dir)->fallback = (int)v;
    return NULL;
}

const char *collect_set_products(cmd_parms *cmd, void *dir, const char *arg)
{
    collect_throttle_dir_t *d = of_section(dir);
    sal_products_t *list;
    sal_error_t err;

    d->products_list = NULL;
    d->products_path = NULL;
    if (!strcasecmp(arg, "any")) {
        d->products = PRODUCTS_ANY;
        return NULL;
    }
    if (!strcasecmp(arg, "listed")) {
        d->products = PRODUCTS_LISTED;
        listed_is_used = 1;
        return NULL;
    }
    d->products = PRODUCTS_FILE;
    d->products_path = ap_server_root_relative(cmd->pool, arg);
    list = apr_pcalloc(cmd->pool, sizeof(*list));
    if (!d->products_path) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a path", cmd->cmd->name, arg);
    }
    if (sal_products_read(list, d->products_path, cmd->pool, &err) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, err.message);
    }
    d->products_list = list;
    return NULL;
}

const char *collect_set_refresh(cmd_parms *cmd, void *dir, const char *arg)
{
    (void)dir;
    return web_arg_duration(cmd, arg, 1, 86400, &collect_server(cmd->server)->throttle.refresh);
}

/* ---- children ---- */

void collect_throttle_child(server_rec *s, apr_pool_t *pchild)
{
    sal_error_t err;

    for (; s && listed_is_used; s = s->next) {
        collect_server_t *server = collect_server(s);
        apr_int64_t seconds = server->throttle.refresh;
        const char *database;

        if (!server->site || server->site->products ||
            !(database = sal_conf_get(server->site->conf, "database", NULL))) {
            continue;
        }
        seconds = seconds < 0 ? REFRESH_DEFAULT : seconds;
        if (sal_product_watch_start(&server->site->products, database, (int)seconds, pchild,
                                    &err) != APR_SUCCESS) {
            server->site->products = NULL;
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                         "SAL1040: %s; any product may send crashes to this child", err.message);
        }
    }
}

/* ---- deciding ---- */

void collect_throttle_rules(sal_throttle_rules_t *out, const collect_throttle_dir_t *d)
{
    sal_throttle_t none = d->rules && d->rules->nelts ? SAL_THROTTLE_REJECT : SAL_THROTTLE_ACCEPT;

    out->rules = d->rules ? (const sal_throttle_rule_t *)d->rules->elts : NULL;
    out->n = d->rules ? d->rules->nelts : 0;
    out->fallback = d->fallback < 0 ? none : (sal_throttle_t)d->fallback;
}

void collect_throttle(collect_report_t *q)
{
    sal_annotations_t *a = sal_intake_annotations(q->intake);
    collect_question_t question = {
        .annotations = a, .dir = &q->dir->throttle, .site = q->site, .r = q->r, .pool = q->r->pool
    };
    sal_throttle_rules_t rules;

    collect_throttle_rules(&rules, question.dir);
    sal_throttle_decide(&q->verdict, &rules, a, NULL, &question);
    if (question.failed && collect_log_may(q->r, "SAL1041")) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, q->r, "SAL1041: throttle rule at %s",
                      question.failed);
    }
}

/* ---- telling ---- */

/* A name that a client sent, short and tame. */
static const char *tame(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrndup(p, text ? text : "", LOGGED_MAX);

    for (char *c = out; *c; c++) {
        if (!apr_isalnum(*c) && !strchr(" ._-", *c)) {
            *c = '?';
        }
    }
    return out;
}

/* What was not supported; operators look for it when a product of theirs is missing. */
static void log_unsupported(collect_report_t *q)
{
    const sal_annotations_t *a = sal_intake_annotations(q->intake);
    const char *product = tame(sal_annotations_get(a, "ProductName"), q->r->pool);
    const char *package = sal_annotations_get(a, "Android_PackageName");

    if (!strcmp(q->verdict.rule, "b2g")) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1043: ProductName B2G: fake accept");
    } else if (!strcmp(q->verdict.rule, "unsupported_product")) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1044: ProductName rejected: '%s'",
                      product);
    } else if (!strcmp(q->verdict.rule, "unsupported_packagename")) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                      "SAL1045: Android_PackageName rejected: %s %s%s%s", product,
                      package ? "'" : "", package ? tame(package, q->r->pool) : "no ",
                      package ? "'" : "Android_PackageName");
    }
}

void collect_throttle_tell(collect_report_t *q)
{
    if ((q->verdict.result == SAL_THROTTLE_REJECT ||
         q->verdict.result == SAL_THROTTLE_FAKEACCEPT) &&
        APLOG_R_IS_LEVEL(q->r, APLOG_INFO)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1042: %s: matched by %s; returned %s",
                      q->id, q->verdict.rule, sal_throttle_name(q->verdict.result));
        log_unsupported(q);
    }
}
