#!/bin/sh
# Prints the C file that holds every lib/db/migrations/NNNN_name.sql, ascending by number.
# usage: embed-sql.sh MIGRATIONS-DIRECTORY
set -eu
LC_ALL=C
export LC_ALL
dir=$1
rows=

echo '/* Made by lib/db/embed-sql.sh from lib/db/migrations; do not edit. */'
echo '#include "db/schema.h"'
last=0
for file in "$dir"/[0-9][0-9][0-9][0-9]_*.sql; do
    base=$(basename "$file" .sql)
    number=$(echo "${base%%_*}" | sed 's/^0*//')
    if [ "$number" -le "$last" ]; then
        echo "embed-sql.sh: $base: number $number is used twice" >&2
        exit 1
    fi
    last=$number
    echo
    echo "static const char sql_${number}[] ="
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e 's/^/    "/' -e 's/$/\\n"/' "$file"
    echo '    "";'
    rows="$rows    { $number, \"${base#*_}\", sql_$number },
"
done
echo
echo 'static const sal_migration_t all[] = {'
printf '%s' "$rows"
echo '    { 0, NULL, NULL }'
echo '};'
echo
echo 'const sal_migration_t *sal_schema_migrations(void)'
echo '{'
echo '    return all;'
echo '}'
