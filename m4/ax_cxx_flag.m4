# AX_CXX_FLAG(FLAG, VARIABLE): VARIABLE is FLAG if the C++ compiler takes it, else empty.
AC_DEFUN([AX_CXX_FLAG], [
  AC_MSG_CHECKING([whether $CXX takes $1])
  ax_cxx_flag_saved=$CXXFLAGS
  CXXFLAGS="$CXXFLAGS -Werror $1"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])], [$2=$1; AC_MSG_RESULT([yes])],
    [$2=; AC_MSG_RESULT([no])])
  CXXFLAGS=$ax_cxx_flag_saved
  AC_SUBST([$2])
])
