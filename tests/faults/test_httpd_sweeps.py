"""Where no daemon runs, httpd sweeps pending/ and makes tomorrow's directories."""
import datetime
import os
import time

import pytest


@pytest.mark.full  # an entry must be 30 s old
def test_httpd_sweeps_without_daemon(stack):
    stack.stop("salvaged")
    lock = stack.store / "pending.lock"
    if lock.exists():
        os.utime(lock, (0, 0))  # as if no daemon had been here
    crash_id = stack.submit()
    end = time.monotonic() + 20
    while not stack.query("select 1 from raw_crash where crash_id = %s", crash_id):
        assert time.monotonic() < end
        time.sleep(0.1)
    stack.query("delete from crash_job where crash_id = %s", crash_id)
    stack.query("delete from raw_crash where crash_id = %s", crash_id)
    container = stack.store / "crash" / ("20" + crash_id[-6:]) / crash_id[:2] / f"{crash_id}.zip"
    os.link(container, stack.store / "pending" / crash_id)
    end = time.monotonic() + 100
    while not stack.query("select 1 from raw_crash where crash_id = %s", crash_id):
        assert time.monotonic() < end, "httpd did not sweep"
        time.sleep(0.5)
    for _ in range(50):
        if not (stack.store / "pending" / crash_id).exists():
            break
        time.sleep(0.1)
    assert not (stack.store / "pending" / crash_id).exists()
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    day = stack.store / "crash" / tomorrow.strftime("%Y%m%d")
    assert (day / ".ready").exists()
    assert len([p for p in day.iterdir() if p.is_dir()]) == 256
