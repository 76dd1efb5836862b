# lib/minidump
libsalvage_core_la_SOURCES += lib/minidump/minidump.c lib/minidump/list.c lib/minidump/text.c \
              lib/minidump/system.c lib/minidump/threads.c lib/minidump/modules.c \
              lib/minidump/memory.c lib/minidump/exception.c lib/minidump/crashpad.c \
              lib/minidump/context.c lib/minidump/microdump.c lib/minidump/minidump_private.h \
              lib/minidump/print.c lib/minidump/print_context.c lib/minidump/print_lists.c \
              lib/minidump/print_modules.c lib/minidump/print_streams.c \
              lib/minidump/print_annotations.c lib/minidump/print_private.h lib/minidump/print.h \
              lib/minidump/writer.c lib/minidump/writer_streams.c lib/minidump/writer_private.h \
              lib/minidump/minidump.h lib/minidump/context.h lib/minidump/writer.h
EXTRA_DIST += docs/minidump.md tests/data

if WITH_CMOCKA
MD_SAMPLES = tests/unit/md_samples.c tests/unit/md_samples.h
check_PROGRAMS += tests/unit/test_minidump tests/unit/test_minidump_parts \
              tests/unit/test_minidump_hostile tests/unit/test_minidump_real tests/unit/test_context
tests_unit_test_minidump_SOURCES = tests/unit/test_minidump.c $(MD_SAMPLES)
tests_unit_test_minidump_LDADD = $(UNIT_LIBS)
tests_unit_test_minidump_parts_SOURCES = tests/unit/test_minidump_parts.c $(MD_SAMPLES)
tests_unit_test_minidump_parts_LDADD = $(UNIT_LIBS)
tests_unit_test_minidump_hostile_SOURCES = tests/unit/test_minidump_hostile.c $(MD_SAMPLES)
tests_unit_test_minidump_hostile_LDADD = $(UNIT_LIBS)
tests_unit_test_minidump_real_SOURCES = tests/unit/test_minidump_real.c $(MD_SAMPLES)
tests_unit_test_minidump_real_LDADD = $(UNIT_LIBS)
tests_unit_test_context_SOURCES = tests/unit/test_context.c
tests_unit_test_context_LDADD = $(UNIT_LIBS)
endif

