# lib/reprocess
libsalvage_core_la_SOURCES += \
    lib/reprocess/control.c \
    lib/reprocess/expand.c \
    lib/reprocess/foreground.c lib/reprocess/foreground.h \
    lib/reprocess/missing.c lib/reprocess/missing.h \
    lib/reprocess/rebuild.c lib/reprocess/rebuild.h \
    lib/reprocess/reprocess_private.h \
    lib/reprocess/request.c lib/reprocess/reprocess.h
EXTRA_DIST += docs/reprocessing.md
dist_man_MANS += docs/man/salvage-reprocess.1 docs/man/salvage-process.1 docs/man/salvage-rebuild.1
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_reprocess
tests_unit_test_reprocess_SOURCES = tests/unit/test_reprocess.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_reprocess_LDADD = $(UNIT_LIBS)
endif
