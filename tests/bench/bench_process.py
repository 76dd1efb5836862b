"""Processing: crashes a second, the part outside the walk, claims, memory.

The daemon runs with one worker, so that a second of it is a second of one core (but for what the
worker does while its walker walks). The limit is the library that walks the same dumps in one
process, and what `salvage stackwalk` takes with a process a dump. Dumps come in two kinds: the
corpus, small dumps made for tests, whose walk takes less than anything around it; and dumps as
applications send them, with many modules and threads and deep stacks (bench_make_sym), with the
corpus' among them. BENCH_CRASHES (10000 shows the goal of the worker's memory) says how many crashes are used; the
default keeps a run short. Reprocessing is in bench_reprocess.py.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import subprocess
import threading
import time

import requests
from figures import (BENCH, SHARED, alternate, anonymous_kib, figure, pss_kib, skipped)

import daemon  # the path to these two is set by bench.py
from instance import free_port

CRASHES = int(os.environ.get("BENCH_CRASHES", "3000"))
TREES = [SHARED / "data/minidumps" / d / "symbols" for d in ("breakpad", "rust-minidump")]
SAMPLE = pathlib.Path(__file__).resolve().parent.parent / "data/crashes/crasher_cpp.dmp"


class Daemon(daemon.Daemon):
    """salvaged of its own on the instance's database and store; gives its metrics."""

    def __init__(self, stack, scratch, workers=1, trees=()):
        super().__init__(stack, "bench", binary=stack.env["SALVAGED_BIN"], lease=180, timeout=120,
                         workers=workers)
        self.port = free_port()
        self.cache = scratch / "process-cache"
        self.cache.mkdir(exist_ok=True)
        stat = stack.store.stat()
        if os.getuid() == 0:                # the daemon becomes the store's user
            os.chown(self.cache, stat.st_uid, stat.st_gid)
            for folder in (scratch, *scratch.rglob("symbols")):
                folder.chmod(0o755)
        lines = [x for x in self.conf.read_text().splitlines() if not x.startswith("symcache ")]
        lines += [f"symcache {self.cache}", f"metrics-listen {self.port}"]
        lines += [f"symbols-path {t}" for t in trees]
        self.conf.write_text("\n".join(lines) + "\n")

    def __enter__(self):
        self.stack.stop("salvaged")
        self.start()
        daemon.wait_until(self.answers, 10)
        return self

    def __exit__(self, *_):
        self.stop()
        self.stack.start("salvaged")

    def answers(self):
        try:
            return self.metrics()
        except requests.RequestException:
            return None

    def metrics(self):
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if line and line[0] != "#"}

    def worker_pids(self):
        """The workers: children that have LISTENed, i.e. all but housekeeper and metrics."""
        names = self.stack.query("select distinct worker from crash_job where worker is not null")
        every = set(self.children())
        return every & {int(n[0].rsplit(":", 1)[1]) for n in names} or every


def submit(stack, dumps):
    """Accepts one crash a path; their ids, in that order."""
    local = threading.local()

    def one(path):
        if not hasattr(local, "session"):
            local.session = requests.Session()
        files = {"ProductName": (None, "Bench"), "Version": (None, "1.0"),
                 "upload_file_minidump": ("d.dmp", path.read_bytes(), "application/octet-stream")}
        r = local.session.post(stack.url + "/submit", files=files, timeout=60)
        assert r.text.startswith("CrashID=bp-"), r.text
        return r.text.strip()[len("CrashID=bp-"):]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, dumps))
    while stack.query("select count(*) from raw_crash where crash_id = any(%s)", ids)[0][0] < len(ids):
        time.sleep(0.05)
    return ids


def drain(stack, lanes="(0, 1, 2)", limit=600):
    """On a connection of its own: to make one costs the database more than a crash does."""
    end = time.monotonic() + limit
    with contextlib.closing(stack.conn()) as conn, conn.cursor() as look:
        while True:
            look.execute("select exists(select from crash_job where state in (0, 1) and queue in "
                         f"{lanes})")
            if not look.fetchone()[0]:
                return
            if time.monotonic() > end:
                raise RuntimeError("the queue does not become empty")
            time.sleep(0.1)


def again(stack, ids, ruleset="default", lane=1):
    """Queues crashes that are stored, once more."""
    stack.query("insert into crash_job (crash_id, ruleset, queue) select i, %s, %s from unnest(%s) i",
                ruleset, lane, ids)
    stack.query("select pg_notify('crash_job', '1')")


PHASE = 'salvage_processor_job_phase_seconds_sum{phase="%s"}'


def spent(before, after):
    """Seconds of each phase of jobs, and of all there is, between two looks."""
    phases = {}
    for name in after:
        if name.startswith("salvage_processor_job_phase_seconds_sum{"):
            phases[name.split('"')[1]] = after[name] - before.get(name, 0)
    total = sum(phases[k] for k in phases if k not in ("walk", "stackwalk"))
    return phases, total


