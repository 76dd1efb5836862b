# lib/signature
libsalvage_core_la_SOURCES += lib/signature/crash_data.c lib/signature/explain.c lib/signature/java.c \
  lib/signature/native.c lib/signature/ping.c lib/signature/ping.h lib/signature/normalize.c lib/signature/rules.c \
  lib/signature/list_build.c lib/signature/list_match.c \
  lib/signature/literals.c lib/signature/literals.h lib/signature/rules_hang.c lib/signature/siglists.c lib/signature/sig_text.c \
  lib/signature/sig_text.h lib/signature/sig_private.h lib/signature/signature.h
# conf/ is installed whole (conf/local.mk)
AM_CPPFLAGS += -DSAL_SIGLISTS_DIR='"$(pkgdatadir)/siglists"'
if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_signature tests/unit/test_signature_vectors
tests_unit_test_signature_SOURCES = tests/unit/test_signature.c
tests_unit_test_signature_LDADD = $(UNIT_LIBS)
tests_unit_test_signature_vectors_SOURCES = tests/unit/test_signature_vectors.c
tests_unit_test_signature_vectors_LDADD = $(UNIT_LIBS)
endif
dist_man_MANS += docs/man/salvage-signature.1
EXTRA_DIST += docs/signature.md docs/signature-lists.md
