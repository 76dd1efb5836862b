"""The collector: crashes a second and p99 of the library alone and through httpd.

All of it on a file system of its own where that can be made (root): ext4 with its journal on a loop
device with direct I/O over a written file, as in the design measurements, since what a crash costs
is what a journal costs. The library is measured beside the least that durability can cost (each
thread overwrites a file of its own and calls fdatasync) and beside variant z of those measurements
(bench_durable: unnamed file, fsync, two links, fsync of the directory, unlink; no zip, no check
sums, no compression), which it shall not fall behind; all three in turn in the same run. Httpd is
measured against the library, and against the bound: six tenths of what variant z reached there.
"""
import contextlib
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import threading
import time
import urllib.request

from figures import BENCH, TOP, alternate, anonymous_kib, figure, skipped, tree, wrk

ROUNDS = 3
SECONDS = 0.7
DISK_MIB = 6144
CLIENTS = (1, 16, 64)
SIZES = (20_000, 400_000, 20_000_000)
LABEL = {20_000: "20k", 400_000: "400k", 20_000_000: "20m"}
BYTES_MAX = 1_500_000_000   # of a run: what it writes must fit
PROCESSES = {1: 1, 16: 4, 64: 4}
POST = TOP / "tests/bench/post.lua"
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
CrashMinFree 16M
"""


# ---- the disk ----

def make_device(image):
    """A loop device over a file whose blocks are all written; None where there can be none."""
    if os.geteuid():
        return None
    if not image.exists():
        subprocess.run(["dd", "if=/dev/zero", f"of={image}", "bs=4M", f"count={DISK_MIB // 4}",
                        "oflag=direct"], capture_output=True, check=True)
    made = subprocess.run(["losetup", "--direct-io=on", "--find", "--show", image],
                          capture_output=True, text=True, check=False)
    return made.stdout.strip() if not made.returncode else None


def mount(device, folder):
    at = folder.stat()
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", device],
                   check=True)
    subprocess.run(["mount", device, folder], check=True)
    (folder / "lost+found").rmdir()
    os.chown(folder, at.st_uid, at.st_gid)
    folder.chmod(at.st_mode & 0o7777)


@contextlib.contextmanager
def own_disk(stack, conf=""):
    """The crash store on a file system that nobody else writes to, if possible; no daemon, which
    would compete for the processors."""
    device = None
    stack.stop("salvaged", "httpd")
    try:
        device = make_device(stack.dir / "bench-image")
        if device:
            mount(device, stack.store)
        else:
            print("the crash store has no file system of its own: no root, or no loop device")
        stack.extra.write_text(conf)
        stack.start("httpd")
        yield
    finally:
        stack.stop("httpd")
        if device:
            subprocess.run(["umount", stack.store], capture_output=True, check=False)
            subprocess.run(["losetup", "-d", device], capture_output=True, check=False)
        else:
            empty_store(stack)
        stack.query("truncate crash_job")
        stack.extra.write_text(stack.plain)
        stack.start("httpd", "salvaged")


def empty_store(stack):
    """What the load has left: thousands of crashes that nobody wants processed."""
    for path in (*(stack.store / "pending").iterdir(), *stack.store.glob("crash/*/*/*.zip")):
        path.unlink(missing_ok=True)


# ---- loads ----

def load(command):
    """(a second, p50, p99) of a program that prints as store_load does."""
    out = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True)
    done, failed, took, p50, _, p99 = map(float, out.stdout.split())
    if failed:
        raise RuntimeError(f"{failed} crashes were not stored: {out.stderr}")
    return done / took, p50, p99


@contextlib.contextmanager
def folder_in(stack):
    folder = pathlib.Path(stack.store / "bench")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.sync()   # what one load leaves to be written is not the next one's


def durable(stack, what, size, clients):
    processes = PROCESSES[clients]
    with folder_in(stack) as folder:
        return load([BENCH / "bench_durable", what, folder, size, processes, clients // processes,
                     SECONDS, BYTES_MAX // size])


def library(stack, size, clients, dump=None):
    processes = PROCESSES[clients]
    with folder_in(stack) as folder:
        return load([BENCH.parent / "faults/store_load", "put", folder, "-b", size, "-p", processes,
                     "-t", clients // processes, "-s", SECONDS, "-n",
                     max(1, BYTES_MAX // size // clients), "-u", *(["-z", dump] if dump else [])])


def middle(results):
    """The median of each of a load's three figures."""
    return [statistics.median(r[i] for r in results) for i in range(3)]


def crash_body(path, size):
    boundary = "----------benchboundary0123456789"
    random.seed(1)
    parts = []
    for i in range(40):
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="Note{i}"\r\n\r\n'
                     f'{random.random()} of the run\r\n')
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="ProductName"\r\n\r\n'
                 f'Bench\r\n--{boundary}\r\nContent-Disposition: form-data; '
                 f'name="upload_file_minidump"; filename="x.dmp"\r\n'
                 f'Content-Type: application/octet-stream\r\n\r\n')
    path.write_bytes("".join(parts).encode() + random.randbytes(size)
                     + f"\r\n--{boundary}--\r\n".encode())
    return {"BENCH_BODY": str(path), "BENCH_BOUNDARY": boundary}


