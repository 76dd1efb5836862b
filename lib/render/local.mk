# lib/render
libsalvage_core_la_SOURCES += \
    lib/render/ask.c lib/render/ask.h \
    lib/render/ask_result.c lib/render/ask_result.h \
    lib/render/ask_words.c \
    lib/render/buglink.c lib/render/buglink.h \
    lib/render/chart.c lib/render/chart.h \
    lib/render/diff.c lib/render/diff.h lib/render/diff_private.h \
    lib/render/diff_align.c lib/render/diff_stack.c lib/render/diff_values.c \
    lib/render/format.c lib/render/format.h \
    lib/render/link.c lib/render/link.h \
    lib/render/list.c lib/render/list.h \
    lib/render/overview.c lib/render/overview.h \
    lib/render/report.c lib/render/report.h lib/render/report_private.h \
    lib/render/report_debug.c \
    lib/render/report_details.c \
    lib/render/report_java.c \
    lib/render/report_stack.c \
    lib/render/report_tables.c \
    lib/render/report_why.c \
    lib/render/source.c lib/render/source.h \
    lib/render/signature_trend.c \
    lib/render/signature_view.c lib/render/signature_view.h \
    lib/render/template.cc lib/render/template.h \
    lib/render/top.h lib/render/top_ask.c lib/render/top_export.c lib/render/top_versions_view.c lib/render/top_view.c \
    lib/render/tree.c lib/render/tree.h \
    lib/render/vcs.c lib/render/vcs.h \
    lib/render/wire.c lib/render/wire.h

if WITH_CMOCKA
check_PROGRAMS += tests/unit/test_links
tests_unit_test_links_SOURCES = tests/unit/test_links.c
tests_unit_test_links_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_ask
tests_unit_test_ask_SOURCES = tests/unit/test_ask.c
tests_unit_test_ask_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_render tests/unit/test_report tests/unit/test_chart
tests_unit_test_chart_SOURCES = tests/unit/test_chart.c
tests_unit_test_chart_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(srcdir)"'
tests_unit_test_chart_LDADD = $(UNIT_LIBS)
tests_unit_test_render_SOURCES = tests/unit/test_render.c
tests_unit_test_render_LDADD = $(UNIT_LIBS)
tests_unit_test_report_SOURCES = tests/unit/test_report.c
tests_unit_test_report_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(srcdir)"'
tests_unit_test_report_LDADD = $(UNIT_LIBS)
endif
EXTRA_DIST += docs/pages.md docs/report.md docs/messages.d/stats.md
