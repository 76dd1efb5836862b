#!/bin/sh
# Writes the list of the telemetry export as a C string: embed-telemetry.sh telemetry.tsv >telemetry_gen.c
set -eu
echo '/* Made from conf/schema/telemetry.tsv by embed-telemetry.sh; do not edit. */'
echo '#include "export/telemetry_gen.h"'
echo 'const char sal_telemetry_text[] ='
sed -e '/^#/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$1"
echo '    ;'
