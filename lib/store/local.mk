# lib/store
libsalvage_core_la_SOURCES += lib/store/durable.c lib/store/durable.h lib/store/blob.c \
    lib/store/blob.h lib/store/fs_known.c lib/store/fs_known.h
