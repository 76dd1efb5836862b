# docs: what belongs to no room; a room lists its own pages, and the man pages of its commands
dist_doc_DATA = README.md LICENSE
EXTRA_DIST += docs/README.md docs/architecture.md docs/benchmarks.md docs/dependencies.md docs/install.md docs/messages.md \
    docs/messages.d docs/pictures docs/symbols.md docs/testing.md docs/access.md docs/administration.md
# what a test run from the archive needs
EXTRA_DIST += .ci/run tests/conftest.py tests/lib tests/http tests/browser tests/peers
