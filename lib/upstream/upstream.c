/*
 * Which upstream server is asked for what, what is remembered of the answer, and what goes into the
 * cache. Policy alone: places and memories are upstream_cache.c's, the network upstream_http.c's.
 */
#include "upstream/upstream_private.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "symbols/module_id.h"

enum {
    MAX_HOPS = 3,       /* instances between us and whoever asked first */
    TRIES = 2,          /* of a server that is busy or cuts off */
    BUSY_IN_A_ROW = 3,  /* then it counts as down */
    RETRY_SECONDS = 60, /* of a file that could not be had; doubles up to an hour */
    RETRY_MAX = 3600,
    REFUSED_SECONDS = 300, /* a 403 is often a 404 of a store that hides its listing */
    IDENTITY_SECONDS = 7 * 86400,
    IDENTITY = -1, /* count of a memory that holds a debug file and id */
    DOUBLINGS = 4,
    TRIM_SECONDS = 60,
    TOUCH_SECONDS = 3600
};

#define RETRY_PAUSE APR_TIME_C(300000)

/* One answer to one question, on its way. */
typedef struct ask_t {
    sal_upstream_t *u;
    const sal_upstream_want_t *want; /* names checked, id in its usual form */
    const char *relative;            /* in the cache */
    const char *path;
    const char *via;
    apr_pool_t *p;
    apr_status_t failed; /* of the first server that could not answer */
    char reason[UPSTREAM_REASON + 100];
} ask_t;

static bool may_ask(const sal_upstream_server_t *server, const sal_upstream_want_t *want)
{
    bool elf = want->kind == SAL_UPSTREAM_ELF;

    return (server->ask & want->kind) && elf == (server->layout == SAL_UPSTREAM_DEBUGINFOD) &&
           (!want->server || !strcmp(want->server, server->url));
}

/* ---- what is remembered ---- */

static time_t in(int seconds)
{
    return time(NULL) + seconds;
}

static int doubled(int seconds, int times, int max)
{
    int n = seconds << (times < 6 ? times : 6);

    return n < max ? n : max;
}

static void note_failure(ask_t *a, const sal_upstream_server_t *server, const char *reason,
                         apr_status_t rv)
{
    if (a->failed == APR_SUCCESS) {
        a->failed = rv;
        snprintf(a->reason, sizeof(a->reason), "%s: %s", server->url, reason);
    }
}

static void remember_file(ask_t *a, const sal_upstream_server_t *server, int seconds, int count,
                          const char *reason)
{
    upstream_memory_t m = { .until = in(seconds), .count = count };

    if (a->u->opts.negative_seconds > 0) {
        apr_cpystrn(m.reason, reason, sizeof(m.reason));
        upstream_remember(a->u, server->url, a->relative, &m, a->p);
    }
}

/* A server that does not answer shall not hold up every request. */
static void remember_server(ask_t *a, const sal_upstream_server_t *server, int seconds, int count,
                            const char *reason)
{
    upstream_memory_t m = { .until = in(seconds), .count = count };

    if (a->u->opts.down_seconds <= 0) {
        return;
    }
    apr_cpystrn(m.reason, reason, sizeof(m.reason));
    upstream_remember(a->u, server->url, NULL, &m, a->p);
    if (seconds > 0) {
        sal_log(SAL_LOG_WARNING, 2081, "symbols upstream %s: %s; not asked again for %d s",
                server->url, reason, seconds);
    }
}

/* True if the server need not be asked now; the failure, if it is one, is noted. */
static bool remembered(ask_t *a, const sal_upstream_server_t *server)
{
    upstream_memory_t m;

    if (upstream_recall(&m, a->u, server->url, NULL, a->p)) {
        note_failure(a, server, m.reason, APR_TIMEUP);
        return true;
    }
    if (a->u->opts.negative_seconds > 0 &&
        upstream_recall(&m, a->u, server->url, a->relative, a->p) && m.count != IDENTITY) {
        if (m.count > 0) {
            note_failure(a, server, m.reason, APR_EGENERAL);
        }
        return true;
    }
    return false;
}

