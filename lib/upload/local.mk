# lib/upload
libsalvage_core_la_SOURCES += lib/upload/adopt.c lib/upload/adopt.h lib/upload/central.c \
    lib/upload/digest.c lib/upload/digest.h lib/upload/fetch.c lib/upload/fetch.h lib/upload/file_rows.c \
    lib/upload/identity.c lib/upload/identity.h lib/upload/import.c lib/upload/import.h \
    lib/upload/log.c lib/upload/log.h lib/upload/names.c lib/upload/names.h lib/upload/rows.c \
    lib/upload/session.c lib/upload/session.h lib/upload/session_rows.c lib/upload/slot.c \
    lib/upload/slot.h lib/upload/stager.c lib/upload/stager.h lib/upload/stream.c \
    lib/upload/stream.h lib/upload/stream_private.h lib/upload/take.c lib/upload/upload.c \
    lib/upload/upload.h lib/upload/upload_private.h lib/upload/zip.c lib/upload/zip.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_upload_zip
tests_unit_test_upload_zip_SOURCES = tests/unit/test_upload_zip.c tests/unit/zip_writer.c \
    tests/unit/zip_writer.h
tests_unit_test_upload_zip_LDADD = $(UNIT_LIBS)
endif
