"""salvaged at TERM: whoever has no crash to finish ends at once, whatever the database does."""
import contextlib
import os
import pathlib
import signal
import time

import psycopg2
import pytest
from daemon import Daemon, wait_until

DUMP = pathlib.Path(__file__).parent.parent / "data" / "crashes" / "crasher_cpp.dmp"
JOB, TABLE = "hints", "hint_crash"


@contextlib.contextmanager
def locked(stack, table):
    """Nobody else reads or writes a table meanwhile; they wait, and no timeout ends it."""
    conn = psycopg2.connect(stack.env["SALVAGE_DB"])
    try:
        conn.cursor().execute(f"lock table {table} in access exclusive mode")
        yield
    finally:
        conn.close()


@pytest.fixture
def daemon(stack):
    stack.stop("salvaged")
    stack.error_log.expect("SAL|dbd|DBD|AH0")
    if not (stack.prefix.parent / "salvaged-hooked").exists():
        pytest.skip("SKIPPED LOUDLY: no salvaged-hooked (make salvaged-hooked)")
    made = Daemon(stack, "stopping")
    yield made
    if made.alive():
        made.kill()


def waiting(stack, table):
    """Backends that wait for the lock of a table."""
    return [r[0] for r in stack.query(
        "select pid from pg_locks where not granted and relation = %s::regclass", table)]


def ends(daemon, seconds=5):
    begun = time.monotonic()
    daemon.process.terminate()
    assert daemon.process.wait(60) == 0
    assert time.monotonic() - begun < seconds, daemon.log.read_text()


def gone(pids):
    return all(not os.path.exists(f"/proc/{pid}") for pid in pids)


def test_everybody_waits_for_the_database(stack, daemon):
    """Workers and housekeeper are in the middle of statements that do not end."""
    with locked(stack, "crash_job"):
        daemon.start()
        assert wait_until(lambda: len(waiting(stack, "crash_job")) >= 3)
        processes = daemon.children()
        ends(daemon)
        assert wait_until(lambda: gone(processes))


def held(stack):
    """Leases, by who has them."""
    return stack.query("select crash_id, worker from crash_job where state = 1")


def crashes(stack, n):
    ids = [stack.submit({"ProductName": "Demo", "Version": "1.0"}, DUMP) for _ in range(n)]
    assert wait_until(lambda: stack.query("select count(*) from raw_crash where crash_id = any(%s)",
                                          ids)[0][0] == n)
    return ids


@contextlib.contextmanager
def paused(stack):
    """Nobody claims what comes meanwhile; then all hear of it."""
    stack.query("insert into queue_pause (lane, reason) values (1, 'test')")
    try:
        yield
    finally:
        stack.query("delete from queue_pause where lane = 1")
        stack.query("select pg_notify('crash_job', '1')")


def test_claims_under_way(stack, daemon):
    """A claim that waits in the server when its worker is killed takes no lease afterwards."""
    daemon.workers = 1
    daemon.start()
    stack.wait_processed(*crashes(stack, 1))    # the statement is prepared
    with contextlib.ExitStack() as lock:
        with paused(stack):
            ids = crashes(stack, 3)
            lock.enter_context(locked(stack, "crash_job"))
        worker = [r[0] for r in stack.query("select pid from pg_stat_activity where query like "
                                            "'LISTEN%%' or query like '%%pick AS%%'")]
        assert wait_until(lambda: set(worker) & set(waiting(stack, "crash_job")))
        ends(daemon)
    time.sleep(0.5)
    assert held(stack) == []
    stack.start("salvaged")
    for crash_id in ids:
        stack.wait_processed(crash_id)
    assert stack.query("select fence from processed_crash where crash_id = any(%s)",
                       ids) == [(1,)] * 3


def test_no_lease_without_owner(stack, daemon):
    """Stopped again and again while crashes come: nothing is held afterwards, or lost."""
    ids = []
    for turn in range(8):
        ids += crashes(stack, 6)
        daemon.start()
        assert wait_until(daemon.children)
        time.sleep(0.05 * turn)
        ends(daemon, 10)
        assert held(stack) == [], turn
    stack.start("salvaged")
    for crash_id in ids:
        stack.wait_processed(crash_id)
    assert stack.query("select count(*) from processed_crash where crash_id = any(%s) and pass = 1",
                       ids) == [(len(ids),)]


def test_killed_worker_holds_only_what_it_began(stack, daemon):
    """What it had claimed besides is for others at once, and not to blame."""
    daemon.workers = 1
    daemon.env["SALVAGE_TEST_BATCH"] = "1"
    first = crashes(stack, 1)           # behind it, it claims several
    daemon.start()
    stack.wait_processed(*first)
    with paused(stack):
        ids = [stack.submit({"ProductName": "Demo", "Version": "1.0",
                             "SalvageTestHook": "worker-kill"}, DUMP), *crashes(stack, 5)]
        assert wait_until(lambda: stack.query("select count(*) from crash_job where state = 0 and "
                                              "crash_id = any(%s)", ids) == [(6,)])
    for crash_id in ids[1:]:
        stack.wait_processed(crash_id)
    assert daemon.says("SAL5038"), "they had been claimed together"
    lost = stack.query("select crash_id, lost from crash_job where lost > 0 and crash_id = any(%s)",
                       ids[1:])
    assert lost == []
    stack.query("delete from crash_job where crash_id = %s", ids[0])


def test_database_stands_still(stack, daemon):
    """No statement is answered, no connection is made."""
    postgres = stack.pid("postgres")
    daemon.start()
    assert wait_until(lambda: len(daemon.children()) >= 3)
    backends = [r[0] for r in stack.query("select pid from pg_stat_activity where pid is not null")]
    try:
        for pid in (postgres, *backends):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(3)  # for a chore
        ends(daemon)
    finally:
        for pid in (postgres, *backends):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_periodic_job_in_the_middle(stack, daemon):
    """It is killed, its statement ends with it, and it is due again, which is no failure."""
    stack.query("delete from cron_job where app_name = %s", JOB)
    with locked(stack, TABLE):
        daemon.start()
        row = wait_until(lambda: waiting(stack, TABLE) and stack.query(
            "select runner from cron_job where app_name = %s and ongoing is not null", JOB))
        child = int(row[0][0].rsplit(":", 1)[1])
        assert os.path.exists(f"/proc/{child}")
        ends(daemon)
        assert wait_until(lambda: gone([child]))
        assert stack.query("select ongoing, error_count, last_success from cron_job where "
                           "app_name = %s", JOB) == [(None, 0, None)]
        assert wait_until(lambda: not waiting(stack, TABLE)), "the lock is held, nobody waits for it"
    stack.start("salvaged")
    assert wait_until(lambda: stack.query(
        "select 1 from cron_job where app_name = %s and last_success is not null", JOB))