static void remember_outcome(ask_t *a, const sal_upstream_server_t *server, const fetch_t *f,
                             fetch_outcome_t outcome)
{
    const sal_upstream_opts_t *o = &a->u->opts;
    upstream_memory_t down, file;
    int seconds;

    if (upstream_ends(a->u) && outcome != FETCH_OK) {
        return; /* it was we who ended it */
    }
    upstream_recall(&down, a->u, server->url, NULL, a->p);
    upstream_recall(&file, a->u, server->url, a->relative, a->p);
    if (outcome == FETCH_DEAD || outcome == FETCH_BUSY) {
        seconds =
            outcome == FETCH_DEAD
                ? doubled(o->down_seconds, down.count < DOUBLINGS ? down.count : DOUBLINGS, 86400)
            : f->retry_after > 0              ? f->retry_after
            : down.count + 1 >= BUSY_IN_A_ROW ? o->down_seconds
                                              : 0;
        remember_server(a, server, seconds, down.count + 1, f->reason);
    } else if (down.count > 0) {
        upstream_forget(a->u, server->url, NULL, a->p);
    }
    if (outcome == FETCH_MISSING || outcome == FETCH_UNUSABLE) {
        remember_file(a, server, o->negative_seconds, outcome == FETCH_UNUSABLE, f->reason);
    } else if (outcome == FETCH_REFUSED) {
        remember_file(a, server,
                      o->negative_seconds < REFUSED_SECONDS ? o->negative_seconds : REFUSED_SECONDS,
                      1, f->reason);
    } else if (outcome == FETCH_BUSY || outcome == FETCH_BROKEN) {
        remember_file(a, server, doubled(RETRY_SECONDS, file.count, RETRY_MAX), file.count + 1,
                      f->reason);
    } else if (outcome == FETCH_OK && (file.count || file.until)) {
        upstream_forget(a->u, server->url, a->relative, a->p);
    }
}

/* ---- asking ---- */

static bool worth_another_try(fetch_outcome_t outcome, const fetch_t *f)
{
    return (outcome == FETCH_BUSY && f->retry_after == 0) || outcome == FETCH_BROKEN;
}

static fetch_outcome_t fetch_retrying(ask_t *a, fetch_t *f)
{
    fetch_outcome_t outcome;

    f->deadline = apr_time_now() + apr_time_from_sec(a->u->opts.total_seconds);
    for (int n = 1;; n++) {
        if (f->fd >= 0 && (ftruncate(f->fd, 0) != 0 || lseek(f->fd, 0, SEEK_SET) != 0)) {
            apr_cpystrn(f->reason, "the temporary file cannot be written", sizeof(f->reason));
            return FETCH_BROKEN;
        }
        outcome = upstream_fetch(a->u, f, a->p);
        if (n == TRIES || upstream_ends(a->u) || !worth_another_try(outcome, f) ||
            f->deadline - apr_time_now() < 4 * RETRY_PAUSE) {
            return outcome;
        }
        /* Not all that were turned away at the same moment come back at the same moment. */
        apr_sleep(RETRY_PAUSE + apr_time_now() % RETRY_PAUSE);
    }
}

/* The end of a .sym says where it came from, as minidump-stackwalk notes it in its cache. */
static apr_status_t sign(int fd, const sal_upstream_want_t *want, const char *url, apr_pool_t *p)
{
    const char *line = apr_pstrcat(p, "INFO URL ", url, "\n", NULL);

    if (want->kind != SAL_UPSTREAM_SYM) {
        return APR_SUCCESS;
    }
    return lseek(fd, 0, SEEK_END) < 0 ? APR_EGENERAL : sal_fd_write_all(fd, line, strlen(line));
}

/* A download on its way into the cache. */
typedef struct incoming_t {
    fetch_t f;
    const char *temp;
    const char *leaf; /* as it is asked for */
    bool cabinet;     /* what was wanted is to be taken out of it */
} incoming_t;

static void drop(incoming_t *in)
{
    if (in->f.fd >= 0) {
        close(in->f.fd);
        unlink(in->temp);
        in->f.fd = -1;
    }
}

