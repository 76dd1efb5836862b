/*
 * Uploads that go on in several requests: a row, and below ROOT/session/<id> the bytes so far. An
 * archive is read as it comes in, like one of a single request, and its bytes go once they are
 * dealt with; after an interruption reading begins again behind the last whole member.
 *
 *   ROOT/session/<first half of the secret's digest>/data      bytes received, with holes
 *                                                   /entries   list of an archive's members
 *                                                   /texts
 *                                                   /mark      where reading goes on in this boot
 *                                                   /solid     the same, after a crash of the host
 *
 * Thread rule: an open session has one owner; others are told that it is busy.
 */
#ifndef SAL_UPLOAD_SESSION_H
#define SAL_UPLOAD_SESSION_H

#include "upload/upload.h"

enum { SAL_SESSION_SECRET = 64, SAL_SESSION_WEEK = 7 * 24 * 3600, SAL_SESSION_HOUR = 3600 };

typedef struct sal_session_t {
    char secret[SAL_SESSION_SECRET + 1]; /* as it stands in URLs */
    int64_t id;
    const char *kind; /* "zip", "file", "sym-upload" */
    const char *name; /* key of a file, name of an archive */
    const char *user, *address;
    int64_t token_id, user_id, upload_id; /* 0: none */
    bool is_try, expired;
    int64_t size, length; /* of the original; of the body; -1: not known */
    bool has_md5;
    unsigned char md5[16];
    apr_time_t created, expires, completed; /* completed 0: not yet */
} sal_session_t;

/* Fills secret, id and times of a session whose other fields are set. lifetime in seconds. */
SAL_API apr_status_t sal_session_add(sal_session_t *s, int lifetime, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* By the secret, of which only SAL_SESSION_SECRET hex digits are looked for; APR_ENOENT. */
SAL_API apr_status_t sal_session_find(sal_session_t *s, const char *secret, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/* Writes down what was received, and the length where it is known now. */
SAL_API apr_status_t sal_session_note(const sal_session_t *s, int64_t received, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/* The session has ended well; its upload too, if it was the last of it. One transaction. */
SAL_API apr_status_t sal_session_complete(sal_session_t *s, int64_t received, bool stored,
                                          uint64_t unpacked, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

SAL_API apr_status_t sal_session_remove_row(const sal_session_t *s, sal_db_t *db, apr_pool_t *p,
                                            sal_error_t *err);

/* Sessions that are not over, of a user or (0) of all, as an array of objects: a new reference. */
SAL_API apr_status_t sal_session_list(json_t **out, int64_t user_id, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* ---- what clients of the API v2 ask ---- */

typedef struct sal_upload_claim_t {
    const sal_symbol_key_t *key;
    int64_t size;             /* of the original */
    const unsigned char *md5; /* 16 bytes */
    bool known;               /* the answer */
} sal_upload_claim_t;

/* Which files are stored with this size and MD5; with is_try also among try symbols. */
SAL_API apr_status_t sal_upload_known(sal_upload_claim_t *claims, size_t n, bool is_try,
                                      sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

typedef struct sal_upload_auth_t {
    int64_t token_id; /* set by the caller */
    const char *user;
    int64_t user_id;
    apr_time_t expires; /* 0: never */
    int api_version;
} sal_upload_auth_t;

/* What there is to say to a client about its token; fields of an unknown one stay as they are. */
SAL_API apr_status_t sal_upload_auth_info(sal_upload_auth_t *info, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

/* ---- bytes ---- */

typedef struct sal_session_body_t sal_session_body_t;

/* SAL_E_DENIED if another request has it open. */
SAL_API apr_status_t sal_session_open(sal_session_body_t **out, sal_symbol_store_t *store,
                                      const sal_session_t *s, apr_pool_t *p, sal_error_t *err);

SAL_API int sal_session_fd(const sal_session_body_t *b);
SAL_API uint64_t sal_session_offset(const sal_session_body_t *b);

/* Cuts the body to its first size bytes, which are there. Not for archives that are being read. */
SAL_API apr_status_t sal_session_cut(sal_session_body_t *b, uint64_t size, sal_error_t *err);

/* Appends; what was appended is made durable every 4 MiB and by sal_session_flush. */
SAL_API apr_status_t sal_session_append(sal_session_body_t *b, const char *data, size_t size,
                                        sal_error_t *err);
SAL_API apr_status_t sal_session_flush(sal_session_body_t *b, sal_error_t *err);

/*
 * Archives. Begins to read along if what must be read again first is no more than `expected`, the
 * bytes that will come (UINT64_MAX: read along in any case). Errors are the archive's.
 */
SAL_API apr_status_t sal_session_read_along(sal_session_body_t *b, const sal_upload_opts_t *opts,
                                            uint64_t expected, sal_error_t *err);

/* After the last byte of a request: notes how far the archive was read, reads on where it pays. */
SAL_API apr_status_t sal_session_pause(sal_session_body_t *b, const sal_upload_opts_t *opts,
                                       sal_error_t *err);

/* All is there: the upload, read to its end. Lives with the body's pool. */
SAL_API apr_status_t sal_session_upload(sal_upload_t **out, sal_session_body_t *b,
                                        const sal_upload_opts_t *opts, sal_error_t *err);

/* Removes all files of a session, staged ones included. The body may be open. */
SAL_API void sal_session_remove(sal_symbol_store_t *store, const sal_session_t *s, apr_pool_t *p);

/* Removes what sessions that ended unseen have left, and notes of staged members, by age. */
SAL_API int sal_session_sweep(sal_symbol_store_t *store, apr_pool_t *p);

#endif
