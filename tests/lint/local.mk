EXTRA_DIST += tests/lint/rooms.sh tests/lint/style.sh tests/lint/messages.sh tests/lint/shell.sh tests/lint/exports.sh tests/lint/format.sh tests/lint/functions.allow
