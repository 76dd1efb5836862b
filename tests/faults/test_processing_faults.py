"""Processing while everything around it is killed: each crash once, poison in the dead letter.

Two daemons of two workers each share the instance's database and store. They are the build for
tests (salvaged-hooked): a crash may ask, by its annotation SalvageTestHook, to kill or to hang
whoever handles it. `make check-faults` sends 5,000 crashes; the short form fewer.
"""
import concurrent.futures
import os
import random
import signal
import subprocess
import threading
import time

import psycopg2
import pytest
import requests
from daemon import Daemon, children, wait_until
from faults import FULL, TOP, loudly
from minidumps import Dump

CRASHES = int(os.environ.get("SALVAGE_FAULT_CRASHES", "5000" if FULL else "100"))
LEASE = 3
STEPS = ["document", "terms", "job", "durable", "row", "search", "signatures", "symbols", "outbox",
         "commit", "former"] if FULL else ["job", "commit"]
# Ends its worker whenever it is processed; what only hurts the walker is no poison.
POISON = "worker-kill"


def small_dump(n=0):
    """A whole minidump of a few kB, with a stack of its own."""
    dump = Dump()
    rsp = 0x7fff0000
    stack = bytearray(256)
    stack[0:8] = (0x400100 + n % 4096).to_bytes(8, "little")
    size, at = dump.put(bytes(stack))
    context = dump.amd64(0x400010, rsp, rsp + 64)
    dump.list(3, [dump.thread(1, rsp, (size, at), context)])
    dump.list(4, [dump.module(0x400000, 0x10000, dump.text("/opt/small"))])
    dump.stream(6, dump.exception(1, 11, 0x10, context))
    return dump.bytes()


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def daemon_of(stack, number, **more):
    if not (stack.prefix.parent / "salvaged-hooked").exists():
        loudly("salvaged-hooked is not built (make salvaged-hooked)")
    return Daemon(stack, f"faults{number}", lease=LEASE, **more)


@pytest.fixture
def daemons(stack):
    """A factory; what it made is stopped. The instance's own daemon rests."""
    stack.stop("salvaged")
    stack.error_log.expect("SAL|dbd|DBD|AH0")
    made = []

    def make(n=2, **more):
        for _ in range(n):
            made.append(daemon_of(stack, len(made), **more).start())
        return made[-n:]
    yield make
    for daemon in made:
        daemon.stop()


def submit(stack, hook=None, n=0, session=requests):
    fields = {"ProductName": (None, "Demo"), "Version": (None, "1.0"),
              "upload_file_minidump": ("dump.dmp", small_dump(n), "application/octet-stream")}
    if hook:
        fields["SalvageTestHook"] = (None, hook)
    r = session.post(stack.url + "/submit", files=fields, timeout=60)
    assert r.status_code == 200 and r.text.startswith("CrashID=bp-"), (r.status_code, r.text)
    return r.text.strip()[len("CrashID=bp-"):]


def submit_many(stack, hooks):
    """One crash per element of hooks (None: a good one), in that order."""
    local = threading.local()

    def one(pair):
        if not hasattr(local, "session"):
            local.session = requests.Session()
        return submit(stack, pair[1], pair[0], local.session)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return list(pool.map(one, enumerate(hooks)))


def queued(stack, ids):
    assert wait_until(lambda: stack.query(
        "select count(*) from raw_crash where crash_id = any(%s)", ids)[0][0] == len(ids), 60)


def queued_or_done(stack, crash_id):
    assert wait_until(lambda: stack.query("select 1 from raw_crash where crash_id = %s", crash_id))


def ask(stack, sql, *args):
    """A query beside a server that may be down: None then."""
    try:
        return stack.query(sql, *args)
    except psycopg2.Error:
        return None


def hurry(stack):
    """Nobody waits half a minute for the next try."""
    ask(stack, "update crash_job set run_after = now() where state = 0 and run_after > now()")


