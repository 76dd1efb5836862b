# tools: one command, a file per subcommand (rows in tools/commands.def), three programs.
bin_PROGRAMS += salvage
pkglibexec_PROGRAMS += salvage-tools salvage-server
TOOL_CPPFLAGS = $(AM_CPPFLAGS) $(ELFUTILS_CFLAGS) -I$(srcdir)/tools \
    -DPKGLIBEXECDIR='"$(pkglibexecdir)"'

# In all three: the walk.
EVERY_SOURCES = tools/cmd.h tools/commands.def tools/salvage.c \
    tools/cmd_stackwalk.c tools/stackwalk.h tools/stackwalk_options.c \
    tools/stackwalk_progress.c tools/stackwalk_symbols.c tools/stackwalk_local.c

# salvage: the walk and what goes with it. It links from the archive just the objects it needs, and
# where configure found static libraries (QUICK_LINK) it loads nothing; libtool cannot link so.
salvage_SOURCES = $(EVERY_SOURCES) tools/cmd_symbolicate.c tools/input.c tools/input.h tools/cmd_symcache.c tools/quick_decode.c \
    lib/symbols/gunzip.c
salvage_CPPFLAGS = $(TOOL_CPPFLAGS) -DSALVAGE_QUICK
salvage_LDADD = .libs/libsalvage_core.a $(QUICK_LIBS)
salvage_DEPENDENCIES = libsalvage_core.la
salvage_LINK = $(CC) $(AM_CFLAGS) $(CFLAGS) $(QUICK_LINK) $(LDFLAGS) -o $@
.libs/libsalvage_core.a: libsalvage_core.la

# salvage-tools: what needs more libraries, of this host only.
salvage_tools_SOURCES = $(EVERY_SOURCES) \
    tools/cmd_core2md.c tools/core2md_core.c tools/core2md_core.h tools/core2md_cpu.c \
    tools/core2md_linux.c tools/core2md_modules.c \
    tools/cmd_dump_syms.c \
    tools/cmd_signature.c tools/input.c tools/signature_cmd.c tools/signature_cmd.h \
    tools/signature_print.c tools/signature_print.h
salvage_tools_CPPFLAGS = $(TOOL_CPPFLAGS) -DSALVAGE_TOOLS
salvage_tools_LDFLAGS = -Wl,--as-needed
salvage_tools_LDADD = libdumpsyms.la libsalvage_core.la $(APR_LIBS) $(JANSSON_LIBS) $(ZLIB_LIBS) $(ELFUTILS_LIBS)

# salvage-server: what needs a database or the network.
salvage_server_SOURCES = $(EVERY_SOURCES) tools/cmd_server.c \
    tools/cmd_alerts.c \
    tools/cmd_bugs.c \
    tools/cmd_db.c \
    tools/cmd_grant.c \
    tools/cmd_export.c tools/cmd_submitter.c tools/export_cmd.c tools/export_cmd.h \
    tools/cmd_hint.c \
    tools/cmd_jobs.c \
    tools/cmd_product.c tools/product_pages.c tools/product_pages.h tools/product_versions.c tools/product_versions.h \
    tools/input_file.c \
    tools/cmd_ping.c \
    tools/cmd_ledger.c \
    tools/cmd_queue.c tools/queue_show.c tools/queue_show.h \
    tools/cmd_process.c tools/process_trace.c tools/process_trace.h \
    tools/cmd_rebuild.c tools/cmd_reprocess.c tools/input.c tools/input.h \
    tools/cmd_retention.c tools/store.c tools/store.h \
    tools/cmd_search.c \
    tools/reply.c tools/reply.h \
    tools/signature_fetch.c tools/signature_cmd.c tools/signature_print.c \
    tools/cmd_submit.c tools/submit.h tools/submit_dialect.c tools/submit_form.c tools/submit_send.c \
    tools/cmd_sweep.c \
    tools/cmd_symbols.c \
    tools/cmd_throttle.c \
    tools/cmd_token.c \
    tools/cmd_upload_symbols.c tools/upload_send.c tools/upload_send.h tools/symbol_files.c tools/symbol_files.h
salvage_server_CPPFLAGS = $(TOOL_CPPFLAGS) -DSALVAGE_SERVER
salvage_server_LDADD = libsalvage.la $(APR_LIBS) $(JANSSON_LIBS) $(PQ_LIBS) $(CURL_LIBS) \
    $(ZIP_LIBS) $(ZLIB_LIBS)

# asks symbol servers for `salvage stackwalk`
pkglibexec_PROGRAMS += salvage-fetch
salvage_fetch_SOURCES = tools/fetch.c
salvage_fetch_LDFLAGS = -Wl,--as-needed
salvage_fetch_LDADD = libsalvage_core.la $(APR_LIBS) $(CURL_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS)

EXTRA_DIST += tests/cli tools/private-instance tools/setup.sh
dist_man_MANS += docs/man/salvage-ledger.1 docs/man/salvage-jobs.1 docs/man/salvage-retention.1
dist_man_MANS += docs/man/salvage-search.1
dist_man_MANS += docs/man/salvage-core2md.1 docs/man/salvage-dump-syms.1
dist_man_MANS += docs/man/salvage-upload-symbols.1
dist_man_MANS += docs/man/salvage.1 docs/man/salvage-db.1 docs/man/salvage-queue.1 \
    docs/man/salvage-token.1 docs/man/salvage.conf.5
dist_man_MANS += docs/man/salvage-symbolicate.1 docs/man/salvage-submit.1 docs/man/salvage-sweep.1
dist_man_MANS += docs/man/salvage-product.1 docs/man/salvage-throttle.1
dist_man_MANS += docs/man/salvage-symbols.1 docs/man/salvage-grant.1
dist_man_MANS += docs/man/salvage-export.1 docs/man/salvage-submitter.1
dist_man_MANS += docs/man/salvage-alerts.1
dist_man_MANS += docs/man/salvage-ping.1 docs/man/salvage-hint.1
