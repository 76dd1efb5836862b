#!/bin/bash
# Shell scripts pass shellcheck.
cd "$(dirname "$0")/../.." || exit 1
scripts=$(git ls-files | xargs grep -lE '^#!/bin/(ba)?sh' 2>/dev/null)
# shellcheck disable=SC2086
shellcheck $scripts tools/setup.sh
