# lib/analysis
libsalvage_core_la_SOURCES += lib/analysis/stackwalk.h lib/analysis/analysis_private.h \
    lib/analysis/error_codes.h lib/analysis/error_codes.inc lib/analysis/error_codes.c \
    lib/analysis/reason.h lib/analysis/reason.c lib/analysis/reason_mac.c \
    lib/analysis/instruction.h lib/analysis/instruction_private.h lib/analysis/instruction.c \
    lib/analysis/instruction_quick.c lib/analysis/instruction_text.c \
    lib/analysis/instruction_zydis.c lib/analysis/crash.h lib/analysis/crash_info.c \
    lib/analysis/consistency.c lib/analysis/arguments.c lib/analysis/bit_flips.c \
    lib/analysis/json_value.c \
    lib/analysis/system.c lib/analysis/mac_info.c lib/analysis/modules.c lib/analysis/threads.c \
    lib/analysis/streams.c lib/analysis/stackwalk.c lib/analysis/human.c
dist_man_MANS += docs/man/salvage-stackwalk.1
EXTRA_DIST += docs/stackwalk.md lib/analysis/make_error_codes.py tests/peers/compare_stackwalk.py \
    tests/peers/mutate_stackwalk.py tests/cli/test_stackwalk.py

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_instruction tests/unit/test_reason tests/unit/test_stackwalk
tests_unit_test_instruction_SOURCES = tests/unit/test_instruction.c
tests_unit_test_instruction_LDADD = $(UNIT_LIBS)
tests_unit_test_reason_SOURCES = tests/unit/test_reason.c
tests_unit_test_reason_LDADD = $(UNIT_LIBS)
tests_unit_test_stackwalk_SOURCES = tests/unit/test_stackwalk.c
tests_unit_test_stackwalk_LDADD = $(UNIT_LIBS)
endif
