# lib/triage
libsalvage_core_la_SOURCES += \
    lib/triage/bug_info.c lib/triage/bug_info.h \
    lib/triage/alert.c lib/triage/alert.h \
    lib/triage/saved.c lib/triage/saved.h \
    lib/triage/board.c lib/triage/board.h lib/triage/board_days.c lib/triage/board_live.c \
    lib/triage/board_private.h \
    lib/triage/bugs.c lib/triage/bugs.h lib/triage/bugzilla.c \
    lib/triage/correlate.c lib/triage/correlate.h lib/triage/correlate_find.c \
    lib/triage/correlate_load.c lib/triage/correlate_private.h lib/triage/correlate_read.c \
    lib/triage/devices.c lib/triage/devices.h \
    lib/triage/http.c lib/triage/http.h \
    lib/triage/overview.c lib/triage/overview.h lib/triage/overview_moves.c \
    lib/triage/overview_private.h \
    lib/triage/products.c lib/triage/products.h lib/triage/product_file.c \
    lib/triage/rollup.c lib/triage/rollup.h \
    lib/triage/signatures.c lib/triage/signatures.h \
    lib/triage/states.c lib/triage/states.h lib/triage/states_check.c \
    lib/triage/table.c lib/triage/table.h \
    lib/triage/top.c lib/triage/top.h lib/triage/top_versions.c \
    lib/triage/version_active.c lib/triage/version_cache.c lib/triage/version_fetch.c \
    lib/triage/version_fetch.h lib/triage/version_key.c lib/triage/version_read.c \
    lib/triage/versions.c lib/triage/versions.h
EXTRA_DIST += docs/crashstats.md docs/triage.md docs/messages.d/triage.md
dist_man_MANS += docs/man/salvage-bugs.1
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_triage tests/unit/test_triage_db tests/unit/test_states
tests_unit_test_triage_SOURCES = tests/unit/test_triage.c
tests_unit_test_triage_LDADD = $(UNIT_LIBS)
tests_unit_test_triage_db_SOURCES = tests/unit/test_triage_db.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_triage_db_LDADD = $(UNIT_LIBS)
tests_unit_test_states_SOURCES = tests/unit/test_states.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_states_LDADD = $(UNIT_LIBS)
endif
