/*
 * R40, R49, R50: the beta version, the signature, and what depends on it.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"

/* ---- R40 ---- */

/* True if a word stands in a list whose words are parted by a character. */
static bool listed(const char *list, char by, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; at && len; at = strchr(at, by)) {
        at += *at == by;
        if (!strncmp(at, word, len) && (at[len] == by || !at[len])) {
            return true;
        }
    }
    return false;
}

/* Betas of which products are looked up: salvage.conf may say so shortly, else a table does. */
static bool is_beta(const pass_t *pass, const char *product, const char *channel)
{
    const char *products = pass->opts->beta_products;

    if (products) {
        return listed(products, ' ', product) && listed("beta,aurora", ',', channel);
    }
    return listed(table_value(pass->tables, TABLE_BETA_PRODUCT, product), ',', channel);
}

/* The name under which a build is looked up. */
static const char *lookup_name(const pass_t *pass, const char *product, const char *channel,
                               const char *build)
{
    size_t n;
    const table_row_t *row = table_rows(pass->tables, TABLE_BETA_RENAME, &n);
    const char *prefix = apr_pstrcat(pass->p, product, ":", channel, ":", NULL);

    for (size_t i = 0; i < n; i++) {
        if (rule_starts(row[i].key, prefix) && strcmp(build, row[i].key + strlen(prefix)) > 0) {
            return row[i].value;
        }
    }
    return product;
}

const char *rule_BetaVersionRule(pass_t *pass)
{
    const sal_process_opts_t *opts = pass->opts;
    const char *product = rule_text(pass, "product"), *build = rule_text(pass, "build");
    const char *channel = rule_text(pass, "release_channel"), *known = NULL;
    const char *version = rule_text(pass, "version");

    if (!product || !channel) {
        return NULL;
    }
    channel = rule_lower(channel, pass->p);
    if (!is_beta(pass, product, channel)) {
        return NULL;
    }
    build = build ? rule_trim(build, pass->p) : "";
    if (*build && opts->version) {
        known = opts->version(lookup_name(pass, product, channel, build), channel, build,
                              opts->version_baton, pass->p);
    }
    if (known) {
        rule_set_text(pass, "version", known);
        return NULL;
    }
    if (!version) {
        return "KeyError";
    }
    rule_note(pass,
              "release channel is %s but no version data was found - added \"b0\" suffix "
              "to version number",
              channel);
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
