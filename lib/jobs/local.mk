# lib/jobs
EXTRA_DIST += docs/alerts.md docs/messages.d/alerts.md docs/jobs.md docs/messages.d/jobs.md lib/jobs/jobs.def
libsalvage_core_la_SOURCES += lib/jobs/complete.c lib/jobs/complete.h \
    lib/jobs/alert_mail.c \
    lib/jobs/alerts.c lib/jobs/alerts.h lib/jobs/alerts_private.h \
    lib/jobs/alerts_find.c \
    lib/jobs/cron_alerts.c \
    lib/jobs/cron.c lib/jobs/cron.h lib/jobs/cron_private.h \
    lib/jobs/cron_books.c lib/jobs/cron_export.c lib/jobs/cron_plan.c \
    lib/jobs/cron_house.c lib/jobs/cron_triage.c lib/jobs/cron_people.c lib/jobs/cron_pci.c lib/jobs/cron_retention.c \
    lib/jobs/cron_symbols.c lib/jobs/cron_verify.c lib/jobs/pins.c lib/jobs/pins.h \
    lib/jobs/overlooked.c lib/jobs/overlooked.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_cron
tests_unit_test_cron_SOURCES = tests/unit/test_cron.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_cron_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_complete
tests_unit_test_complete_SOURCES = tests/unit/test_complete.c tests/unit/temp_dir.h \
    tests/unit/db_fixture.c tests/unit/db_fixture.h
tests_unit_test_complete_LDADD = $(UNIT_LIBS)
endif
