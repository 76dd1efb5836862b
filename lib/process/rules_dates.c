/*
 * R24: dates and ages. Client clocks are taken as they are; all arithmetic is 64-bit.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

#define TIME_DIGITS 10
#define VALUE_SHOWN 20 /* characters, in notes */

/* Seconds of the collector's acceptance; 0 if it cannot be read. A missing zone is UTC. */
static int64_t submitted_epoch(const char *text)
{
    apr_time_t t;

    return text && sal_time_parse(text, &t) ? apr_time_sec(t) : 0;
}

static int64_t crash_epoch(pass_t *pass, int64_t submitted)
{
    const json_t *v = json_object_get(pass->raw, "CrashTime");
    int64_t n;

    if (!v) {
        rule_note(pass, "WARNING: raw_crash missing CrashTime");
        return submitted;
    }
    if (!json_is_string(v)) {
        rule_note(pass, "WARNING: raw_crash[CrashTime] contains unexpected value: %s; not a text",
                  rule_shown(sal_json_text(v, pass->p), VALUE_SHOWN, pass->p));
        return submitted;
    }
    if (!rule_integer(apr_pstrndup(pass->p, json_string_value(v), TIME_DIGITS), &n)) {
        rule_note(pass, "non-integer value of \"CrashTime\"");
        return 0;
    }
    return n;
}

static int64_t whole(double d)
{
    return d > -9e18 && d < 9e18 ? (int64_t)d : 0;
}

/* Integer annotation, or the fallback if it is absent, or 0 with a note. */
static int64_t epoch_of(pass_t *pass, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(pass->raw, name);
    int64_t n;

    if (!v) {
        return fallback;
    }
    if (json_is_number(v)) {
        return json_is_integer(v) ? json_integer_value(v) : whole(json_real_value(v));
    }
    if (!json_is_string(v) || !rule_integer(json_string_value(v), &n)) {
        rule_note(pass, "non-integer value of \"%s\"", name);
        return 0;
    }
    return n;
}

static bool is_decimal(const char *text, apr_pool_t *p)
{
    const char *s = rule_trim(text, p);

    s += *s == '+';
    return *s && !s[strspn(s, "0123456789")];
}

static void set_last_crash(pass_t *pass)
{
    const json_t *v = json_object_get(pass->raw, "SecondsSinceLastCrash");
    const char *text = json_string_value(v);
    int64_t n;

    rule_set(pass, "last_crash", json_null());
    if (json_is_integer(v)) {
        rule_set_ref(pass, "last_crash", v);
    } else if (text && rule_integer(text, &n)) {
        rule_set_int(pass, "last_crash", n);
    } else if (text && is_decimal(text, pass->p)) {
        rule_note(pass, "\"SecondsSinceLastCrash\" larger than MAXINT - set to NULL");
    } else if (v) {
        rule_note(pass, "non-integer value of \"SecondsSinceLastCrash\"");
    }
}

static int64_t difference(int64_t a, int64_t b)
{
    int64_t d;

    return __builtin_sub_overflow(a, b, &d) ? (a > b ? INT64_MAX : INT64_MIN) : d;
}

const char *rule_DatesAndTimesRule(pass_t *pass)
{
    const char *submitted = rule_raw(pass, "submitted_timestamp");
    const json_t *field = json_object_get(pass->doc, "startup_time");
    int64_t accepted, crash, startup, install, uptime;

    if (!submitted) {
        return "KeyError";
    }
    rule_set_text(pass, "submitted_timestamp", submitted);
    rule_set_text(pass, "date_processed", submitted);
    accepted = submitted_epoch(submitted);
    crash = crash_epoch(pass, accepted);
    if (crash == accepted) {
        rule_note(pass, "client_crash_date is unknown");
    }
    startup = json_is_integer(field) ? json_integer_value(field) : crash;
    install = epoch_of(pass, "InstallTime", startup);
    uptime = difference(crash, startup);
    rule_set_int(pass, "crash_time", crash);
    rule_set_text(pass, "client_crash_date", sal_time_iso(apr_time_from_sec(crash), pass->p));
    rule_set_int(pass, "install_age", difference(crash, install));
    rule_set_int(pass, "uptime", uptime > 0 ? uptime : 0);
    set_last_crash(pass);
    return NULL;
}
