# modules/symbolicate
httpdmod_LTLIBRARIES += mod_symbolicate.la
mod_symbolicate_la_SOURCES = modules/symbolicate/mod_symbolicate.c \
    modules/symbolicate/symbolicate.h modules/symbolicate/symbolicate_answer.c \
    modules/symbolicate/symbolicate_json.c modules/symbolicate/symbolicate_json.h \
    modules/symbolicate/symbolicate_out.c modules/symbolicate/symbolicate_request.c
mod_symbolicate_la_CPPFLAGS = $(WEB_CPPFLAGS) -I$(srcdir)/modules/symbolicate
mod_symbolicate_la_LIBADD = $(WEB_LIBS)
mod_symbolicate_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^symbolicate_module$$'
