# docs
EXTRA_DIST += docs/symbols.md docs/messages.d/upload.md
