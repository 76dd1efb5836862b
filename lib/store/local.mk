# lib/store
libsalvage_core_la_SOURCES += lib/store/durable.c lib/store/durable.h lib/store/blob.c \
    lib/store/blob.h lib/store/fs_known.c lib/store/fs_known.h \
    lib/store/s3.c lib/store/s3.h lib/store/s3_http.c lib/store/s3_private.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_blob tests/unit/test_s3
tests_unit_test_s3_SOURCES = tests/unit/test_s3.c tests/unit/temp_dir.h
tests_unit_test_s3_LDADD = $(UNIT_LIBS)
tests_unit_test_blob_SOURCES = tests/unit/test_blob.c tests/unit/temp_dir.h
tests_unit_test_blob_LDADD = $(UNIT_LIBS)
endif
