/*
 * From the path of a request to what it asks for: Tecken's layout with its prefixes, the two-tier
 * form of Microsoft's symbol stores, and the keys of SSQP. Pure text; asks no store.
 */
#include "symbols_private.h"

#include <ctype.h>

#include <apr_strings.h>

const char *symbols_prefix(request_rec *r)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);

    return dc->prefix ? dc->prefix : SYMBOLS_PREFIX;
}

/* Does the query string have this name, with or without a value? */
static int has_param(request_rec *r, const char *name)
{
    return r->args && web_param(web_query(r), name) != NULL;
}

static int parse_key(symbols_route_t *w, const char *path, request_rec *r)
{
    sal_symbol_key_t key;

    if (!sal_symbol_key_parse(&key, path, strlen(path), r->pool)) {
        return 0;
    }
    w->kind = SYMBOLS_ROUTE_KEY;
    w->file = key.debug_file;
    w->id = key.debug_id;
    w->leaf = key.leaf;
    return 1;
}

/* <name>/elf-buildid-<hex>/<name>, and its like for debug files and Mach-O. */
static int parse_ssqp(symbols_route_t *w, const char *path, request_rec *r)
{
    static const struct {
        const char *head;
        sal_build_part_t part;
    } forms[] = { { "elf-buildid-sym-", SAL_BUILD_DEBUGINFO },
                  { "elf-buildid-", SAL_BUILD_EXECUTABLE },
                  { "mach-uuid-sym-", SAL_BUILD_DEBUGINFO },
                  { "mach-uuid-", SAL_BUILD_EXECUTABLE } };
    const char *id = strchr(path, '/'), *leaf = id ? strchr(id + 1, '/') : NULL;

    if (!leaf || leaf == path || !leaf[1] || strchr(leaf + 1, '/')) {
        return 0;
    }
    id++;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i].head);

        if (!strncasecmp(id, forms[i].head, n)) {
            w->id = apr_pstrmemdup(r->pool, id + n, (apr_size_t)(leaf - id) - n);
            w->kind = SYMBOLS_ROUTE_BUILD;
            w->part = forms[i].part;
            w->file = apr_pstrmemdup(r->pool, path, (apr_size_t)(id - 1 - path));
            w->leaf = leaf + 1;
            return sal_build_id_valid(w->id);
        }
    }
    return 0;
}

/* "xu/xul.pdb/...": the first two characters of the name, one if the second is a dot. */
static const char *without_tier(const char *path)
{
    size_t n = strcspn(path, "/"), want;
    const char *rest = path + n + 1;

    if (!path[n] || !*rest) {
        return NULL;
    }
    want = rest[1] == '.' || rest[1] == '/' ? 1 : 2;
    return n == want && !strncasecmp(path, rest, n) ? rest : NULL;
}

/* Clients of Mozilla's first symbol servers put the product in front. */
static const char *without_product(const char *path)
{
    static const char *const products[] = { "firefox/",   "seamonkey/", "sunbird/", "thunderbird/",
                                            "xulrunner/", "fennec/",    "b2g/" };

    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        size_t n = strlen(products[i]);

        if (!strncmp(path, products[i], n)) {
            return path + n;
        }
    }
    return NULL;
}

static int parse_rest(symbols_route_t *w, const char *path, request_rec *r)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    const char *rest;

    if (parse_key(w, path, r) || parse_ssqp(w, path, r)) {
        return 1;
    }
    if ((rest = without_product(path)) && parse_key(w, rest, r)) {
        return 1;
    }
    rest = dc->two_tier == 1 ? without_tier(path) : NULL;
    return rest && (parse_key(w, rest, r) || parse_ssqp(w, rest, r));
}

int symbols_route(symbols_route_t *w, request_rec *r)
{
    const char *prefix = symbols_prefix(r), *path = r->uri;
    size_t n = strlen(prefix);

    if (strncmp(path, prefix, n)) {
        return 0;
    }
    path += n;
    if (!strcmp(path, "index2.txt") || !strcmp(path, "pingme.txt")) {
        w->kind = *path == 'i' ? SYMBOLS_ROUTE_INDEX2 : SYMBOLS_ROUTE_PING;
        return 1;
    }
    /* What is prefixed wins over a debug file called "try" or "v1", which keeps its own three. */
    if (!strncmp(path, "try/", 4)) {
        w->with_try = 1;
        w->stored = !strncmp(path + 4, "v1/", 3) && parse_key(w, path + 7, r);
        if (w->stored || parse_rest(w, path + 4, r)) {
            return 1;
        }
        w->with_try = 0;
    }
    if (!strncmp(path, "v1/", 3) && parse_key(w, path + 3, r)) {
        w->stored = 1;
    } else if (!parse_rest(w, path, r)) {
        return 0;
    }
    w->with_try = has_param(r, "try");
    return 1;
}
