# modules/symbols
httpdmod_LTLIBRARIES += mod_symbols.la
mod_symbols_la_SOURCES = modules/symbols/mod_symbols.c modules/symbols/symbols_upload.c \
    modules/symbols/symbols_common.c modules/symbols/symbols_fetch.c \
    modules/symbols/symbols_download.c modules/symbols/symbols_file.c \
    modules/symbols/symbols_missing.c modules/symbols/symbols_private.h
mod_symbols_la_CPPFLAGS = $(WEB_CPPFLAGS) -I$(srcdir)/modules/symbols
mod_symbols_la_LIBADD = $(WEB_LIBS) $(ZLIB_LIBS)
mod_symbols_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^symbols_module$$'
