/*
 * Between the files of the field lists: the tree that a list is.
 */
#ifndef SAL_PROCESS_SCHEMA_PRIVATE_H
#define SAL_PROCESS_SCHEMA_PRIVATE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <apr_hash.h>
#include <apr_tables.h>
#include "process/schema.h"

#define FIELD_DEPTH 64

typedef struct field_pattern_t {
    const char *text;
    pcre2_code *code;
    struct field_node_t *node;
    struct field_pattern_t *next;
} field_pattern_t;

typedef struct field_node_t {
    const sal_field_t *field; /* NULL: has no line of its own, only members that have */
    const struct field_node_t *def;
    apr_hash_t *members;       /* name -> field_node_t, or NULL */
    field_pattern_t *patterns; /* in the order of the file */
    struct field_node_t *any;  /* each member that has no line */
    struct field_node_t *items;
    unsigned types;
    bool nullable, is_public;
    enum { NOT_LOOKED, LOOKING, HIDDEN, SHOWN } shown; /* anything of it is for everybody */
} field_node_t;

/* Makes the tree of a list. */
apr_status_t field_tree_make(sal_fields_t *fields, apr_pool_t *p, sal_error_t *err);

/* What says how a member, or the items of a list, look; NULL if nothing does. */
const field_node_t *field_member(const field_node_t *node, const char *name);
const field_node_t *field_items(const field_node_t *node);

#endif
