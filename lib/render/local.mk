# lib/render
libsalvage_core_la_SOURCES += lib/render/template.cc lib/render/format.c lib/render/wire.c \
              lib/render/list.c lib/render/report.c lib/render/report_stack.c \
              lib/render/report_details.c
