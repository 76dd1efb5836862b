/*
 * The throttler. Knows annotations, not what a condition is written in.
 */
#include "crash/throttle.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"
#include "crash/extra_json.h"

#define NAME_MAX_LEN 64

static const char *const names[] = { "ACCEPT", "DEFER", "REJECT", "FAKEACCEPT", "CONTINUE" };

/* ---- deciding ---- */

static double draw_percent(void)
{
    uint32_t v = 0;

    if (apr_generate_random_bytes((unsigned char *)&v, sizeof(v)) != APR_SUCCESS) {
        return 0;
    }
    return v / 4294967296.0 * 100.0;
}

static void ask(sal_throttle_step_t *step, const sal_annotations_t *a, double (*draw)(void),
                void *baton)
{
    const sal_throttle_rule_t *rule = step->rule;

    step->drawn = -1;
    step->result = SAL_THROTTLE_CONTINUE;
    step->matched = rule->matches(rule->condition, a, baton);
    if (!step->matched) {
        return;
    }
    step->result = rule->result;
    if (rule->percent < 100) {
        step->drawn = draw ? draw() : draw_percent();
        step->result = step->drawn <= rule->percent ? rule->result : rule->otherwise;
    }
}

void sal_throttle_explain(sal_verdict_t *out, const sal_throttle_rules_t *rules,
                          const sal_annotations_t *a, double (*draw)(void), void *baton,
                          sal_throttle_step_fn step, void *step_baton)
{
    for (int i = 0; i < rules->n; i++) {
        sal_throttle_step_t s = { .rule = &rules->rules[i] };

        ask(&s, a, draw, baton);
        if (step) {
            step(step_baton, &s);
        }
        if (s.result != SAL_THROTTLE_CONTINUE) {
            *out = (sal_verdict_t){ s.result, s.rule->name, s.rule->percent };
            return;
        }
    }
    if (rules->fallback == SAL_THROTTLE_ACCEPT) {
        *out = (sal_verdict_t){ SAL_THROTTLE_ACCEPT, "accept_everything", 100 };
    } else {
        *out = (sal_verdict_t){ rules->fallback, "NO_MATCH", 0 };
    }
}

void sal_throttle_decide(sal_verdict_t *out, const sal_throttle_rules_t *rules,
                         const sal_annotations_t *a, double (*draw)(void), void *baton)
{
    sal_throttle_explain(out, rules, a, draw, baton, NULL, NULL);
}

/* ---- names and results ---- */

const char *sal_throttle_name(sal_throttle_t result)
{
    return names[result];
}

bool sal_throttle_parse(const char *name, sal_throttle_t *out)
{
    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (!strcasecmp(name, names[i])) {
            *out = (sal_throttle_t)i;
            return true;
        }
    }
    return false;
}

bool sal_throttle_name_ok(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && name[i] != '_') {
            return false;
        }
    }
    return len >= 1 && len <= NAME_MAX_LEN && strcasecmp(name, "NO_MATCH") != 0;
}

/* Digits, and up to six more behind a dot. */
static bool parse_percent(const char *text, double *out)
{
    size_t whole = strspn(text, "0123456789"), rest = 0;

    if (text[whole] == '.') {
        rest = strspn(text + whole + 1, "0123456789");
        if (!rest || rest > 6 || text[whole + 1 + rest]) {
            return false;
        }
    } else if (text[whole]) {
        return false;
    }
    *out = whole >= 1 && whole <= 3 ? strtod(text, NULL) : -1;
    return *out >= 0 && *out <= 100;
}

