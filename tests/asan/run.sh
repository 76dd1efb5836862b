#!/bin/bash
# Builds everything with ASan and UBSan beside this build, and runs unit tests and Python tests on it.
#
#   run.sh TOP BUILD [TEST...]    without tests: units, tests/cli and tests/http
#
# What a sanitizer says stands in httpd's or the daemon's log, where the gate of every test looks.
set -euo pipefail
top=$1 build=$2
shift 2
mkdir -p "$build"
cd "$build"
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined"
[ -e Makefile ] || "$top/configure" --prefix="$build/stage" --with-module-dir="$build/stage/libexec" \
    CC="${CC:-gcc}" CFLAGS="$flags" CXXFLAGS="$flags" LDFLAGS="-fsanitize=address,undefined" \
    >configure.log
make -s -j"${JOBS:-2}" >build.log 2>&1 || { tail -n 30 build.log && exit 1; }
make -s install salvaged-hooked >>build.log 2>&1 || { tail -n 30 build.log && exit 1; }

# Programs end without giving back what they need to their end, so leaks are not looked for.
options="detect_leaks=0:log_to_syslog=0"
export ASAN_OPTIONS=$options UBSAN_OPTIONS=print_stacktrace=1
# httpd was not linked with the library that must come first.
HTTPD_ENV="LD_PRELOAD=$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=$options"
export HTTPD_ENV="$HTTPD_ENV UBSAN_OPTIONS=$UBSAN_OPTIONS"
export SALVAGE_PREFIX=$build/stage
failed=0
if [ $# = 0 ]; then
    make -s -k -j"${JOBS:-2}" check >check.log 2>&1 || failed=1
    grep -E '^(FAIL|ERROR|# (TOTAL|PASS|FAIL|ERROR|SKIP)):?' check.log || true
    set -- "$top/tests/cli" "$top/tests/http"
fi
cd "$top"
/usr/bin/python3 -m pytest -q -rfEs -p no:cacheprovider "$@" || failed=1
exit $failed
