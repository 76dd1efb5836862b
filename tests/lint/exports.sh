#!/bin/bash
# Each module exports its module record and nothing else. Needs an installed tree.
stage=${SALVAGE_PREFIX:-$(dirname "$0")/../../build/stage}
bad=0
for so in "$stage"/libexec/mod_*.so; do
    [ -e "$so" ] || { echo "exports: no modules under $stage"; exit 1; }
    name=$(basename "$so" .so)
    symbols=$(nm -D --defined-only "$so" | awk '{print $3}')
    [ "$symbols" = "${name#mod_}_module" ] || { echo "exports: $so: $symbols"; bad=1; }
done
exit $bad
