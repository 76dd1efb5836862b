# AX_HTTPD: finds apxs and takes httpd's compile flags from it.
AC_DEFUN([AX_HTTPD], [
  AC_ARG_WITH([apxs], [AS_HELP_STRING([--with-apxs=PATH], [apxs of the httpd to build for])],
    [APXS=$withval], [AC_PATH_PROGS([APXS], [apxs apxs2], [no])])
  AS_IF([test "x$APXS" = xno], [AC_MSG_ERROR([apxs is missing: install apache2-dev])])
  AC_SUBST([APXS])
  HTTPD_CPPFLAGS="-I$($APXS -q INCLUDEDIR) $($APXS -q EXTRA_CPPFLAGS)"
  AC_SUBST([HTTPD_CPPFLAGS])
])
