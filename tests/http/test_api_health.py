"""Health of the pages, for monitors."""
import time

import requests

HERE = """<Location "/__heartbeat__">
    SetHandler crashstats
</Location>
<Location "/__lbheartbeat__">
    SetHandler crashstats
</Location>
<Location "/__version__">
    SetHandler crashstats
</Location>
"""


def get(stack, path):
    r = requests.get(stack.url + path, timeout=30, allow_redirects=False)
    return r.status_code, r.json()


def test_heartbeat(stack):
    assert get(stack, "/monitoring/heartbeat/") == (200, {"ok": True})
    r = requests.get(stack.url + "/monitoring/heartbeat/", timeout=30)
    assert r.headers["Cache-Control"] == "no-store"
    assert requests.post(stack.url + "/monitoring/heartbeat/", timeout=30).status_code == 405


def test_heartbeat_tells_what_is_wrong(stack, top):
    stack.error_log.expect("SAL4042|dbd|DBD|SAL5[0-9]{3}|SAL1[0-9]{3}|SAL9[0-9]{3}|SAL6[0-9]{3}")
    stack.stop("salvaged")
    crash_id = stack.submit({"ProductName": "Waits", "Version": "1"})
    end = time.monotonic() + 30
    while not stack.query("select 1 from crash_job where crash_id = %s", crash_id):
        assert time.monotonic() < end
        time.sleep(0.1)
    stack.query("update crash_job set enqueued_at = now() - interval '2 hours', run_after = now() - "
                "interval '2 hours' where crash_id = %s", crash_id)
    try:
        assert get(stack, "/monitoring/heartbeat/") == (500, {"ok": False, "errors": ["queue"]})
    finally:
        stack.start("salvaged")
    stack.wait_processed(crash_id)
    stack.stop("postgres")
    try:
        status, body = get(stack, "/monitoring/heartbeat/")
        assert status == 500 and "database" in body["errors"]
    finally:
        stack.start("postgres")
    assert get(stack, "/monitoring/heartbeat/")[0] == 200


def test_a_server_without_a_collector(stack):
    """Dockerflow's paths are the collector's; where it does not serve them they are the pages'."""
    stack.httpd_conf(HERE)
    assert get(stack, "/__lbheartbeat__") == (200, {"ok": True})
    assert get(stack, "/__heartbeat__") == (200, {"ok": True})
    status, body = get(stack, "/__version__")
    assert status == 200 and set(body) == {"source", "version", "commit", "build"}
    assert body["version"]
