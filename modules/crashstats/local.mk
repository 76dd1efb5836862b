# modules/crashstats
httpdmod_LTLIBRARIES += mod_crashstats.la
mod_crashstats_la_SOURCES = modules/crashstats/crashstats.h modules/crashstats/routes.def \
    modules/crashstats/mod_crashstats.c \
    modules/crashstats/routes.c \
    modules/crashstats/doc_pages.c \
    modules/crashstats/frame.c \
    modules/crashstats/api.h \
    modules/crashstats/alert_pages.c \
    modules/crashstats/api.c \
    modules/crashstats/api_crash.c \
    modules/crashstats/api_fields.c \
    modules/crashstats/api_page.c \
    modules/crashstats/api_params.c \
    modules/crashstats/api_pings.c \
    modules/crashstats/api_search.c \
    modules/crashstats/api_signature.c \
    modules/crashstats/api_table.c \
    modules/crashstats/api_triage.c \
    modules/crashstats/limits.c \
    modules/crashstats/limits.h \
    modules/crashstats/error_page.c \
    modules/crashstats/buginfo.c \
    modules/crashstats/diff_page.c \
    modules/crashstats/home_pages.c \
    modules/crashstats/health_page.c \
    modules/crashstats/intake_page.c \
    modules/crashstats/login_page.c \
    modules/crashstats/ping_page.c \
    modules/crashstats/pings_page.c \
    modules/crashstats/report.h \
    modules/crashstats/report_data.c \
    modules/crashstats/report_docs.c \
    modules/crashstats/report_links.c \
    modules/crashstats/report_more.c \
    modules/crashstats/report_page.c \
    modules/crashstats/reprocess.c \
    modules/crashstats/saved_page.c \
    modules/crashstats/search.h \
    modules/crashstats/search_ask.c \
    modules/crashstats/search_export.c \
    modules/crashstats/search_fields.c \
    modules/crashstats/search_form.c \
    modules/crashstats/search_page.c \
    modules/crashstats/search_why.c \
    modules/crashstats/siteadmin.c \
    modules/crashstats/siteadmin.h \
    modules/crashstats/siteadmin_status.c \
    modules/crashstats/source_page.c \
    modules/crashstats/signature.h modules/crashstats/signature_ask.c \
    modules/crashstats/signature_json.c \
    modules/crashstats/signature_life.c \
    modules/crashstats/signature_page.c \
    modules/crashstats/signature_parts.c \
    modules/crashstats/status_page.c \
    modules/crashstats/throttling_page.c \
    modules/crashstats/topcrashers_page.c
# httpd's headers define PACKAGE_VERSION anew
mod_crashstats_la_CPPFLAGS = $(WEB_CPPFLAGS) -DSALVAGE_VERSION='"$(PACKAGE_VERSION)"'
mod_crashstats_la_LIBADD = $(WEB_LIBS) $(XXHASH_LIBS)
mod_crashstats_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^crashstats_module$$'
EXTRA_DIST += docs/api.md
EXTRA_DIST += docs/messages.d/signature.md
EXTRA_DIST += docs/signature-report.md
