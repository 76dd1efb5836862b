/*
 * Requests whose URL names no file. The handler is known while the name is translated; when it
 * would be looked for on disk, httpd has forgotten it for a moment. What is left is the name that
 * we gave.
 */
#include "common/web.h"

int web_name_no_file(request_rec *r, const char *prefix)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *handler = core->handler, *err = NULL;

    if (core->expr_handler) { /* SetHandler has an expression for a plain name too */
        handler = ap_expr_str_exec(r, core->expr_handler, &err);
    }
    if (!handler || err || strncmp(handler, prefix, strlen(prefix))) {
        return DECLINED;
    }
    r->filename = r->uri;
    return OK;
}

int web_names_no_file(request_rec *r)
{
    return r->filename && r->filename == r->uri ? OK : DECLINED;
}
