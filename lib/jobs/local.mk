# lib/jobs
libsalvage_core_la_SOURCES += lib/jobs/complete.c lib/jobs/complete.h