/* Puts what the cabinet holds in its place. */
static bool unpack(ask_t *a, incoming_t *in, sal_error_t *err)
{
    incoming_t inside = *in;
    apr_status_t rv = upstream_temp(&inside.f.fd, &inside.temp, a->u, a->p, err);
    sal_error_t why = { .message = "" };

    if (rv != APR_SUCCESS) {
        apr_cpystrn(in->f.reason, "the cache cannot be written", sizeof(in->f.reason));
        return false;
    }
    rv = upstream_unpack(inside.f.fd, &inside.f.size, in->f.fd, a->u->opts.max_file, a->p, &why);
    if (rv != APR_SUCCESS) {
        apr_cpystrn(in->f.reason, why.message, sizeof(in->f.reason));
        drop(&inside);
        return false;
    }
    drop(in);
    *in = inside;
    return true;
}

static const char *refused(ask_t *a, incoming_t *in, sal_error_t *err)
{
    if (in->cabinet && !unpack(a, in, err)) {
        return in->f.reason;
    }
    return upstream_check(in->f.fd, in->f.size, a->want, a->p);
}

/* Downloads into the open file, checks it and moves it to its place. */
static fetch_outcome_t download(ask_t *a, const sal_upstream_server_t *server, incoming_t *in,
                                sal_error_t *err)
{
    const char *why;
    apr_time_t begun = apr_time_now();
    fetch_outcome_t outcome = fetch_retrying(a, &in->f);

    if (outcome != FETCH_OK) {
        return outcome;
    }
    why = refused(a, in, err);
    if (why) {
        if (why != in->f.reason) {
            apr_cpystrn(in->f.reason, why, sizeof(in->f.reason));
        }
        sal_log(SAL_LOG_WARNING, 2082, "%s from symbols upstream %s is not used: %s", a->relative,
                server->url, why);
        return FETCH_UNUSABLE;
    }
    if (sign(in->f.fd, a->want, in->f.url, a->p) != APR_SUCCESS ||
        upstream_publish(a->u, in->temp, a->path, a->p, err) != APR_SUCCESS) {
        apr_cpystrn(in->f.reason, "the cache cannot be written", sizeof(in->f.reason));
        return FETCH_BROKEN;
    }
    close(in->f.fd);
    in->f.fd = -1;
    sal_log(SAL_LOG_INFO, 2080, "%s fetched from symbols upstream %s: %llu bytes, %d ms",
            a->relative, server->url, (unsigned long long)in->f.size,
            (int)apr_time_as_msec(apr_time_now() - begun));
    return FETCH_OK;
}

static fetch_outcome_t ask_for_leaf(ask_t *a, const sal_upstream_server_t *server, incoming_t *in,
                                    sal_error_t *err)
{
    fetch_outcome_t outcome;

    in->f = (fetch_t){ .url = upstream_url_for(server, a->want, in->leaf, a->p),
                       .server = server,
                       .via = a->via,
                       .follow = true,
                       .inflate = a->want->kind == SAL_UPSTREAM_SYM };
    in->cabinet = in->leaf != a->want->leaf;
    if (upstream_temp(&in->f.fd, &in->temp, a->u, a->p, err) != APR_SUCCESS) {
        in->f.fd = -1;
        apr_cpystrn(in->f.reason, "the cache cannot be written", sizeof(in->f.reason));
        return FETCH_BROKEN;
    }
    outcome = download(a, server, in, err);
    drop(in);
    return outcome;
}

/*
 * The leaves under which a server may have the file: Microsoft's keep PDB and PE files plain or as
 * cabinets (xul.pd_), Tecken as cabinets only.
 */
static int leaves_of(const char *leaves[2], const ask_t *a, const sal_upstream_server_t *server)
{
    const char *leaf = a->want->leaf;
    size_t n = strlen(leaf);
    bool plain =
        (a->want->kind & (SAL_UPSTREAM_PDB | SAL_UPSTREAM_PE)) && n > 1 && leaf[n - 1] != '_';
    int count = 0;

    if (!plain || server->layout == SAL_UPSTREAM_SYMSTORE) {
        leaves[count++] = leaf;
    }
    if (plain) {
        leaves[count++] = apr_pstrcat(a->p, apr_pstrmemdup(a->p, leaf, n - 1), "_", NULL);
    }
    return count;
}

