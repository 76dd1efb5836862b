/*
 * salvaged: what its files share.
 *
 * Processes: the supervisor (no database connection, no threads) forks one housekeeper and N
 * workers; a worker forks one walker a dump, and a fetcher when a walker first wants symbols of a
 * server. Whatever is read-only (signature lists, field lists,
 * libraries) is loaded by the supervisor and shared by fork. No libpq or curl handle crosses a
 * fork.
 */
#ifndef PROCESSOR_SALVAGED_H
#define PROCESSOR_SALVAGED_H

#include <stdbool.h>
#include <signal.h>
#include <sys/types.h>
#include "base/conf.h"
#include "crash/crash_store.h"
#include "db/db.h"
#include "export/exporter.h"
#include "process/process.h"
#include "queue/queue.h"
#include "books/retention.h"
#include "hint/hint.h"
#include "jobs/cron.h"
#include "ping/ping_store.h"
#include "symbols/supplier.h"
#include "upstream/pipe.h"
#include "symbols/symbol_jobs.h"
#include "symbols/symbol_store.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct settings_t {
    apr_pool_t *pool; /* everything below lives here */
    const char *conninfo;
    const char *host;
    int workers;              /* 1..256 */
    int lease;                /* seconds */
    int walk_timeout;         /* seconds of wall time a dump */
    apr_uint64_t walk_memory; /* bytes a walker may allocate */
    int dump_timeout;         /* the same of a dumper of symbols */
    apr_uint64_t dump_memory;
    int drain; /* seconds a running job gets at shutdown */
    bool once;
    sal_siglists_t *siglists;
    sal_process_data_t *data; /* field lists and tables */
    sal_crash_store_t *store;
    sal_supplier_t *supplier;
    const sal_conf_t *conf;
    const char *metrics_host; /* where metrics are served; NULL: nowhere */
    int metrics_port;
    bool upstream;               /* some server may be asked for symbols */
    int fetch_time;              /* seconds that a dump may wait for servers */
    sal_symbol_store_t *symbols; /* NULL: not configured */
    sal_hint_rules_t hints;
    apr_array_header_t *ping_rules; /* of the sample of crash pings */
    int ping_keep;                  /* days */
    apr_array_header_t *keep;       /* sal_keep_rule_t: how long symbols stay */
    sal_exporter_t *exporter;       /* may have no destination */
} settings_t;

/* Reads salvage.conf and opens what it names. workers 0: as configured. */
apr_status_t settings_read(settings_t **out, const char *path, int workers, apr_pool_t *parent,
                           sal_error_t *err);
/* Options of the pipeline; walking is left to the caller. */
void settings_process_opts(sal_process_opts_t *opts, const settings_t *s);

/* ---- signals: blocked from the start, read from a descriptor (TERM, INT, HUP, CHLD) ---- */
int signals_open(void);
/* The next signal that waits, 0 if there is none. */
int signals_take(int fd);
/* Default actions, nothing blocked: in a child that shall die of signals. */
void signals_default(void);

