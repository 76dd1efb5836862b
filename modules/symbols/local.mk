# modules/symbols
httpdmod_LTLIBRARIES += mod_symbols.la
mod_symbols_la_SOURCES = modules/symbols/mod_symbols.c modules/symbols/symbols_upload.c \
    modules/symbols/symbols_common.c modules/symbols/symbols_fetch.c \
    modules/symbols/symbols_session.c modules/symbols/symbols_v2.c modules/symbols/symbols_tus.c \
    modules/symbols/symbols_symupload.c \
    modules/symbols/symbols_download.c modules/symbols/symbols_file.c \
    modules/symbols/symbols_missing.c modules/symbols/symbols_private.h \
    modules/symbols/symbols_debuginfod.c modules/symbols/symbols_meta.c \
    modules/symbols/symbols_route.c modules/symbols/symbols_metrics.c \
    modules/symbols/symbols_symsrv.c
mod_symbols_la_CPPFLAGS = $(WEB_CPPFLAGS) -I$(srcdir)/modules/symbols
mod_symbols_la_LIBADD = $(WEB_LIBS) $(ZLIB_LIBS) $(CRYPTO_LIBS)
mod_symbols_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^symbols_module$$'
mod_symbols_la_SOURCES += modules/symbols/symbols_api.c modules/symbols/symbols_books.h \
    modules/symbols/symbols_delete.c modules/symbols/symbols_flush.c \
    modules/symbols/symbols_missing_list.c modules/symbols/symbols_pages.c \
    modules/symbols/symbols_pages_one.c modules/symbols/symbols_pages_more.c \
    modules/symbols/symbols_pages_tokens.c modules/symbols/symbols_tokens.c \
    modules/symbols/symbols_usage.c
