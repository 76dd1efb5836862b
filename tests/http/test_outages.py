"""Kills and outages on one host: nothing acknowledged is lost, nothing stays stuck."""
import os
import pathlib
import signal
import threading
import time

import pytest
import requests
from daemon import wait_until

SAMPLE = pathlib.Path(__file__).parent.parent / "data" / "crashes" / "crasher_cpp.dmp"


def worker_of(stack, crash_id):
    """Pid of the process that holds the lease, from crash_job.worker (host:pid...)."""
    rows = stack.query("select worker from crash_job where crash_id = %s and state = 1", crash_id)
    return rows[0][0] if rows else None


def everything_processed(stack, ids, seconds=90):
    def missing():
        rows = stack.query("select crash_id from processed_crash where crash_id = any(%s)",
                           list(ids))
        return set(ids) - {r[0] for r in rows}

    wait_until(lambda: not missing(), seconds)
    return missing()


def test_postgres_killed_during_submissions(stack):
    """Every crash that was answered with a CrashID is there afterwards."""
    stack.error_log.expect("SAL|dbd|DBD|apr_dbd|AH0")
    ids, errors, stop = [], [], threading.Event()

    def send():
        while not stop.is_set():
            try:
                r = stack.submit(dump=SAMPLE, expect=False)
            except requests.RequestException as e:
                errors.append(str(e))
                continue
            if r.status_code == 200:
                ids.append(r.text.strip()[len("CrashID=bp-"):])
            else:
                errors.append(f"{r.status_code} {r.text}")

    threads = [threading.Thread(target=send) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(1)
    before = len(ids)
    os.kill(stack.pid("postgres"), signal.SIGKILL)
    time.sleep(3)
    during = len(ids)
    stop.set()
    for t in threads:
        t.join()
    assert not errors, errors[:3]
    assert before > 0 and during > before, "crashes are accepted without the database"
    # The cluster recovers from the kill; its children may take a moment to go.
    for _ in range(50):
        try:
            stack.start("postgres")
            break
        except RuntimeError:
            time.sleep(0.2)
    stack.salvage("sweep", "--pending")
    assert not everything_processed(stack, ids), "acknowledged crashes were lost"
    stored = {p.stem for p in stack.store.glob("crash/*/*/*.zip")}
    assert set(ids) <= stored
    assert len(set(ids)) == len(ids)


def test_httpd_child_killed(stack):
    """Acknowledged crashes of a killed child are queued by the sweep."""
    stack.error_log.expect("exit signal Killed|SAL")
    ids = [stack.submit(dump=SAMPLE) for _ in range(5)]
    for pid in stack.children("httpd"):
        os.kill(pid, signal.SIGKILL)
    ids += [stack.submit(dump=SAMPLE) for _ in range(5)]
    stack.salvage("sweep", "--pending")
    assert not everything_processed(stack, ids)


@pytest.mark.parametrize("how", ["graceful stop"])
def test_daemon_stops_and_resumes(stack, how):
    stack.stop("salvaged")
    crash_id = stack.submit(dump=SAMPLE)
    time.sleep(1)
    assert stack.processed(crash_id) is None
    stack.start("salvaged")
    assert stack.wait_processed(crash_id)["success"] is True


AWAY = "SAL5010|SAL9621|SAL1014|SAL1030|SAL4|dbd|DBD|AH0"


def test_an_outage_costs_no_attempt(stack):
    """Jobs that the database left in their middle come back as if they had not been begun."""
    stack.error_log.expect(AWAY)
    ids = [stack.submit(dump=SAMPLE) for _ in range(20)]
    stack.stop("postgres")
    stack.start("postgres")
    assert not everything_processed(stack, ids)
    assert not [line for _, line in stack.error_log.new_lines() if "SAL5024" in line]


def test_daemon_ends_without_database(stack):
    """It does not hold finished crashes until the drain is over, which is minutes: whoever comes
    next processes them again."""
    stack.error_log.expect(AWAY + "|SAL5022")
    for _ in range(8):
        stack.submit(dump=SAMPLE)
    stack.stop("postgres")
    pid = stack.pid("salvaged")
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 25), "it hangs on its database"
