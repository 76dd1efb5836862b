"""Runs inside gdb at the stop of a crash: saves the core and the process directory.

Written to $SNAPSHOT_DIR: core, proc/ (maps, status, task/*/comm ...).
"""
import os
import pathlib

import gdb

OUT = pathlib.Path(os.environ["SNAPSHOT_DIR"])
SRC, DST = pathlib.Path(f"/proc/{gdb.selected_inferior().pid}"), OUT / "proc"

for task in (SRC / "task").iterdir():
    (DST / "task" / task.name).mkdir(parents=True)
    (DST / "task" / task.name / "comm").write_bytes((task / "comm").read_bytes())
for name in ("maps", "status", "cmdline", "limits"):
    (DST / name).write_bytes((SRC / name).read_bytes())
gdb.execute(f"generate-core-file {OUT}/core")
