"""salvaged: workers that die, walkers that hang or die, the cage, draining, reloading.

A crash can ask the daemon built for tests (salvaged-hooked) to misbehave while it is processed: the
annotation SalvageTestHook names the process and the deed.
"""
import os
import pathlib
import signal
import subprocess
import time

import pytest
import requests
from daemon import Daemon, wait_until
from instance import free_port

DUMP = pathlib.Path(__file__).parent.parent / "data" / "crashes" / "crasher_cpp.dmp"


@pytest.fixture
def hooked(stack):
    build = stack.prefix.parent
    binary = build / "salvaged-hooked"
    if not binary.exists():
        pytest.skip(f"SKIPPED LOUDLY: no salvaged-hooked in {build} (make salvaged-hooked)")
    stack.stop("salvaged")
    stack.error_log.expect("SAL50")
    daemon = Daemon(stack)
    yield daemon
    daemon.stop()


def crash(stack, hook=None):
    fields = {"ProductName": "Demo", "Version": "1.0"}
    if hook:
        fields["SalvageTestHook"] = hook
    return stack.submit(fields, DUMP)


def job(stack, crash_id):
    rows = stack.query("select state, attempts, lost, worker, last_error from crash_job "
                       "where crash_id = %s", crash_id)
    return rows[0] if rows else None


def queued(stack, *ids):
    """Waits for the row thread, then skips the back-off of jobs whose lease was lost."""
    assert wait_until(lambda: stack.query(
        "select count(*) from crash_job where crash_id = any(%s)", list(ids))[0][0] == len(ids))


def hurry(stack):
    stack.query("update crash_job set run_after = now() where state = 0")


def test_worker_killed_mid_crash(stack, hooked):
    """kill -9 of a worker in the middle of a crash: another one takes it within the lease."""
    hooked = Daemon(stack, timeout=60)
    crash_id = crash(stack, "walker-hang")
    queued(stack, crash_id)
    hooked.start()
    try:
        row = wait_until(lambda: (job(stack, crash_id) or [0])[0] == 1 and job(stack, crash_id))
        assert row, hooked.log.read_text()
        victim = int(row[3].rsplit(":", 1)[1])
        assert victim in hooked.children()
        time.sleep(4)  # longer than the lease: it was renewed, the job is still the same worker's
        assert job(stack, crash_id)[:4] == (1, 1, 0, row[3])
        os.kill(victim, signal.SIGKILL)
        lost = wait_until(lambda: job(stack, crash_id)[2] == 1, 10)
        assert lost, "the lease of a dead worker runs out"
        hurry(stack)
        row = wait_until(lambda: job(stack, crash_id)[0] == 1 and job(stack, crash_id), 15)
        assert row and row[1] == 2 and int(row[3].rsplit(":", 1)[1]) != victim
        # the walker of the dead worker died with it
        walkers = subprocess.run(["pgrep", "-P", str(victim)], capture_output=True, text=True)
        assert not walkers.stdout
    finally:
        hooked.process.kill()
        hooked.process.wait()
        stack.query("update crash_job set state = 2 where crash_id = %s", crash_id)


@pytest.mark.parametrize("hook, code, note", [
    ("walker-kill", -9, "failed: -9: unknown error"),
    ("walker-fault", -11, "failed: -11: unknown error"),
    ("walker-hang", -9, "timeout (SIGKILL)"),
    ("walker-spin", -9, "timeout (SIGKILL)"),
])
def test_walker_dies(stack, hooked, hook, code, note):
    """The death of a walker costs one crash report, and blocks nobody."""
    bad, good = crash(stack, hook), crash(stack)
    queued(stack, bad, good)
    hooked.start()
    doc = stack.wait_processed(good)
    assert doc["mdsw_status_string"] == "OK" and doc["json_dump"]["threads"]
    doc = stack.wait_processed(bad)
    assert doc["mdsw_return_code"] == code
    assert doc["mdsw_status_string"] == "unknown error"
    assert doc["json_dump"] == {}
    assert f"MinidumpStackwalkRule: minidump-stackwalk: {note}" in doc["processor_notes"]
    assert doc["signature"] == "EMPTY: no frame data available; unknown error"
    assert job(stack, bad) is None


def test_dumps_of_one_walker(stack, hooked):
    """A worker keeps its walker: what one dump does to it reaches no other crash."""
    hooked.workers = 1
    hooks = [None, None, None, "walker-kill", None, None, "walker-fault", None, None, "walker-hang",
             None, None, "broken", None, None, "uncaged-kill", None]
    ids = [stack.submit({"ProductName": "Demo", "Version": "1.0"}, b"MDMP" + b"x" * 500)
           if h == "broken" else crash(stack, h) for h in hooks]
    queued(stack, *ids)
    hooked.start()
    codes = {"walker-kill": -9, "walker-fault": -11, "walker-hang": -9, "broken": 1,
             "uncaged-kill": -9, None: 0}
    stacks = set()
    for hook, crash_id in zip(hooks, ids):
        doc = stack.wait_processed(crash_id)
        assert doc["mdsw_return_code"] == codes[hook], hook
        if hook is None:
            assert doc["mdsw_status_string"] == "OK"
            stacks.add(doc["proto_signature"])
            assert doc["json_dump"]["threads"] and doc["json_dump"]["modules"]
        elif hook != "broken":
            assert doc["json_dump"] == {}
    assert len(stacks) == 1
    assert not hooked.says("SAL5032") and not hooked.says("SAL5041"), "no worker was lost"


def test_walker_has_no_network(stack, hooked):
    """The cage: a walker that tries to open a socket is refused and goes on."""
    crash_id = crash(stack, "walker-socket")
    hooked.start()
    assert stack.wait_processed(crash_id)["mdsw_status_string"] == "OK"


