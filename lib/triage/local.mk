# lib/triage
libsalvage_core_la_SOURCES += \
    lib/triage/signatures.c lib/triage/signatures.h
