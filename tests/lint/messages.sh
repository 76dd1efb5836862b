#!/bin/bash
# Every SALnnnn message: used with one text only, and listed in docs/messages.d.
cd "$(dirname "$0")/../.." || exit 1
bad=0
# shellcheck disable=SC2016 # perl's
used=$(git ls-files 'lib/*.c' 'lib/*.cc' 'modules/*.c' 'processor/*.c' 'tools/*.c' |
    xargs perl -0777 -ne 'while (/\bsal_log\(\s*[A-Z_a-z]+,\s*(\d{4})\b/g) { print "$1\n" } while (/"SAL(\d{4}): /g) { print "$1\n" }' | sort)
twice=$(echo "$used" | uniq -d)
[ -z "$twice" ] || { echo "messages: used in two places: $twice"; bad=1; }
for n in $(echo "$used" | sort -u); do
    grep -q "SAL$n" docs/messages.d/*.md || { echo "messages: SAL$n is not listed in docs/messages.d"; bad=1; }
done
exit $bad
