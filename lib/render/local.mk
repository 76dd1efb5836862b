# lib/render
libsalvage_core_la_SOURCES += lib/render/template.cc lib/render/format.c lib/render/report.c \
              lib/render/report_stack.c lib/render/report_details.c