/* ---- processes; each returns an exit code and never returns to its caller's work ---- */
int supervisor_run(const char *conf_path, int workers, settings_t *s);
int worker_run(const settings_t *s, int number);
int housekeeper_run(const settings_t *s);
int metrics_run(const settings_t *s);
int exporter_run(const settings_t *s);
/* What is left to do when all have ended and some were killed. */
int abandoned_run(const settings_t *s);
/* Gives back what the dead of the board held and had not begun. */
apr_status_t abandoned_return(const settings_t *s, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* What a worker is called in its leases: HOST:PID. */
const char *worker_name(const settings_t *s, pid_t pid, apr_pool_t *p);
/* Is there anything for an exporter to do? */
bool exporter_wanted(const settings_t *s);

/* ---- the database, lost and found ---- */
typedef struct link_t {
    const char *conninfo;
    apr_pool_t *pool; /* of the connection */
    sal_db_t *db;     /* NULL: not connected */
    int failures;     /* in a row */
    bool complained;  /* the outage is in the log already */
} link_t;

/* The connection, made if need be; NULL while the database is away (pause, then again). */
sal_db_t *link_get(link_t *link, apr_pool_t *parent);
/* Takes note of an error: logs the first of an outage, drops a connection that is of no use. */
void link_failed(link_t *link, const sal_error_t *err);
void link_worked(link_t *link);
/* 1..30 s with jitter, growing with failures. */
int link_pause_ms(const link_t *link);

/* ---- symbols of servers: the worker passes on what a walker asks ---- */

/*
 * Descriptors of a walker: its result, its questions, the answers; of a kept one, also what it is
 * to do, and the memory with the dump. No others stay open.
 */
enum { RESULT_FD = 3, QUESTION_FD, ANSWER_FD, REQUEST_FD, ROOM_FD };

/* The process that has the network, and how far behind it is. One a worker; .pid 0: none yet. */
typedef struct fetcher_t {
    pid_t pid;
    int to, from;
    int owed; /* answers to questions that nobody waits for any more */
    size_t have;
    char buf[SAL_UPSTREAM_ANSWER_MAX];
} fetcher_t;

/* Asks; starts the process if need be. False with err if that cannot be done. */
bool fetcher_ask(fetcher_t *f, const settings_t *s, const char *line, size_t len, sal_error_t *err);
/*
 * Takes what has come. True with the length of an answer, LF included, in f->buf: it is to be taken
 * out with fetcher_taken. False: none yet, or the process is gone (then .pid is 0).
 */
bool fetcher_answer(fetcher_t *f, size_t *len);
void fetcher_taken(fetcher_t *f, size_t len);

/* What stands between one walker and the fetcher. */
typedef struct relay_t {
    const settings_t *settings;
    fetcher_t *fetcher;
    int from, to;      /* the walker's questions, its answers; -1: none */
    apr_time_t asked;  /* 0: no question is open */
    apr_time_t waited; /* for all answers so far */
    int questions;
    size_t have;
    char buf[SAL_UPSTREAM_QUESTION_MAX];
} relay_t;

/* Time that the walker has spent waiting; it does not count as its own. */
apr_time_t relay_waited(const relay_t *r);
/* Acts on what poll said of relay->from and of the fetcher, and on the time. */
void relay_turn(relay_t *r, bool question, bool answer);
/* The walk is over: an answer that is still to come belongs to nobody. */
void relay_abandon(relay_t *r);
/* The same, and the pipes are closed. */
void relay_end(relay_t *r);

/* ---- work in a child process ---- */

/* The walker that a worker keeps for dumps to come (kept.c). .pid 0: there is none. */
typedef struct kept_t {
    pid_t pid;
    int fds[4]; /* result, questions, answers, requests */
    int room;   /* memory that it reads dumps from */
    int walks;  /* that were asked of it */
} kept_t;

typedef enum { WALK_GO_ON, WALK_STOP } walk_tick_t;

/* Called every second while a walker runs: WALK_STOP kills it, and the walk fails with *why. */
typedef walk_tick_t (*walk_tick_fn)(void *baton, apr_status_t *why);

typedef struct walk_t {
    const settings_t *settings;
    walk_tick_fn tick;
    void *baton;
    int wake_fd;        /* ends the wait for the tick early; -1: none */
    fetcher_t *fetcher; /* the worker's; NULL: the child asks nothing */
    int timeout;        /* seconds of wall time */
    kept_t *kept;       /* the worker's walker; NULL: each dump gets a child of its own */
} walk_t;

/* How a child ended. out: malloc'd, what it wrote; exit_code: negative is a signal. */
typedef struct child_end_t {
    char *out;
    size_t size;
    int exit_code;
    bool timed_out, too_big;
    bool whole;           /* of a kept walker: the result is all here, and it lives */
    apr_status_t stopped; /* what the tick wants the work to fail with */
} child_end_t;

/* The output is whole; how the child has ended is not known yet. */
typedef void (*child_output_fn)(const child_end_t *end, void *baton);

/* What a child runs, with the descriptors that walker_main gets; it ends the process itself. */
typedef void (*child_main_fn)(const settings_t *s, void *job, const int fds[3]);

/*
 * Runs a child and waits for its end. An error only if it could not be started. read (may be NULL)
 * gets job and may look at the output while the child ends.
 */
apr_status_t child_run(child_end_t *out, const walk_t *walk, child_main_fn run,
                       child_output_fn read, void *job, sal_error_t *err);

/*
 * What a walker writes: this byte, the size of what follows in 8, a packed value
 * (base/json_pack.h); or, if it has no memory for that, JSON text.
 */
enum { PACKED = 1, PACKED_HEAD = 9 };

/* A sal_walk_fn; its baton is a walk_t. */
apr_status_t walk_in_child(sal_walk_result_t *out, sal_span_t dump, const json_t *raw, void *baton,
                           apr_pool_t *p, sal_error_t *err);

/*
 * Walks a dump in the worker's kept walker, which is made if need be. True if there is a good
 * result in out, as child_run would have it, or one of a walker that had walked no other dump;
 * false: the dump is to be walked in a child of its own. Whatever is not good ends the walker.
 */
bool kept_walk(child_end_t *out, const walk_t *walk, sal_span_t dump, const json_t *raw,
               child_output_fn read, bool (*good)(const void *job), void *job);
/* Ends it; a worker that waits needs none. */
void kept_end(kept_t *kept);
/* What it runs. Never returns. */
void walker_stay(const settings_t *s, const int fds[5]) __attribute__((noreturn));

/* What a kept walker is asked to do: the dump lies at the start of the room, what is needed of the
   raw crash, as JSON, behind it. */
typedef struct kept_request_t {
    apr_uint64_t dump, raw; /* bytes */
} kept_request_t;

/*
 * What the child runs: walks and writes a result to fds[0]; fds[1] takes its questions,
 * fds[2] has the answers (-1: nobody answers). Never returns.
 */
void walker_main(const settings_t *s, sal_span_t dump, const json_t *raw, const int fds[3])
    __attribute__((noreturn));

/* ---- raw symbol files ---- */

/* Runs a claimed job to its end. SAL_E_NODB: the database is away, the lease will run out. */
apr_status_t dump_job_run(const settings_t *s, sal_symbol_job_t *job, const walk_t *watch,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* What a dumper reads and writes. */
typedef struct dump_files_t {
    const char *program, *debug; /* paths; one may be NULL */
    const char *name;            /* of the module; NULL: what the program says */
    int out_fd;                  /* for the text */
    int debug_fd;                /* read instead of debug; -1: none */
} dump_files_t;

/* A child_main_fn; its job is a dump_files_t. Never returns. */
void dumper_main(const settings_t *s, void *job, const int fds[3]);

/* ---- crash pings ---- */

/*
 * Leases some pings, draws the sample, signs them in a child and stores the results; *any: there
 * were some. SAL_E_NODB: the database is away, leases will run out.
 */
apr_status_t ping_batch_run(bool *any, const settings_t *s, const walk_t *watch, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err);

/* ---- periodic jobs, in children of the housekeeper ---- */
enum { CRON_CHILDREN = 3 };

typedef struct cron_child_t {
    pid_t pid; /* 0: none */
    const sal_cron_job_t *job;
} cron_child_t;

typedef struct crons_t {
    const settings_t *settings;
    cron_child_t child[CRON_CHILDREN];
    int first; /* where the next look begins */
    bool more; /* the last look found a due job and no place for it */
    bool stopping;
} crons_t;

/* Starts what is due, as far as there is room. */
apr_status_t crons_look(crons_t *c, int *started, sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* Takes note of children that have ended; true if there were any. db NULL: away just now. */
bool crons_reap(crons_t *c, sal_db_t *db, apr_pool_t *p);
bool crons_busy(const crons_t *c);
/* Kills them; their jobs are due again. */
void crons_stop(crons_t *c, sal_db_t *db, apr_pool_t *p);

/* Of all descriptors only these stay, as RESULT_FD and those behind it, and the log. n: 1..5. */
void child_keep_only(const int *fds, int n);

/* Makes the filter of system calls, once; before the fork, so that children need not. */
bool sandbox_prepare(void);
/* Limits, no new privileges, system calls. False with errno if the kernel refuses. */
bool sandbox_limits(apr_uint64_t memory, int cpu_seconds);
bool sandbox_system_calls(void);

/* sd_notify without its library: a no-op without NOTIFY_SOCKET. */
void service_notify(const char *state);

#ifdef SAL_TEST_HOOKS
void test_hook(const char *where, const json_t *raw);
void test_hook_crash(const char *where, const char *id, sal_crash_reader_t *crash);
/* A crash that was seen may ask to die behind a step of storing its result. */
void test_hook_step(const char *step, const char *id, int attempts);
/* Whether the crash asks for what only a child of its own does. */
bool test_hook_alone(const json_t *raw);
/* SALVAGE_TEST_BATCH is set: a slow machine shall claim several jobs at once, too. */
bool test_hook_batch(void);
#else
#define test_hook(where, raw) ((void)(raw))
#define test_hook_crash(where, id, crash) ((void)(crash))
#define test_hook_step(step, id, attempts) ((void)(step), (void)(id), (void)(attempts))
#define test_hook_alone(raw) false
#define test_hook_batch() false
#endif

#endif
