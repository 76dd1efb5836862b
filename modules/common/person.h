/*
 * People: who httpd's own authentication has found, what the database lets them do, and how their
 * forms are told from forged ones.
 */
#ifndef MODULES_COMMON_PERSON_H
#define MODULES_COMMON_PERSON_H

#include "common/web.h"

/*
 * Fills *who as web_identity does, and for a person (no token) their id and permissions from the
 * database, asked once a request. An account without rights is made on the first sign-in. An
 * inactive one is SAL_E_DENIED, and who->user NULL. Anonymous is success with who->user NULL.
 */
apr_status_t web_person(request_rec *r, web_identity_t *who, sal_error_t *err);

/*
 * What forms of this person carry in the field "csrf", valid for a day or two; NULL after an error.
 */
const char *web_form_token(request_rec *r, const web_identity_t *who, sal_error_t *err);

/*
 * May this request change something? By token: yes. By a person: the form's token is right, or the
 * browser says that the request comes from our own pages (Origin). sent may be NULL.
 */
int web_form_trusted(request_rec *r, const web_identity_t *who, const char *sent);

/* What came as the form's token: X-CSRFToken, "csrf", or "csrfmiddlewaretoken"; NULL: nothing. */
const char *web_form_sent(request_rec *r, apr_table_t *form);

#endif
