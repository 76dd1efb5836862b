# modules/common
libweb_la_SOURCES += modules/common/web.h modules/common/reply.c modules/common/config.c \
    modules/common/body.c modules/common/params.c modules/common/dbd.c \
    modules/common/no_file.c modules/common/client.c
libweb_la_SOURCES += modules/common/drain.c modules/common/drain.h modules/common/throttle_info.h
libweb_la_SOURCES += modules/common/watchdog.c modules/common/watchdog.h
libweb_la_SOURCES += modules/common/metrics.c modules/common/metrics.h
libweb_la_SOURCES += modules/common/page.c modules/common/page.h modules/common/person.c \
    modules/common/person.h modules/common/frame.c modules/common/frame.h
# httpd's headers define PACKAGE_VERSION anew
libweb_la_CPPFLAGS += -DSALVAGE_VERSION='"$(PACKAGE_VERSION)"'
libweb_la_LIBADD = $(XXHASH_LIBS)
