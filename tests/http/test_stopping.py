"""salvaged at TERM: whoever has no crash to finish ends at once, whatever the database does."""
import contextlib
import os
import signal
import time

import psycopg2
import pytest
from daemon import Daemon, wait_until

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
