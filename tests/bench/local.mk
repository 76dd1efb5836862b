# tests/bench: `make bench` prints a line a figure, then a table (docs/testing.md).
EXTRA_PROGRAMS = tests/bench/bench_durable tests/bench/bench_symcache
EXTRA_PROGRAMS += tests/bench/bench_signature
EXTRA_PROGRAMS += tests/bench/bench_make_sym tests/bench/bench_spawn
tests_bench_bench_durable_SOURCES = tests/bench/bench_durable.c
tests_bench_bench_durable_LDADD = $(CRYPTO_LIBS) -lpthread
tests_bench_bench_symcache_SOURCES = tests/bench/bench_symcache.c
tests_bench_bench_symcache_LDADD = libsalvage_core.la
tests_bench_bench_signature_SOURCES = tests/bench/bench_signature.c
tests_bench_bench_signature_LDADD = libsalvage_core.la
tests_bench_bench_make_sym_SOURCES = tests/bench/bench_make_sym.c
tests_bench_bench_make_sym_LDADD = libsalvage_core.la
tests_bench_bench_spawn_SOURCES = tests/bench/bench_spawn.c
EXTRA_PROGRAMS += tests/bench/bench_queue tests/bench/bench_walk
tests_bench_bench_queue_SOURCES = tests/bench/bench_queue.c
tests_bench_bench_queue_LDADD = libsalvage_core.la -lpthread
tests_bench_bench_walk_SOURCES = tests/bench/bench_walk.c
tests_bench_bench_walk_LDADD = libsalvage_core.la -lstdc++
EXTRA_DIST += tests/bench/bench_process.py

bench: all $(EXTRA_PROGRAMS)
	$(MAKE) -s install >/dev/null
	SALVAGE_PREFIX="$(prefix)" SALVAGE_BENCH="$(abs_builddir)/tests/bench" \
	  /usr/bin/python3 "$(srcdir)/tests/bench/bench.py" $(BENCH_ONLY)
.PHONY: bench
EXTRA_DIST += tests/bench/bench.py tests/bench/bench_reprocess.py tests/bench/figures.py tests/bench/post.lua tests/bench/post_json.lua
EXTRA_DIST += tests/bench/bench_service.py tests/bench/bench_download.py
EXTRA_DIST += tests/bench/bench_stackwalk.py
EXTRA_DIST += tests/bench/bench_dumpsyms.py
EXTRA_DIST += tests/bench/bench_upload.py tests/bench/bench_collect.py
EXTRA_DIST += tests/bench/bench_throttle.py
EXTRA_PROGRAMS += tests/bench/bench_make_crashes
tests_bench_bench_make_crashes_SOURCES = tests/bench/bench_make_crashes.c
tests_bench_bench_make_crashes_LDADD = libsalvage_core.la -lm
EXTRA_DIST += tests/bench/bench_search.py tests/bench/crowd.py
