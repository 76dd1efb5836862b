# tools: one command, a file per subcommand (rows in tools/commands.def)
bin_PROGRAMS += salvage
salvage_SOURCES = \
    tools/cmd.h tools/commands.def \
    tools/cmd_db.c \
    tools/cmd_queue.c \
    tools/cmd_signature.c \
    tools/cmd_stackwalk.c \
    tools/cmd_symcache.c \
    tools/cmd_token.c \
    tools/salvage.c
salvage_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tools
salvage_LDADD = libcore2md.la libsalvage.la $(APR_LIBS) $(JANSSON_LIBS) $(PQ_LIBS) $(CURL_LIBS) \
    $(ZIP_LIBS) $(ZLIB_LIBS)

# core2md: a library of its own, so that elfutils is linked into the tool and nowhere else
noinst_LTLIBRARIES += libcore2md.la
libcore2md_la_SOURCES = tools/core2md.c tools/core2md.h tools/core2md_core.c tools/core2md_cpu.c \
              tools/core2md_linux.c tools/core2md_modules.c
libcore2md_la_CPPFLAGS = $(AM_CPPFLAGS) $(ELFUTILS_CFLAGS) -I$(srcdir)/tools
libcore2md_la_LIBADD = $(ELFUTILS_LIBS)

# upload-symbols
salvage_SOURCES += tools/cmd_upload_symbols.c tools/symbol_files.c tools/symbol_files.h

dist_man_MANS += docs/man/salvage.1 docs/man/salvage-db.1 docs/man/salvage-queue.1 \
    docs/man/salvage-token.1 docs/man/salvage.conf.5

# submit, sweep
salvage_SOURCES += tools/cmd_submit.c tools/cmd_sweep.c
dist_man_MANS += docs/man/salvage-submit.1 docs/man/salvage-sweep.1
