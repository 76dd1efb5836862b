/*
 * What the two halves of `salvage signature` share: standard input in `salvage`, crashes of a
 * server in `salvage-server`.
 */
#ifndef TOOLS_SIGNATURE_CMD_H
#define TOOLS_SIGNATURE_CMD_H

#include <apr_tables.h>
#include <jansson.h>

#include "signature/signature.h"
#include "signature_print.h"
#include "symbols/supplier.h"

typedef struct signature_cmd_t {
    const char *conf, *lists;
    const char *server, *token;
    apr_array_header_t *ids; /* const char * */
    bool different_only, format_given;
    bool ping;
    apr_array_header_t *symbols; /* const char *, of --ping */
    const char *cache;
    sal_supplier_t *supplier;
    print_style_t style;
    sal_siglists_t *siglists;
} signature_cmd_t;

/* Prints how the command is called. */
void signature_cmd_help(void);

/* CMD_OK, or the exit code; -1: help was printed. */
int signature_cmd_options(signature_cmd_t *req, int argc, const char **argv, apr_pool_t *p);

/* Loads req->siglists: of --lists, else of the configuration, else those that are installed. */
int signature_cmd_lists(signature_cmd_t *req, apr_pool_t *p);

/* Makes the signature of crash data and prints it. crash_id and old may be NULL. */
void signature_cmd_print(const signature_cmd_t *req, const char *crash_id, const char *old,
                         const json_t *data, apr_pool_t *p);

#endif
