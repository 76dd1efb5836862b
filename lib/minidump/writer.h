/*
 * Writing minidumps: records, strings, memory and streams, in either byte order.
 *
 * Used by `salvage core2md` and by tests that need a dump of a given shape. Knows the container
 * and the fixed records; what goes into them the caller decides. Memory that is added by reference
 * is not copied, so that a dump of a mapped core file costs no memory of its own.
 */
#ifndef SAL_MINIDUMP_WRITER_H
#define SAL_MINIDUMP_WRITER_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"
#include "minidump/context.h"

typedef struct sal_mdw_t sal_mdw_t;

/* Where something was put: a location descriptor. {0, 0} where nothing was. */
typedef struct sal_mdw_loc_t {
    uint32_t size, rva;
} sal_mdw_loc_t;

/* An empty dump in p. */
SAL_API sal_mdw_t *sal_mdw_make(bool big_endian, apr_pool_t *p);

/* ---- bytes and text; a dump over 4 GiB fails when it is finished ---- */

/* Copies data into the dump, aligned to 4 bytes. */
SAL_API sal_mdw_loc_t sal_mdw_copy(sal_mdw_t *w, const void *data, size_t size);

/* As sal_mdw_copy, but data is only referred to and must live until the dump is written. */
SAL_API sal_mdw_loc_t sal_mdw_refer(sal_mdw_t *w, const void *data, size_t size);

/* Length-prefixed UTF-16 of UTF-8 text (bad bytes become U+FFFD), NUL-terminated; its rva. */
SAL_API uint32_t sal_mdw_utf16(sal_mdw_t *w, const char *text);

/* Length-prefixed UTF-8, NUL-terminated; its rva. */
SAL_API uint32_t sal_mdw_utf8(sal_mdw_t *w, const char *text);

/* ---- records: fields one after another in the dump's byte order ---- */

typedef struct sal_mdw_record_t sal_mdw_record_t;

SAL_API sal_mdw_record_t *sal_mdw_record(sal_mdw_t *w);
SAL_API void sal_mdw_u8(sal_mdw_record_t *r, uint8_t v);
SAL_API void sal_mdw_u16(sal_mdw_record_t *r, uint16_t v);
SAL_API void sal_mdw_u32(sal_mdw_record_t *r, uint32_t v);
SAL_API void sal_mdw_u64(sal_mdw_record_t *r, uint64_t v);
SAL_API void sal_mdw_loc(sal_mdw_record_t *r, sal_mdw_loc_t loc);
SAL_API void sal_mdw_put(sal_mdw_record_t *r, const void *data, size_t size);
SAL_API void sal_mdw_zero(sal_mdw_record_t *r, size_t size);

/* Puts the record into the dump; r may not be used any more. */
SAL_API sal_mdw_loc_t sal_mdw_end(sal_mdw_record_t *r);

/* Names what lies at loc a stream. The order of calls is the order of the directory. */
SAL_API void sal_mdw_stream(sal_mdw_t *w, uint32_t type, sal_mdw_loc_t loc);

/* ---- the usual streams; lists are written out by sal_mdw_finish ---- */

typedef struct sal_mdw_system_t {
    uint16_t arch, level, revision;
    uint8_t cpu_count, product_type;
    uint32_t major, minor, build, platform;
    const char *csd; /* NULL: "" */
    uint32_t cpu[6]; /* the CPU union, word by word */
} sal_mdw_system_t;

SAL_API void sal_mdw_system(sal_mdw_t *w, const sal_mdw_system_t *s);

typedef struct sal_mdw_thread_t {
    uint32_t id;
    uint64_t teb, stack_start;
    sal_mdw_loc_t stack, context;
    const char *name; /* NULL: no entry in ThreadNames */
} sal_mdw_thread_t;

SAL_API void sal_mdw_thread(sal_mdw_t *w, const sal_mdw_thread_t *t);

typedef struct sal_mdw_module_t {
    uint64_t base;
    uint32_t size, checksum, timestamp;
    const char *name;
    uint32_t version[4]; /* file hi, lo, product hi, lo */
    bool has_version;
    sal_mdw_loc_t cv;
} sal_mdw_module_t;

SAL_API void sal_mdw_module(sal_mdw_t *w, const sal_mdw_module_t *m);

/* A CodeView record: the build id of an ELF file; a PDB's GUID (16 bytes as on disk), age, name. */
SAL_API sal_mdw_loc_t sal_mdw_cv_elf(sal_mdw_t *w, const void *build_id, size_t size);
SAL_API sal_mdw_loc_t sal_mdw_cv_pdb(sal_mdw_t *w, const uint8_t guid[16], uint32_t age,
                                     const char *name);

/* An entry of MemoryList for bytes that are in the dump already. */
SAL_API void sal_mdw_memory(sal_mdw_t *w, uint64_t base, sal_mdw_loc_t bytes);

typedef struct sal_mdw_exception_t {
    uint32_t thread_id, code, flags;
    uint64_t address;
    uint32_t parameter_count;
    uint64_t parameters[15];
    sal_mdw_loc_t context;
} sal_mdw_exception_t;

SAL_API void sal_mdw_exception(sal_mdw_t *w, const sal_mdw_exception_t *e);

/* MiscInfo of version 1 with the process id and, if create_time is not 0, the time of its start. */
SAL_API void sal_mdw_misc(sal_mdw_t *w, uint32_t pid, uint32_t create_time);

/* ---- done ---- */

/* Adds the lists and the directory. After it nothing may be added. SAL_E_TOOBIG over 4 GiB. */
SAL_API apr_status_t sal_mdw_finish(sal_mdw_t *w, uint32_t time_date_stamp, uint64_t flags,
                                    sal_error_t *err);

/* The finished dump as one block in p. */
SAL_API sal_span_t sal_mdw_bytes(const sal_mdw_t *w, apr_pool_t *p);

/* Writes the finished dump to a descriptor, piece by piece. */
SAL_API apr_status_t sal_mdw_write(const sal_mdw_t *w, int fd, sal_error_t *err);

#endif
