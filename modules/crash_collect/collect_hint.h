/*
 * Hints to clients in replies, and to who asks by a crash id (docs/hints.md). Off by default.
 */
#ifndef COLLECT_HINT_H
#define COLLECT_HINT_H

#include "common/web.h"

typedef enum { COLLECT_HINTS_OFF, COLLECT_HINTS_ON, COLLECT_HINTS_ALWAYS } collect_hints_t;

typedef struct collect_hint_t {
    int mode;                   /* collect_hints_t, -1 if not set */
    apr_array_header_t *client; /* of const char *: annotations that name a client; NULL: ours */
} collect_hint_t;

struct collect_report_t;

void collect_hint_make(collect_hint_t *c);
void collect_hint_merge(collect_hint_t *out, const collect_hint_t *base, const collect_hint_t *add);
const char *collect_hint_set_mode(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_hint_add_client(cmd_parms *cmd, void *dir, const char *arg);
#define COLLECT_HINT_DIRECTIVES                                                                    \
    AP_INIT_TAKE1("CrashHints", collect_hint_set_mode, NULL, RSRC_CONF | ACCESS_CONF,              \
                  "off; on: hints for clients known to read lines; always: for all but those "     \
                  "known to keep the body as an id"),                                              \
        AP_INIT_ITERATE("CrashHintClient", collect_hint_add_client, NULL, RSRC_CONF | ACCESS_CONF, \
                        "annotations that name a client, the first that is set counts"),

/*
 * The keyed hash of the client's id, for the raw crash; NULL where there is none, or hints are off.
 * Before annotations are removed.
 */
const char *collect_hint_client(struct collect_report_t *q);
/* Adds the line Hint, if one waits for this client and it may be told. */
void collect_hint_lines(struct collect_report_t *q, const char *client);
/* GET .../hint/CRASH-ID */
int collect_hint_poll(request_rec *r, const char *crash_id);

#endif
