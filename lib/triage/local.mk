# lib/triage
libsalvage_core_la_SOURCES += \
    lib/triage/rollup.c lib/triage/rollup.h \
    lib/triage/table.c lib/triage/table.h \
    lib/triage/version_active.c lib/triage/version_cache.c lib/triage/version_key.c \
    lib/triage/version_read.c lib/triage/versions.c lib/triage/versions.h \
    lib/triage/signatures.c lib/triage/signatures.h
