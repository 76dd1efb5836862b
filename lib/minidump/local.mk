# lib/minidump
libsalvage_core_la_SOURCES += lib/minidump/minidump.c lib/minidump/list.c lib/minidump/text.c \
              lib/minidump/system.c lib/minidump/threads.c lib/minidump/modules.c \
              lib/minidump/memory.c lib/minidump/exception.c lib/minidump/crashpad.c \
              lib/minidump/context.c lib/minidump/minidump_private.h \
              lib/minidump/writer.c lib/minidump/writer_streams.c lib/minidump/writer_private.h \
              lib/minidump/minidump.h lib/minidump/context.h lib/minidump/writer.h
EXTRA_DIST += tests/data
