/*
 * Rights of people, and the signature of their forms.
 *
 * A form token is a MAC over the person and the day, with a secret of the whole installation: no
 * session is kept, and any host can check what another has written.
 */
#include "common/person.h"

#include <apr_strings.h>

#include "db/people.h"

#define SECONDS_OF_DAY 86400

typedef struct {
    const char *name;
    const apr_array_header_t *groups; /* const char *: that the sign-in tells; NULL: it does not */
    bool exact;
    sal_person_t person;
} lookup_t;

static apr_status_t find(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    lookup_t *l = baton;

    apr_status_t rv = sal_person_find(&l->person, l->name, true, db, p, err);

    return rv == APR_SUCCESS && l->groups
               ? sal_person_follow(&l->person, (const char *const *)l->groups->elts,
                                   l->groups->nelts, l->exact, "sign-in", db, p, err)
               : rv;
}

/* The lines of mod_auth_crash_token's note. */
static const apr_array_header_t *told_groups(request_rec *r)
{
    const char *rest = apr_table_get(r->notes, WEB_CLAIM_NOTE);
    apr_array_header_t *out = rest ? apr_array_make(r->pool, 8, sizeof(const char *)) : NULL;

    while (rest && *rest) {
        APR_ARRAY_PUSH(out, const char *) = ap_getword(r->pool, &rest, '\n');
    }
    return out;
}

apr_status_t web_person(request_rec *r, web_identity_t *who, sal_error_t *err)
{
    lookup_t l = { 0 };
    apr_status_t rv;

    web_identity(r, who);
    if (who->by_token || !who->user || !*who->user) {
        who->user = who->by_token ? who->user : NULL;
        return APR_SUCCESS;
    }
    if (who->user_id) {
        return APR_SUCCESS;
    }
    l.name = who->user;
    l.groups = told_groups(r);
    l.exact = apr_table_get(r->notes, WEB_CLAIM_EXACT_NOTE) != NULL;
    if ((rv = web_with_db(r, find, &l, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!l.person.active) { /* counts as nobody */
        rv = sal_fail(err, SAL_E_DENIED, "The account %s is not active", who->user);
        who->user = NULL;
        return rv;
    }
    who->user_id = l.person.id;
    who->permissions = l.person.permissions;
    apr_table_setn(r->notes, WEB_PERSON_NOTE,
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT, who->user_id));
    apr_table_setn(r->notes, WEB_PERSON_PERMISSIONS_NOTE,
                   apr_psprintf(r->pool, "%d", who->permissions));
    return APR_SUCCESS;
}

/* ---- forms ---- */

typedef struct {
    unsigned char bytes[32];
} secret_t;

static apr_status_t read_secret(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_web_secret(((secret_t *)baton)->bytes, db, p, err);
}

static const char *sign(request_rec *r, const secret_t *secret, const web_identity_t *who,
                        apr_int64_t day)
{
    char *out = apr_palloc(r->pool, SAL_SIGNATURE_HEX + 1);

    sal_web_sign(out, secret->bytes,
                 apr_psprintf(r->pool, "form %" APR_INT64_T_FMT " %" APR_INT64_T_FMT,
                              (apr_int64_t)who->user_id, day));
    return out;
}

static apr_int64_t today(request_rec *r)
{
    return apr_time_sec(r->request_time) / SECONDS_OF_DAY;
}

const char *web_form_token(request_rec *r, const web_identity_t *who, sal_error_t *err)
{
    secret_t secret;

    if (web_with_db(r, read_secret, &secret, err) != APR_SUCCESS) {
        return NULL;
    }
    return sign(r, &secret, who, today(r));
}

static int equal(const char *a, const char *b)
{
    unsigned char differ = 0;

    if (strlen(a) != SAL_SIGNATURE_HEX || strlen(b) != SAL_SIGNATURE_HEX) {
        return 0;
    }
    for (int i = 0; i < SAL_SIGNATURE_HEX; i++) {
        differ |= (unsigned char)(a[i] ^ b[i]);
    }
    return differ == 0;
}

/* "https://host[:port]" against the Host header; what is before it, TLS proxies change. */
static int own_origin(request_rec *r)
{
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    const char *at = origin ? strstr(origin, "://") : NULL;

    return at && host && strcasecmp(at + 3, host) == 0;
}

int web_form_trusted(request_rec *r, const web_identity_t *who, const char *sent)
{
    sal_error_t err = { 0 };
    secret_t secret;

    if (who->by_token || own_origin(r)) {
        return 1;
    }
    if (!sent || web_with_db(r, read_secret, &secret, &err) != APR_SUCCESS) {
        return 0;
    }
    return equal(sent, sign(r, &secret, who, today(r))) ||
           equal(sent, sign(r, &secret, who, today(r) - 1));
}

const char *web_form_sent(request_rec *r, apr_table_t *form)
{
    const char *sent = apr_table_get(r->headers_in, "X-CSRFToken");

    sent = sent ? sent : web_param(form, "csrf");
    return sent ? sent : web_param(form, "csrfmiddlewaretoken");
}