static apr_status_t ask_server(ask_t *a, const sal_upstream_server_t *server,
                               sal_upstream_got_t *got, sal_error_t *err)
{
    fetch_outcome_t outcome = FETCH_MISSING;
    const char *leaves[2];
    int n = leaves_of(leaves, a, server);
    incoming_t in;

    for (int i = 0; i < n && outcome == FETCH_MISSING; i++) {
        in.leaf = leaves[i];
        outcome = ask_for_leaf(a, server, &in, err);
    }
    remember_outcome(a, server, &in.f, outcome);
    if (outcome == FETCH_OK) {
        *got = (sal_upstream_got_t){ a->path, in.f.url };
        return APR_SUCCESS;
    }
    if (outcome != FETCH_MISSING) {
        note_failure(a, server, in.f.reason, outcome == FETCH_DEAD ? APR_TIMEUP : APR_EGENERAL);
    }
    return APR_ENOENT;
}

/* Is it in the cache? Then its last use is now, for who clears the cache. */
static bool cached(const ask_t *a, sal_upstream_got_t *got)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
    struct stat st;

    if (stat(a->path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        return false;
    }
    if (st.st_atime < time(NULL) - TOUCH_SECONDS) {
        (void)!utimensat(AT_FDCWD, a->path, times, 0); /* mtime stands for the content */
    }
    *got = (sal_upstream_got_t){ a->path, NULL };
    return true;
}

/* Some server that is not known to have no answer. */
static bool any_to_ask(ask_t *a)
{
    const sal_upstream_opts_t *o = &a->u->opts;
    bool any = false;

    a->failed = APR_SUCCESS;
    for (int i = 0; i < o->n_servers; i++) {
        any = any || (may_ask(&o->servers[i], a->want) && !remembered(a, &o->servers[i]));
    }
    return any;
}

static apr_status_t no_answer(const ask_t *a, sal_error_t *err)
{
    return a->failed == APR_SUCCESS ? sal_fail(err, APR_ENOENT, "not found")
                                    : sal_fail(err, a->failed, "download failed: %s", a->reason);
}

static apr_status_t ask_all(ask_t *a, sal_upstream_got_t *got, sal_error_t *err)
{
    const sal_upstream_opts_t *o = &a->u->opts;

    a->failed = APR_SUCCESS;
    for (int i = 0; i < o->n_servers; i++) {
        if (may_ask(&o->servers[i], a->want) && !remembered(a, &o->servers[i]) &&
            ask_server(a, &o->servers[i], got, err) == APR_SUCCESS) {
            return APR_SUCCESS;
        }
    }
    return no_answer(a, err);
}

/* The header for those we ask; NULL with err if the question has been here before. */
static const char *next_via(const sal_upstream_t *u, const char *via, apr_pool_t *p,
                            sal_error_t *err)
{
    int hops = 0;

    for (const char *s = via; s && *s; s++) {
        hops += s == via || *s == ',';
    }
    if (via && (strstr(via, u->instance) || hops >= MAX_HOPS || strpbrk(via, "\r\n") ||
                strlen(via) > 200)) {
        sal_fail(err, SAL_E_DENIED, "the request came from here or from too far");
        return NULL;
    }
    return via && *via ? apr_pstrcat(p, via, ", ", u->instance, NULL) : u->instance;
}

static void trim_sometimes(sal_upstream_t *u, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    bool due;

    pthread_mutex_lock(&u->lock);
    due = now - u->trimmed >= apr_time_from_sec(TRIM_SECONDS);
    u->trimmed = due ? now : u->trimmed;
    pthread_mutex_unlock(&u->lock);
    if (due) {
        sal_upstream_trim(u, p, NULL);
    }
}

static const char *relative_of(const sal_upstream_want_t *want, apr_pool_t *p)
{
    return want->kind == SAL_UPSTREAM_ELF
               ? apr_pstrcat(p, UPSTREAM_OWN "/buildid/", want->id, "/", want->leaf, NULL)
               : apr_pstrcat(p, want->file, "/", want->id, "/", want->leaf, NULL);
}

static apr_status_t prepare(ask_t *a, sal_upstream_want_t *checked, sal_upstream_t *u,
                            const sal_upstream_want_t *want, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = upstream_normalise(checked, want, p, err);

    *a = (ask_t){ .u = u, .want = checked, .p = p };
    if (rv == APR_SUCCESS) {
        a->relative = relative_of(checked, p);
        a->path = upstream_cache_path(u, a->relative, p);
    }
    return rv;
}

