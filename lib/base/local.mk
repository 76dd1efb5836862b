# lib/base
libsalvage_core_la_SOURCES += \
    lib/base/api.h \
    lib/base/conf.c lib/base/conf.h \
    lib/base/error.c lib/base/error.h \
    lib/base/file.c lib/base/file.h \
    lib/base/json.c lib/base/json.h \
    lib/base/json_pack.c lib/base/json_pack.h \
    lib/base/json_text.c \
    lib/base/log.c lib/base/log.h \
    lib/base/reader.h \
    lib/base/sha256.c \
    lib/base/text.c lib/base/text.h \
    lib/base/thread.c lib/base/thread.h \
    lib/base/time.c \
    lib/base/trim.c lib/base/trim.h \
    lib/base/utf8.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_conf tests/unit/test_file tests/unit/test_json \
    tests/unit/test_log tests/unit/test_reader tests/unit/test_text
tests_unit_test_conf_SOURCES = tests/unit/test_conf.c tests/unit/temp_dir.h
tests_unit_test_conf_LDADD = $(UNIT_LIBS)
tests_unit_test_file_SOURCES = tests/unit/test_file.c tests/unit/temp_dir.h
tests_unit_test_file_LDADD = $(UNIT_LIBS)
tests_unit_test_json_SOURCES = tests/unit/test_json.c
tests_unit_test_json_LDADD = $(UNIT_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(UNIT_LIBS)
tests_unit_test_reader_SOURCES = tests/unit/test_reader.c
tests_unit_test_reader_LDADD = $(UNIT_LIBS)
tests_unit_test_text_SOURCES = tests/unit/test_text.c
tests_unit_test_text_LDADD = $(UNIT_LIBS)
endif
