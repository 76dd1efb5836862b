"""salvage queue: shows what waits, runs and died; retries, deletes, kills, queues, pauses, tests."""
import json
import time
import uuid

import pytest


def new_id():
    return str(uuid.uuid4())[:29] + "0260101"


@pytest.fixture
def still(stack):
    """No daemon, so that jobs stay as they are; ours are deleted afterwards."""
    stack.stop("salvaged")
    made = []

    def job(state=0, lane=1, **columns):
        crash_id = new_id()
        made.append(crash_id)
        columns = dict(columns, crash_id=crash_id, queue=lane, state=state)
        names = ", ".join(columns)
        stack.query(f"insert into crash_job ({names}) values ({', '.join(['%s'] * len(columns))})",
                    *columns.values())
        return crash_id
    stack.job = job
    yield stack
    stack.query("delete from crash_job where crash_id = any(%s)", made)
    stack.query("delete from queue_pause")


def show(stack):
    return json.loads(stack.salvage("queue", "show", "--json", "-n", "100000").stdout)


def state_of(stack, crash_id):
    rows = stack.query("select state, queue, attempts, lost, last_error, ruleset from crash_job "
                       "where crash_id = %s", crash_id)
    return rows[0] if rows else None


def test_show(still):
    before = show(still)
    ready = still.job(lane=2, enqueued_at="2026-01-01")
    leased = still.job(1, worker="host:12", leased_at="2026-01-02", lease_until="2026-01-03",
                       attempts=2, lost=1)
    dead = still.job(2, lane=0, last_error="raw crash not found", run_after="2026-01-04 05:06:07Z")
    still.job(3)
    after = show(still)
    for lane, what in (("reprocess", "ready"), ("standard", "leased"), ("priority", "dead"),
                       ("standard", "deferred")):
        assert after["lanes"][lane][what] == before["lanes"][lane][what] + 1
        assert after[what] == before[what] + 1
    assert after["lanes"]["reprocess"]["oldest_ready_seconds"] > 86400
    row, = [r for r in after["leases"] if r["crash_id"] == leased]
    assert (row["worker"], row["attempts"], row["lost"]) == ("host:12", 2, 1)
    assert row["leased_at"].startswith("2026-01-02T") and row["age_seconds"] > 86400
    row, = [r for r in after["dead_jobs"] if r["crash_id"] == dead]
    assert row["reason"] == "raw crash not found" and row["died"].startswith("2026-01-04T05:06:07")
    text = still.salvage("queue").stdout
    assert f"{leased}\tdefault\tstandard\thost:12\t" in text
    assert f"{dead}\tdefault\t2026-01-04T05:06:07" in text
    listed = json.loads(still.salvage("queue", "list", "ready", "--json", "-n", "100000").stdout)
    assert ready in [r["crash_id"] for r in listed]
    stats = json.loads(still.salvage("queue", "stats", "--json").stdout)
    assert stats["ready"] == after["ready"]


def test_retry_delete_kill(still):
    again, away, waits = still.job(2, attempts=3, lost=3), still.job(2), still.job(0)
    assert still.salvage("queue", "retry", again).stdout == "1 job ready again\n"
    assert state_of(still, again)[:4] == (0, 1, 0, 0)
    assert still.salvage("queue", "delete", away).stdout == "1 dead job deleted\n"
    assert state_of(still, away) is None
    done = still.salvage("queue", "delete", waits, check=False)  # not what is alive
    assert done.returncode == 1 and waits in done.stderr and state_of(still, waits)[0] == 0
    still.salvage("queue", "kill", "--reason", "too big", waits)
    assert state_of(still, waits)[0] == 2 and state_of(still, waits)[4] == "too big"


def test_put(still):
    crash_id = still.job(0, lane=2)
    still.salvage("queue", "put", "--lane", "priority", crash_id)
    assert state_of(still, crash_id)[:2] == (0, 0)
    done = still.salvage("queue", "put", "--ruleset", "defualt", crash_id, check=False)
    assert done.returncode == 1 and "defualt" in done.stderr
    done = still.salvage("queue", "put", "nonsense", check=False)
    assert done.returncode == 1 and "nonsense" in done.stderr


def test_pause_stops_all_daemons(still):
    still.salvage("queue", "pause", "standard", "--reason", "disk is full")
    lane = show(still)["lanes"]["standard"]
    assert lane["paused"] and lane["paused_reason"] == "disk is full"
    crash_id = still.job(0)
    still.start("salvaged")
    still.salvage("queue", "test")      # another lane: it does work
    assert state_of(still, crash_id)[0] == 0
    still.error_log.expect("SAL5023")   # there is no such crash
    still.salvage("queue", "resume")
    end = time.monotonic() + 20
    while state_of(still, crash_id)[0] != 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert state_of(still, crash_id)[0] == 2, "resuming wakes the daemon"
    still.query("delete from processed_crash where crash_id = %s", crash_id)
    still.query("delete from crash where uuid = %s::uuid", crash_id)


def test_test(still):
    before = still.query("select count(*) from crash_job")
    done = still.salvage("queue", "test", "--wait", "1s", check=False)
    assert done.returncode == 1 and "no daemon" in done.stderr
    assert still.query("select count(*) from crash_job") == before
    still.start("salvaged")
    assert "took a job within" in still.salvage("queue", "test").stdout
