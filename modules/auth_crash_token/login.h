/*
 * People of this server: the groups that their sign-in tells, and the mode in which nobody sees
 * anything without one. Private to mod_auth_crash_token.
 */
#ifndef AUTH_CRASH_TOKEN_LOGIN_H
#define AUTH_CRASH_TOKEN_LOGIN_H

#include "common/web.h"

typedef struct login_conf_t { /* of a server */
    int only;                 /* -1: unset */
    ap_expr_info_t *groups;   /* NULL: unset */
    const char *separator;
    apr_table_t *map; /* value of the claim -> group, repeated; NULL: unset */
    int exact;        /* -1: unset */
} login_conf_t;

void *login_make_conf(apr_pool_t *p, server_rec *s);
void *login_merge_conf(apr_pool_t *p, void *outer, void *inner);

/* Setters of directives; conf is not used, they write to the server's. */
const char *login_set_only(cmd_parms *cmd, void *conf, int on);
const char *login_set_groups(cmd_parms *cmd, void *conf, const char *expr, const char *separator);
const char *login_add_map(cmd_parms *cmd, void *conf, const char *value, const char *group);
const char *login_set_exact(cmd_parms *cmd, void *conf, int on);

/* Notes for web_person which groups the request's sign-in names. Once a request. */
void login_note_groups(request_rec *r);

/* OK, or the answer to somebody who must sign in first. open: the place is for everybody. */
int login_admit(request_rec *r, int open);

/* Must everybody sign in on this server? */
int login_is_only(request_rec *r);

#endif
