/*
 * The rules of retention as text.
 */
#include "books/retention.h"

#include <string.h>

#include <apr_strings.h>

#include "base/text.h"

enum { RULES_MAX = 100 };

#define DAY INT64_C(86400)

/* A word and what follows it; false if nothing does. */
static bool take_value(char **words, int *i, const char *name, const char **value)
{
    if (strcmp(words[*i], name) || !words[*i + 1]) {
        return false;
    }
    *value = words[++*i];
    return true;
}

static bool take_word(sal_keep_rule_t *r, char **words, int *i, bool *has_age)
{
    const char *value;
    int64_t n;

    if (!strcmp(words[*i], "try") || !strcmp(words[*i], "regular")) {
        r->kind = words[*i][0] == 't';
        return true;
    }
    if (!strcmp(words[*i], "for-ever")) {
        r->age = -1;
        *has_age = true;
        return true;
    }
    if (take_value(words, i, "product", &r->product) ||
        take_value(words, i, "channel", &r->channel)) {
        return true;
    }
    if (take_value(words, i, "age", &value)) {
        *has_age = true;
        return sal_parse_duration(value, &r->age) && r->age >= 0 && r->age <= 36525 * DAY;
    }
    if (take_value(words, i, "newest", &value) && sal_parse_int(value, 1, 1000000, &n)) {
        r->newest = (int)n;
        return true;
    }
    return false;
}

apr_status_t sal_keep_rule_parse(sal_keep_rule_t *out, const char *text, apr_pool_t *p,
                                 sal_error_t *err)
{
    bool has_age = false;
    char **words;

    *out = (sal_keep_rule_t){ .kind = -1, .product = "", .channel = "" };
    if (apr_tokenize_to_argv(text, &words, p) != APR_SUCCESS) {
        return sal_fail(err, SAL_E_MALFORMED, "symbols-keep %s: cannot be taken apart", text);
    }
    for (int i = 0; words[i]; i++) {
        const char *word = words[i];

        if (!take_word(out, words, &i, &has_age)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "symbols-keep %s: not understood at \"%s\"; expected [try|regular] "
                            "[product NAME] [channel NAME] [age 90d | for-ever] [newest N]",
                            text, word);
        }
    }
    if (!has_age && !out->newest) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "symbols-keep %s: say how long: age TIME, for-ever or newest N", text);
    }
    return APR_SUCCESS;
}

apr_status_t sal_keep_rules(apr_array_header_t **out, const sal_conf_t *conf, apr_pool_t *p,
                            sal_error_t *err)
{
    static const sal_keep_rule_t defaults[] = { { 1, "", "", 28 * DAY, 0 },
                                                { 0, "", "", 730 * DAY, 0 } };
    const char *const *lines = sal_conf_list(conf, "symbols-keep");

    *out = apr_array_make(p, 4, sizeof(sal_keep_rule_t));
    for (; *lines; lines++) {
        apr_status_t rv = sal_keep_rule_parse(apr_array_push(*out), *lines, p, err);

        if (rv == APR_SUCCESS && (*out)->nelts > RULES_MAX) {
            rv = sal_fail(err, SAL_E_MALFORMED, "more than %d lines symbols-keep", RULES_MAX);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    if ((*out)->nelts == 0) {
        APR_ARRAY_PUSH(*out, sal_keep_rule_t) = defaults[0];
        APR_ARRAY_PUSH(*out, sal_keep_rule_t) = defaults[1];
    }
    return APR_SUCCESS;
}
