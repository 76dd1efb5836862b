# processor: salvaged, and its twin for tests that can be told to die
sbin_PROGRAMS += salvaged
SALVAGED_SOURCES = processor/abandoned.c processor/board.c processor/board.h processor/child.c processor/child.h \
  processor/crons.c processor/dump.c processor/dumper.c processor/exporter.c processor/fetcher.c \
  processor/housekeeper.c processor/kept.c processor/link.c processor/main.c processor/metrics.c processor/metrics.h processor/metrics_text.c \
  processor/notify.c processor/pass.c processor/ping.c \
  processor/salvaged.h processor/sandbox.c processor/settings.c processor/signals.c \
  processor/supervisor.c processor/walk.c processor/walker.c processor/worker.c processor/worker.h
SALVAGED_LIBS = libsalvage.la $(APR_LIBS) $(JANSSON_LIBS) $(PQ_LIBS) $(ZLIB_LIBS) $(SECCOMP_LIBS)
salvaged_SOURCES = $(SALVAGED_SOURCES)
salvaged_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS) -I$(srcdir)/processor
salvaged_LDADD = libdumpsyms.la $(SALVAGED_LIBS)
salvaged_LDFLAGS = -Wl,-z,now

noinst_PROGRAMS += salvaged-hooked
salvaged_hooked_SOURCES = $(SALVAGED_SOURCES) processor/test_hooks.c
salvaged_hooked_CPPFLAGS = $(salvaged_CPPFLAGS) -DSAL_TEST_HOOKS
# the archive, so that it runs from the build tree as itself and not through libtool's script
salvaged_hooked_LDADD = libdumpsyms.la libsalvage_core.la $(SECCOMP_LIBS)
dist_man_MANS += docs/man/salvaged.8
EXTRA_DIST += docs/processor.md

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_sandbox
tests_unit_test_sandbox_SOURCES = tests/unit/test_sandbox.c processor/sandbox.c
tests_unit_test_sandbox_CPPFLAGS = $(salvaged_CPPFLAGS)
tests_unit_test_sandbox_LDADD = $(UNIT_LIBS) $(SECCOMP_LIBS)
endif
