# tests/fuzz: one source a target, three builds: replayed by `make check` (any compiler),
# libFuzzer (configure --with-fuzzer, clang), and whatever else drives LLVMFuzzerTestOneInput.
FUZZ_TARGETS = tests/fuzz/fuzz_books_filter \
    tests/fuzz/fuzz_cfi \
    tests/fuzz/fuzz_conf \
    tests/fuzz/fuzz_dumpsyms \
    tests/fuzz/fuzz_guard \
    tests/fuzz/fuzz_json \
    tests/fuzz/fuzz_extra_json \
    tests/fuzz/fuzz_gzip \
    tests/fuzz/fuzz_headers \
    tests/fuzz/fuzz_export \
    tests/fuzz/fuzz_sentry \
    tests/fuzz/fuzz_microdump \
    tests/fuzz/fuzz_minidump \
    tests/fuzz/fuzz_multipart \
    tests/fuzz/fuzz_process \
    tests/fuzz/fuzz_products \
    tests/fuzz/fuzz_ping \
    tests/fuzz/fuzz_query \
    tests/fuzz/fuzz_regex \
    tests/fuzz/fuzz_report \
    tests/fuzz/fuzz_signature \
    tests/fuzz/fuzz_stackwalk \
    tests/fuzz/fuzz_super \
    tests/fuzz/fuzz_symbolicate \
    tests/fuzz/fuzz_symcache \
    tests/fuzz/fuzz_object \
    tests/fuzz/fuzz_symfile \
    tests/fuzz/fuzz_upload_form \
    tests/fuzz/fuzz_zip
FUZZ_LIBS = libsalvage_core.la
if WITH_FUZZER
FUZZ_LINK = -fsanitize=fuzzer
FUZZ_MAIN =
noinst_PROGRAMS += $(FUZZ_TARGETS)
else
FUZZ_LINK =
FUZZ_MAIN = tests/fuzz/replay.c
check_PROGRAMS += $(FUZZ_TARGETS)
endif

FUZZ_SECONDS = 60
# Builds with clang's libFuzzer, ASan and UBSan beside this build and runs every target.
fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(srcdir)/tests/fuzz/run.sh "$(abs_top_srcdir)" \
	  "$(abs_builddir)/fuzz-build"
.PHONY: fuzz
EXTRA_DIST += tests/fuzz/run.sh tests/fuzz/make_elf_corpus.sh tests/fuzz/corpus

tests_fuzz_fuzz_cfi_SOURCES = tests/fuzz/fuzz_cfi.c $(FUZZ_MAIN)
tests_fuzz_fuzz_cfi_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_cfi_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conf_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_conf_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_dumpsyms_SOURCES = tests/fuzz/fuzz_dumpsyms.c $(FUZZ_MAIN)
tests_fuzz_fuzz_dumpsyms_LDADD = libdumpsyms.la $(FUZZ_LIBS)
tests_fuzz_fuzz_dumpsyms_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c $(FUZZ_MAIN)
tests_fuzz_fuzz_json_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_json_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_microdump_SOURCES = tests/fuzz/fuzz_microdump.c $(FUZZ_MAIN)
tests_fuzz_fuzz_microdump_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_microdump_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_minidump_SOURCES = tests/fuzz/fuzz_minidump.c $(FUZZ_MAIN)
tests_fuzz_fuzz_minidump_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_minidump_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_multipart_SOURCES = tests/fuzz/fuzz_multipart.c tests/fuzz/fuzz_collect.h $(FUZZ_MAIN)
tests_fuzz_fuzz_multipart_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_multipart_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_products_SOURCES = tests/fuzz/fuzz_products.c $(FUZZ_MAIN)
tests_fuzz_fuzz_products_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_products_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_query_SOURCES = tests/fuzz/fuzz_query.c $(FUZZ_MAIN)
tests_fuzz_fuzz_query_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_query_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_process_SOURCES = tests/fuzz/fuzz_process.c $(FUZZ_MAIN)
tests_fuzz_fuzz_process_LDADD = $(FUZZ_LIBS) -lz
tests_fuzz_fuzz_process_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_regex_SOURCES = tests/fuzz/fuzz_regex.c $(FUZZ_MAIN)
tests_fuzz_fuzz_regex_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_regex_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_super_SOURCES = tests/fuzz/fuzz_super.c $(FUZZ_MAIN)
tests_fuzz_fuzz_super_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_super_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_report_SOURCES = tests/fuzz/fuzz_report.c $(FUZZ_MAIN)
tests_fuzz_fuzz_report_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_report_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_signature_SOURCES = tests/fuzz/fuzz_signature.c $(FUZZ_MAIN)
tests_fuzz_fuzz_signature_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_signature_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_stackwalk_SOURCES = tests/fuzz/fuzz_stackwalk.c $(FUZZ_MAIN)
tests_fuzz_fuzz_stackwalk_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_stackwalk_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_symcache_SOURCES = tests/fuzz/fuzz_symcache.c $(FUZZ_MAIN)
tests_fuzz_fuzz_symcache_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_symcache_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_symfile_SOURCES = tests/fuzz/fuzz_symfile.c $(FUZZ_MAIN)
tests_fuzz_fuzz_symfile_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_symfile_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_zip_SOURCES = tests/fuzz/fuzz_zip.c $(FUZZ_MAIN)
tests_fuzz_fuzz_zip_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_zip_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_symbolicate_SOURCES = tests/fuzz/fuzz_symbolicate.c $(FUZZ_MAIN)
tests_fuzz_fuzz_symbolicate_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_symbolicate_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_books_filter_SOURCES = tests/fuzz/fuzz_books_filter.c $(FUZZ_MAIN)
tests_fuzz_fuzz_books_filter_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_books_filter_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_object_SOURCES = tests/fuzz/fuzz_object.c $(FUZZ_MAIN)
tests_fuzz_fuzz_object_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_object_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_upload_form_SOURCES = tests/fuzz/fuzz_upload_form.c $(FUZZ_MAIN)
tests_fuzz_fuzz_upload_form_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_upload_form_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_extra_json_SOURCES = tests/fuzz/fuzz_extra_json.c tests/fuzz/fuzz_collect.h $(FUZZ_MAIN)
tests_fuzz_fuzz_extra_json_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_extra_json_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_gzip_SOURCES = tests/fuzz/fuzz_gzip.c tests/fuzz/fuzz_collect.h $(FUZZ_MAIN)
tests_fuzz_fuzz_gzip_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_gzip_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_headers_SOURCES = tests/fuzz/fuzz_headers.c tests/fuzz/fuzz_collect.h $(FUZZ_MAIN)
tests_fuzz_fuzz_headers_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_headers_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_export_SOURCES = tests/fuzz/fuzz_export.c $(FUZZ_MAIN)
tests_fuzz_fuzz_export_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_export_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_sentry_SOURCES = tests/fuzz/fuzz_sentry.c tests/fuzz/fuzz_collect.h $(FUZZ_MAIN)
tests_fuzz_fuzz_sentry_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_sentry_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_guard_SOURCES = tests/fuzz/fuzz_guard.c $(FUZZ_MAIN)
tests_fuzz_fuzz_guard_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_guard_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_ping_SOURCES = tests/fuzz/fuzz_ping.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ping_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_ping_LDFLAGS = $(FUZZ_LINK)
