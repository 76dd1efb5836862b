#!/bin/bash
# What the style guide forbids and a machine can see: unsafe calls, long functions and files,
# headers that do not compile alone, unformatted shell scripts.
cd "$(dirname "$0")/../.." || exit 1
bad=0

complain() {
    echo "style: $*"
    bad=1
}

files=$(git ls-files 'lib/*.[ch]' 'modules/*.[ch]' 'processor/*.[ch]' 'tools/*.[ch]' 'lib/*.cc')

# shellcheck disable=SC2086 # a list of files
found=$(grep -nE '(^|[^a-z_])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|alloca|gets)\(' $files)
[ -z "$found" ] || complain "unsafe calls:
$found"

# APR's formatter knows no "ll": it would read the wrong arguments.
# shellcheck disable=SC2086
found=$(perl -0777 -ne 'while (/\bap(?:r_p|r_)(?:v?sn?printf|sprintf)\b[^;]*?(JSON_INTEGER_FORMAT|%ll[dux])/g) { print "$ARGV: $1\n" }' $files)
[ -z "$found" ] || complain "long long given to APR's printf:
$found"

for f in $files; do
    lines=$(wc -l <"$f")
    [ "$lines" -le 1200 ] || complain "$f has $lines lines, limit 1200: two things live in it"
    awk -v f="$f" 'length($0) > 100 { n++ } END { if (n) print "style: " f ": " n " lines over 100 columns"; exit n > 0 }' "$f" || bad=1
done

# Functions over 100 lines; exceptions stand in functions.allow with a reason.
if command -v ctags >/dev/null; then
    # shellcheck disable=SC2086
    long=$(ctags --languages=C --kinds-C=f --fields=+ne -o - $files | awk -F'\t' '
        { l = 0; e = 0
          for (i = 4; i <= NF; i++) { if ($i ~ /^line:/) l = substr($i, 6); if ($i ~ /^end:/) e = substr($i, 5) }
          if (e - l + 1 > 100) print $2 ":" $1 " has " e - l + 1 " lines, limit 100" }' |
        grep -vFf <(sed 's/ .*//' tests/lint/functions.allow 2>/dev/null || true))
    [ -z "$long" ] || complain "$long"
fi

flags=$(pkg-config --cflags apr-1 apr-util-1 libpq jansson)
for h in $(git ls-files 'lib/*.h' 'modules/common/*.h' | grep -v 'db/statements.h'); do
    # shellcheck disable=SC2086
    gcc -std=gnu11 -fsyntax-only -x c -Ilib -Imodules -I"$(apxs -q INCLUDEDIR)" $flags "$h" 2>/dev/null ||
        complain "$h does not compile alone"
done
exit $bad
