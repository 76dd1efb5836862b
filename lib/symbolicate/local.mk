# lib/symbolicate
libsalvage_core_la_SOURCES += lib/symbolicate/answer.c lib/symbolicate/fetch.c lib/symbolicate/json.c \
    lib/symbolicate/json_text.h lib/symbolicate/out.c lib/symbolicate/out.h \
    lib/symbolicate/request.c lib/symbolicate/symbolicate.h
EXTRA_DIST += docs/symbolicate.md
