/*
 * The throttler. Knows annotations, not what a condition is written in.
 */
#include "crash/throttle.h"

#include <stdint.h>
#include <strings.h>
#include <apr_general.h>

static const char *const names[] = { "ACCEPT", "DEFER", "REJECT", "FAKEACCEPT", "CONTINUE" };

static double draw_percent(void)
{
    uint32_t v = 0;

    if (apr_generate_random_bytes((unsigned char *)&v, sizeof(v)) != APR_SUCCESS) {
        return 0;
    }
    return v / 4294967296.0 * 100.0;
}

void sal_throttle_decide(sal_verdict_t *out, const sal_throttle_rules_t *rules,
                         const sal_annotations_t *a, double (*draw)(void), void *baton)
{
    for (int i = 0; i < rules->n; i++) {
        const sal_throttle_rule_t *rule = &rules->rules[i];
        sal_throttle_t result = rule->result;

        if (!rule->matches(rule->condition, a, baton)) {
            continue;
        }
        if (rule->percent < 100 && (draw ? draw() : draw_percent()) > rule->percent) {
            result = rule->otherwise;
        }
        if (result != SAL_THROTTLE_CONTINUE) {
            *out = (sal_verdict_t){ result, rule->name, rule->percent };
            return;
        }
    }
    if (rules->fallback == SAL_THROTTLE_ACCEPT) {
        *out = (sal_verdict_t){ SAL_THROTTLE_ACCEPT, "accept_everything", 100 };
    } else {
        *out = (sal_verdict_t){ rules->fallback, "NO_MATCH", 0 };
    }
}

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
