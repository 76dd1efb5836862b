# tests/asan: `make check-asan` runs units, command line and servers with ASan and UBSan in them;
# ASAN_TESTS="tests/http/test_collect*.py" runs those files alone.
ASAN_TESTS =
check-asan:
	cd "$(srcdir)" && "$(abs_top_srcdir)/tests/asan/run.sh" "$(abs_top_srcdir)" \
	  "$(abs_builddir)/asan-build" $(ASAN_TESTS)
.PHONY: check-asan
EXTRA_DIST += tests/asan/run.sh
