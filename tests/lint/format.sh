#!/bin/bash
# The formatter decides: every C and C++ file is as .clang-format would write it.
cd "$(dirname "$0")/../.." || exit 1
bad=0
for f in $(git ls-files '*.c' '*.h' '*.cc' | grep -v 'db/statements.h'); do
    clang-format-14 --dry-run -Werror "$f" 2>/dev/null || {
        echo "format: $f: run clang-format-14 -i $f"
        bad=1
    }
done
exit $bad
