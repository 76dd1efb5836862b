/*
 * An upstream server as it is written down: in salvage.conf, in a directive, on a command line.
 * Knows no network, so that every program can say what is wrong with one.
 */
#include "upstream/upstream.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/file.h"

enum { HEADER_MAX = 8192, URL_MAX = 2000 };

static const struct {
    const char *name;
    sal_upstream_layout_t layout;
    unsigned ask;
} layouts[] = {
    { "tecken", SAL_UPSTREAM_TECKEN, SAL_UPSTREAM_SYM },
    { "breakpad", SAL_UPSTREAM_TECKEN, SAL_UPSTREAM_SYM },
    { "symstore", SAL_UPSTREAM_SYMSTORE, SAL_UPSTREAM_PDB | SAL_UPSTREAM_PE },
    { "debuginfod", SAL_UPSTREAM_DEBUGINFOD, SAL_UPSTREAM_ELF },
};

static const struct {
    const char *name;
    unsigned kind;
} kinds[] = {
    { "sym", SAL_UPSTREAM_SYM }, { "pdb", SAL_UPSTREAM_PDB }, { "pe", SAL_UPSTREAM_PE },
    { "elf", SAL_UPSTREAM_ELF }, { "all", SAL_UPSTREAM_ALL }, { "other", SAL_UPSTREAM_OTHER },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool usable_url(const char *url)
{
    size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;

    if (!scheme || !url[scheme] || url[scheme] == '/' || strlen(url) > URL_MAX ||
        strpbrk(url, "?#\"<>\\^`{}|")) {
        return false;
    }
    for (const char *s = url; *s; s++) {
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f) {
            return false;
        }
    }
    return true;
}

static apr_status_t set_layout(sal_upstream_server_t *s, const char *name, sal_error_t *err)
{
    for (size_t i = 0; i < COUNT(layouts); i++) {
        if (!strcmp(layouts[i].name, name)) {
            s->layout = layouts[i].layout;
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_EINVAL, "layout=%s: layouts are tecken, symstore, debuginfod", name);
}

static apr_status_t set_ask(sal_upstream_server_t *s, const char *list, apr_pool_t *p,
                            sal_error_t *err)
{
    char *last = NULL;

    for (char *name = apr_strtok(apr_pstrdup(p, list), ",", &last); name;
         name = apr_strtok(NULL, ",", &last)) {
        size_t i = 0;

        while (i < COUNT(kinds) && strcmp(kinds[i].name, name) != 0) {
            i++;
        }
        if (i == COUNT(kinds)) {
            return sal_fail(err, APR_EINVAL,
                            "ask=%s: what may be asked for is sym, pdb, pe, elf, other, all", name);
        }
        s->ask |= kinds[i].kind;
    }
    return s->ask ? APR_SUCCESS : sal_fail(err, APR_EINVAL, "ask= names nothing");
}

static apr_status_t read_header(sal_upstream_server_t *s, const char *path, apr_pool_t *p,
                                sal_error_t *err)
{
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, HEADER_MAX, p, err);
    size_t name;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    text[strcspn(text, "\r\n")] = '\0';
    name = strcspn(text, ":");
    if (name == 0 || text[name] != ':' || strcspn(text, " \t") < name) {
        return sal_fail(err, APR_EINVAL, "%s: its first line is not a header, `Name: value`", path);
    }
    s->header = text;
    return APR_SUCCESS;
}

static apr_status_t set_one(sal_upstream_server_t *s, const char *word, apr_pool_t *p,
                            sal_error_t *err)
{
    if (!strncmp(word, "layout=", 7)) {
        return set_layout(s, word + 7, err);
    }
    if (!strncmp(word, "ask=", 4)) {
        return set_ask(s, word + 4, p, err);
    }
    if (!strncmp(word, "header-file=", 12)) {
        return read_header(s, word + 12, p, err);
    }
    return sal_fail(err, APR_EINVAL, "\"%s\" is not layout=, ask= or header-file=", word);
}

apr_status_t sal_upstream_server_parse(sal_upstream_server_t *out, const char *text, apr_pool_t *p,
                                       sal_error_t *err)
{
    char *last = NULL, *url = apr_strtok(apr_pstrdup(p, text), " \t", &last);
    apr_status_t rv = APR_SUCCESS;

    *out = (sal_upstream_server_t){ .layout = SAL_UPSTREAM_TECKEN };
    if (!url || !usable_url(url)) {
        return sal_fail(err, APR_EINVAL,
                        "\"%s\" is not an http or https URL without query and fragment",
                        url ? url : "");
    }
    for (size_t n = strlen(url); url[n - 1] == '/'; n--) {
        url[n - 1] = '\0';
    }
    out->url = url;
    for (char *word; rv == APR_SUCCESS && (word = apr_strtok(NULL, " \t", &last)) != NULL;) {
        rv = set_one(out, word, p, err);
    }
    for (size_t i = 0; i < COUNT(layouts) && !out->ask; i++) {
        out->ask = layouts[i].layout == out->layout ? layouts[i].ask : 0;
    }
    return rv;
}

unsigned sal_upstream_kind_of(const char *leaf)
{
    static const struct {
        const char *ending;
        unsigned kind;
    } endings[] = {
        { ".sym", SAL_UPSTREAM_SYM }, { ".pdb", SAL_UPSTREAM_PDB }, { ".pd_", SAL_UPSTREAM_PDB },
        { ".dll", SAL_UPSTREAM_PE },  { ".dl_", SAL_UPSTREAM_PE },  { ".exe", SAL_UPSTREAM_PE },
        { ".ex_", SAL_UPSTREAM_PE },  { ".sys", SAL_UPSTREAM_PE },  { ".sy_", SAL_UPSTREAM_PE },
        { ".drv", SAL_UPSTREAM_PE },  { ".ocx", SAL_UPSTREAM_PE },  { ".cpl", SAL_UPSTREAM_PE },
    };
    const char *dot = strrchr(leaf, '.');

    for (size_t i = 0; dot && i < COUNT(endings); i++) {
        if (!strcasecmp(dot, endings[i].ending)) {
            return endings[i].kind;
        }
    }
    return SAL_UPSTREAM_OTHER;
}
