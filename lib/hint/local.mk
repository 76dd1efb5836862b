# lib/hint
libsalvage_core_la_SOURCES += lib/hint/hint.c lib/hint/hint.h
EXTRA_DIST += docs/hints.md
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_hint
tests_unit_test_hint_SOURCES = tests/unit/test_hint.c
tests_unit_test_hint_LDADD = $(UNIT_LIBS)
endif
