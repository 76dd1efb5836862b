/*
 * What the files of the signature room share: the lists, the state of one run, the steps.
 */
#ifndef SAL_SIGNATURE_SIG_PRIVATE_H
#define SAL_SIGNATURE_SIG_PRIVATE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include "signature/sig_text.h"
#include "signature/signature.h"

/* A file of the lists. Entry i stands in its line index[i], counted from 0. */
typedef struct sig_list_t {
    const char *file; /* its name */
    str_t *entry;
    int *index;
    size_t n;
    pcre2_code *code; /* the alternation of all; NULL: matches nothing, or a list of literals */
    bool jit;         /* code was compiled to machine code */
} sig_list_t;

struct sal_siglists_t {
    const char *dir;
    sig_list_t sentinels; /* literal */
    sig_list_t irrelevant, prefix, line_numbers;
    pcre2_code *lambda, *java_line, *lower; /* fixed patterns of the algorithm */
};

/* Which entry of which list decided. */
typedef struct sig_match_t {
    const sig_list_t *list; /* NULL: none */
    size_t entry;           /* SIZE_MAX: it did not say (an operator's (*ACCEPT)) */
} sig_match_t;

/* One run. `sig` is the signature so far; a step that fails says why in `failure`. */
typedef struct sig_run_t {
    apr_pool_t *p, *scratch;
    const sal_siglists_t *lists;
    const json_t *data;
    const char *rule;    /* class name that prefixes notes */
    int thread_override; /* 1: the crashing thread is taken as 0 */
    str_t sig, proto;
    bool has_proto;
    const char *failure;
    json_t *notes, *debug;
    json_t *why;            /* what sal_signature_explain gives back; NULL: nobody asked */
    json_t *why_frames;     /* of the base rule that runs now, in `why`; or NULL */
    sig_match_t line_match; /* set by normalising, for `why` */
    uint32_t match_limit;   /* of the next match */
    pcre2_match_data *match;
    pcre2_match_context *limits;
} sig_run_t;

/* Adds "<rule>: " + the three parts to the notes or to the debug log. */
void sig_note(sig_run_t *r, str_t a, str_t b, str_t c);
void sig_debug(sig_run_t *r, str_t a, str_t b, str_t c);
/* Sets the reason and returns false, so that a step ends with `return sig_failed(...)`. */
bool sig_failed(sig_run_t *r, const char *why);

/*
 * True if the list matches at the start of text; *by tells the entry. A limit that is reached
 * counts as no match, leaves a note, and lowers the limit for the rest of the run.
 */
bool sig_list_match(sig_run_t *r, const sig_list_t *list, str_t text, sig_match_t *by);
/* Every match of code replaced; the input itself if there is none or a limit is reached. */
str_t sig_replace(sig_run_t *r, const pcre2_code *code, str_t text, const char *with, bool all);

const json_t *sig_get(const sig_run_t *r, const char *key);
/* Member of an object; NULL also if v is no object. */
const json_t *sig_member(const json_t *v, const char *key);
int64_t sig_crashing_thread(const sig_run_t *r);
/* The thread object; *thread stays NULL if there is none. Fails if it is no object. */
bool sig_find_thread(sig_run_t *r, const json_t **thread);

/* normalize.c: a frame's function as it appears in signatures. line may be NULL. */
bool sig_normalize_cpp(sig_run_t *r, str_t *out, str_t function, const json_t *line);
bool sig_normalize_rust(sig_run_t *r, str_t *out, str_t function, const json_t *line);
str_t sig_last_token(str_t s, apr_pool_t *p);
typedef enum {
    COLLAPSE_CPP_ANGLE,
    COLLAPSE_CPP_PAREN,
    COLLAPSE_CLONE,
    COLLAPSE_RUST_ANGLE,
    COLLAPSE_RUST_PAREN
} collapse_t;
str_t sig_collapse(str_t s, collapse_t kind, apr_pool_t *p);

/* The base rule and its tools. Each returns false if the rule failed. */
bool sig_rule_base(sig_run_t *r);
bool sig_native(sig_run_t *r);
bool sig_java_text(sig_run_t *r);
bool sig_java_exception(sig_run_t *r);

/*
 * explain.c: what the run did, kept in r->why. All do nothing if r->why is NULL.
 */
typedef struct sig_why_frame_t {
    const json_t *function, *file, *line, *module, *offset, *unloaded; /* as they came; or NULL */
    bool is_inline;
    const char *how; /* the way of normalising that applied */
    str_t text;
} sig_why_frame_t;
void sig_why_tool(sig_run_t *r, const char *tool);
void sig_why_frame(sig_run_t *r, const sig_why_frame_t *frame);
void sig_why_decision(sig_run_t *r, int frame, const char *decision, const sig_match_t *by);
void sig_why_rule(sig_run_t *r, str_t before, size_t notes_before);
/* A reference for the caller. */
json_t *sig_why_done(sig_run_t *r, const sal_signature_t *sig);

/* rules_hang.c */
bool sig_rule_abort(sig_run_t *r);
bool sig_rule_shutdown_timeout(sig_run_t *r);

#endif
