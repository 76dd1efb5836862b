# lib/ping
libsalvage_core_la_SOURCES += lib/ping/ping.h lib/ping/path.c lib/ping/parse.c \
    lib/ping/ping_store.h lib/ping/ping_store.c lib/ping/ping_work.c lib/ping/sample.c lib/ping/ping_sign.h lib/ping/ping_sign.c \
    lib/ping/ping_search.h lib/ping/ping_search.c lib/ping/kin.h lib/ping/kin.c
EXTRA_DIST += docs/pings.md docs/messages.d/ping.md
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_ping
tests_unit_test_ping_SOURCES = tests/unit/test_ping.c
tests_unit_test_ping_LDADD = $(UNIT_LIBS)
endif
