"""Crash pings in the daemon: one that kills its child, a sample, a lease that ran out, expiry."""
import json
import os
import pathlib
import subprocess
import uuid

import pings
import pytest
import requests


@pytest.fixture
def daemon(stack):
    """Runs salvaged-hooked with more settings until nothing waits."""
    binary = stack.prefix.parent / "salvaged-hooked"
    if not binary.exists():
        pytest.skip(f"SKIPPED LOUDLY: no salvaged-hooked in {binary.parent}")
    stack.stop("salvaged")

    def as_runner():
        stat = stack.store.stat()
        if os.getuid() == 0 and stat.st_uid:
            os.setgid(stat.st_gid)
            os.setuid(stat.st_uid)

    def run(settings=""):
        conf = stack.dir / "hooked-pings.conf"
        conf.write_text(pathlib.Path(stack.conf).read_text() + "\nstackwalk-timeout 3\n" + settings)
        done = subprocess.run([binary, "-c", conf, "--once", "--workers", "1"], text=True,
                              capture_output=True, timeout=120, preexec_fn=as_runner)
        assert done.returncode == 0, done.stderr
        return done.stderr
    run()               # what waits of other tests is not to count
    return run


def send(stack, product, n=1, hook=None, **strings):
    made = []
    for _ in range(n):
        made.append(str(uuid.uuid4()))
        body = pings.glean(strings=strings)
        if hook:
            body["SalvageTestHook"] = hook
        r = requests.post(stack.url + pings.glean_path(made[-1], product),
                          data=json.dumps(body).encode(), timeout=30)
        assert r.text == "OK"
    return made


def states(stack, documents):
    rows = dict(stack.query("select document_id::text, state from crash_ping where document_id = "
                            "any(%s::uuid[])", documents))
    return [rows[d] for d in documents]


@pytest.mark.parametrize("hook", ["ping-kill", "ping-fault", "ping-hang"])
def test_a_ping_that_kills_its_child(stack, daemon, hook):
    """It is marked failed; those before and behind it are signed."""
    product = "kill-" + uuid.uuid4().hex[:8]
    documents = (send(stack, product, 2) + send(stack, product, hook=hook) +
                 send(stack, product, 2))
    said = daemon()
    failed = documents[2]
    got = states(stack, documents)
    if hook == "ping-hang" and got[2] != 4:     # time had run out over those before it
        daemon()
        got = states(stack, documents)
    assert got == [2, 2, 4, 2, 2], said
    assert "SAL5090" in said and failed in said
    note, signature = stack.query("select note, signature from crash_ping where document_id = %s",
                                  failed)[0]
    assert note and signature is None
    assert stack.query("select sum(n) from ping_day where product = %s", product)[0][0] == 4


def test_the_cage(stack, daemon):
    """The child that signs has no network: had it, this ping would have ended it."""
    documents = send(stack, "cage", hook="ping-socket")
    daemon()
    assert states(stack, documents) == [2]


def test_the_sample(stack, daemon):
    """No more than the target of each stratum are signed; the others are counted and kept."""
    product, channel = "sample-" + uuid.uuid4().hex[:8], "c" + uuid.uuid4().hex[:8]
    few = send(stack, product, 12, **{"crash.app_channel": channel})
    all_of_them = send(stack, product, 5, **{"crash.app_channel": channel,
                                             "crash.process_type": "gpu"})
    daemon(f"ping-sample * {channel} gpu all\nping-sample linux {channel} * 4\n")
    assert sorted(states(stack, few)) == [2] * 4 + [3] * 8
    assert states(stack, all_of_them) == [2] * 5
    assert stack.query("select process_type, received, taken from ping_stratum where channel = %s "
                       "order by 1", channel) == [("gpu", 5, 5), ("main", 12, 4)]
    # a day like this one before: the share is drawn, and more come than are taken
    stack.query("update ping_stratum set day = day - 1 where channel = %s", channel)
    more = send(stack, product, 3, **{"crash.app_channel": channel})
    daemon(f"ping-sample * {channel} * 0\n")
    assert states(stack, more) == [3, 3, 3]


def test_a_lease_that_ran_out(stack, daemon):
    """The next one has the ping, and it is counted once; after three it is given up."""
    channel = "l" + uuid.uuid4().hex[:8]
    lost, often = send(stack, "lost", 2, **{"crash.app_channel": channel})
    for document, attempts in ((lost, 1), (often, 3)):
        stack.query("update crash_ping set state = 1, attempts = %s, lease_until = now() - "
                    "interval '1 second' where document_id = %s", attempts, document)
    daemon()
    assert states(stack, [lost, often]) == [2, 4]
    assert "3" in stack.query("select note from crash_ping where document_id = %s", often)[0][0]
    assert stack.query("select * from ping_stratum where channel = %s", channel) == []


def test_expiry(stack, daemon):
    """Weeks that are over for ping-keep go, with what is remembered of them."""
    old, new = send(stack, "expiry", 2)
    week = stack.query("select crash_ping_make_partition(now() - interval '70 days')")[0][0]
    for table in ("crash_ping", "crash_ping_seen"):
        stack.query(f"update {table} set received = now() - interval '70 days' "
                    "where document_id = %s", old)
    stack.salvage("jobs", "reset", "pings", check=False)  # it has run, so it would wait
    daemon("ping-keep 60d\n")
    assert stack.query("select to_regclass(%s)", week) == [(None,)]
    assert stack.query("select document_id::text from crash_ping_seen where document_id = any("
                       "%s::uuid[])", [old, new]) == [(new,)]
    assert states(stack, [new]) == [2]


def test_bad_settings(stack):
    conf = stack.dir / "bad-pings.conf"
    conf.write_text(pathlib.Path(stack.conf).read_text() + "\nping-sample a b many\n")
    done = subprocess.run([stack.env["SALVAGED_BIN"], "-c", conf, "--once"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode != 0 and "ping-sample" in done.stderr
