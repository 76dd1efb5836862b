# lib/export
libsalvage_core_la_SOURCES += lib/export/config.c lib/export/deliver.c lib/export/exporter.c \
  lib/export/exporter.h lib/export/export_private.h lib/export/segments.c lib/export/target.c \
  lib/export/form.c lib/export/form.h \
  lib/export/outbox.c lib/export/outbox.h lib/export/outbox_look.c \
  lib/export/post.c lib/export/post.h lib/export/stage.c lib/export/stage.h \
  lib/export/telemetry.c lib/export/telemetry.h lib/export/telemetry_gen.h
nodist_libsalvage_core_la_SOURCES += lib/export/telemetry_gen.c
BUILT_SOURCES += lib/export/telemetry_gen.c
CLEANFILES += lib/export/telemetry_gen.c
EXTRA_DIST += lib/export/embed-telemetry.sh docs/export.md

lib/export/telemetry_gen.c: conf/schema/telemetry.tsv lib/export/embed-telemetry.sh
	@$(MKDIR_P) lib/export
	$(AM_V_GEN)$(SHELL) $(srcdir)/lib/export/embed-telemetry.sh $(srcdir)/conf/schema/telemetry.tsv > $@.tmp
	@mv $@.tmp $@

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_export
tests_unit_test_export_SOURCES = tests/unit/test_export.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_export_LDADD = $(UNIT_LIBS)
endif
