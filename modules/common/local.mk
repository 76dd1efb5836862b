# modules/common
libweb_la_SOURCES += modules/common/reply.c
