/*
 * What the files that print a dump share: fields by table, bytes, times.
 */
#ifndef SAL_MINIDUMP_PRINT_PRIVATE_H
#define SAL_MINIDUMP_PRINT_PRIVATE_H

#include "minidump/minidump_private.h"
#include "minidump/print.h"

typedef enum {
    MD_HEX,     /* 0x2a */
    MD_DECIMAL, /* 42 */
    MD_TIME,    /* 0x2a and the date of so many seconds */
    MD_PAIR     /* two of them: 0x2a:0x2b */
} md_form_t;

typedef struct md_field_t {
    const char *label;
    uint16_t at;
    uint8_t width; /* bytes: 1, 2, 4, 8 */
    uint8_t form;  /* md_form_t */
} md_field_t;

typedef struct md_print_t {
    FILE *f;
    sal_minidump_t *md;
    bool brief;
} md_print_t;

/* "  label = value" lines, labels padded to column; the table ends with a NULL label. */
void md_print_fields(FILE *f, const sal_span_t *s, const md_field_t *fields, int column);

/* A number of 1, 2, 4 or 8 bytes; 0 if it is not all there. */
uint64_t md_number(const sal_span_t *s, uint64_t at, unsigned width);

/* RFC 3339 of seconds since 1970. */
void md_print_time(FILE *f, uint32_t t);

/* All bytes as hex digits, nothing between them. */
void md_print_hex(FILE *f, const sal_span_t *s);

/* Lines of 16 bytes with their offset and what is printable of them. */
void md_print_bytes(FILE *f, const sal_span_t *s);

void md_print_context(FILE *f, const sal_span_t *raw, sal_cpu_t cpu); /* print_context.c */

/* print_lists.c, print_modules.c */
void md_print_threads(const md_print_t *p);
void md_print_modules(const md_print_t *p);
void md_print_unloaded(const md_print_t *p);
void md_print_handles(const md_print_t *p);
void md_print_memory(const md_print_t *p);
void md_print_memory_info(const md_print_t *p);
void md_print_thread_names(const md_print_t *p);
void md_print_thread_infos(const md_print_t *p);

/* print_streams.c */
void md_print_exception(const md_print_t *p);
void md_print_assertion(const md_print_t *p);
void md_print_system(const md_print_t *p);
void md_print_misc(const md_print_t *p);
void md_print_breakpad(const md_print_t *p);

/* print_annotations.c */
void md_print_crashpad(const md_print_t *p);
void md_print_mac(const md_print_t *p);
void md_print_stability(const md_print_t *p);
void md_print_dso_debug(const md_print_t *p);

#endif
