"""Processing: crashes a second, the part outside the walk, claims, memory, reprocessing.

The daemon runs with one worker, so that a second of it is a second of one core. The limit is the
library that walks the same dumps in one process, and what `salvage stackwalk` takes with a process
a dump. BENCH_CRASHES (10000 shows the goal of the worker's memory), BENCH_REPROCESS (100000 that of
reprocessing) say how many crashes are used; the defaults keep a run short.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import subprocess
import threading
import time

import requests
from figures import (BENCH, SHARED, alternate, anonymous_kib, figure, pss_kib, skipped)

CRASHES = int(os.environ.get("BENCH_CRASHES", "3000"))
REPROCESS = int(os.environ.get("BENCH_REPROCESS", "2000"))
TREES = [SHARED / "data/minidumps" / d / "symbols" for d in ("breakpad", "rust-minidump")]
SAMPLE = pathlib.Path(__file__).resolve().parent.parent / "data/crashes/crasher_cpp.dmp"


class Daemon:
    """salvaged of its own on the instance's database and store; gives its metrics."""

    def __init__(self, stack, scratch, workers=1):
        from instance import free_port  # the path is set by bench.py
        self.stack, self.port, self.workers = stack, free_port(), workers
        self.cache = scratch / "process-cache"
        self.cache.mkdir(exist_ok=True)
        self.conf = stack.dir / "bench.conf"
        lines = [x for x in pathlib.Path(stack.conf).read_text().splitlines()
                 if not x.startswith("symcache ")]
        lines += [f"symcache {self.cache}", f"metrics-listen {self.port}"]
        lines += [f"symbols-path {t}" for t in TREES if t.is_dir()]
        self.conf.write_text("\n".join(lines) + "\n")

    def __enter__(self):
        self.stack.stop("salvaged")
        stat = self.stack.store.stat()
        for path in (self.cache, self.conf.parent):
            if os.getuid() == 0 and path == self.cache:
                os.chown(path, stat.st_uid, stat.st_gid)
                path.parent.chmod(0o755)

        def as_runner():
            if os.getuid() == 0 and stat.st_uid:
                os.setgid(stat.st_gid)
                os.setuid(stat.st_uid)
        self.log = open(self.stack.dir / "logs" / "bench.log", "wb")
        self.process = subprocess.Popen([self.stack.env["SALVAGED_BIN"], "-c", self.conf, "--workers",
                                         str(self.workers)], stdout=self.log, stderr=self.log,
                                        preexec_fn=as_runner)
        for _ in range(100):
            with contextlib.suppress(requests.RequestException):
                self.metrics()
                break
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()
        self.stack.start("salvaged")

    def metrics(self):
        text = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if line and line[0] != "#"}

    def worker_pids(self):
        """The workers: children that have LISTENed, i.e. all but housekeeper and metrics."""
        names = self.stack.query("select distinct worker from crash_job where worker is not null")
        out = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True)
        every = {int(x) for x in out.stdout.split()}
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


def processing(stack, scratch):
    """The corpus with its symbols, processed; against the library alone, and a process a dump."""
    dumps = sorted((SHARED / "data/minidumps").rglob("*.dmp"))
    if not dumps:
        return skipped("process_rate", f"the shared corpus is not at {SHARED}")
    listed = scratch / "dumps"
    listed.write_text("".join(f"{d}\n" for d in dumps))
    trees = [t for t in TREES if t.is_dir()]
    command = [stack.env["SALVAGE_BIN"], "stackwalk", "--json", "--symbols-cache", scratch / "walk"]
    for tree in trees:
        command += ["--symbols", tree]
    with Daemon(stack, scratch) as daemon:
        ids = submit(stack, dumps)
        drain(stack)                        # the symcaches are there now

        def library():
            out = subprocess.run([BENCH / "bench_walk", "3", scratch / "walk", listed, *trees],
                                 capture_output=True, text=True, check=True).stdout
            return float(out) / 1000

        def processes():
            out = subprocess.run([BENCH / "bench_spawn", "1", listed, *map(str, command)], check=True,
                                 capture_output=True, text=True).stdout
            return float(out.split()[0]) / 1000

        def daemon_run():
            stack.query("delete from processed_crash where crash_id = any(%s)", ids)
            before = daemon.metrics()
            for _ in range(4):
                again(stack, ids)
                drain(stack)
            time.sleep(0.1)
            phases, total = spent(before, daemon.metrics())
            return total / 4, {k: v / 4 for k, v in phases.items()}
        processes()
        runs = alternate(5, library, processes, daemon_run)
    in_library, in_processes = min(runs[0]), min(runs[1])
    total, phases = min(runs[2], key=lambda r: r[0])
    n = len(ids)
    parts = ", ".join(f"{k} {v / n * 1000:.2f}" for k, v in sorted(phases.items(), key=lambda x: -x[1]))
    figure("process_rate", n / total, n / in_library, ">=0.6", "/s",
           f"{n} dumps with symbols, one worker; against the library walking them in one process")
    figure("process_rate_command", n / total, n / in_processes, ">=1", "/s",
           "against `salvage stackwalk`, a process a dump")
    figure("process_outside_walk", total - phases.get("stackwalk", 0), total, "<=0.25", "s",
           f"of a crash's time, what is not the walk itself; ms a crash: {parts}")


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


def reprocessing(stack, scratch):
    """Many stored crashes again, live ones first, memory flat."""
    with Daemon(stack, scratch, workers=2) as daemon:
        ids = submit(stack, [SAMPLE] * min(1000, REPROCESS))
        drain(stack)
        stored = stack.query("select count(*) from crash")[0][0]
        for ruleset in ("regenerate_signature", "default"):
            memory, waits, done = [], [], 0
            start = time.monotonic()
            while done < REPROCESS:
                again(stack, ids, ruleset, 2)
                done += len(ids)
                while stack.query("select count(*) from crash_job where state = 0")[0][0] > 200:
                    begun = time.monotonic()
                    live = submit(stack, [SAMPLE])
                    drain(stack, "(1)")
                    waits.append(time.monotonic() - begun)
                    ids_live = stack.query("select 1 from processed_crash where crash_id = any(%s)",
                                           live)
                    assert ids_live, "a live crash was not processed"
                    memory.append(max(anonymous_kib(p) for p in daemon.worker_pids()))
                    time.sleep(0.3)
            drain(stack)
            took = time.monotonic() - start
            waits.sort()
            quarter = memory[len(memory) // 4] if memory else 1
            figure(f"reprocess_{ruleset}_live_wait", waits[int(len(waits) * 0.9)] if waits else 0, 1,
                   "<=1", "s", f"a crash accepted and processed beside {done} of {stored} stored "
                   f"that are processed again at {done / took:.0f}/s; the slowest tenth begins here")
            figure(f"reprocess_{ruleset}_memory", memory[-1] if memory else 1, quarter, "<=1.1", "KiB",
                   "a worker's own memory at the end, against after a quarter")


BENCHES = [processing, claims, worker_memory, reprocessing]
