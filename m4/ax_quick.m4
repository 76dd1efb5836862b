# AX_QUICK: how `salvage` itself is linked. A walk takes half a millisecond and loading shared
# libraries several, so: statically (and position-independent) where all libraries allow it.
AC_DEFUN([AX_QUICK], [
  AC_ARG_ENABLE([static-salvage], [AS_HELP_STRING([--disable-static-salvage],
    [link the program salvage with shared libraries])])
  QUICK_LIBS="$APR_LIBS $JANSSON_LIBS $ZLIB_LIBS $ZSTD_LIBS $XXHASH_LIBS -lpthread"
  QUICK_LINK="-Wl,--as-needed"
  ax_quick_libs=$($PKG_CONFIG --static --libs apr-1 jansson zlib libzstd libxxhash 2>/dev/null)
  AS_IF([test "x$enable_static_salvage" != xno], [
    AC_MSG_CHECKING([whether salvage can be linked statically])
    ax_quick_saved="$CFLAGS|$LIBS"
    CFLAGS="$CFLAGS -fPIE -static-pie"
    LIBS="$ax_quick_libs"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stddef.h>
      int apr_initialize(void); void *json_object(void); const char *zlibVersion(void);
      unsigned ZSTD_versionNumber(void); unsigned XXH_versionNumber(void);]],
      [[return apr_initialize() + (json_object() != NULL) + (zlibVersion() != NULL)
        + (int)ZSTD_versionNumber() + (int)XXH_versionNumber();]])],
      [QUICK_LIBS=$ax_quick_libs
       QUICK_LINK="-static-pie -Wl,-z,relro,-z,now -Wl,--gc-sections"
       AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])])
    CFLAGS=${ax_quick_saved%%|*}
    LIBS=${ax_quick_saved#*|}
  ])
  AC_SUBST([QUICK_LIBS])
  AC_SUBST([QUICK_LINK])
])
