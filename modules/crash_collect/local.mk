# modules/crash_collect
httpdmod_LTLIBRARIES += mod_crash_collect.la
mod_crash_collect_la_SOURCES = modules/crash_collect/mod_crash_collect.c \
    modules/crash_collect/collect_private.h modules/crash_collect/collect_config.c \
    modules/crash_collect/collect_report.h modules/crash_collect/collect_headers.c \
    modules/crash_collect/collect_body.c modules/crash_collect/collect_submitter.c \
    modules/crash_collect/collect_dialect.c modules/crash_collect/collect_dialect.h \
    modules/crash_collect/collect_sentry.c \
    modules/crash_collect/collect_request.c modules/crash_collect/collect_reply.c \
    modules/crash_collect/collect_sweep.c modules/crash_collect/collect_sweep.h \
    modules/crash_collect/collect_health.c
mod_crash_collect_la_SOURCES += modules/crash_collect/collect_metrics.c \
    modules/crash_collect/collect_metrics.h modules/crash_collect/collect_statsd.c \
    modules/crash_collect/collect_limits.c modules/crash_collect/collect_limits.h \
    modules/crash_collect/collect_ledger.c modules/crash_collect/collect_ledger.h \
    modules/crash_collect/collect_health.h
mod_crash_collect_la_SOURCES += modules/crash_collect/collect_hint.c \
    modules/crash_collect/collect_hint.h modules/crash_collect/collect_ping.c \
    modules/crash_collect/collect_ping.h
mod_crash_collect_la_CPPFLAGS = $(WEB_CPPFLAGS) -DSALVAGE_VERSION='"$(PACKAGE_VERSION)"'
mod_crash_collect_la_LIBADD = $(WEB_LIBS)
mod_crash_collect_la_LDFLAGS = $(MODULE_LINK) -export-symbols-regex '^crash_collect_module$$'
mod_crash_collect_la_SOURCES += modules/crash_collect/collect_throttle.c \
    modules/crash_collect/collect_throttle.h modules/crash_collect/collect_throttle_expr.c \
    modules/crash_collect/collect_throttle_places.c modules/crash_collect/collect_throttle_trial.c
