# lib/signature
libsalvage_core_la_SOURCES += lib/signature/crash_data.c lib/signature/java.c \
  lib/signature/native.c lib/signature/normalize.c lib/signature/rules.c \
  lib/signature/rules_hang.c lib/signature/siglists.c lib/signature/sig_text.c \
  lib/signature/sig_text.h lib/signature/sig_private.h lib/signature/signature.h
