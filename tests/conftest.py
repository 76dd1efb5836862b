"""Fixtures for every Python test: a private Salvage instance and what is asked of it.

Run by ./check with SALVAGE_PREFIX (an installed tree) and SALVAGE_SHARED (the shared corpus) set;
by hand `/usr/bin/python3 -m pytest tests` uses build/stage.
"""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from instance import Instance  # noqa: E402  (the path is set above)

TOP = pathlib.Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items):
    """The file that takes longest goes first: of two runners none waits long for the other."""
    items.sort(key=lambda item: item.path.name != "test_upstream.py")


@pytest.fixture(scope="session")
def top():
    """The source tree."""
    return TOP


@pytest.fixture(scope="session")
def shared():
    """The shared corpus; skips, loudly, where it is absent."""
    path = pathlib.Path(os.environ.get("SALVAGE_SHARED", TOP.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"SKIPPED LOUDLY: the shared corpus is not at {path}")
    return path


@pytest.fixture(scope="session")
def instance():
    """One running instance for the whole session; tests use `stack`."""
    made = Instance(pathlib.Path(os.environ.get("SALVAGE_PREFIX", TOP / "build" / "stage")), TOP)
    try:                # whatever did start must go when another server does not
        made.make()
        made.start()
        yield made
    finally:
        made.destroy()


@pytest.fixture
def stack(instance):
    """The instance, with the error-log gate: an unexpected line at warn or above fails the test."""
    instance.error_log.mark()
    yield instance
    instance.restore()
    unexpected = instance.error_log.unexpected()
    assert not unexpected, "unexpected lines in the logs:\n" + "\n".join(unexpected)


@pytest.fixture
def no_leftovers(stack):
    """The test leaves no temporary file in the symbol store; what killed servers of earlier tests
    left there is not its doing."""
    folder = stack.symbol_store / "tmp"
    before = set(folder.iterdir()) if folder.exists() else set()
    yield
    assert set(folder.iterdir()) <= before
