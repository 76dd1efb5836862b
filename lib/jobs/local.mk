# lib/jobs
libsalvage_core_la_SOURCES += lib/jobs/complete.c lib/jobs/complete.h
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_complete
tests_unit_test_complete_SOURCES = tests/unit/test_complete.c tests/unit/temp_dir.h \
    tests/unit/db_fixture.c tests/unit/db_fixture.h
tests_unit_test_complete_LDADD = $(UNIT_LIBS)
endif