const char *sal_throttle_parse_result(const char *text, sal_throttle_rule_t *out, apr_pool_t *p)
{
    char *word = apr_pstrdup(p, text), *percent = strchr(word, ':'), *otherwise = NULL;

    out->percent = 100;
    out->otherwise = SAL_THROTTLE_CONTINUE;
    if (percent) {
        *percent++ = '\0';
        otherwise = strchr(percent, ':');
        if (otherwise) {
            *otherwise++ = '\0';
        }
    }
    if (!sal_throttle_parse(word, &out->result) ||
        (otherwise && !sal_throttle_parse(otherwise, &out->otherwise))) {
        return apr_psprintf(p,
                            "\"%s\" is none of accept, defer, reject, fakeaccept, continue; "
                            "a result is RESULT[:PERCENT[:ELSE]]",
                            sal_throttle_parse(word, &out->result) ? otherwise : word);
    }
    if (percent && !parse_percent(percent, &out->percent)) {
        return apr_psprintf(p, "\"%s\" is not a percentage from 0 to 100", percent);
    }
    return NULL;
}

/* ---- build ids ---- */

/* The date of eight digits as seconds of a calendar without zones; false if there is no such day.
 */
static bool date_of(const char *digits, time_t *out)
{
    char text[9];
    struct tm t = { 0 }, back;
    long n;

    memcpy(text, digits, 8);
    text[8] = '\0';
    n = strtol(text, NULL, 10);
    t.tm_year = (int)(n / 10000) - 1900;
    t.tm_mon = (int)(n / 100 % 100) - 1;
    t.tm_mday = (int)(n % 100);
    back = t;
    *out = timegm(&back);
    return back.tm_year == t.tm_year && back.tm_mon == t.tm_mon && back.tm_mday == t.tm_mday;
}

bool sal_throttle_old_buildid(const char *text, int days, apr_time_t now)
{
    time_t built, seconds = (time_t)apr_time_sec(now), wall;
    struct tm local;

    if (strlen(text) != 14 || strspn(text, "0123456789") != 14 || text[0] != '2' ||
        text[1] != '0' || !date_of(text, &built) || !localtime_r(&seconds, &local)) {
        return false;
    }
    wall = timegm(&local) - (time_t)days * 86400;
    return built < wall || (built == wall && apr_time_usec(now) > 0);
}

/* ---- TelemetryEnvironment ---- */

typedef struct member_t {
    const char *name;
    char *text; /* of the last member of that name, in pool */
    char kind;
    apr_pool_t *pool;
} member_t;

static apr_status_t keep_member(void *baton, const char *key, apr_size_t key_len, const char *value,
                                apr_size_t value_len, char kind, bool key_nul)
{
    member_t *wanted = baton;
    apr_size_t len = strlen(wanted->name);

    if (!key_nul && key_len == len && !memcmp(key, wanted->name, len)) {
        wanted->kind = kind;
        wanted->text = value ? apr_pstrmemdup(wanted->pool, value, value_len) : NULL;
    }
    return APR_SUCCESS;
}

/* The member of a JSON object, last one wins; NULL if there is none of that kind. */
static char *member_of(const char *text, const char *name, const char *kinds, apr_pool_t *p)
{
    member_t wanted = { .name = name, .pool = p };
    apr_size_t size = strlen(text);

    if (sal_extra_json_read(apr_pstrmemdup(p, text, size), size, keep_member, &wanted, p, NULL) !=
            APR_SUCCESS ||
        !wanted.text || !strchr(kinds, wanted.kind)) {
        return NULL;
    }
    return wanted.text;
}

static bool is_old_windows(const char *text, int64_t max, apr_pool_t *p)
{
    const char *system = member_of(text, "system", "{", p), *os, *name, *build;
    int64_t number;

    os = system ? member_of(system, "os", "{", p) : NULL;
    name = os ? member_of(os, "name", "\"", p) : NULL;
    if (!name || strcmp(name, "Windows_NT")) {
        return false;
    }
    build = member_of(os, "windowsBuildNumber", "-0123456789", p);
    return build && sal_parse_int(build, INT64_MIN, max, &number) && number != 0;
}

bool sal_throttle_windows_upto(const char *text, int64_t max, apr_pool_t *p)
{
    apr_pool_t *tmp; /* the document may be large, and only two of its values are wanted */
    bool old;

    if (text[strspn(text, " \t\r\n")] != '{') {
        return false;
    }
    apr_pool_create(&tmp, p);
    old = is_old_windows(text, max, tmp);
    apr_pool_destroy(tmp);
    return old;
}
