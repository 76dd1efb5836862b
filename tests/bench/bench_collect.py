"""The collector: crashes a second and p99 of the library alone and through httpd.

The library is measured against the least that durability can cost (bench_fsync: each thread
overwrites a file of its own and calls fdatasync), alternately in the same run, on an ext4 of its
own on a loop device with direct I/O over a written file where that can be made (root), else beside
the store. Goals are what variant z of the design measurements reached against the same bound with
dumps of noise, and without the check sums and the compression that a stored dump has. Httpd is
measured against the library, both on the store's file system.
"""
import contextlib
import os
import shutil
import statistics
import subprocess
import threading
import time

from bench_service import crash_body
from figures import BENCH, TOP, alternate, anonymous_kib, figure, skipped, tree, wrk

ROUNDS = 3
SECONDS = 1.2
DISK_MIB = 3072
# A thread for each client, as httpd closes connections between requests when all are taken; and
# always the same two children, so that memory tells of requests.
HTTPD = """
ThreadsPerChild 80
ServerLimit 2
StartServers 2
MaxRequestWorkers 160
MinSpareThreads 160
MaxSpareThreads 160
CrashMaxInFlight 400
"""
# Reports of this size: goal by clients. 20 MB was measured with 16 only.
GOALS = {20_000: {1: ">=0.227", 16: ">=0.210", 64: ">=0.208"},
         400_000: {1: ">=0.315", 16: ">=0.400", 64: ">=0.446"},
         20_000_000: {1: ">=0.450", 16: ">=0.450", 64: ">=0.450"}}
LABEL = {20_000: "20k", 400_000: "400k", 20_000_000: "20m"}


def bound(folder, size, threads, seconds=SECONDS):
    out = subprocess.run([BENCH / "bench_fsync", folder, str(size), str(threads), str(seconds)],
                         capture_output=True, text=True, check=True).stdout.split()
    return float(out[0])


@contextlib.contextmanager
def own_disk(stack):
    """A folder for the store: on a file system that nobody else writes to, if possible."""
    folder, image = stack.dir / "bench-collect", stack.dir / "bench-image"
    folder.mkdir()
    device = None
    try:
        if not os.geteuid():
            subprocess.run(["dd", "if=/dev/zero", f"of={image}", "bs=1M", f"count={DISK_MIB}",
                            "oflag=direct"], capture_output=True, check=False)
            made = subprocess.run(["losetup", "--direct-io=on", "--find", "--show", image],
                                  capture_output=True, text=True, check=False)
            device = made.stdout.strip() if not made.returncode else None
        if device:
            subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)
            subprocess.run(["mount", device, folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)
        if device:
            subprocess.run(["losetup", "-d", device], capture_output=True, check=False)
        image.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def library(folder, size, threads, dump=None):
    """(crashes a second, p50, p99). Large reports by number: a second of them fills a disk."""
    root = folder / "bench-store"
    until = ["-n", max(1, 64 // threads)] if size > 1e6 else ["-s", SECONDS]
    command = [BENCH.parent / "faults" / "store_load", "put", root, "-t", threads, "-b", size,
               *until, *(["-z", dump] if dump else [])]
    out = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    done, failed, took, p50, _, p99 = map(float, out.stdout.split())
    if failed:
        raise RuntimeError(f"{failed} crashes were not stored: {out.stderr}")
    shutil.rmtree(root)
    return done / took, p50, p99


def store_alone(stack, _scratch):
    """(a): lib/crash in a process with as many threads as clients; noise, then minidumps."""
    dump = TOP / "tests/data/crashes/crasher_cpp.dmp"
    stack.stop("salvaged", "httpd")
    try:
        with own_disk(stack) as folder:
            for size, goals in GOALS.items():
                for threads, goal in goals.items():
                    compare(folder, size, threads, goal, "noise", None)
            for size in (20_000, 400_000):
                compare(folder, size, 16, GOALS[size][16], "minidump", dump)
    finally:
        stack.start("httpd", "salvaged")


def compare(folder, size, threads, goal, what, dump):
    limits, ours = alternate(ROUNDS, lambda: bound(folder, size, threads),
                             lambda: library(folder, size, threads, dump))
    p50, p99 = (statistics.median(r[i] for r in ours) for i in (1, 2))
    figure(f"store_{what}_{LABEL[size]}_{threads}", statistics.median(r[0] for r in ours),
           statistics.median(limits), goal, "/s",
           f"lib/crash, {threads} threads, p50 {p50:.1f} ms, p99 {p99:.1f} ms; against write + "
           "fdatasync")


class Memory(threading.Thread):
    """The most that httpd's children hold between them while a load runs."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.most, self.stop = stack, 0, threading.Event()

    def run(self):
        while not self.stop.wait(0.2):
            try:
                self.most = max(self.most, sum(map(anonymous_kib, tree(self.stack.pid("httpd")))))
            except OSError:
                pass    # a child has just ended

    def end(self):
        self.stop.set()
        self.join()
        return self.most


def empty_store(stack):
    """What the load has left: thousands of crashes that nobody wants processed."""
    for path in (*(stack.store / "pending").iterdir(), *stack.store.glob("crash/*/*/*.zip")):
        path.unlink(missing_ok=True)
    stack.query("truncate crash_job")


def through_httpd(stack, scratch):
    """(b): at 400 kB at least 60 % of the library alone; p99 at 64 clients; memory in flight."""
    if not shutil.which("wrk"):
        return skipped("collect", "wrk is not installed (apt-get install wrk)")
    folder = stack.dir / "bench-collect"
    folder.mkdir()
    stack.stop("salvaged")  # it would compete for the processors
    script = TOP / "tests/bench/post.lua"
    try:
        stack.httpd_conf(HTTPD)
        for size in (20_000, 400_000, 20_000_000):
            env = crash_body(scratch / "body", size)
            for clients in (1, 16, 64):
                alone, served = alternate(
                    ROUNDS if size < 1e6 else 1, lambda: library(folder, size, clients),
                    lambda: wrk(stack.url + "/submit", clients, 2, script, env))
                if any(r[3] for r in served):
                    raise RuntimeError(f"{served} crashes were not accepted")
                rate, p50, p99 = (statistics.median(r[i] for r in served) for i in range(3))
                figure(f"collect_{LABEL[size]}_{clients}", rate,
                       statistics.median(r[0] for r in alone),
                       ">=0.60" if size == 400_000 else ">=0", "/s",
                       f"through httpd, {clients} clients, p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
                       "against lib/crash alone")
                if clients == 64 and size < 1e6:
                    figure(f"collect_{LABEL[size]}_64_p99", p99, 100, "<=1", "ms",
                           "99th percentile through httpd, 64 clients")
                empty_store(stack)
        in_flight(stack, scratch, script)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        stack.httpd_conf("")
        stack.start("salvaged")


def in_flight(stack, scratch, script):
    """Memory with 64 and with 4 reports of 20 MB in flight: the difference by 60."""
    env = crash_body(scratch / "body", 20_000_000)
    most = []
    for clients in (4, 64, 64):
        memory = Memory(stack)
        memory.start()
        wrk(stack.url + "/submit", clients, 5, script, env)
        most.append(memory.end())
        empty_store(stack)
        time.sleep(1)
    figure("collect_in_flight", max(most[1:]) - most[0], 60 * 128, "<=1", "KiB",
           f"memory of 60 more reports in flight ({most[0]} KiB with 4, {most[1]} and {most[2]} KiB "
           "with 64), 128 KiB each")


BENCHES = [store_alone, through_httpd]