apr_status_t sal_upstream_get(sal_upstream_got_t *got, sal_upstream_t *u,
                              const sal_upstream_want_t *want, apr_pool_t *p, sal_error_t *err)
{
    sal_upstream_want_t checked;
    ask_t a;
    apr_status_t rv = prepare(&a, &checked, u, want, p, err);
    int lock;

    if (rv != APR_SUCCESS || cached(&a, got)) {
        return rv;
    }
    if (!(a.via = next_via(u, want->via, p, err))) {
        return SAL_E_DENIED;
    }
    if (!any_to_ask(&a)) {
        return no_answer(&a, err);
    }
    lock = upstream_lock(u, a.relative, apr_time_now() + apr_time_from_sec(u->opts.total_seconds),
                         p, err);
    if (lock < 0) {
        return APR_TIMEUP;
    }
    rv = cached(&a, got) ? APR_SUCCESS : ask_all(&a, got, err);
    close(lock);
    if (rv == APR_SUCCESS && got->url) {
        trim_sometimes(u, p);
    }
    return rv;
}

/* ---- modules of which only the code id is known ---- */

static bool ask_identity(ask_t *a, const sal_upstream_server_t *server, const char **debug_file,
                         const char **debug_id)
{
    const sal_upstream_want_t *want = a->want;
    fetch_t f = { .server = server, .via = a->via, .fd = -1 };
    fetch_outcome_t outcome;
    upstream_memory_t m;
    bool found;

    if (upstream_recall(&m, a->u, server->url, a->relative, a->p) && m.count == IDENTITY) {
        return upstream_take_identity(debug_file, debug_id, m.reason, a->p);
    }
    if (remembered(a, server)) {
        return false;
    }
    f.url = upstream_url_of(server, want->file, want->id, want->leaf, NULL, a->p);
    outcome = fetch_retrying(a, &f);
    found =
        outcome == FETCH_REDIRECT && upstream_take_identity(debug_file, debug_id, f.location, a->p);
    if (outcome == FETCH_REDIRECT || outcome == FETCH_OK) { /* a redirect to a login, a page */
        outcome = FETCH_MISSING;
    }
    if (!found) {
        remember_outcome(a, server, &f, outcome);
        if (outcome != FETCH_MISSING) {
            note_failure(a, server, f.reason, outcome == FETCH_DEAD ? APR_TIMEUP : APR_EGENERAL);
        }
        return false;
    }
    remember_file(a, server, IDENTITY_SECONDS, IDENTITY,
                  apr_pstrcat(a->p, *debug_file, "/", *debug_id, "/-", NULL));
    return true;
}

apr_status_t sal_upstream_identify(const char **debug_file, const char **debug_id,
                                   sal_upstream_t *u, const sal_upstream_want_t *want,
                                   apr_pool_t *p, sal_error_t *err)
{
    const char *code_file = sal_basename(want->code_file ? want->code_file
                                         : want->file    ? want->file
                                                         : "");
    const char *code_id = want->code_id ? want->code_id : want->id;
    size_t n = code_id ? strlen(code_id) : 0;
    sal_upstream_want_t code = *want;
    ask_t a = { .u = u, .want = &code, .p = p };

    if (!upstream_name_ok(code_file) || n == 0 || n > 128 || !sal_debug_id_valid(code_id)) {
        return sal_fail(err, APR_EINVAL, "the module has no code file or no code id");
    }
    code.kind = SAL_UPSTREAM_SYM;
    code.file = code_file;
    code.id = upstream_cased(code_id, n, p);
    code.leaf = upstream_code_leaf(code_file, p);
    a.relative = apr_pstrcat(p, "code/", code_file, "/", code.id, NULL);
    if (!(a.via = next_via(u, want->via, p, err))) {
        return SAL_E_DENIED;
    }
    for (int i = 0; i < u->opts.n_servers; i++) {
        const sal_upstream_server_t *server = &u->opts.servers[i];

        if (server->layout == SAL_UPSTREAM_TECKEN && may_ask(server, &code) &&
            ask_identity(&a, server, debug_file, debug_id)) {
            return APR_SUCCESS;
        }
    }
    return no_answer(&a, err);
}
