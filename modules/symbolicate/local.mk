# modules/symbolicate
httpdmod_LTLIBRARIES += mod_symbolicate.la
mod_symbolicate_la_SOURCES = modules/symbolicate/mod_symbolicate.c \
    modules/symbolicate/symbolicate_admit.c modules/symbolicate/symbolicate_admit.h \
    modules/symbolicate/symbolicate_config.c modules/symbolicate/symbolicate_private.h \
    modules/symbolicate/symbolicate_page.c modules/symbolicate/symbolicate_page.h
mod_symbolicate_la_CPPFLAGS = $(WEB_CPPFLAGS) -I$(srcdir)/modules/symbolicate
mod_symbolicate_la_LIBADD = $(WEB_LIBS) $(XXHASH_LIBS)
mod_symbolicate_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^symbolicate_module$$'
