/*
 * Directive helpers: the shared salvage.conf, numbers with units, the way of log lines, start-up.
 */
#include "common/web.h"

#include <ap_mpm.h>

#include <unistd.h>
#include <apr_strings.h>
#include <unixd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

const char *web_read_shared_conf(cmd_parms *cmd, const char *arg, sal_conf_t **out)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);
    sal_error_t err;

    if (!path) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a path", cmd->cmd->name, arg);
    }
    if (sal_conf_read(out, path, cmd->pool, &err) != APR_SUCCESS) {
        return apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, err.message);
    }
    return NULL;
}

/* "25M" rather than 26214400, for messages. */
static const char *size_text(apr_int64_t v, apr_pool_t *p)
{
    static const char units[] = { 'G', 'M', 'k' };

    for (int i = 0; i < 3; i++) {
        apr_int64_t unit = INT64_C(1) << (30 - 10 * i);

        if (v >= unit && v % unit == 0) {
            return apr_psprintf(p, "%" APR_INT64_T_FMT "%c", v / unit, units[i]);
        }
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT, v);
}

const char *web_arg_size(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                         apr_int64_t *out)
{
    uint64_t v;

    if (!sal_parse_size(arg, &v) || v > (uint64_t)max || (apr_int64_t)v < min) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a size; expected e.g. 25M (%s..%s)",
                            cmd->cmd->name, arg, size_text(min, cmd->pool),
                            size_text(max, cmd->pool));
    }
    *out = (apr_int64_t)v;
    return NULL;
}

const char *web_arg_duration(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                             apr_int64_t *seconds)
{
    int64_t v;

    if (!sal_parse_duration(arg, &v) || v < min || v > max) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" is not a time; expected e.g. 30s or 5min (%" APR_INT64_T_FMT
                            "..%" APR_INT64_T_FMT " seconds)",
                            cmd->cmd->name, arg, min, max);
    }
    *seconds = v;
    return NULL;
}

const char *web_arg_int(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                        apr_int64_t *out)
{
    int64_t v;

    if (!sal_parse_int(arg, min, max, &v)) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" is not a number in %" APR_INT64_T_FMT "..%" APR_INT64_T_FMT,
                            cmd->cmd->name, arg, min, max);
    }
    *out = v;
    return NULL;
}

/* ---- log ---- */

static void log_line(void *baton, sal_log_level_t level, const char *line)
{
    /* Our levels are syslog's, and so are httpd's up to debug. */
    ap_log_error(APLOG_MARK, (int)level, 0, (server_rec *)baton, "%s", line);
}

static apr_status_t forget_sink(void *unused)
{
    (void)unused;
    sal_log_sink(NULL, NULL); /* this module's code is about to be unloaded */
    return APR_SUCCESS;
}

void web_log_to(server_rec *s)
{
    int level = ap_get_server_module_loglevel(s, APLOG_NO_MODULE);

    sal_log_sink(log_line, s);
    sal_log_threshold(level > SAL_LOG_DEBUG ? SAL_LOG_DEBUG : (sal_log_level_t)level);
    apr_pool_cleanup_register(s->process->pconf, NULL, forget_sink, apr_pool_cleanup_null);
}

/* ---- start-up ---- */

int web_is_rehearsal(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

apr_status_t web_make_store_root(const char *path, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv;

    if (access(path, F_OK) == 0) {
        return APR_SUCCESS; /* an operator's directory keeps its owner */
    }
    rv = sal_dir_make(path, 0770, 1, p, err);
    if (rv == APR_SUCCESS && geteuid() == 0 &&
        chown(path, ap_unixd_config.user_id, ap_unixd_config.group_id) != 0) {
        rv = sal_fail_os(err, errno, "%s: giving it to the run user", path);
    }
    return rv;
}

apr_pool_t *web_own_pool(void)
{
    apr_allocator_t *allocator;
    apr_pool_t *p;

    if (apr_allocator_create(&allocator) != APR_SUCCESS) {
        return NULL;
    }
    if (apr_pool_create_unmanaged_ex(&p, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, p);
    return p;
}

bool web_is_stopping(void)
{
    int state = AP_MPMQ_RUNNING;

    ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
    return state == AP_MPMQ_STOPPING;
}
