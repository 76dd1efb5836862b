"""What every benchmark reports with, and where it finds things.

A benchmark is a function `topic(stack, scratch)` in a file bench_TOPIC.py that names its functions
in a list BENCHES; bench.py finds the files. It calls `figure` once a figure. A ratio is against a
peer or a physical limit measured in the same run, alternately, so that it means the same on any
machine. Goals: `>=x` the ratio shall be at least x, `<=x` at most x.
"""
import os
import pathlib
import shutil
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BENCH = pathlib.Path(os.environ.get("SALVAGE_BENCH", TOP / "build/tests/bench"))
SHARED = pathlib.Path(os.environ.get("SALVAGE_SHARED", TOP.parent / "shared"))
ROWS = []


def figure(name, ours, against, goal, unit, what):
    """ours and against in the same unit; the ratio is ours / against."""
    ratio = ours / against
    bound = float(goal[2:])
    good = ratio >= bound if goal.startswith(">=") else ratio <= bound
    print(f"{name} {ratio:.3f} {goal} {'ok' if good else 'short'}", flush=True)
    ROWS.append((name, f"{ratio:.3f}", goal, f"{ours:.6g} {unit}", f"{against:.6g} {unit}", what))


def skipped(name, why):
    print(f"{name} skipped: {why}", flush=True)
    ROWS.append((name, "skipped", "", "", "", why))


def table():
    """Print all figures so far."""
    print()
    widths = [max(len(r[i]) for r in ROWS) for i in range(5)] if ROWS else []
    for row in ROWS:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths)), row[5])


def peer(variable, program):
    """A peer's program: what the environment variable names, else what PATH has, else None."""
    return os.environ.get(variable) or shutil.which(program)


class Run:
    """What one finished process cost: wall and processor seconds, peak resident MiB, status."""

    def __init__(self, wall, usage, status):
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss / 1024
        self.status = status


def measure(command, stdout=subprocess.DEVNULL, env=None):
    """Run a command once. The kernel counts a mapped file's resident pages in the peak too."""
    start = time.monotonic()
    child = subprocess.Popen([str(c) for c in command], stdout=stdout, stderr=subprocess.DEVNULL,
                             env=env)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Run(time.monotonic() - start, usage, child.returncode)


def alternate(rounds, *actions):
    """Run the actions in turn, `rounds` times; the list of each one's results.

    The machine's mood then falls on all of them alike.
    """
    results = [[] for _ in actions]
    for _ in range(rounds):
        for result, action in zip(results, actions):
            result.append(action())
    return results


def pss_kib(pid):
    """Proportional set size of a process."""
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def anonymous_kib(pid):
    """Memory of a process that the kernel cannot take back: shared parts proportionally."""
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    return 0


def tree(pid):
    """A process and all its descendants."""
    found = [pid]
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    for child in out.split():
        found += tree(int(child))
    return found


def wrk(url, connections, seconds, script=None, env=None):
    """Load a URL with wrk: requests a second first, then whatever the script reports."""
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "--timeout", "120s", url]
    if script:
        command[1:1] = ["-s", str(script)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, **(env or {}))).stdout
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    values = found.get("BENCH") or found.get("Requests/sec:")
    if not values:
        raise RuntimeError(out)
    return [float(x) for x in values]
