# tests/faults: `make check-faults` sends crashes while everything around them breaks
# (docs/durability.md). ./check runs the short form of the same tests.
noinst_PROGRAMS += tests/faults/store_load
tests_faults_store_load_SOURCES = tests/faults/store_load.c
# A weak reference does not count as a need: say that ISA-L is one.
tests_faults_store_load_LDADD = libsalvage_core.la -lstdc++ -lpthread
tests_faults_store_load_LDFLAGS = -Wl,--no-as-needed $(ISAL_LIBS)
if WITH_FUSE
noinst_PROGRAMS += tests/faults/faultdisk
tests_faults_faultdisk_SOURCES = tests/faults/faultdisk.c
tests_faults_faultdisk_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
tests_faults_faultdisk_LDADD = $(FUSE_LIBS)
endif
EXTRA_DIST += tests/faults/conftest.py tests/faults/faults.py tests/faults/test_httpd_sweeps.py tests/faults/test_kills.py tests/faults/test_no_loss.py \
    tests/faults/skew.c tests/faults/test_power_cuts.py tests/faults/test_processing_faults.py \
    tests/faults/test_under_fire.py

# Seven minutes on an idle machine of two processors. What does not end is ended, and cleans up.
FAULTS_SECONDS = 720
check-faults: all
	$(MAKE) -s install >/dev/null
	SALVAGE_PREFIX="$(prefix)" SALVAGE_FAULTS=full \
	  timeout --foreground -s INT -k 60 $(FAULTS_SECONDS) \
	  /usr/bin/python3 -m pytest -v -rfEs -s -p no:cacheprovider --durations=5 "$(srcdir)/tests/faults" || \
	  { code=$$?; [ $$code != 124 ] || echo "check-faults did not end in $(FAULTS_SECONDS) s"; exit $$code; }
.PHONY: check-faults
