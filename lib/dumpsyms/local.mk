# lib/dumpsyms: a library of its own (Makefile.am says why)
libdumpsyms_la_SOURCES += lib/dumpsyms/dumpsyms.h lib/dumpsyms/dump_private.h \
    lib/dumpsyms/debug_file.c lib/dumpsyms/elf.c lib/dumpsyms/image.c \
    lib/dumpsyms/publics.c lib/dumpsyms/cfi.c lib/dumpsyms/cfi_rows.c lib/dumpsyms/cfi_expr.c \
    lib/dumpsyms/cfi_private.h \
    lib/dumpsyms/demangle.c lib/dumpsyms/pack.c \
    lib/dumpsyms/dwarf_abbrev.c lib/dumpsyms/dwarf_file.c lib/dumpsyms/dwarf_form.c \
    lib/dumpsyms/dwarf_funcs.c \
    lib/dumpsyms/dwarf_intern.c lib/dumpsyms/dwarf_lines.c lib/dumpsyms/dwarf_names.c \
    lib/dumpsyms/dwarf_nest.c lib/dumpsyms/dwarf_private.h lib/dumpsyms/dwarf_ranges.c \
    lib/dumpsyms/dwarf_unit.c \
    lib/dumpsyms/write.c lib/dumpsyms/write_private.h lib/dumpsyms/write_text.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_dumpsyms
tests_unit_test_dumpsyms_SOURCES = tests/unit/test_dumpsyms.c
tests_unit_test_dumpsyms_CPPFLAGS = $(AM_CPPFLAGS) $(ELFUTILS_CFLAGS)
tests_unit_test_dumpsyms_LDADD = libdumpsyms.la $(UNIT_LIBS)
endif
EXTRA_DIST += docs/dump-syms.md
