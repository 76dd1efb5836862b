#!/bin/bash
# Makes the project's own test crashes: builds the programs of src/, lets them crash, converts the
# cores, writes their symbols. The results are committed; this needs to run only when src/ changes.
#
# Needs gcc, g++, gdb, libc6-dbg, and a built `salvage`.
# usage: SALVAGE=path/to/salvage tests/data/make.sh
#
# The crashes run under gdb: it stops at the signal, when threads still have their names and the
# kernel's core_pattern does not matter; and its own stacks are what ours are compared with.
set -euo pipefail
data=$(cd "$(dirname "$0")" && pwd)
salvage=${SALVAGE:-$data/../../build/salvage}
work=${TMPDIR:-/tmp}/salvage-crashers
host=$data/host # what the dumps say of the host they come from
rm -rf "$work" "$data/crashes" "$data/symbols"
mkdir -p "$work" "$data/crashes" "$data/symbols"

flags="-g -fomit-frame-pointer -fasynchronous-unwind-tables -pthread -Wall -Wextra
       -ffile-prefix-map=$data/src=/build/sampler -ffile-prefix-map=$work=/build/sampler"
cd "$work" # the compiler notes where it runs
# shellcheck disable=SC2086 # a list of options
gcc $flags -O1 -fno-inline-small-functions -o "$work/crasher" "$data/src/crasher.c"
# shellcheck disable=SC2086
g++ $flags -O2 -std=c++17 -o "$work/crasher_cpp" "$data/src/crasher_cpp.cc"

crash() { # NAME PROGRAM [ARGS]: crashes/NAME.dmp and crashes/NAME.expected.json
    local name=$1 snap=$work/$1.snap
    shift
    mkdir "$snap"
    export SNAPSHOT_DIR=$snap
    {
        gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'set exec-wrapper env -i' -ex run \
            -x "$data/snapshot.py" --args "$@" &&
            gdb -batch -nx -ex 'set debuginfod enabled off' -x "$data/stacks.py" "$1" "$snap/core"
    } >"$snap/gdb.log" 2>&1 || {
        cat "$snap/gdb.log"
        exit 1
    }
    "$salvage" core2md --proc "$snap/proc" --host "$host" -o "$data/crashes/$name.dmp" "$snap/core"
    cp "$snap/expected.json" "$data/crashes/$name.expected.json"
    chmod 644 "$data/crashes/$name.dmp"
}

crash crasher "$work/crasher" write
crash crasher_abort "$work/crasher" abort
crash crasher_cpp "$work/crasher_cpp"

for program in crasher crasher_cpp; do
    "$salvage" dump-syms --store "$data/symbols" "$work/$program"
done

# Of system libraries only what occurs in the stacks, in the words of their detached debug files.
offsets() { # MODULE: where frames are in it, return addresses taken back into the call
    python3 - "$1" "$data"/crashes/*.expected.json <<'PY'
import json
import sys

found = set()
for name in sys.argv[2:]:
    for thread in json.load(open(name))["threads"]:
        for i, frame in enumerate(thread["frames"]):
            if frame["module"] == sys.argv[1]:
                found.add(int(frame["offset"], 16) - (1 if i else 0))
print(",".join(f"{a:x}" for a in sorted(found)))
PY
}
library=/lib/x86_64-linux-gnu/libc.so.6
whole=$("$salvage" dump-syms --store "$work/symbols" "$library")
mkdir -p "$(dirname "$data/symbols${whole#"$work/symbols"}")"
"$data/trim_sym.py" "$(offsets libc.so.6)" <"$whole" >"$data/symbols${whole#"$work/symbols"}"
du -h "$data"/crashes/*.dmp "$data"/symbols/*/*/*.sym
