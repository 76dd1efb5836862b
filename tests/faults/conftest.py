"""Tests marked `full` run in `make check-faults` only; elsewhere they are not there at all."""
from faults import FULL


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only in `make check-faults`")


def pytest_collection_modifyitems(config, items):
    left_out = [] if FULL else [i for i in items if i.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [i for i in items if i not in left_out]
