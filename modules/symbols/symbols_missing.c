/*
 * Missing symbols: noted by request threads in memory, written by the watchdog's thread.
 *
 * A lookup that finds nothing must cost no database round trip, and must not fail for want of one.
 * The same five texts count once in a day; the table does so too, as there are several children.
 */
#include "symbols_private.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "symbols/symbol_rows.h"

enum { TEXTS = 5, TEXT_MAX = 150, QUEUE = 512, MEMO = 4096 };

#define MEMO_TIME (apr_time_from_sec(24 * 3600))

typedef struct {
    char text[TEXTS][TEXT_MAX + 1];
} note_t;

typedef struct {
    uint64_t hash;
    apr_time_t until;
} memo_t;

typedef struct {
    const note_t *notes;
    int n;
} batch_t;

struct symbols_missing_t {
    apr_thread_mutex_t *lock; /* guards all below; held for copying only */
    server_rec *server;       /* whose database takes the notes */
    int n;
    note_t notes[QUEUE];
    memo_t memo[MEMO];
};

symbols_missing_t *symbols_missing_make(apr_pool_t *p)
{
    symbols_missing_t *m = apr_pcalloc(p, sizeof(*m));

    return apr_thread_mutex_create(&m->lock, APR_THREAD_MUTEX_UNNESTED, p) == APR_SUCCESS ? m
                                                                                          : NULL;
}

/* FNV-1a over the texts with their ends. A collision only loses a note for a day. */
static uint64_t hash_note(const note_t *note)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < TEXTS; i++) {
        const char *s = note->text[i];

        do {
            h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
        } while (*s++);
    }
    return h;
}

static void fill_note(note_t *note, const symbols_wanted_t *w)
{
    const char *const texts[TEXTS] = { w->debug_file, w->debug_id, w->leaf, w->code_file,
                                       w->code_id };

    for (int i = 0; i < TEXTS; i++) {
        const char *s = texts[i] ? texts[i] : "";
        apr_size_t n = strlen(s) < TEXT_MAX ? strlen(s) : TEXT_MAX;

        /* No half of a code point at the end: PostgreSQL would refuse the whole batch. */
        while (n > 0 && n < strlen(s) && ((unsigned char)s[n] & 0xc0) == 0x80) {
            n--;
        }
        memcpy(note->text[i], s, n);
        note->text[i][n] = '\0';
    }
}

void symbols_missing_note(symbols_missing_t *m, const symbols_wanted_t *wanted, server_rec *s,
                          apr_time_t now)
{
    note_t note;
    uint64_t hash;
    memo_t *memo;

    if (!m) {
        return;
    }
    fill_note(&note, wanted);
    hash = hash_note(&note);
    memo = &m->memo[hash % MEMO];
    apr_thread_mutex_lock(m->lock);
    if ((memo->hash != hash || memo->until < now) && m->n < QUEUE) {
        *memo = (memo_t){ hash, now + MEMO_TIME };
        m->notes[m->n++] = note;
        m->server = s;
    }
    apr_thread_mutex_unlock(m->lock);
}

static apr_status_t write_notes(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const batch_t *b = baton;
    const char **column[TEXTS];
    sal_missing_symbols_t list;

    for (int c = 0; c < TEXTS; c++) {
        column[c] = apr_palloc(p, (apr_size_t)b->n * sizeof(char *));
        for (int i = 0; i < b->n; i++) {
            column[c][i] = b->notes[i].text[c];
        }
    }
    list = (sal_missing_symbols_t){ (apr_size_t)b->n, column[0], column[1],
                                    column[2],        column[3], column[4] };
    return sal_missing_symbols_add(&list, db, p, err);
}

void symbols_missing_flush(symbols_missing_t *m, apr_pool_t *p)
{
    note_t *notes = NULL;
    sal_error_t err = { 0 };
    server_rec *s;
    int n;

    if (!m) {
        return;
    }
    apr_thread_mutex_lock(m->lock);
    n = m->n;
    s = m->server;
    if (n) {
        notes = apr_pmemdup(p, m->notes, (apr_size_t)n * sizeof(*notes));
    }
    apr_thread_mutex_unlock(m->lock);
    if (!n) {
        return;
    }
    if (symbols_with_server_db(s, write_notes, &(batch_t){ notes, n }, p, &err) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                     "SAL2020: %d missing symbols wait for the "
                     "database: %s",
                     n, err.message);
        if (err.code == SAL_E_NODB) {
            return;
        }
    }
    apr_thread_mutex_lock(m->lock);
    memmove(m->notes, m->notes + n, (apr_size_t)(m->n - n) * sizeof(*notes));
    m->n -= n;
    apr_thread_mutex_unlock(m->lock);
}
