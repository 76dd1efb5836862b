/*
 * Clients that bring their own crash id: the stage submitter, imports. They show a bearer token.
 */
#include "collect_report.h"

#include <apr_strings.h>
#include "base/text.h"
#include "crash/crash_id.h"

APLOG_USE_MODULE(crash_collect);

#define TOKEN_MIN 16
#define TOKEN_MAX 1024

const char *collect_set_token(cmd_parms *cmd, void *dir, const char *arg)
{
    if (strlen(arg) < TOKEN_MIN) {
        return apr_psprintf(cmd->pool, "%s: a token has at least %d characters", cmd->cmd->name,
                            TOKEN_MIN);
    }
    ((collect_dir_t *)dir)->token = arg;
    return NULL;
}

/* Read by root when httpd starts, so that only root need be able to. */
const char *collect_set_token_file(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);
    char line[TOKEN_MAX];
    apr_file_t *file;
    apr_status_t rv = APR_EBADPATH;

    if (path) {
        rv = apr_file_open(&file, path, APR_READ, APR_FPROT_OS_DEFAULT, cmd->temp_pool);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_gets(line, sizeof(line), file);
        apr_file_close(file);
    }
    if (rv != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" cannot be read: %pm", cmd->cmd->name, arg, &rv);
    }
    line[strcspn(line, "\r\n")] = '\0';
    return collect_set_token(cmd, dir, apr_pstrdup(cmd->pool, line));
}

const char *collect_set_overwrite(cmd_parms *cmd, void *dir, int on)
{
    (void)cmd;
    ((collect_dir_t *)dir)->overwrite = on;
    return NULL;
}

/* Compares digests, so that neither length nor content of the token shows in the time it takes. */
static int token_fits(const char *sent, const char *token)
{
    unsigned char a[32], b[32], differ = 0;

    sal_sha256(sent, strlen(sent), a);
    sal_sha256(token, strlen(token), b);
    for (int i = 0; i < 32; i++) {
        differ |= a[i] ^ b[i];
    }
    return differ == 0;
}

static int is_authorised(const collect_report_t *q)
{
    const char *header = apr_table_get(q->r->headers_in, "Authorization");

    return q->dir->token && header && !strncmp(header, "Bearer ", 7) &&
           token_fits(header + 7, q->dir->token);
}

/* Grammar and date; and no NUL, at which the check would end. */
static int is_valid(const collect_report_t *q, const char *uuid)
{
    const json_t *all = sal_annotations_values(sal_intake_annotations(q->intake));

    return json_string_length(json_object_get(all, "uuid")) == SAL_CRASH_ID_LEN &&
           sal_crash_id_valid(uuid);
}

int collect_read_uuid(collect_report_t *q, int *rc)
{
    const char *uuid = sal_annotations_get(sal_intake_annotations(q->intake), "uuid");

    if (!uuid) {
        return 1;
    }
    if (!is_authorised(q)) {
        *rc = collect_refuse(q->r, REFUSED_TOKEN);
        return 0;
    }
    if (!is_valid(q, uuid)) {
        *rc = collect_refuse(q->r, REFUSED_UUID);
        return 0;
    }
    q->id = apr_pstrdup(q->r->pool, uuid);
    q->overwrite = q->dir->overwrite == 1;
    return 1;
}
