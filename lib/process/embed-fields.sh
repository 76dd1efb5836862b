#!/bin/sh
# Writes the field lists and tables of the folder conf as C strings: embed-fields.sh CONF >fields_gen.c
set -eu
embed() {
    echo "const char $1[] ="
    sed -e '/^#/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$2"
    echo '    ;'
}
echo '/* Made from conf by embed-fields.sh; do not edit. */'
echo '#include "process/fields_gen.h"'
embed sal_fields_processed_text "$1/schema/processed_crash.tsv"
embed sal_fields_raw_text "$1/schema/raw_crash.tsv"
embed sal_process_tables_text "$1/process-tables.tsv"
