#!/bin/bash
# Builds every fuzz target with libFuzzer, ASan and UBSan, and runs each for FUZZ_SECONDS.
# Inputs that crash are left in BUILD/findings; new coverage stays in BUILD/corpus.
set -euo pipefail
top=$1 build=$2
mkdir -p "$build/findings"
cd "$build"
flags="-g -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined"
[ -e Makefile ] || "$top/configure" --with-fuzzer CC=clang-14 CXX=clang++-14 \
    CFLAGS="$flags" CXXFLAGS="$flags" LDFLAGS="-fsanitize=address,undefined" >configure.log
targets=$(cd "$top/tests/fuzz" && printf "%s\n" fuzz_*.c | sed "s/\.c$//")
for t in $targets; do
    make -s "tests/fuzz/$t"
done
for t in $targets; do
    name=${t#fuzz_}
    mkdir -p "corpus/$name"
    echo "== $t, ${FUZZ_SECONDS:-60} s"
    "tests/fuzz/$t" "corpus/$name" "$top/tests/fuzz/corpus/$name" -rss_limit_mb=1024 -timeout=10 \
        -max_total_time="${FUZZ_SECONDS:-60}" -artifact_prefix="findings/$name-" \
        -print_final_stats=1 2>&1 | tail -n 8
done
