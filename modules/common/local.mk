# modules/common
libweb_la_SOURCES += modules/common/web.h modules/common/reply.c modules/common/config.c \
    modules/common/body.c modules/common/params.c modules/common/dbd.c
libweb_la_SOURCES += modules/common/drain.c modules/common/drain.h
