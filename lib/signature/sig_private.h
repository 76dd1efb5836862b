/*
 * What the files of the signature room share: the lists, the state of one run, the steps.
 */
#ifndef SAL_SIGNATURE_SIG_PRIVATE_H
#define SAL_SIGNATURE_SIG_PRIVATE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include "signature/literals.h"
#include "signature/sig_text.h"
#include "signature/signature.h"

/* An entry that is more than a literal. */
typedef struct sig_special_t {
    size_t entry;
    int needle;       /* of the list: a text without it cannot match; or -1 */
    pcre2_code *code; /* anchored; NULL: the needle says it all */
    bool jit;         /* code was compiled to machine code */
} sig_special_t;

/*
 * A file of the lists. Entry i stands in its line index[i], counted from 0. Most entries are
 * literals. Of the others, `able` has those that need one of a few first bytes: of byte c
 * able[start[c]] to able[start[c + 1]]; `any` the rest. Both are indexes of special, ascending.
 */
typedef struct sig_list_t {
    const char *file; /* its name */
    str_t *entry;
    int *index;
    size_t n;
    sig_prefixes_t literals;
    sig_needles_t needles;
    sig_special_t *special;
    uint32_t *able, *any;
    size_t start[257], n_any;
} sig_list_t;

struct sal_siglists_t {
    const char *dir;
    str_t debug_from;     /* the debug line that names dir */
    sig_list_t sentinels; /* literals only */
    sig_list_t irrelevant, prefix, line_numbers;
    sig_needles_t oom, watchdog;            /* what the rules look for in a signature */
    pcre2_code *lambda, *java_line, *lower; /* fixed patterns of the algorithm */
};

/* Which entry of which list decided. */
typedef struct sig_match_t {
    const sig_list_t *list; /* NULL: none */
    size_t entry;
} sig_match_t;

/* What the rules read of crash data, and of the crashing thread. */
typedef enum {
    IN_HANG,
    IN_OOM_SIZE,
    IN_JS_LARGE,
    IN_ABORT,
    IN_WALKER_STATUS,
    IN_SHUTDOWN,
    IN_IPC_ERROR,
    IN_IPC_NAME,
    IN_MINIDUMPS,
    IN_CRASHING_THREAD,
    IN_REASON,
    IN_THREADS,
    IN_OS,
    IN_JAVA_EXCEPTION,
    IN_JAVA_TRACE,
    IN_COUNT
} sig_in_t;
enum { THREAD_FRAMES, THREAD_LAST_ERROR, THREAD_COUNT };

/* Lines of notes and of the debug log. */
typedef struct sig_lines_t {
    sal_signature_line_t *line;
    size_t n, cap;
} sig_lines_t;

/* One run. `sig` is the signature so far; a step that fails says why in `failure`. */
typedef struct sig_run_t {
    apr_pool_t *p;
    apr_pool_t *scratch; /* of large intermediate texts; NULL until one comes */
    const sal_siglists_t *lists;
    const json_t *in[IN_COUNT];
    bool has_thread;      /* `thread` was looked up */
    const json_t *thread; /* NULL: there is none */
    const json_t *of_thread[THREAD_COUNT];
    const char *rule;     /* class name that prefixes notes */
    bool thread_override; /* the crashing thread is taken as 0 */
    str_t sig, proto;
    bool has_proto;
    const char *failure;
    sig_lines_t notes, debug;
    json_t *why;             /* what sal_signature_explain gives back; NULL: nobody asked */
    json_t *why_frames;      /* of the base rule that runs now, in `why`; or NULL */
    sig_match_t line_match;  /* set by normalising, for `why` */
    uint32_t match_limit;    /* of the next match */
    pcre2_match_data *match; /* NULL until an expression is matched */
    pcre2_match_context *limits;
} sig_run_t;

/* Adds "<rule>: " + the three parts to the notes or to the debug log. */
void sig_note(sig_run_t *r, str_t a, str_t b, str_t c);
void sig_debug(sig_run_t *r, str_t a, str_t b, str_t c);
/* Sets the reason and returns false, so that a step ends with `return sig_failed(...)`. */
bool sig_failed(sig_run_t *r, const char *why);

/* siglists.c: compiles a pattern that lives as long as p. NULL: why says. */
pcre2_code *sig_compile(str_t pattern, uint32_t options, char *why, size_t size, apr_pool_t *p);
/* To machine code; false: there is none, the interpreter runs. */
bool sig_compile_jit(pcre2_code *code);
/* list_build.c: sorts a list's entries into literals and specials. */
apr_status_t sig_list_build(sig_list_t *list, const char *dir, apr_pool_t *p, sal_error_t *err);

/*
 * list_match.c: true if the list matches at the start of text; *by tells the first entry that
 * does. An entry that reaches a limit does not match; that leaves a note, and lowers the limit for
 * the rest of the run.
 */
bool sig_list_match(sig_run_t *r, const sig_list_t *list, str_t text, sig_match_t *by);
/* Every match of code replaced; the input itself if there is none or a limit is reached. */
str_t sig_replace(sig_run_t *r, const pcre2_code *code, str_t text, const char *with, bool all);

/* Frees what matching needed. */
void sig_match_free(sig_run_t *r);

/* Member of an object; NULL also if v is no object. */
const json_t *sig_member(const json_t *v, const char *key);
/* Reads the members key[0..n) of an object in one pass; NULL: not there. */
void sig_members(const json_t **out, const json_t *object, const str_t *key, size_t n);
int64_t sig_crashing_thread(const sig_run_t *r);
/* Looks up r->thread, which may be no object, and its members. */
void sig_find_thread(sig_run_t *r);
/* Fills in lists->oom and lists->watchdog. */
void sig_rule_marks(sal_siglists_t *lists);

/* Memory for an intermediate text of n bytes: that of large ones goes after each frame. */
apr_pool_t *sig_scratch(sig_run_t *r, size_t n);

/* normalize.c: a frame's function as it appears in signatures. line may be NULL. */
bool sig_normalize_cpp(sig_run_t *r, str_t *out, str_t function, const json_t *line);
bool sig_normalize_rust(sig_run_t *r, str_t *out, str_t function, const json_t *line);
/* The base rule and its tools. Each returns false if the rule failed. */
bool sig_rule_base(sig_run_t *r);
bool sig_native(sig_run_t *r);
bool sig_java_text(sig_run_t *r);
bool sig_java_exception(sig_run_t *r);

/*
 * explain.c: what the run did, kept in r->why. Called only if that is there.
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