def served(stack, env, clients, seconds):
    rate, p50, p99, bad = wrk(stack.url + "/submit", clients, seconds, POST, env)
    if bad:
        raise RuntimeError(f"{bad} crashes were not accepted")
    empty_store(stack)
    return rate, p50, p99


# ---- benchmarks ----

def acceptance(stack, scratch):
    """Crashes a second through httpd, against overwriting a file and fdatasync, 16 at once."""
    if not shutil.which("wrk"):
        return skipped("accept", "wrk is not installed (apt-get install wrk)")
    with own_disk(stack, HTTPD):
        for size, goal in ((20_000, ">=0.126"), (400_000, ">=0.24")):
            env = crash_body(scratch / "body", size)
            limit, ours = map(middle, alternate(
                ROUNDS, lambda: durable(stack, "bound", size, 16),
                lambda: served(stack, env, 16, 2)))
            figure(f"accept_{LABEL[size]}", ours[0], limit[0], goal, "/s",
                   f"16 clients, p50 {ours[1]:.1f} ms, p99 {ours[2]:.1f} ms; against write + "
                   "fdatasync")


def compare(stack, what, size, clients, dump=None):
    limit, z, zsha, ours = map(middle, alternate(
        ROUNDS if size < 1e6 else 1, lambda: durable(stack, "bound", size, clients),
        lambda: durable(stack, "z", size, clients), lambda: durable(stack, "zsha", size, clients),
        lambda: library(stack, size, clients, dump)))
    name = f"store_{what}_{LABEL[size]}_{clients}"
    text = f"lib/crash, {clients} threads, p50 {ours[1]:.1f} ms, p99 {ours[2]:.1f} ms; "
    figure(f"{name}_z", ours[0], z[0], ">=1", "/s",
           f"{text}against variant z, p50 {z[1]:.1f} ms, p99 {z[2]:.1f} ms")
    figure(f"{name}_zsha", ours[0], zsha[0], ">=1", "/s",
           f"the same, against z with the SHA-256 that is stored of a dump, p50 {zsha[1]:.1f} ms, "
           f"p99 {zsha[2]:.1f} ms")
    figure(f"{name}_bound", ours[0], limit[0], f">={z[0] / limit[0]:.3f}", "/s",
           f"{text}against write + fdatasync; the goal is variant z's share")


def store_alone(stack, _scratch):
    """(a): lib/crash in as many threads as clients, of four processes; noise, then minidumps."""
    dump = TOP / "tests/data/crashes/crasher_cpp.dmp"
    with own_disk(stack):
        for size in SIZES:
            for clients in CLIENTS:
                compare(stack, "noise", size, clients)
        for size in (20_000, 400_000):
            compare(stack, "minidump", size, 16, dump)


def through_httpd(stack, scratch):
    """(b): at 400 kB at least 60 % of the library alone; p99 at 64 clients; memory in flight."""
    if not shutil.which("wrk"):
        return skipped("collect", "wrk is not installed (apt-get install wrk)")
    with own_disk(stack, HTTPD):
        in_flight(stack, scratch)   # first: what httpd has had, it keeps
        for size in SIZES:
            env = crash_body(scratch / "body", size)
            for clients in CLIENTS:
                share(stack, env, size, clients)


def share(stack, env, size, clients):
    small = size < 1e6
    alone, ours = map(middle, alternate(2 if small else 1, lambda: library(stack, size, clients),
                                        lambda: served(stack, env, clients,
                                                       2 if small else 7 if clients > 16 else 5)))
    figure(f"collect_{LABEL[size]}_{clients}", ours[0], alone[0],
           ">=0.60" if size == 400_000 else ">=0", "/s",
           f"through httpd, {clients} clients, p50 {ours[1]:.1f} ms, p99 {ours[2]:.1f} ms; against "
           "lib/crash alone")
    if clients == 64 and small:
        figure(f"collect_{LABEL[size]}_64_p99", ours[2], 100, "<=1", "ms",
               "99th percentile through httpd, 64 clients")


# ---- memory ----

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


def wait_until_done(stack):
    """Reports whose client has gone are taken in to their end, or to the next read."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with urllib.request.urlopen(stack.url + "/metrics") as page:
            if b"\nsalvage_collector_in_flight 0\n" in page.read():
                return
        time.sleep(0.2)
    raise RuntimeError("reports are still in flight")


def in_flight(stack, scratch):
    """Memory with 64 and with 4 reports of 20 MB in flight: the difference by 60."""
    env = crash_body(scratch / "body", 20_000_000)
    most = []
    for clients in (4, 64, 64):
        memory = Memory(stack)
        memory.start()
        served(stack, env, clients, 5)
        most.append(memory.end())
        wait_until_done(stack)
    figure("collect_in_flight", max(most[1:]) - most[0], 60 * 128, "<=1", "KiB",
           f"memory of 60 more reports in flight ({most[0]} KiB with 4, {most[1]} and {most[2]} KiB "
           "with 64), 128 KiB each")


BENCHES = [acceptance, store_alone, through_httpd]
