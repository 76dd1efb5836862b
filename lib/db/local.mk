# lib/db
libsalvage_core_la_SOURCES += \
    lib/db/connect.c \
    lib/db/db.c lib/db/db.h lib/db/db_private.h \
    lib/db/together.c \
    lib/db/people.c lib/db/people.h \
    lib/db/schema.c lib/db/schema.h \
    lib/db/statements.c lib/db/statements.h \
    lib/db/token.c lib/db/token.h \
    lib/db/txn.c \
    lib/db/value.c \
    lib/db/watch.c lib/db/watch.h
nodist_libsalvage_core_la_SOURCES = lib/db/migrations_gen.c
BUILT_SOURCES += lib/db/migrations_gen.c
CLEANFILES += lib/db/migrations_gen.c
EXTRA_DIST += lib/db/embed-sql.sh lib/db/migrations lib/db/statements

# Looked at in every build, so that a new .sql file is seen; written only when it differs, so that
# nothing is compiled again for it.
lib/db/migrations_gen.c: force-migrations
	@$(MKDIR_P) lib/db
	@$(SHELL) $(srcdir)/lib/db/embed-sql.sh $(srcdir)/lib/db/migrations > $@.tmp
	@if cmp -s $@.tmp $@; then rm -f $@.tmp; else mv $@.tmp $@; fi
force-migrations:
.PHONY: force-migrations

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_db
tests_unit_test_db_SOURCES = tests/unit/test_db.c tests/unit/db_fixture.c tests/unit/db_fixture.h
tests_unit_test_db_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_db_together
tests_unit_test_db_together_SOURCES = tests/unit/test_db_together.c tests/unit/db_fixture.c tests/unit/db_fixture.h
tests_unit_test_db_together_LDADD = $(UNIT_LIBS)
endif
