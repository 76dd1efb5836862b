#!/bin/sh
# Writes the field lists of a directory as C strings: embed-fields.sh DIR >fields_gen.c
set -eu
echo '/* Made from conf/schema by embed-fields.sh; do not edit. */'
echo '#include "process/fields_gen.h"'
for kind in processed raw; do
    echo "const char sal_fields_${kind}_text[] ="
    sed -e '/^#/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$1/${kind}_crash.tsv"
    echo '    ;'
done
