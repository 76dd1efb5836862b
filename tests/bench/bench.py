#!/usr/bin/python3
"""Every benchmark: a line a figure, `NAME RATIO GOAL ok|short`, then a table.

Benchmarks are in the files bench_TOPIC.py beside this one; figures.py says how one is written.
With arguments only the named functions run (`make bench BENCH_ONLY="symcache downloads"`).
"""
import importlib
import os
import pathlib
import shutil
import sys
import tempfile

import figures

sys.path.insert(0, str(figures.TOP / "tests" / "lib"))
from instance import Instance  # noqa: E402  (the path is set above)

# Memory when idle is measured on a quiet, young instance; the others in any order.
FIRST = "bench_service"


def benches():
    here = pathlib.Path(__file__).resolve().parent
    names = sorted((p.stem for p in here.glob("bench_*.py")), key=lambda n: (n != FIRST, n))
    return [b for name in names for b in importlib.import_module(name).BENCHES]


def main(wanted):
    every = benches()
    unknown = set(wanted) - {b.__name__ for b in every}
    if unknown:
        sys.exit(f"no such benchmark: {' '.join(sorted(unknown))}; "
                 f"there are {' '.join(b.__name__ for b in every)}")
    stack = Instance(pathlib.Path(os.environ["SALVAGE_PREFIX"]), figures.TOP)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="salvage-bench."))
    try:
        stack.make()
        stack.start()
        for bench in every:
            if not wanted or bench.__name__ in wanted:
                bench(stack, scratch)
    finally:
        stack.destroy()
        shutil.rmtree(scratch, ignore_errors=True)
    figures.table()


main(sys.argv[1:])
