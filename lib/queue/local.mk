# lib/queue
libsalvage_core_la_SOURCES += \
    lib/queue/admin.c \
    lib/queue/queue.c lib/queue/queue.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_queue
tests_unit_test_queue_SOURCES = tests/unit/test_queue.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_queue_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/queue.md
