# lib/crash
libsalvage_core_la_SOURCES += lib/crash/crash_id.c lib/crash/crash_id.h lib/crash/multipart.c \
    lib/crash/multipart.h lib/crash/form_type.c lib/crash/form_type.h \
    lib/crash/envelope.c lib/crash/envelope.h lib/crash/msgpack.c lib/crash/msgpack.h \
    lib/crash/sentry.c lib/crash/sentry.h lib/crash/unpack.c lib/crash/unpack.h lib/crash/part_header.c lib/crash/part_header.h lib/crash/inflate.c \
    lib/crash/inflate.h lib/crash/extra_json.c lib/crash/extra_json.h lib/crash/annotations.c \
    lib/crash/annotations.h lib/crash/throttle.c lib/crash/throttle.h \
    lib/crash/python_text.c lib/crash/python_text.h lib/crash/products.c lib/crash/products.h \
    lib/crash/product_watch.c lib/crash/container.c \
    lib/crash/container.h lib/crash/crash_store.c lib/crash/crash_store.h \
    lib/crash/store_private.h lib/crash/stored.c lib/crash/stored.h lib/crash/crash_writer.c lib/crash/crash_reader.c \
    lib/crash/processed.c lib/crash/pending.c lib/crash/intake.c lib/crash/intake_dump.c lib/crash/intake_private.h lib/crash/intake.h \
    lib/crash/row_thread.c lib/crash/row_thread.h lib/crash/press.c lib/crash/press.h \
    lib/crash/crash_days.c lib/crash/crash_keep.c
libsalvage_core_la_SOURCES += lib/crash/agent.c lib/crash/agent.h lib/crash/ledger.c \
    lib/crash/ledger.h lib/crash/rate.c lib/crash/rate.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_rate tests/unit/test_ledger
tests_unit_test_rate_SOURCES = tests/unit/test_rate.c
tests_unit_test_rate_LDADD = $(UNIT_LIBS)
tests_unit_test_ledger_SOURCES = tests/unit/test_ledger.c tests/unit/db_fixture.c \
    tests/unit/db_fixture.h
tests_unit_test_ledger_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_crash_id tests/unit/test_inflate tests/unit/test_multipart \
    tests/unit/test_intake tests/unit/test_form_type tests/unit/test_sentry \
    tests/unit/test_unpack tests/unit/test_crash_store tests/unit/test_pending \
    tests/unit/test_throttle tests/unit/test_crash_faults tests/unit/test_container \
    tests/unit/test_press
tests_unit_test_press_SOURCES = tests/unit/test_press.c
tests_unit_test_press_LDADD = $(UNIT_LIBS)
tests_unit_test_crash_faults_SOURCES = tests/unit/test_crash_faults.c tests/unit/temp_dir.h
tests_unit_test_crash_faults_LDADD = $(UNIT_LIBS)
tests_unit_test_container_SOURCES = tests/unit/test_container.c tests/unit/temp_dir.h
tests_unit_test_container_LDADD = $(UNIT_LIBS)
tests_unit_test_crash_id_SOURCES = tests/unit/test_crash_id.c
tests_unit_test_crash_id_LDADD = $(UNIT_LIBS)
tests_unit_test_inflate_SOURCES = tests/unit/test_inflate.c
tests_unit_test_inflate_LDADD = $(UNIT_LIBS)
tests_unit_test_multipart_SOURCES = tests/unit/test_multipart.c
tests_unit_test_multipart_LDADD = $(UNIT_LIBS)
tests_unit_test_form_type_SOURCES = tests/unit/test_form_type.c
tests_unit_test_form_type_LDADD = $(UNIT_LIBS)
tests_unit_test_sentry_SOURCES = tests/unit/test_sentry.c
tests_unit_test_sentry_LDADD = $(UNIT_LIBS)
tests_unit_test_unpack_SOURCES = tests/unit/test_unpack.c
tests_unit_test_unpack_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS)
tests_unit_test_intake_SOURCES = tests/unit/test_intake.c tests/unit/temp_dir.h
tests_unit_test_intake_LDADD = $(UNIT_LIBS) $(ZLIB_LIBS)
tests_unit_test_crash_store_SOURCES = tests/unit/test_crash_store.c tests/unit/temp_dir.h
tests_unit_test_crash_store_LDADD = $(UNIT_LIBS)
tests_unit_test_pending_SOURCES = tests/unit/test_pending.c tests/unit/temp_dir.h \
    tests/unit/db_fixture.c tests/unit/db_fixture.h
tests_unit_test_pending_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_products
tests_unit_test_products_SOURCES = tests/unit/test_products.c
tests_unit_test_products_LDADD = $(UNIT_LIBS)
tests_unit_test_throttle_SOURCES = tests/unit/test_throttle.c
tests_unit_test_throttle_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/durability.md docs/operations.md docs/collector.md docs/throttling.md docs/messages.d/collect.md
