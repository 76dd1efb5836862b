# lib/process
libsalvage_core_la_SOURCES += lib/process/from_store.c \
  lib/process/metrics.c lib/process/metrics.h lib/process/pipeline.c lib/process/rule.c lib/process/rule.h \
  lib/process/rules.def lib/process/rules_client.c lib/process/rules_copy.c lib/process/rules_crash.c \
  lib/process/rules_dates.c lib/process/rules_dump.c lib/process/rules_java.c \
  lib/process/rules_last.c lib/process/rules_memory.c lib/process/rules_os.c \
  lib/process/rules_stackwalk.c lib/process/schema.c lib/process/schema.h lib/process/schema_private.h \
  lib/process/schema_tree.c lib/process/schema_walk.c \
  lib/process/tables.c lib/process/tables.h lib/process/tables_private.h \
  lib/process/fields_gen.h lib/process/process.h
nodist_libsalvage_core_la_SOURCES += lib/process/fields_gen.c
BUILT_SOURCES += lib/process/fields_gen.c
CLEANFILES += lib/process/fields_gen.c
EXTRA_DIST += lib/process/embed-fields.sh

lib/process/fields_gen.c: conf/schema/processed_crash.tsv conf/schema/raw_crash.tsv \
  conf/process-tables.tsv \
  lib/process/embed-fields.sh
	@$(MKDIR_P) lib/process
	$(AM_V_GEN)$(SHELL) $(srcdir)/lib/process/embed-fields.sh $(srcdir)/conf > $@.tmp
	@mv $@.tmp $@
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_process
tests_unit_test_process_SOURCES = tests/unit/test_process.c
tests_unit_test_process_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_rules
tests_unit_test_rules_SOURCES = tests/unit/test_rules.c
tests_unit_test_rules_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_rules_real
tests_unit_test_rules_real_SOURCES = tests/unit/test_rules_real.c
tests_unit_test_rules_real_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += tests/data/rules tests/peers/compare_rules.py
