/*
 * R40, R49, R50: the beta version, the signature, and what depends on it.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"

/* ---- R40 ---- */

static bool one_of(const char *text, const char *a, const char *b)
{
    return text && (!strcmp(text, a) || !strcmp(text, b));
}

/* Is the name in a list between blanks? */
static bool listed(const char *name, const char *list)
{
    size_t n = name ? strlen(name) : 0;

    while (n && *list) {
        size_t one = strcspn(list, " \t");

        if (one == n && !memcmp(list, name, n)) {
            return true;
        }
        list += one + strspn(list + one, " \t");
    }
    return false;
}

const char *rule_BetaVersionRule(pass_t *pass)
{
    const sal_process_opts_t *opts = pass->opts;
    const char *product = rule_text(pass, "product"), *build = rule_text(pass, "build");
    const char *channel = rule_text(pass, "release_channel"), *known = NULL;
    const char *version = rule_text(pass, "version");

    if (!listed(product, opts->beta_products ? opts->beta_products : "Firefox Thunderbird") ||
        !channel || !one_of(rule_lower(channel, pass->p), "beta", "aurora")) {
        return NULL;
    }
    if (!version) {
        return "version is missing";
    }
    channel = rule_lower(channel, pass->p);
    if (build && *build && opts->version) {
        bool developer = !strcmp(product, "Firefox") && !strcmp(channel, "aurora") &&
                         strcmp(build, "20170601") > 0;

        known = opts->version(developer ? "DevEdition" : product, channel, build,
                              opts->version_baton, pass->p);
        rule_count(pass, "betaversionrule.lookup", known ? "result:success" : "result:fail");
    }
    if (known) {
        rule_set_text(pass, "version", known);
        return NULL;
    }
    rule_note(pass,
              "release channel is %s but no version data was found - added \"b0\" suffix "
              "to version number",
              rule_text(pass, "release_channel"));
    rule_set_text(pass, "version", apr_pstrcat(pass->p, version, "b0", NULL));
    return NULL;
}

/* ---- R49, R50 ---- */

const char *rule_SignatureGeneratorRule(pass_t *pass)
{
    json_t *data = sal_json_own(sal_crash_data_of(pass->doc), pass->p);
    sal_signature_t out;
    json_t *notes;

    sal_signature_make(&out, data, pass->opts->siglists, pass->p);
    rule_set_text(pass, "signature", out.signature);
    if (out.proto_signature) {
        rule_set(pass, "proto_signature",
                 json_stringn_nocheck(out.proto_signature, out.proto_size));
    }
    rule_set_text(pass, "signature_debug", sal_signature_lines_text(&out.debug, pass->p));
    notes = sal_signature_lines_json(&out.notes);
    json_array_extend(pass->notes, notes);
    json_decref(notes);
    return NULL;
}

/* The signature was taken from thread 0, so thread 0 is the one to show. */
const char *rule_ShutDownHangCrashingThreadRule(pass_t *pass)
{
    if (rule_starts(rule_text(pass, "signature"), "shutdownhang")) {
        rule_set_int(pass, "crashing_thread", 0);
    }
    return NULL;
}
