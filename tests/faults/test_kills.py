"""kill -9 at every system call that matters, by strace, over a few crashes.

A killed process leaves what docs/durability.md says and nothing else: whatever was acknowledged is
there, every name is a whole crash, and a sweep puts the rest in order.
"""
import re
import shutil
import subprocess

import pytest
from faults import FULL, LOAD, Checked, loudly, need_load, run, scratch

# Fewer in the short form: every n-th call.
STEP = 1 if FULL else 3
CALLS = ["openat", "pwritev", "pwrite64", "fsync", "linkat", "unlinkat", "mkdirat", "close"]


def need_strace():
    if not shutil.which("strace"):
        loudly("strace is not installed")
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=getpid:retval=7",
                           "true"], capture_output=True, text=True)
    if done.returncode:
        loudly(f"strace cannot trace here: {done.stderr.strip()}")


def config(folder, store, stack):
    """A salvage.conf for a store of our own and the instance's database."""
    database = stack.env["SALVAGE_DB"]
    path = folder / "salvage.conf"
    path.write_text(f"crash-store {store}\ndatabase {database}\nstore-unsafe-fs on\n")
    return path


def killed_at(call, n, store, log, *options):
    """Stores three crashes and is killed at the n-th such call; False if it came to its end."""
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
              f"inject={call}:signal=KILL:when={n}", str(LOAD), "put", str(store), "-n", "3",
              "-b", "150000", "-l", str(log), *map(str, options)]
    done = subprocess.run(traced, capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        return False
    assert done.returncode in (-9, 137), (call, n, done.returncode, done.stderr)
    return True


def first_call(call, store, log, *options):
    """Calls before the store is opened are the loader's: how many."""
    trace = log.parent / "trace"
    run("strace", "-f", "-qq", "-o", trace, "-e", f"trace={call},openat", LOAD, "put", store, "-n",
        "1", "-l", log, *options)
    n = 0
    for line in trace.read_text().splitlines():
        if f'"{store}"' in line:
            break
        n += bool(re.search(rf"\b{call}\(", line))
    return n + 1


def check_store(store, log, call, n):
    result = Checked(store, log)
    assert (result.missing, result.torn, result.torn_names) == (0, 0, 0), (call, n, str(result))
    return result


@pytest.mark.parametrize("named", [pytest.param(False, id="unnamed"),
                                   pytest.param(True, id="named", marks=pytest.mark.full)])
def test_kill_at_every_call(stack, named):
    need_load()
    need_strace()
    kills = 0
    stack.stop("salvaged")  # its workers know another store than the one of these crashes
    with scratch() as folder:
        store, log = folder / "store", folder / "log"
        log.write_text("")
        conf = config(folder, store, stack)
        options = ["-d", stack.env["SALVAGE_DB"], *(["-N"] if named else [])]
        calls = CALLS + (["renameat"] if named else [])
        if not FULL:
            calls = ["fsync", "linkat", "unlinkat"] + (["renameat"] if named else [])
        for call in calls:
            n = first_call(call, store, log, *options)
            while killed_at(call, n, store, log, *options):
                kills += 1
                check_store(store, log, call, n)
                n += STEP
        sweep = stack.salvage("sweep", "--pending", "-c", conf)
        assert " 0 moved to bad/" in sweep.stdout
        result = check_store(store, log, "sweep", 0)
        assert list((store / "pending").iterdir()) == [], "pending/ is not empty"
        ids = [p.stem for p in store.glob("crash/*/*/*.zip")]
        assert len(ids) == result.names
        rows = stack.query("select count(*) from raw_crash where crash_id = any(%s)", ids)[0][0]
        assert rows == result.names
        print(f"\n{kills} kills, then {result}", end="")
        stack.query("delete from crash_job where crash_id = any(%s)", ids)
        stack.query("delete from raw_crash where crash_id = any(%s)", ids)
    assert kills > (60 if FULL else 4)