class Mix:
    """Dumps, and the trees that have their symbols."""

    def __init__(self, name, dumps, trees, scratch):
        self.name, self.dumps, self.trees = name, dumps, [t for t in trees if t.is_dir()]
        self.listed = scratch / f"dumps{name}"
        self.listed.write_text("".join(f"{d}\n" for d in dumps))
        self.cache = scratch / f"walk{name}"

    def library(self):
        """Seconds for all of them in one process that does nothing else."""
        out = subprocess.run([BENCH / "bench_walk", "3", self.cache, self.listed, *self.trees],
                             capture_output=True, text=True, check=True).stdout
        return float(out) / 1000

    def processes(self, stack):
        """Seconds with a process a dump."""
        command = [stack.env["SALVAGE_BIN"], "stackwalk", "--json", "--symbols-cache", self.cache]
        for tree in self.trees:
            command += ["--symbols", tree]
        out = subprocess.run([BENCH / "bench_spawn", "1", self.listed, *map(str, command)],
                             check=True, capture_output=True, text=True).stdout
        return float(out.split()[0]) / 1000


def measure(stack, scratch, mix, rounds, times):
    """A mix processed by one worker; against the library alone, and a process a dump."""
    with Daemon(stack, scratch, trees=mix.trees) as daemon:
        ids = submit(stack, mix.dumps)
        drain(stack)                        # the symcaches are there now

        def daemon_run():
            before = daemon.metrics()
            for _ in range(times):
                stack.query("delete from processed_crash where crash_id = any(%s)", ids)
                again(stack, ids)
                drain(stack)
            time.sleep(0.1)
            phases, total = spent(before, daemon.metrics())
            return total / times, {k: v / times for k, v in phases.items()}
        mix.processes(stack)
        runs = alternate(rounds, mix.library, lambda: mix.processes(stack), daemon_run)
    in_library, in_processes = min(runs[0]), min(runs[1])
    total, phases = min(runs[2], key=lambda r: r[0])
    n = len(ids)
    parts = ", ".join(f"{k} {v / n * 1000:.2f}" for k, v in sorted(phases.items(), key=lambda x: -x[1])
                      if v / n > 5e-6)
    figure(f"process{mix.name}_rate", n / total, n / in_library, ">=0.6", "/s",
           f"{n} dumps with symbols, one worker; against the library walking them in one process")
    figure(f"process{mix.name}_rate_command", n / total, n / in_processes, ">=1", "/s",
           "against `salvage stackwalk`, a process a dump")
    figure(f"process{mix.name}_outside_walk", total - phases.get("stackwalk", 0), total, "<=0.25",
           "s", f"of a crash's time, what is not the walk itself; ms a crash: {parts}")


def corpus():
    return sorted((SHARED / "data/minidumps").rglob("*.dmp"))


def processing(stack, scratch):
    """The corpus with its symbols."""
    if not corpus():
        return skipped("process_rate", f"the shared corpus is not at {SHARED}")
    measure(stack, scratch, Mix("", corpus(), TREES, scratch), 5, 4)


# threads, frames of each, modules: an application, a large one, a small program
SHAPES = [(64, 48, 110), (120, 40, 180), (12, 30, 40)]


def processing_applications(stack, scratch):
    """Half of the dumps as applications send them, half of the corpus."""
    made = scratch / "application"
    made.mkdir()
    dumps = []
    for shape in SHAPES:
        subprocess.run([BENCH / "bench_make_sym", made, "60", *map(str, shape)], check=True,
                       stdout=subprocess.DEVNULL)
        dumps.append((made / "bench.dmp").rename(made / f"{shape[0]}.dmp"))
    dumps = dumps * 8
    few = corpus()[:len(dumps)]
    measure(stack, scratch, Mix("_app", dumps + few, [made / "symbols", *TREES], scratch), 3, 1)
    shutil.rmtree(made)


def claims(stack, scratch):
    """Jobs claimed and ended a second by 8 clients, with nothing between."""
    stack.stop("salvaged")
    stack.query("insert into crash_job (crash_id, queue) select lpad(to_hex(i), 8, '0') || "
                "'-0000-4000-8000-000000260101', 1 + i %% 2 from generate_series(1, 20000) i")
    stack.query("analyze crash_job")
    # that jobs end durably is the business of the transaction that stores their results
    conninfo = stack.env["SALVAGE_DB"] + " options='-c synchronous_commit=off'"
    out = subprocess.run([BENCH / "bench_queue", conninfo, "8"], capture_output=True,
                         text=True, check=True).stdout.split()
    stack.start("salvaged")
    figure("queue_claims", int(out[0]) / float(out[1]), 2000, ">=1", "/s",
           f"{out[0]} ready jobs, 8 clients: a claim under a lease, and the end of the job")


def worker_memory(stack, scratch):
    """What a worker keeps, idle and over many crashes."""
    with Daemon(stack, scratch) as daemon:
        submit(stack, [SAMPLE] * 4)
        drain(stack)
        time.sleep(1)
        workers = daemon.worker_pids()
        idle = max(pss_kib(p) for p in workers) / 1024
        figure("worker_idle_pss", idle, 15, "<=1", "MiB", "a worker that has processed and waits")
        ids = submit(stack, [SAMPLE] * min(500, CRASHES))
        drain(stack)
        pids = daemon.worker_pids()
        first = max(anonymous_kib(p) for p in pids)
        done = len(ids)
        while done < CRASHES:
            again(stack, ids)
            drain(stack)
            done += len(ids)
        last = max(anonymous_kib(p) for p in daemon.worker_pids())
    slope = (last - first) / max(1, done - len(ids)) * 1000
    figure("worker_memory_slope", max(slope, 0), 64, "<=1", "KiB",
           f"growth for 1,000 crashes, over {done} small ones: {first} to {last} KiB of its own")


BENCHES = [processing, processing_applications, claims, worker_memory]
