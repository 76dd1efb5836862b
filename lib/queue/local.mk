# lib/queue
libsalvage_core_la_SOURCES += \
    lib/queue/dead.c \
    lib/queue/queue.c lib/queue/queue.h
