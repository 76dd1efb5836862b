# lib/books
libsalvage_core_la_SOURCES += lib/books/books.c lib/books/books.h lib/books/filter.c \
    lib/books/filter.h lib/books/keep_rules.c lib/books/query.c lib/books/query.h \
    lib/books/retention.c lib/books/retention.h lib/books/stats.c

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_books_filter
tests_unit_test_books_filter_SOURCES = tests/unit/test_books_filter.c
tests_unit_test_books_filter_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/messages.d/books.md
