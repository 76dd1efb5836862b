/*
 * Names as signatures know them: clone suffixes off, demangled with parameters, without return
 * type.
 *
 * libiberty does the work; this file decides what is handed to it and bounds what comes back. A
 * mangled name is hostile input: a few hundred bytes of back references can stand for terabytes of
 * text, so the text arrives through a callback that leaves the demangler when it has seen enough.
 * Its recursion limit is left on. Thread-safe: no state but the caller's.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

#include "dumpsyms/dump_private.h"

enum {
    NAME_LIMIT = 1 << 16, /* of demangled text; longer names stay mangled */
    INPUT_LIMIT = 1 << 16 /* of mangled text: libiberty's stack grows with it */
};

/* What compilers append to the name of a part or a copy of a function. */
static const char *const suffixes[] = { "cold",     "constprop", "llvm", "localalias",
                                        "lto_priv", "isra",      "part", "str" };

static size_t suffix_at(const char *name, size_t len)
{
    size_t digits = len, end;

    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
        digits--;
    }
    end = digits < len && digits > 0 && name[digits - 1] == '.' ? digits - 1 : len;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t n = strlen(suffixes[i]);

        if (end > n && name[end - n - 1] == '.' && memcmp(name + end - n, suffixes[i], n) == 0) {
            return end - n - 1;
        }
    }
    return len;
}

/* " [clone .cold]" as some demanglers leave it; returns the length without it. */
static size_t clone_at(const char *name, size_t len)
{
    size_t end = len > 0 && name[len - 1] == ' ' ? len - 1 : len, i;

    if (end == 0 || name[end - 1] != ']') {
        return len;
    }
    for (i = end - 1; i > 0 && name[i - 1] != '[' && name[i - 1] != ']'; i--) {
    }
    if (i == 0 || name[i - 1] != '[' || strncmp(name + i, "clone", 5) != 0) {
        return len;
    }
    i--;
    return i > 0 && name[i - 1] == ' ' ? i - 1 : i;
}

/* A name that is nothing but suffixes keeps its text: an empty name helps nobody. */
static size_t length_without_suffixes(const char *name, size_t len)
{
    size_t cut = len;

    for (;;) {
        size_t next = suffix_at(name, cut);

        if (next == cut) {
            next = clone_at(name, cut);
        }
        if (next == cut) {
            break;
        }
        cut = next;
    }
    return cut > 0 ? cut : len;
}

typedef struct text_t {
    char *buf;
    size_t len, size;
    jmp_buf enough;
} text_t;

static void text_add(const char *s, size_t n, void *baton)
{
    text_t *t = baton;

    if (n > NAME_LIMIT - t->len) {
        longjmp(t->enough, 1);
    }
    if (t->len + n + 1 > t->size) {
        size_t size = t->size * 2 > t->len + n + 1 ? t->size * 2 : t->len + n + 1;
        char *buf = realloc(t->buf, size);

        if (buf == NULL) {
            longjmp(t->enough, 1);
        }
        t->buf = buf;
        t->size = size;
    }
    memcpy(t->buf + t->len, s, n);
    t->len += n;
}

/* Rust first: its legacy names are C++ names too, with a hash that only its demangler drops. */
static bool demangle_to(text_t *t, const char *mangled)
{
    int options = DMGL_PARAMS | DMGL_ANSI | DMGL_RET_DROP;

    if (setjmp(t->enough) != 0) {
        return false;
    }
    if (rust_demangle_callback(mangled, DMGL_PARAMS | DMGL_ANSI, text_add, t) != 0) {
        return true;
    }
    t->len = 0;
    if (mangled[0] == '_' && mangled[1] == 'R') {
        return false;
    }
    return cplus_demangle_v3_callback(mangled, options, text_add, t) != 0;
}

bool dump_is_mangled(const char *name)
{
    size_t under = strspn(name, "_");

    /* The four underscores are Apple's; "_R" alone is Rust's v0. */
    return under > 0 && under <= 4 && (name[under] == 'Z' || (under == 1 && name[under] == 'R'));
}

char *dump_demangle(const char *mangled)
{
    size_t len = strlen(mangled), cut = length_without_suffixes(mangled, len);
    char *plain = malloc(cut + 1);
    text_t t;

    if (plain == NULL) {
        return NULL;
    }
    memset(&t, 0, sizeof(t));
    memcpy(plain, mangled, cut);
    plain[cut] = '\0';
    if (cut > INPUT_LIMIT || !dump_is_mangled(plain)) {
        return plain;
    }
    if (demangle_to(&t, plain) && t.len > 0) {
        t.buf[t.len] = '\0';
        free(plain);
        return t.buf;
    }
    free(t.buf);
    return plain;
}