def check_results(stack, ids, most_leases):
    """Each crash: one row, of one pass, whose document is there; one search row; no job left."""
    rows = stack.query("select crash_id, pass, blob, fence, success from processed_crash "
                       "where crash_id = any(%s)", ids)
    assert len(rows) == len(ids), f"{len(ids) - len(rows)} crashes have no result"
    twice = [r for r in rows if r[1] != 1]
    assert not twice, f"results were stored more than once: {twice[:5]}"
    assert all(r[4] for r in rows)
    gone = [r[2] for r in rows if not (stack.store / r[2]).exists()]
    assert not gone, f"rows name documents that are not there: {gone[:5]}"
    assert max(r[3] for r in rows) <= most_leases, "attempts are bounded"
    counts = stack.query("select count(*), count(distinct uuid) from crash "
                         "where uuid::text = any(%s)", ids)[0]
    assert counts == (len(ids), len(ids)), "one search row each"
    assert stack.query("select count(*) from crash_job where crash_id = any(%s)", ids) == [(0,)]


def check_dead(stack, ids):
    """Given up after three lost leases, with a stub that says so."""
    rows = stack.query("select crash_id, state, attempts, lost from crash_job "
                       "where crash_id = any(%s)", ids)
    assert sorted(r[0] for r in rows) == sorted(ids)
    assert {r[1:] for r in rows} == {(2, 3, 3)}, rows
    stubs = stack.query("select success, signature from processed_crash where crash_id = any(%s)",
                        ids)
    assert stubs == [(False, "EMPTY: crash failed to process")] * len(ids)


# ---- kills at random ----

class Chaos(threading.Thread):
    """kill -9 of workers, daemons and PostgreSQL until it is told to stop."""

    def __init__(self, stack, daemons, seed):
        super().__init__()
        self.stack, self.daemons, self.random = stack, daemons, random.Random(seed)
        self.stopped = threading.Event()
        self.kills = {"worker": 0, "daemon": 0, "postgres": 0}

    def kill_worker(self):
        daemon = self.random.choice(self.daemons)
        # the housekeeper is among them
        victims = children(daemon.process.pid) if daemon.alive() else []
        if victims:
            self.kills["worker"] += 1
            kill(self.random.choice(victims))

    def kill_daemon(self):
        daemon = self.random.choice(self.daemons)
        self.kills["daemon"] += 1
        daemon.kill()
        daemon.start()

    def kill_postgres(self):
        pid = self.stack.pid("postgres")
        self.kills["postgres"] += 1
        backends = children(pid)
        kill(pid)
        for backend in backends:
            kill(backend)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}")
                   and not any(os.path.exists(f"/proc/{b}") for b in backends), 10)
        time.sleep(0.2)
        for _ in range(20):
            try:
                self.stack.start("postgres")
                return
            except RuntimeError:        # memory of the dead one is still in use
                time.sleep(0.5)

    def run(self):
        deeds = [self.kill_worker] * 8 + [self.kill_daemon] * 2 + [self.kill_postgres]
        plan = []
        while not self.stopped.wait(self.random.uniform(0.3, 0.9)):
            if not plan:                # each deed comes round, in another order each time
                plan = self.random.sample(deeds, len(deeds))
            plan.pop()()


