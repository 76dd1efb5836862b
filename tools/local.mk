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
salvage_CPPFLAGS = $(AM_CPPFLAGS) $(ELFUTILS_CFLAGS) -I$(srcdir)/tools
salvage_LDADD = libsalvage.la $(APR_LIBS) $(JANSSON_LIBS) $(PQ_LIBS) $(CURL_LIBS) \
    $(ZIP_LIBS) $(ZLIB_LIBS) $(ELFUTILS_LIBS)

# core2md: the only one that needs elfutils
salvage_SOURCES += tools/cmd_core2md.c tools/core2md_core.c tools/core2md_core.h \
    tools/core2md_cpu.c tools/core2md_linux.c tools/core2md_modules.c
dist_man_MANS += docs/man/salvage-core2md.1

# upload-symbols
salvage_SOURCES += tools/cmd_upload_symbols.c tools/symbol_files.c tools/symbol_files.h
dist_man_MANS += docs/man/salvage-upload-symbols.1

EXTRA_DIST += tests/cli
dist_man_MANS += docs/man/salvage.1 docs/man/salvage-db.1 docs/man/salvage-queue.1 \
    docs/man/salvage-token.1 docs/man/salvage.conf.5

# submit, sweep
salvage_SOURCES += tools/cmd_submit.c tools/cmd_sweep.c
dist_man_MANS += docs/man/salvage-submit.1 docs/man/salvage-sweep.1
