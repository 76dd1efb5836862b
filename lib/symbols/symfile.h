/*
 * Reading a Breakpad .sym: a push parser and the ways to feed it.
 *
 * One linear pass; memory is one partial line. A damaged line is skipped, counted, and the first
 * few are kept as samples: one bad line must not lose a large library. The parser judges lines one
 * by one; what belongs to which FUNC, and what wins where, is the receiver's. Grammar and the
 * decisions on damage: docs/symcache.md, section 1.
 */
#ifndef SAL_SYMBOLS_SYMFILE_H
#define SAL_SYMBOLS_SYMFILE_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"

typedef enum {
    SAL_SYMREC_MODULE,
    SAL_SYMREC_INFO,
    SAL_SYMREC_FILE,
    SAL_SYMREC_ORIGIN,
    SAL_SYMREC_FUNC,
    SAL_SYMREC_LINE,
    SAL_SYMREC_INLINE,
    SAL_SYMREC_PUBLIC,
    SAL_SYMREC_CFI_INIT,
    SAL_SYMREC_CFI_DELTA,
    SAL_SYMREC_WIN,
    SAL_SYMREC_BAD
} sal_symrec_kind_t;

typedef struct sal_symtext_t {
    const char *s;
    size_t len;
} sal_symtext_t;

enum { SAL_SYM_NO_FILE = UINT32_MAX }; /* call_file of the old form and of -1 */

/*
 * One record. Text points into the parser's input and lives for the call. An INLINE line gives one
 * record a range. BAD stands for a damaged line, so that lines after a damaged FUNC are not taken
 * for the FUNC before it.
 */
typedef struct sal_symrec_t {
    sal_symrec_kind_t kind;
    uint64_t address, size; /* FUNC, LINE, INLINE, PUBLIC, CFI, WIN (rva, code size) */
    uint32_t params;        /* FUNC, PUBLIC, WIN */
    bool multiple;          /* FUNC, PUBLIC: "m" */
    uint32_t number;        /* FILE, ORIGIN: their number; INLINE: the origin's */
    uint32_t line, file;    /* LINE; INLINE: of the call; file may be SAL_SYM_NO_FILE */
    uint32_t depth;         /* INLINE */
    uint32_t win_type, prologue, epilogue, saved, locals, max_stack; /* WIN */
    bool has_program;                                                /* WIN */
    sal_symtext_t text;         /* name; CFI rules; WIN program or flag; INFO's value */
    sal_symtext_t os, arch, id; /* MODULE; INFO: id is the scope ("CODE_ID") */
} sal_symrec_t;

/* Anything but APR_SUCCESS ends the reading and is its result. */
typedef apr_status_t (*sal_symrec_fn)(void *baton, const sal_symrec_t *rec);

enum { SAL_SYMFILE_MAX_LINE = 1 << 20, SAL_SYMFILE_SAMPLES = 5 };

typedef struct sal_symfile_stats_t {
    uint64_t bytes, lines; /* of the text; empty lines count as lines */
    uint64_t skipped;      /* damaged lines */
    struct {
        uint64_t line;
        char text[80];
    } samples[SAL_SYMFILE_SAMPLES];
} sal_symfile_stats_t;

typedef struct sal_symfile_t sal_symfile_t;

/* One line of the text, without its end, not looked at; for the call. */
typedef apr_status_t (*sal_symline_fn)(void *baton, const char *line, size_t len);

/* A reader that hands lines to fn: for who wants few of them. */
SAL_API sal_symfile_t *sal_symfile_make_lines(sal_symline_fn fn, void *baton, apr_pool_t *p);

/*
 * From the next line on, hands over those only that begin as MODULE, INFO, FILE, INLINE_ORIGIN,
 * FUNC or PUBLIC do, and now and then another: the rest is passed over many bytes at a time, and
 * does not count in stats->lines. For a reader of lines; may be called by its fn.
 */
SAL_API void sal_symfile_skim(sal_symfile_t *f, bool on);

/* Takes one whole line, without its end; nothing of another may be pending. */
SAL_API apr_status_t sal_symfile_line(sal_symfile_t *f, const char *line, size_t len);

/* A parser that hands records to fn. Its buffer ends with the pool. */
SAL_API sal_symfile_t *sal_symfile_make(sal_symrec_fn fn, void *baton, apr_pool_t *p);

/* Takes the next piece of the text, cut anywhere. */
SAL_API apr_status_t sal_symfile_feed(sal_symfile_t *f, const char *data, size_t size);

/* Ends the text: a last line without LF counts. stats (may be NULL) is filled. */
SAL_API apr_status_t sal_symfile_finish(sal_symfile_t *f, sal_symfile_stats_t *stats);

/*
 * Feeds a whole file or buffer, plain or gzip (also of several members) or zstd, told by its first
 * bytes, and finishes. SAL_E_MALFORMED for a damaged or truncated stream, SAL_E_TOOBIG for more
 * than 16 GiB of text.
 */
SAL_API apr_status_t sal_symfile_read_fd(sal_symfile_t *f, int fd, const char *name,
                                         sal_symfile_stats_t *stats, sal_error_t *err);
SAL_API apr_status_t sal_symfile_read_mem(sal_symfile_t *f, sal_span_t data,
                                          sal_symfile_stats_t *stats, sal_error_t *err);

#endif
