/*
 * Names and ids of modules, and the leaf name of their symbols. Pure text; knows no file.
 */
#include "symbols/module_id.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/text.h"

void sal_debug_id_of_build_id(char out[34], const void *build_id, apr_size_t size)
{
    /* A GUID prints its first three fields as little-endian numbers: swap 4, 2, 2. */
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    uint8_t id[16] = { 0 };

    memcpy(id, build_id, size < sizeof(id) ? size : sizeof(id));
    for (int i = 0; i < 16; i++) {
        snprintf(out + 2 * i, 3, "%02X", id[order[i]]);
    }
    memcpy(out + 32, "0", 2);
}

const char *sal_debug_id_of_hex(const char *build_id, apr_pool_t *p)
{
    apr_size_t n = strlen(build_id);
    uint8_t bytes[16] = { 0 };
    char id[34];

    if (n < 16 || n > 128 || n % 2) {
        return NULL;
    }
    for (apr_size_t i = 0; i < n / 2; i++) {
        uint64_t v;

        if (!sal_parse_hex(build_id + 2 * i, 2, &v)) {
            return NULL;
        }
        if (i < sizeof(bytes)) {
            bytes[i] = (uint8_t)v;
        }
    }
    sal_debug_id_of_build_id(id, bytes, sizeof(bytes));
    return apr_pstrdup(p, id);
}

bool sal_debug_id_valid(const char *id)
{
    bool nonzero = false;
    apr_size_t n = 0;

    if (!id) {
        return false;
    }
    for (; id[n]; n++) {
        unsigned char c = (unsigned char)id[n], letter = c | 0x20;

        if ((c < '0' || c > '9') && (letter < 'a' || letter > 'f')) {
            return false;
        }
        nonzero |= c != '0';
    }
    return nonzero;
}

/* Value of the hex digits s[0..n), at most 16 of them. */
static uint64_t hex_value(const char *s, apr_size_t n)
{
    uint64_t v = 0;

    for (apr_size_t i = 0; i < n; i++) {
        int c = tolower((unsigned char)s[i]);

        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return v;
}

/* Upper-case copy of n digits, then the age in lower case without leading zeros. */
static void put_id(char *out, const char *digits, apr_size_t n, const char *age, apr_size_t age_len)
{
    for (apr_size_t i = 0; i < n; i++) {
        out[i] = (char)toupper((unsigned char)digits[i]);
    }
    snprintf(out + n, SAL_DEBUG_ID_SIZE - n, "%x", (unsigned)hex_value(age, age_len));
}

bool sal_debug_id_canonical(char out[SAL_DEBUG_ID_SIZE], const char *id)
{
    char digits[64];
    apr_size_t n = 0;
    apr_size_t at = 0;

    out[0] = '\0';
    if (!id) {
        return false;
    }
    /* A hyphenated UUID has its hyphens after 8, 12, 16 and 20 digits; the age may follow one. */
    for (; id[at]; at++) {
        if (id[at] == '-' && (n == 8 || n == 12 || n == 16 || n == 20 || n == 32) &&
            id[at - 1] != '-') {
            continue;
        }
        if (!isxdigit((unsigned char)id[at])) {
            return false;
        }
        if (n < sizeof(digits)) { /* past the age nothing counts, but must be hex */
            digits[n++] = id[at];
        }
    }
    if (strchr(id, '-') && n < 32) {
        return false;
    }
    if (n >= 32) {
        put_id(out, digits, 32, digits + 32, n - 32 > 8 ? 8 : n - 32);
    } else if (n >= 9 && n <= 16) {
        put_id(out, digits, 8, digits + 8, n - 8); /* PDB 2.0: timestamp and age */
    }
    return out[0] && sal_debug_id_valid(out);
}

bool sal_debug_id_same(const char *a, const char *b)
{
    char ca[SAL_DEBUG_ID_SIZE];
    char cb[SAL_DEBUG_ID_SIZE];

    if (sal_debug_id_canonical(ca, a) && sal_debug_id_canonical(cb, b)) {
        return strcmp(ca, cb) == 0;
    }
    return a && b && strcasecmp(a, b) == 0;
}

const char *sal_symbols_leaf(const char *debug_file, apr_pool_t *p)
{
    apr_size_t n = strlen(debug_file);

    if (n >= 4 && strcasecmp(debug_file + n - 4, ".pdb") == 0) {
        n -= 4;
    }
    return apr_pstrcat(p, apr_pstrmemdup(p, debug_file, n), ".sym", NULL);
}

bool sal_symbols_name_valid(const char *s, apr_size_t len)
{
    /* Once per part of each download's path, so a table: what no name holds, and U+0080 to U+00FF,
     * whose lead bytes are C2 and C3. */
    static const bool forbidden[256] = {
        [0 ... 0x1f] = true, [0x7f] = true, ['\\'] = true, ['^'] = true, ['`'] = true,
        ['>'] = true,        ['<'] = true,  ['{'] = true,  ['}'] = true, ['['] = true,
        [']'] = true,        ['#'] = true,  ['%'] = true,  ['"'] = true, ['\''] = true,
        ['|'] = true,        ['/'] = true,  [0xc2] = true, [0xc3] = true
    };
    unsigned char all = 0;

    if (len == 0 || len > 255 || (len == 1 && s[0] == '.') ||
        (len == 2 && s[0] == '.' && s[1] == '.')) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (forbidden[c]) {
            return false;
        }
        all |= c;
    }
    return all < 0x80 || sal_utf8_valid(s, len);
}
