# lib/unwind
libsalvage_core_la_SOURCES += lib/unwind/unwind.h lib/unwind/unwind_private.h lib/unwind/unwind.c \
    lib/unwind/dump_symbols.c lib/unwind/cfi.c lib/unwind/win.c lib/unwind/scan.c \
    lib/unwind/amd64.c lib/unwind/x86.c lib/unwind/arm.c lib/unwind/arm64.c lib/unwind/mips.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_cfi tests/unit/test_unwind
tests_unit_test_cfi_SOURCES = tests/unit/test_cfi.c
tests_unit_test_cfi_LDADD = $(UNIT_LIBS)
tests_unit_test_unwind_SOURCES = tests/unit/test_unwind.c
tests_unit_test_unwind_LDADD = $(UNIT_LIBS)
endif
