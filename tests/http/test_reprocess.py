"""Reprocessing: by the API, by the report page, in bulk, and by itself when symbols come.

Each test has a module of its own: the build id in a dump and in its symbols is changed together, so
that symbols which other tests have uploaded are of no use.
"""
import pathlib
import re
import time
import uuid

import pytest
import requests

from crasher import Build
from people import admin, person, token

@pytest.fixture
def build(tmp_path):
    return Build(tmp_path)


@pytest.fixture(scope="module")
def quick(instance):
    """No waiting for more symbols; the daemon reads its file again."""
    conf = pathlib.Path(instance.conf)
    plain = conf.read_text()
    conf.write_text(plain + "\nreprocess-debounce 0s\nreprocess-rate 0\nreprocess-tries 1\n")
    instance.stop("salvaged")
    instance.start("salvaged")
    yield
    conf.write_text(plain)
    instance.stop("salvaged")
    instance.start("salvaged")


def wait(found, what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(what)


def passes(stack, crash_id):
    rows = stack.query("select pass from processed_crash where crash_id = %s", crash_id)
    return rows[0][0] if rows else 0


def reached(stack, crash_id, n):
    wait(lambda: passes(stack, crash_id) >= n, f"pass {n} of {crash_id}: " + str(stack.query(
        "select state, ruleset, last_error from crash_job where crash_id = %s", crash_id)))


def searched(stack, crash_id):
    rows = stack.query("select t.value from crash c join term t on t.id = c.signature "
                       "where c.uuid = %s::uuid", crash_id)
    assert len(rows) == 1
    return rows[0][0]


def functions(doc):
    threads = doc["json_dump"]["threads"]
    return [f.get("function") for f in threads[doc["crashing_thread"] or 0]["frames"]]


def fresh_crash(stack, build, **more):
    crash_id = stack.submit({"ProductName": "Again", "Version": "1.0", **more}, build.dump)
    stack.wait_processed(crash_id)
    return crash_id


def requests_of(stack, crash_id, requester="symbols"):
    return stack.query("select count(*) from reprocess_request where requester = %s "
                       "and query->>'modules' like %s", requester, f"%{crash_id}%")[0][0]


def lacking(stack, crash_id):
    return {tuple(r) for r in stack.query("select debug_file, debug_id from crash_missing_symbol "
                                          "where crash_id = %s", crash_id)}


# ---- symbols come ----

def test_symbols_come_and_the_crash_is_processed_again(stack, quick, build):
    crash_id = fresh_crash(stack, build)
    before = stack.processed(crash_id)
    assert ("crasher", build.debug_id) in lacking(stack, crash_id)
    assert not any(f and "crash" in f for f in functions(before))
    assert searched(stack, crash_id) == before["signature"]

    stack.upload_symbols(build.folder)
    reached(stack, crash_id, 2)
    after = stack.processed(crash_id)
    assert after["signature"] != before["signature"]
    assert any(f for f in functions(after))
    assert searched(stack, crash_id) == after["signature"]
    assert ("crasher", build.debug_id) not in lacking(stack, crash_id)
    assert before["processor_notes"] in after["processor_history"]

    row = wait(lambda: stack.query(
        "select id, kind, total, state from reprocess_request where requester = 'symbols' "
        "and query->'modules' ? %s and state = 'done'", f"crasher/{build.debug_id}"),
        "the request ends")[0]
    assert row[1:] == ("symbols", 1, "done")
    shown = stack.salvage("reprocess", "show", row[0]).stdout
    assert "requester symbols\n" in shown and "done 1\n" in shown and build.debug_id in shown


def test_symbols_that_resolve_nothing_do_not_go_round_in_circles(stack, quick, build):
    """What comes is no symbol file: each time another content, as if somebody sent it for ever."""
    crash_id = fresh_crash(stack, build)
    for _ in range(3):
        stack.query("insert into symbol_arrival (debug_id, debug_file) values (%s, 'crasher')",
                    build.debug_id)
        wait(lambda: not stack.query("select 1 from symbol_arrival where debug_id = %s",
                                     build.debug_id), "the arrival is looked at")
        wait(lambda: not stack.query("select 1 from crash_job where crash_id = %s and state < 2",
                                     crash_id) and not stack.query(
             "select 1 from reprocess_request where requester = 'symbols' and state = 'running'"),
             "the request ends")
    assert passes(stack, crash_id) == 1 + 1, "reprocess-tries is 1"
    assert stack.query("select tries from crash_missing_symbol where crash_id = %s and "
                       "debug_id = %s", crash_id, build.debug_id) == [(1,)]


def test_symbols_of_programs_come_through_the_import(stack, quick, build):
    crash_id = fresh_crash(stack, build)
    stack.salvage("symbols", "import", build.folder)
    reached(stack, crash_id, 2)
    assert any(functions(stack.processed(crash_id)))


# ---- the API ----

def post(stack, ids, **more):
    headers = {"Auth-Token": stack.api_token}
    return requests.post(stack.url + "/api/Reprocessing/", data={"crash_ids": ids}, timeout=30,
                         headers=more.pop("headers", headers), **more)


def test_api_queues(stack, quick, build):
    crash_id = fresh_crash(stack, build)
    r = post(stack, [crash_id])
    assert (r.status_code, r.json()) == (200, True)
    reached(stack, crash_id, 2)
    assert post(stack, [" " + crash_id + ":regenerate_signature "]).json() is True
    reached(stack, crash_id, 3)
    notes = stack.processed(crash_id)["processor_history"]
    assert len(notes) == 2


def test_api_checks_everything_before_it_queues(stack, build):
    good = "0bb3ca9e-0000-4000-8000-000000260101"
    counts = "select (select count(*) from crash_job), (select coalesce(sum(total), 0) " \
             "from reprocess_request)"
    before = stack.query(counts)
    for ids, text in (([good, "x"], "Crash id 'x' is not valid."),
                      ([good, "bp-" + good], f"Crash id 'bp-{good}' is not valid."),
                      ([good, good.upper()], f"Crash id '{good.upper()}' is not valid."),
                      ([good, good + ":nonsense"], "Ruleset 'nonsense' is not valid."),
                      ([good + ":"], "Ruleset '' is not valid."),
                      (["x:y"], "Crash id 'x' is not valid.")):
        r = post(stack, ids)
        assert r.status_code == 400, ids
        assert r.json() == {"error": "Bad request: BadArgumentError: Bad value for parameter(s) "
                                     f"'{text}'"}
    for data in ([], [""]):
        r = post(stack, data)
        assert (r.status_code, r.json()) == \
            (400, {"errors": {"crash_ids": ["This field is required."]}})
    assert stack.query(counts) == before


def test_api_needs_the_right_then_the_method(stack):
    denied = {"error": "Use of this endpoint requires the 'Reprocess Crashes' permission"}
    other = token(stack, "reader@example.com", "view_pii")
    for headers in ({}, {"Auth-Token": other}):
        for method in ("GET", "POST"):
            r = requests.request(method, stack.url + "/api/Reprocessing/", headers=headers,
                                 timeout=30)
            assert (r.status_code, r.json()) == (403, denied)
    for method in ("GET", "PUT", "DELETE"):
        r = requests.request(method, stack.url + "/api/Reprocessing/", timeout=30,
                             headers={"Auth-Token": stack.api_token})
        assert (r.status_code, r.json()) == (405, {"error": "Method not allowed"}), method
    assert requests.options(stack.url + "/api/Reprocessing/", timeout=30).status_code == 200


def test_forged_changes_are_refused(stack, quick, build):
    crash_id = fresh_crash(stack, build)
    who = admin(stack)
    for path, data in (("/api/Reprocessing/", {"crash_ids": crash_id}),
                       (f"/report/index/{crash_id}", {"ruleset": "default"})):
        assert who.request("POST", path, data=data).status_code == 403
        assert who.request("POST", path, data={**data, "csrf": "0" * 64}).status_code == 403
        assert who.request("POST", path, data=data,
                           headers={"Origin": "https://evil.example"}).status_code == 403
    time.sleep(0.5)
    assert passes(stack, crash_id) == 1
    assert who.change("POST", "/api/Reprocessing/", {"crash_ids": crash_id}).status_code == 200
    reached(stack, crash_id, 2)


def test_report_page_has_the_button_for_those_who_may(stack, quick, build):
    crash_id = fresh_crash(stack, build)
    page = f"/report/index/{crash_id}"
    assert "Reprocess" not in requests.get(stack.url + page, timeout=30).text
    nobody = person(stack, "walter")
    assert "Reprocess" not in nobody.get(page).text
    assert nobody.request("POST", page, data={"csrf": nobody.csrf()}).status_code == 403
    who = admin(stack)
    text = who.get(page).text
    csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', text).group(1)
    r = who.request("POST", page, data={"csrf": csrf, "ruleset": "default"})
    assert (r.status_code, r.headers["Location"].split("/report")[-1]) == \
        (303, page.replace("/report", ""))
    reached(stack, crash_id, 2)
    assert who.request("POST", page, data={"csrf": csrf, "ruleset": "x"}).status_code == 400


def test_quota(stack, build, instance):
    conf = pathlib.Path(stack.conf)
    plain = conf.read_text()
    name = f"q{uuid.uuid4().hex[:8]}@example.com"
    theirs = {"Auth-Token": token(stack, name, "reprocess_crashes")}
    ids = [f"{n:08x}-0000-4000-8000-000000260101" for n in range(4)]
    conf.write_text(plain + "\nreprocess-quota 3\n")
    stack.stop("httpd"), stack.start("httpd")
    try:
        assert post(stack, ids[:2], headers=theirs).status_code == 200
        r = post(stack, ids[2:], headers=theirs)
        assert r.status_code == 429 and "quota of 3" in r.json()["error"]
        assert post(stack, ids[2:3], headers=theirs).status_code == 200
        rows = stack.query("select total, requester from reprocess_request where requester = %s",
                           name)
        assert rows == [(3, name)], "one request an hour takes what comes through the API"
    finally:
        conf.write_text(plain)
        stack.stop("httpd"), stack.start("httpd")
        stack.error_log.expect("SAL5023")
        wait(lambda: stack.query("select 1 from crash_job where crash_id = any(%s) and state < 2",
                                 ids) == [], "they are given up: there are no such crashes")
        stack.query("delete from crash_job where crash_id = any(%s)", ids)


# ---- in bulk ----

def test_bulk_by_search_signature_module_and_list(stack, quick, build, tmp_path):
    product = "Bulk" + build.guid[:8]
    ids = [stack.submit({"ProductName": product, "Version": f"{n}.0"}, build.dump)
           for n in range(4)]
    signature = [stack.wait_processed(i)["signature"] for i in ids][0]

    def all_at(n, some=ids):
        return [passes(stack, i) for i in some] == [n] * len(some)

    done = stack.salvage("reprocess", "--search", f"product={product}&version=%212.0", "--wait")
    assert re.match(r"request \d+: 3 crashes\n", done.stdout), done.stdout
    assert "3 processed, 0 given up" in done.stderr
    assert all_at(2, [ids[0], ids[1], ids[3]]) and passes(stack, ids[2]) == 1

    done = stack.salvage("reprocess", "--signature", signature, "--search", f"product={product}",
                         "--ruleset", "regenerate_signature", "--reason", "why not", "--wait")
    assert ": 4 crashes" in done.stdout
    done = stack.salvage("reprocess", "--module", "CRASHER/" + build.debug_id.lower(), "--wait")
    assert ": 4 crashes" in done.stdout
    assert [passes(stack, i) for i in ids] == [4, 4, 3, 4]

    many = tmp_path / "ids"
    many.write_text(f"bp-{ids[0]}\nhttps://x.example/report/index/{ids[1]}\n{ids[0]}\n\n")
    done = stack.salvage("reprocess", "-f", many, ids[2] + ":regenerate_signature", "--wait")
    assert ": 3 crashes" in done.stdout
    assert [passes(stack, i) for i in ids] == [5, 5, 4, 4]
    listed = stack.salvage("reprocess", "list").stdout
    assert "\twhy not\n" in listed and listed.startswith("id\tstate\t")


def test_bulk_says_what_is_wrong(stack, build):
    for args, code, text in (
            (["x"], 1, "Crash id 'x' is not valid."),
            (["--search", "product=x", "--ruleset", "y"], 0, "no crash"),
            (["--search", "colour=red"], 1, "Unknown field 'colour'"),
            (["--search", "date=2026"], 1, "date must have a prefix operator"),
            (["--search", "product"], 2, "is not NAME=VALUE"),
            (["show", "99999999"], 1, "there is no request 99999999"),
            (["pause", "99999999"], 1, "that can be paused"),
            (["show"], 2, "needs the number"),
            ([], 2, "say which crashes"),
            (["--search", "a=b", "--module", "c"], 2, "in one way")):
        done = stack.salvage("reprocess", *args, check=False)
        if args[:1] == ["--search"] and "y" in args:
            assert done.returncode == 1 and "Ruleset 'y' is not valid." in done.stderr
            continue
        assert (done.returncode, text in done.stderr + done.stdout) == (code, True), \
            (args, done.stderr, done.stdout)


def test_pause_resume_cancel(stack, quick, build):
    ids = [fresh_crash(stack, build) for _ in range(3)]
    stack.stop("salvaged")
    number = re.match(r"request (\d+)", stack.salvage("reprocess", *ids).stdout).group(1)
    ready = "select count(*) from crash_job where request_id = %s and state = 0 " \
            "and run_after <= now()"
    assert stack.query(ready, number) == [(3,)]
    assert "state paused" in stack.salvage("reprocess", "pause", number).stdout
    assert stack.query(ready, number) == [(0,)]
    stack.start("salvaged")
    time.sleep(1)
    assert [passes(stack, i) for i in ids] == [1, 1, 1]
    # somebody wants one of them now: a request of their own takes it over
    stack.salvage("reprocess", ids[0], "--wait")
    assert [passes(stack, i) for i in ids] == [2, 1, 1]
    assert "state running" in stack.salvage("reprocess", "resume", number).stdout
    reached(stack, ids[1], 2)
    reached(stack, ids[2], 2)
    wait(lambda: "state done" in stack.salvage("reprocess", "show", number).stdout, "it ends")

    stack.stop("salvaged")
    number = re.match(r"request (\d+)", stack.salvage("reprocess", *ids).stdout).group(1)
    shown = stack.salvage("reprocess", "cancel", number).stdout
    assert "state cancelled" in shown and "queued 0\n" in shown
    assert stack.query("select 1 from crash_job where crash_id = any(%s)", ids) == []
    assert stack.salvage("reprocess", "resume", number, check=False).returncode == 1
    stack.start("salvaged")


def test_dead_jobs_do_not_hold_up_a_request(stack, quick, build):
    """One of the crashes is not in the store: it dies, and the request ends all the same."""
    crash_id = fresh_crash(stack, build)
    gone = "00000000-0000-4000-8000-000000260101"
    stack.error_log.expect("SAL5023")
    done = stack.salvage("reprocess", crash_id, gone, "--wait", check=False)
    assert done.returncode == 1
    assert re.search(r"request \d+ is done: 1 processed, 1 given up", done.stderr), done.stderr
    stack.query("delete from crash_job where crash_id = %s", gone)
    stack.query("delete from processed_crash where crash_id = %s", gone)
    stack.query("delete from crash where uuid = %s::uuid", gone)


def test_the_signature_needs_no_dump(stack, quick, build):
    """The raw crash is gone: the signature is made anew of the stored stack, the rest is not."""
    crash_id = fresh_crash(stack, build)
    signature = stack.processed(crash_id)["signature"]
    for path in (stack.store / "crash").glob(f"*/{crash_id[:2]}/{crash_id}.zip"):
        path.unlink()
    stack.salvage("reprocess", crash_id + ":regenerate_signature", "--wait")
    after = stack.processed(crash_id)
    assert passes(stack, crash_id) == 2 and after["signature"] == signature
    assert after["json_dump"]["threads"]
    stack.error_log.expect("SAL5023")
    assert stack.salvage("reprocess", crash_id, "--wait", check=False).returncode == 1
    assert stack.processed(crash_id)["json_dump"]["threads"], "the document stays as it is"
    stack.query("delete from crash_job where crash_id = %s", crash_id)
    stack.query("delete from processed_crash where crash_id = %s", crash_id)
    stack.query("delete from raw_crash where crash_id = %s", crash_id)
