# modules/auth_crash_token
httpdmod_LTLIBRARIES += mod_auth_crash_token.la
mod_auth_crash_token_la_SOURCES = modules/auth_crash_token/mod_auth_crash_token.c \
    modules/auth_crash_token/login.c modules/auth_crash_token/login.h \
    modules/auth_crash_token/token_cache.c modules/auth_crash_token/token_cache.h
mod_auth_crash_token_la_CPPFLAGS = $(WEB_CPPFLAGS)
mod_auth_crash_token_la_LIBADD = $(WEB_LIBS)
mod_auth_crash_token_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^auth_crash_token_module$$'