def test_crash_that_kills_workers(stack, hooked):
    """Dead after three attempts, with a page that says so; others are not held up."""
    bad = crash(stack, "worker-kill")
    good = [crash(stack) for _ in range(4)]
    queued(stack, bad, *good)
    hooked.start()
    for crash_id in good:
        assert stack.wait_processed(crash_id)["success"] is True

    def is_dead():
        hurry(stack)
        return job(stack, bad)[0] == 2

    assert wait_until(is_dead, 40), job(stack, bad)
    state, attempts, lost, _, why = job(stack, bad)
    assert (state, attempts, lost) == (2, 3, 3) and "3 lost leases" in why
    doc = stack.wait_processed(bad, 10)
    assert doc["success"] is False
    assert doc["signature"] == "EMPTY: crash failed to process"
    assert "gave up after 3 lost leases" in doc["processor_notes"]
    assert stack.query("select success from processed_crash where crash_id = %s", bad) == [(False,)]
    # still in service
    again = crash(stack)
    assert stack.wait_processed(again)["success"] is True


def test_raw_crash_not_found(stack, hooked):
    """A job whose container has gone is a dead letter that says what is missing."""
    crash_id = crash(stack)
    queued(stack, crash_id)
    next(stack.store.glob(f"crash/*/*/{crash_id}.zip")).unlink()
    hooked.start()
    doc = stack.wait_processed(crash_id)
    assert doc["success"] is False
    assert "raw crash not found" in doc["processor_notes"]
    assert job(stack, crash_id)[0] == 2


def test_once_drains_and_ends(stack, hooked):
    ids = [crash(stack) for _ in range(3)]
    queued(stack, *ids)
    hooked.start("--once")
    assert hooked.process.wait(30) == 0
    assert job(stack, ids[0]) is None
    assert [len(stack.query("select 1 from processed_crash where crash_id = %s", i))
            for i in ids] == [1, 1, 1]


def test_drain_finishes_the_running_job(stack, hooked):
    """TERM: the job that runs is ended, none is claimed, no lease is left behind."""
    slow, waiting = crash(stack, "walker-hang"), crash(stack)
    queued(stack, slow, waiting)
    stack.query("update crash_job set queue = 0 where crash_id = %s", slow)
    hooked.workers = 1
    hooked.start()
    assert wait_until(lambda: (job(stack, slow) or [0])[0] == 1)
    hooked.process.terminate()
    assert hooked.process.wait(30) == 0
    assert stack.processed(slow)["mdsw_return_code"] == -9
    assert job(stack, waiting)[:2] == (0, 0), "nothing was claimed after TERM"


def test_reload(stack, hooked):
    """HUP: a bad configuration is refused and the daemon goes on; a good one is used."""
    hooked.start()
    assert wait_until(lambda: len(hooked.children()) == 3)
    before = set(hooked.children())
    text = hooked.conf.read_text()
    hooked.conf.write_text(text + "no-such-key 1\n")
    hooked.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: hooked.says("SAL5043"))
    assert set(hooked.children()) == before
    hooked.conf.write_text(text)
    hooked.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: len(set(hooked.children()) - before) == 3), "all are started anew"
    assert stack.wait_processed(crash(stack))["success"] is True


def test_reprocess_keeps_history(stack):
    """A second pass replaces the document, keeps its notes, and leaves one blob behind."""
    crash_id = crash(stack)
    first = stack.wait_processed(crash_id)
    stack.query("insert into crash_job (crash_id, queue) values (%s, 2)", crash_id)
    stack.query("notify crash_job")
    assert wait_until(lambda: stack.query("select pass from processed_crash where crash_id = %s",
                                          crash_id)[0][0] == 2)
    second = stack.wait_processed(crash_id)
    assert second["processor_history"] == [first["processor_notes"]]
    assert wait_until(lambda: len(list(stack.store.glob(f"processed/*/*/{crash_id}.*"))) == 1)


def test_metrics(stack, hooked):
    """Counts of workers and rules, gauges of the queue, in Prometheus' format and nothing else."""
    port = free_port()
    hooked.conf.write_text(hooked.conf.read_text() + f"metrics-listen {port}\n")
    ids = [crash(stack), crash(stack)]
    queued(stack, *ids)
    hooked.start()
    for crash_id in ids:
        stack.wait_processed(crash_id)
    url = f"http://127.0.0.1:{port}"

    def look():
        text = requests.get(url + "/metrics", timeout=10).text
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in text.splitlines() if line[0] != "#"}, text
    wait_until(lambda: look()[0].get("salvage_processor_save_processed_crash_total", 0) >= 2, 10)
    values, text = look()
    name = "salvage_processor_"
    assert values[name + "workers"] == 2 and values[name + "database_up"] == 1
    assert values[name + "save_processed_crash_total"] >= 2
    assert values[name + 'job_attempts_total{attempts="1"}'] >= 2
    assert values[name + 'job_end_total{outcome="done"}'] >= 2
    assert values[name + "ingestion_timing_seconds_count"] == \
        values[name + 'ingestion_timing_seconds_bucket{le="+Inf"}'] >= 2
    phases = {k.split('"')[1]: v for k, v in values.items()
              if k.startswith(name + "job_phase_seconds_sum")}
    assert phases["rules"] >= phases["walk"] >= phases["stackwalk"] > 0
    rules = [k for k in values if k.startswith(name + "rule_act_timing_seconds_count{")]
    assert len(rules) > 20 and all(values[k] >= 2 for k in rules)
    for lane in ("priority", "standard", "reprocess"):
        assert values[name + f'queue_ready{{lane="{lane}"}}'] >= 0
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)), "a family is opened once"
    assert requests.get(url + "/", timeout=10).status_code == 404