def test_random_kills(stack, daemons):
    """Each crash is processed, once, whoever dies; poison ends in the dead letter."""
    poison_at = {i * CRASHES // 4: POISON for i in range(4)}
    hang_at = {i * CRASHES // 3 + 7: "walker-hang" for i in range(3)}
    die_at = {i * CRASHES // 5 + 11: "walker-kill" for i in range(5)}
    hooks = [(poison_at | hang_at | die_at).get(i) for i in range(CRASHES)]
    ids = submit_many(stack, hooks)
    queued(stack, ids)
    poison = [i for i, h in zip(ids, hooks) if h == POISON]
    good = [i for i, h in zip(ids, hooks) if h != POISON]
    both = daemons(2)
    chaos = Chaos(stack, both, seed=8)
    chaos.start()
    started = time.monotonic()
    least = 0 if FULL else 4            # so that a quick machine meets some kills too

    def done():
        hurry(stack)
        left = ask(stack, "select count(*) from unnest(%s) i(id) where not exists (select from "
                          "processed_crash p where p.crash_id = i.id)", good)
        return left == [(0,)] and time.monotonic() - started > least
    try:
        assert wait_until(done, 900 if FULL else 90), stack.query(
            "select * from crash_job where crash_id = any(%s)", good)[:10]
    finally:
        chaos.stopped.set()
        chaos.join()
    took = time.monotonic() - started

    def over():
        hurry(stack)
        states = ask(stack, "select state, count(*) from crash_job where crash_id = any(%s) "
                            "group by 1", ids)
        stubs = ask(stack, "select count(*) from processed_crash where crash_id = any(%s)", poison)
        return states == [(2, len(poison))] and stubs == [(len(poison),)]
    assert wait_until(over, 60), stack.query(
        "select * from crash_job where crash_id = any(%s)", ids)[:10]
    check_results(stack, good, most_leases=12)
    check_dead(stack, poison)
    leases = stack.query("select fence, count(*) from processed_crash where crash_id = any(%s) "
                         "group by 1 order by 1", good)
    print(f"\n{len(good)} crashes and {len(poison)} of poison in {took:.0f} s; killed: "
          f"{chaos.kills}; leases a crash took: {dict(leases)}", end="")


# ---- kills at each step of storing a result ----

def each_once(stack, ids):
    """Waits until all have results; at no time has one a result and a job to be done."""
    both = []

    def done():
        row = stack.query("select (select array_agg(p.crash_id::text) from processed_crash p join "
                          "crash_job j using (crash_id) where p.crash_id = any(%s) and j.state in "
                          "(0, 1)), (select count(*) from processed_crash where crash_id = any(%s))",
                          ids, ids)[0]
        both.extend(row[0] or [])
        hurry(stack)
        return row[1] == len(ids)
    assert wait_until(done, 60), stack.query("select * from crash_job where crash_id = any(%s)", ids)
    assert not both, "a crash had its result and a job that was to be done"


def test_kill_at_every_step(stack, daemons):
    """The result is there once; the job is gone or ready; never a result and a job to be done."""
    daemons(1)
    for step in STEPS:
        crash_id = submit(stack, f"step-{step}")
        queued_or_done(stack, crash_id)
        each_once(stack, [crash_id])
        check_results(stack, [crash_id], most_leases=2)
        fence = stack.query("select fence from processed_crash where crash_id = %s", crash_id)
        # what died behind the commit was not to be done again
        assert fence == [(1 if step in ("commit", "former") else 2,)], step


def test_kill_in_a_group(stack, daemons):
    """Results that are stored together live or die together, and each is there once."""
    # few: a worker that died soon after its start is started again later and later
    steps = ["job", "durable", "commit"] if FULL else ["job"]
    hooks = [h for s in steps for h in [None] * 4 + [f"step-{s}"] + [None] * 4]
    ids = submit_many(stack, hooks)
    queued(stack, ids)
    daemons(1, workers=1, env={"SALVAGE_TEST_BATCH": "1"})
    each_once(stack, ids)
    # a death costs those beside it one lease, and then they are alone
    check_results(stack, ids, most_leases=2 + 2 * len(steps))


# ---- two workers on one job ----

@pytest.mark.full
def test_stalled_worker_is_fenced_off(stack, daemons):
    """A worker that is stopped past its lease wakes up late: what it brings is thrown away."""
    crash_id = submit(stack, "walker-hang")
    queued(stack, [crash_id])
    first, = daemons(1, workers=1)
    row = wait_until(lambda: stack.query("select worker from crash_job where crash_id = %s and "
                                         "state = 1", crash_id))
    stalled = int(row[0][0].rsplit(":", 1)[1])
    stopped = [stalled, *children(stalled)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    daemons(1)

    def processed():
        hurry(stack)
        return stack.query("select blob, fence from processed_crash where crash_id = %s", crash_id)
    before = wait_until(processed, 30)
    assert before and before[0][1] == 2
    for pid in stopped:
        kill(pid, signal.SIGCONT)
    assert wait_until(lambda: first.says("SAL5021"), 15), "the late one is told by its fence"
    assert processed() == before
    check_results(stack, [crash_id], most_leases=2)


@pytest.mark.full
def test_clocks_that_are_wrong(stack, daemons, tmp_path):
    """Hosts an hour ahead and an hour behind: leases are of the database's time."""
    source = TOP / "tests" / "faults" / "skew.c"
    skew = stack.dir / "skew.so"
    made = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", skew, source, "-ldl"],
                          capture_output=True, text=True)
    if made.returncode:
        loudly(f"no C compiler for the wrong clock: {made.stderr}")
    skew.chmod(0o755)
    hooks = [None] * 20 + ["walker-hang"] * 2       # these outlive a lease, which is renewed
    ids = submit_many(stack, hooks)
    queued(stack, ids)
    stack.query("update crash_job set queue = 0 where crash_id = any(%s)", ids[-2:])
    for seconds in (3600, -3600):
        daemons(1, timeout=LEASE + 2, env={"LD_PRELOAD": str(skew), "SKEW": str(seconds)})

    def done():
        return stack.query("select count(*) from processed_crash where crash_id = any(%s)",
                           ids)[0][0] == len(ids)
    assert wait_until(done, 40), stack.query("select * from crash_job where crash_id = any(%s)", ids)
    check_results(stack, ids, most_leases=1)


@pytest.mark.full
def test_poison_of_the_walk(stack, daemons):
    """A dump whose walker takes the worker along is processed without walking, the third time."""
    bad, good = submit_many(stack, ["uncaged-orphan", None])
    queued(stack, [bad, good])
    daemons(1)

    def done():
        hurry(stack)
        return stack.query("select count(*) from processed_crash where crash_id = any(%s)",
                           [bad, good])[0][0] == 2
    assert wait_until(done, 40), stack.query("select * from crash_job where crash_id = %s", bad)
    check_results(stack, [bad, good], most_leases=3)
    notes = stack.processed(bad)["processor_notes"]
    assert "lost 2 times; stackwalker skipped" in notes


# ---- the daemon's end, and jobs that come meanwhile ----

def test_term_under_load(stack, daemons):
    """TERM: running jobs are ended, no lease is left, what was not begun counts no attempt."""
    ids = submit_many(stack, ["walker-hang"] * 2 + [None] * 60)
    queued(stack, ids)
    daemon, = daemons(1)
    assert wait_until(lambda: stack.query("select count(*) from crash_job where state = 1 and "
                                          "crash_id = any(%s)", ids)[0][0])
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0
    left = stack.query("select crash_id::text, state, attempts, lost from crash_job "
                       "where crash_id = any(%s)", ids)
    assert {r[1:] for r in left} <= {(0, 0, 0)}, left
    daemons(1)
    assert wait_until(lambda: stack.query("select count(*) from crash_job where crash_id = "
                                          "any(%s)", ids)[0][0] == 0)
    check_results(stack, ids, most_leases=1)


@pytest.mark.full
def test_queued_during_a_pass(stack, daemons):
    """A job that comes while its crash is processed waits, and is done afterwards."""
    crash_id = submit(stack, "walker-hang")
    queued(stack, [crash_id])
    daemons(1)
    assert wait_until(lambda: stack.query("select 1 from crash_job where crash_id = %s and state = 1",
                                          crash_id))
    stack.salvage("queue", "put", "--lane", "priority", crash_id)
    states = stack.query("select state from crash_job where crash_id = %s order by 1", crash_id)
    assert states == [(0,), (1,)]
    assert wait_until(lambda: stack.query("select pass from processed_crash where crash_id = %s",
                                          crash_id) == [(2,)], 20)
    assert stack.query("select 1 from crash_job where crash_id = %s", crash_id) == []


@pytest.mark.full
def test_lost_notification(stack, daemons):
    """Nobody notifies: the daemon looks by itself. A job for later is taken when it is due."""
    ids = submit_many(stack, [None, None])
    queued(stack, ids)
    stack.query("update crash_job set run_after = now() + interval '1 day' where crash_id = any(%s)",
                ids)
    daemon, = daemons(1)
    assert wait_until(lambda: len(children(daemon.process.pid)) == 3)
    time.sleep(1)
    stack.query("update crash_job set run_after = now() where crash_id = %s", ids[0])
    stack.query("update crash_job set run_after = now() + interval '2 s' where crash_id = %s", ids[1])
    assert wait_until(lambda: stack.query("select count(*) from processed_crash where crash_id = "
                                          "any(%s)", ids)[0][0] == 2, 20)
    check_results(stack, ids, most_leases=1)
