/*
 * The family of a client's program, for the intake ledger: one of a few names of our own, so that
 * nothing of what the client sent is kept.
 */
#ifndef SAL_CRASH_AGENT_H
#define SAL_CRASH_AGENT_H

#include "base/error.h"

/* "crashpad", "firefox", "curl", ...; "none" for NULL or "", "other" for all else. Static. */
SAL_API const char *sal_agent_family(const char *user_agent);

#endif
