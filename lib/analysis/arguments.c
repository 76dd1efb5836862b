/*
 * What x86 functions seem to have been called with: their names say how many arguments there are,
 * the stack holds them above the return address. A guess: every argument is taken to be a word, and
 * every function to be cdecl, or thiscall if it is a member. For people only.
 */
#include "analysis/analysis_private.h"

#include <stdio.h>

enum { EAX = 6, ESP = 1, WORD = 4, MAX_NAME = 4096, MAX_ARGUMENTS = 64 };

typedef struct arguments_t {
    bool member;
    unsigned n;
    struct {
        const char *s;
        size_t len;
    } names[MAX_ARGUMENTS];
} arguments_t;

static void add(arguments_t *a, const char *s, const char *end)
{
    while (s < end && *s == ' ') {
        s++;
    }
    while (s < end && end[-1] == ' ') {
        end--;
    }
    if (a->n < MAX_ARGUMENTS) {
        a->names[a->n].s = s;
        a->names[a->n++].len = (size_t)(end - s);
    }
}

/* Splits at the commas that are in no template and no inner parentheses; false if those are odd. */
static bool split(arguments_t *a, const char *s, const char *end)
{
    const char *start = s;
    int angles = 0, parens = 0;

    for (; s < end; s++) {
        angles += (*s == '<') - (*s == '>');
        parens += (*s == '(') - (*s == ')');
        if (angles < 0 || parens < 0) {
            return false;
        }
        if (*s == ',' && angles == 0 && parens == 0) {
            add(a, start, s);
            start = s + 1;
        }
    }
    add(a, start, end);
    if (a->n == 1 &&
        (a->names[0].len == 0 || (a->names[0].len == 4 && !memcmp(a->names[0].s, "void", 4)))) {
        a->n = 0; /* f(), f(void) */
    }
    return angles == 0 && parens == 0;
}

/* The list of a name that has one, in its outermost parentheses. */
static bool parse(arguments_t *a, const char *name)
{
    const char *open = strchr(name, '('), *close = strrchr(name, ')'), *scope = strstr(name, "::");

    memset(a, 0, sizeof(*a));
    if (!open || !close || close < open || strlen(name) > MAX_NAME) {
        return false;
    }
    a->member = scope && scope < open;
    return split(a, open + 1, close);
}

static json_t *word_json(const sal_md_memory_t *stack, uint64_t address, uint64_t end)
{
    uint32_t v;
    char text[16];

    if (address >= end || address < stack->base ||
        !sal_span_u32(&stack->bytes, address - stack->base, &v)) {
        return json_null();
    }
    snprintf(text, sizeof(text), "0x%08x", v);
    return json_string(text);
}

static json_t *this_json(const sal_frame_t *f)
{
    char text[16];

    if (!(f->regs.valid >> EAX & 1)) {
        return json_null();
    }
    snprintf(text, sizeof(text), "0x%08x", (unsigned)f->regs.value[EAX]);
    return json_string(text);
}

/* Stack pointer of frame i; the stack's end behind the last. */
static uint64_t sp_of(const sal_frame_t *walked, size_t n, size_t i, const sal_md_memory_t *stack)
{
    return i < n ? walked[i].regs.value[ESP] : stack->base + stack->bytes.size;
}

void sal_analysis_arguments(sal_analysis_t *r, json_t *frames, const sal_frame_t *walked, size_t n,
                            const sal_md_memory_t *stack)
{
    arguments_t a;

    for (size_t i = 0; r->md->system.cpu == SAL_CPU_X86 && i < n; i++) {
        json_t *frame = json_array_get(frames, i), *list;
        const char *name = sal_json_str(frame, "function");
        uint64_t at = sp_of(walked, n, i + 1, stack), end = sp_of(walked, n, i + 2, stack);

        if (!name || !parse(&a, name)) {
            continue;
        }
        list = json_array();
        if (a.member) { /* Visual C++ passes it in a register */
            json_array_append_new(
                list, json_pack("{s:s,s:o}", "name", "this", "value", this_json(&walked[i])));
        }
        for (unsigned k = 0; k < a.n; k++, at += WORD) {
            json_array_append_new(list,
                                  json_pack("{s:o,s:o}", "name",
                                            sal_analysis_name(r, a.names[k].s, a.names[k].len),
                                            "value", word_json(stack, at, end)));
        }
        json_object_set_new(frame, "arguments",
                            json_pack("{s:b,s:o}", "member", a.member, "list", list));
    }
}
