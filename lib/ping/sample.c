/*
 * Which pings are signed: targets a day for strata of them.
 */
#include "ping/ping_store.h"

#include <string.h>
#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"

static apr_status_t read_rule(sal_ping_rule_t *rule, const char *line, apr_pool_t *p,
                              sal_error_t *err)
{
    char *last, *text = apr_pstrdup(p, line), *word;
    const char *words[5];
    int n = 0;

    for (word = apr_strtok(text, " \t", &last); word && n < 5;
         word = apr_strtok(NULL, " \t", &last)) {
        words[n++] = word;
    }
    if (word || n < 4) {
        return sal_fail(err, APR_EINVAL,
                        "ping-sample \"%s\": it reads OS CHANNEL PROCESS [ACTOR] all|NUMBER", line);
    }
    *rule = (sal_ping_rule_t){ words[0], words[1], words[2], n == 5 ? words[3] : "*", -1 };
    if (strcmp(words[n - 1], "all") &&
        !sal_parse_int(words[n - 1], 0, INT64_C(1) << 40, &rule->target)) {
        return sal_fail(err, APR_EINVAL, "ping-sample \"%s\": \"%s\" is neither all nor a number",
                        line, words[n - 1]);
    }
    return APR_SUCCESS;
}

apr_status_t sal_ping_rules(apr_array_header_t **out, const sal_conf_t *conf, apr_pool_t *p,
                            sal_error_t *err)
{
    const char *const *line = sal_conf_list(conf, "ping-sample");

    *out = apr_array_make(p, 4, sizeof(sal_ping_rule_t));
    for (; *line; line++) {
        apr_status_t rv = read_rule(apr_array_push(*out), *line, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

/* Names may hold blanks, which a line cannot: '_' and '?' stand for one. */
static bool fits(const char *pattern, const char *value)
{
    char text[64];

    if (!strcmp(pattern, "*") || apr_fnmatch(pattern, value, APR_FNM_CASE_BLIND) == APR_SUCCESS) {
        return true;
    }
    apr_cpystrn(text, value, sizeof(text));
    for (char *c = text; *c; c++) {
        *c = *c == ' ' ? '_' : *c;
    }
    return apr_fnmatch(pattern, text, APR_FNM_CASE_BLIND) == APR_SUCCESS;
}

int64_t sal_ping_target(const apr_array_header_t *rules, const char *os, const char *channel,
                        const char *process_type, const char *utility_actor)
{
    for (int i = 0; rules && i < rules->nelts; i++) {
        const sal_ping_rule_t *r = &APR_ARRAY_IDX(rules, i, sal_ping_rule_t);

        if (fits(r->os, os) && fits(r->channel, channel) && fits(r->process_type, process_type) &&
            fits(r->utility_actor, utility_actor)) {
            return r->target;
        }
    }
    return -1;
}

bool sal_ping_in_sample(const char *document_id, int64_t target, int64_t expected, int64_t taken)
{
    unsigned char digest[32];
    uint64_t draw = 0;

    if (target < 0) {
        return true;
    }
    if (taken >= target) {
        return false;
    }
    if (target >= expected) {
        return true;
    }
    /* 53 bits: as exact as the quotient */
    sal_sha256(document_id, strlen(document_id), digest);
    for (int i = 0; i < 7; i++) {
        draw = draw << 8 | digest[i];
    }
    return (double)(draw >> 3) < (double)target / (double)expected * (double)(UINT64_C(1) << 53);
}
