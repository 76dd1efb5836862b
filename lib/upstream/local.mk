# lib/upstream
libsalvage_core_la_SOURCES += lib/upstream/cache.c lib/upstream/check.c lib/upstream/conf.c \
    lib/upstream/http.c lib/upstream/names.c lib/upstream/open.c lib/upstream/pipe.c \
    lib/upstream/pipe.h lib/upstream/serve.c lib/upstream/server.c lib/upstream/source.c \
    lib/upstream/trim.c lib/upstream/upstream.c lib/upstream/upstream.h \
    lib/upstream/upstream_private.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_upstream
tests_unit_test_upstream_SOURCES = tests/unit/test_upstream.c
tests_unit_test_upstream_LDADD = $(UNIT_LIBS)
endif
