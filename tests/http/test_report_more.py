"""Beside a report: the comparison of two, its neighbours, stored sources, bugs."""
import html
import http.server
import io
import json
import pathlib
import re
import threading
import time
import urllib.parse
import zipfile

import pytest
import requests

from lib import documents, people

UNKNOWN = "00000000-0000-4000-8000-000000261122"


def get(stack, path, token=None):
    return requests.get(stack.url + path, headers={"Auth-Token": token} if token else {},
                        timeout=30, allow_redirects=False)


def text_of(markup):
    plain = re.sub(r"<(script|style)\b.*?</\1>|<wbr>", "", markup, flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", plain)))


def to(r):
    assert r.status_code == 302, (r.status_code, r.text[:200])
    return re.sub(r"^https?://[^/]*", "", r.headers["Location"])


def frames(*functions):
    return {"threads": [{"frames": [{"frame": i, "module": "app", "function": f, "trust": "cfi"}
                                    for i, f in enumerate(functions)]}]}


@pytest.fixture(scope="module")
def pair(instance, top):
    """Two reports that differ in what is told of in the tests."""
    a = documents.store(instance, top, {
        "signature": "one", "crashing_thread": 0, "uptime": 5, "url": "https://secret-a/",
        "json_dump": {**frames("ns::f(Entry&)", "ns::gone()", "std::a()", "std::b()", "std::c()",
                               "main"),
                      "modules": [{"filename": "app", "version": "1"},
                                  {"filename": "both", "version": "7"}]}},
        {"Version": "1.0", "Notes": "same notes", "Own": "own-a"})
    b = documents.store(instance, top, {
        "signature": "two", "crashing_thread": 0, "uptime": 9, "url": "https://secret-b/",
        "json_dump": {**frames("ns::f(Key const&)", "std::a()", "std::b()", "std::c()",
                               "ns::added<int>()", "main"),
                      "modules": [{"filename": "app", "version": "2"},
                                  {"filename": "both", "version": "7"}]}},
        {"Version": "2.0", "Notes": "same notes", "Own": "own-b"})
    return a, b


def test_diff(stack, pair):
    r = get(stack, f"/report/diff/{pair[0]}/{pair[1]}")
    assert r.status_code == 200
    text = text_of(r.text)
    assert "Different signatures 4 of 6 frames the same after normalising" in text
    classes = re.findall(r'<tr class="(\w+)">', r.text)
    assert classes == ["chg", "del", "same", "add", "same"]
    plain = r.text.replace("<wbr>", "")
    assert "<mark>Entry</mark>" in plain and "<mark>Key const</mark>" in plain
    assert "3 runtime frames, the same" in plain and "2–4" in plain and "1–3" in plain
    values = text_of(plain[plain.index('<section id="values">'):])
    assert "version 1.0 2.0" in values and "uptime 5 9" in values
    assert "app 1 2" in values and "1 are the same" in values
    assert "same notes" not in values and "both" not in values
    assert "secret-" not in r.text and "own-a" not in r.text
    assert f'href="/report/diff/{pair[1]}/{pair[0]}"' in r.text     # swapped
    seen = get(stack, f"/report/diff/{pair[0]}/{pair[1]}", stack.api_token)
    assert seen.headers["Cache-Control"] == "private, no-store"
    values = text_of(seen.text)
    assert "url protected https://secret-a/ https://secret-b/" in values
    assert "Own annotation protected own-a own-b" in values


def test_diff_with_itself(stack, pair):
    text = text_of(get(stack, f"/report/diff/{pair[0]}/{pair[0]}").text)
    assert "Same signature 6 of 6 frames the same" in text
    assert "0 fields and 0 modules differ" in text and "No field differs." in text


def test_ways_to_a_diff(stack, pair):
    a, b = pair
    for query in (f"a={a}&b={b}", f"a=bp-{a}&b=%20{b}%20",
                  f"a={a}&b=" + urllib.parse.quote(f"https://x/report/index/{b}?x=1#t0f1")):
        assert to(get(stack, f"/report/diff/?{query}")) == f"/report/diff/{a}/{b}", query
    for query in ("", f"a={a}", f"a={a}&b=nonsense", f"a={a}&b=//evil.example/"):
        r = get(stack, f"/report/diff/?{query}")
        assert r.status_code == 400 and "Two reports are needed" in r.text, query
    for path in (f"{a}", f"{a}/", f"{a}/{b}/{a}", f"{a}/x", "x/y", f"{a.upper()}/{b}"):
        if path != f"{a}/{b}":
            assert get(stack, "/report/diff/" + path).status_code == 404, path
    r = get(stack, f"/report/diff/{a}/{UNKNOWN}")
    assert r.status_code == 404 and UNKNOWN in r.text
    assert get(stack, f"/report/diff/{UNKNOWN}/{b}").status_code == 404


def test_diff_of_a_waiting_report(stack, pair, top):
    stack.stop("salvaged")
    waiting = stack.submit({"ProductName": "Documents"}, top / documents.DUMP)
    assert to(get(stack, f"/report/diff/{pair[0]}/{waiting}")) == f"/report/index/{waiting}"
    stack.start("salvaged")
    stack.wait_processed(waiting)


def test_neighbours(stack, top):
    """In the order of time: previous is newer, next is older."""
    ids = []
    for _ in range(3):
        ids.append(stack.submit({"ProductName": "Neighbours", "Version": "1.0"},
                                top / documents.DUMP))
        stack.wait_processed(ids[-1])
    signature = stack.processed(ids[0])["signature"]
    page = get(stack, f"/report/index/{ids[1]}").text
    assert f'rel="next" href="/report/next/{ids[1]}"' in page
    assert f'rel="prev" href="/report/previous/{ids[1]}"' in page
    assert to(get(stack, f"/report/next/{ids[1]}")) == f"/report/index/{ids[0]}"
    assert to(get(stack, f"/report/previous/{ids[1]}")) == f"/report/index/{ids[2]}"
    assert to(get(stack, f"/report/diff/{ids[1]}/next")) == f"/report/diff/{ids[1]}/{ids[0]}"
    assert get(stack, f"/report/next/{ids[0]}").status_code == 404
    assert get(stack, f"/report/previous/{ids[2]}").status_code == 404
    assert get(stack, f"/report/next/{UNKNOWN}").status_code == 404
    both = "&".join(["signature=" + urllib.parse.quote(signature)] * 2)
    assert to(get(stack, "/report/diff/?" + both)).startswith("/report/diff/")
    assert get(stack, "/report/diff/?signature=none-such&signature=none-such").status_code == 404


def test_deferred_crashes_are_processed_when_asked_for(stack, top):
    stack.stop("salvaged")
    crash_id = stack.submit({"ProductName": "Documents"}, top / documents.DUMP)
    for _ in range(100):
        if stack.query("update crash_job set state = 3 where crash_id = %s returning 1", crash_id):
            break
        time.sleep(0.1)
    page = text_of(get(stack, f"/report/index/{crash_id}").text)
    assert "It was set aside by the throttle rules." in page
    assert stack.query("select queue, state from crash_job where crash_id = %s", crash_id) == [
        (0, 0)]
    page = text_of(get(stack, f"/report/index/{crash_id}").text)
    assert "It was put in front" in page and "Received 20" in page
    stack.start("salvaged")
    stack.wait_processed(crash_id)


# ---- sources ----

CODE = 'int main(void)\n{\n    return puts("<b>&"); // done\n}\n'


@pytest.fixture(scope="module")
def bundle(instance):
    """A stored source bundle; its id."""
    build = "ab54a98ceb1f0ad2ab54a98ceb1f0ad2ab54a98c"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("usr/src/prog.c", CODE)
        z.writestr("usr/src/latin.c", b"// caf\xe9\n")
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as z:
        z.writestr(f"prog/{build.upper()}/prog.src.zip", inner.getvalue())
    r = requests.post(instance.url + "/upload/", files={"sources.zip": outer.getvalue()},
                      headers={"Auth-Token": instance.upload_token}, timeout=60)
    assert r.status_code == 201, r.text
    return build


def test_stored_source(stack, bundle):
    r = get(stack, f"/sources/highlight/?url=/buildid/{bundle}/source/usr/src/prog.c&line=3")
    assert r.status_code == 200
    assert '<tr id="L-3" class="here">' in r.text and '<tr id="L-4">' in r.text
    assert '<span class="s">&quot;&lt;b&gt;&amp;&quot;</span>' in r.text
    assert '<span class="c">// done</span>' in r.text
    assert "caf" in get(stack, f"/sources/highlight/?url=/buildid/{bundle}/source//usr/src/latin.c"
                        ).text
    assert "unsafe-inline" not in r.headers["Content-Security-Policy"]


@pytest.mark.parametrize("url, status, says", [
    (None, 400, "No url specified."), ("", 400, "No url specified."),
    ("https://gecko-generated-sources.s3.amazonaws.com/x", 403, "Document at disallowed host."),
    ("http://127.0.0.1/", 403, "Document at disallowed host."),
    ("//evil.example/x", 403, "Document at disallowed host."),
    ("file:///etc/passwd", 403, "Document at disallowed scheme."),
    ("javascript:alert(1)", 403, "Document at disallowed scheme."),
    ("/buildid/ab54a98c/source/none.c", 404, "Document at URL does not exist."),
    ("/buildid/BUNDLE/source/../../../etc/passwd", 404, "Document at URL does not exist."),
    ("/buildid/BUNDLE/source/", 404, "Document at URL does not exist."),
    ("/buildid/../../x/source/y", 404, "Document at URL does not exist."),
    ("/etc/passwd", 404, "Document at URL does not exist.")])
def test_no_other_source(stack, bundle, url, status, says):
    query = "" if url is None else "?url=" + urllib.parse.quote(url.replace("BUNDLE", bundle))
    r = get(stack, "/sources/highlight/" + query)
    assert r.status_code == status and says in r.text


def test_frames_lead_to_stored_sources(stack, bundle, top):
    crash_id = documents.store(stack, top, {"crashing_thread": 0, "json_dump": {
        "modules": [{"filename": "prog", "code_id": bundle, "debug_id": "0" * 33}],
        "threads": [{"frames": [{"frame": 0, "module": "prog", "function": "main", "line": 3,
                                 "file": "/usr/src/prog.c"},
                                {"frame": 1, "module": "other", "function": "f", "line": 3,
                                 "file": "/usr/src/prog.c"}]}]}})
    page = get(stack, f"/report/index/{crash_id}").text
    links = re.findall(r'href="(/sources/highlight/[^"]*)"', page)
    assert len(links) == 1
    assert get(stack, html.unescape(links[0]).split("#")[0]).status_code == 200
    assert links[0].endswith("&amp;line=3#L-3")


def test_sources_follow_the_rules_of_buildid(stack, bundle):
    """Who may not have the file may not read it here."""
    url = f"/sources/highlight/?url=/buildid/{bundle}/source/usr/src/prog.c"
    assert get(stack, url).status_code == 200
    stack.httpd_conf('<Location "/buildid/">\nRequire all denied\n</Location>\n')
    stack.error_log.expect("AH01630")
    r = get(stack, url)
    assert r.status_code == 403 and "puts" not in r.text


# ---- bugs ----

class Tracker:
    """A Bugzilla that answers for some bugs, and remembers what it was asked."""

    def __init__(self):
        tracker, self.asked, self.fail = self, [], False

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                tracker.asked.append(query)
                if tracker.fail:
                    self.send_error(503)
                    return
                known = {7701: ("NEW", "", "Open <b>bug"), 7702: ("RESOLVED", "FIXED", "Shut bug"),
                         7703: ("REOPENED", "", "Old bug")}
                ids = [int(x) for x in query.get("id", [""])[0].split(",") if x]
                body = json.dumps({"bugs": [
                    {"id": i, "status": known[i][0], "resolution": known[i][1],
                     "summary": known[i][2]} for i in ids if i in known]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def tracker(stack):
    made = Tracker()
    conf = pathlib.Path(stack.conf)
    before = conf.read_text()
    stack.query("delete from bug_info where bug between 7700 and 7799")
    conf.write_text(
        f"{before}\nbugzilla-url {made.url}/rest\n"
        "bug-link Documents https://t.example/new?t=%(title)s&d=%(description)s Mine\n"
        "bug-link Nobody https://t.example/nobody Theirs\n")
    stack.stop("httpd")
    stack.start("httpd")
    yield made
    made.server.shutdown()
    conf.write_text(before)
    stack.stop("httpd")
    stack.start("httpd")


def test_bugs(stack, tracker, top):
    r = get(stack, "/buginfo/bug?bug_ids=7701,7702,9999999")
    assert r.status_code == 200 and r.json() == {"bugs": [
        {"id": 7701, "summary": "Open <b>bug", "status": "NEW", "resolution": ""},
        {"id": 7702, "summary": "Shut bug", "status": "RESOLVED", "resolution": "FIXED"}]}
    assert tracker.asked == [{"id": ["7701,7702,9999999"],
                              "include_fields": ["id,summary,status,resolution"]}]
    assert len(get(stack, "/buginfo/bug?bug_ids=7702,7703").json()["bugs"]) == 2
    assert tracker.asked[1]["id"] == ["7703"]               # the other is known for an hour
    stack.query("update bug_info set fetched = now() - interval '61 min' where bug = 7702")
    get(stack, "/buginfo/bug?bug_ids=7701,7702,7703,9999999")
    assert tracker.asked[2]["id"] == ["7702"]
    for query in ("", "?bug_ids=", "?bug_ids=1,x", "?bug_ids=-1", "?bug_ids=1;2", "?bug_ids=0",
                  "?bug_ids=" + ",".join(map(str, range(1, 102))),
                  "?bug_ids=99999999999999999999"):
        assert get(stack, "/buginfo/bug" + query).status_code == 400, query
    tracker.fail = True
    stack.error_log.expect("SAL4193")
    r = get(stack, "/buginfo/bug?bug_ids=7704")
    assert (r.status_code, r.json()) == (500, {"error": "Max retries exceeded with Bugzilla."})
    # on the report: open ones first, then by number; closed ones struck through
    crash_id = documents.store(stack, top, {"signature": "buggy | signature"})
    for bug in (7701, 7702, 7703, 7705):
        stack.query("insert into bug_association (bug, signature) values (%s, 'buggy | signature')"
                    " on conflict do nothing", bug)
    page = get(stack, f"/report/index/{crash_id}").text
    bugs = re.search(r'<section id="bugs">.*?</section>', page, re.S).group(0)
    assert re.findall(r"show_bug.cgi\?id=(\d+)", bugs) == ["7705", "7703", "7701", "7702"]
    assert re.findall(r'class="bug shut" href="[^"]*id=(\d+)"', bugs) == ["7702"]
    assert "RESOLVED FIXED" in bugs and "Open &lt;b&gt;bug" in bugs
    links = re.findall(r'href="(https://t.example/[^"]*)"', bugs)
    assert len(links) == 1
    sent = urllib.parse.parse_qs(urllib.parse.urlsplit(html.unescape(links[0])).query)
    assert sent["t"] == ["Crash in [@ buggy | signature]"]
    assert sent["d"][0].startswith(f"Crash report: {stack.url}/report/index/{crash_id}\n\n")
    assert "frames:\n```\n0  " in sent["d"][0]
    stack.query("delete from bug_association where bug between 7700 and 7799")


# ---- correlations ----

def test_correlations(stack, top):
    crash_id = documents.store(stack, top, {"signature": "together", "product": "Correlated",
                                            "release_channel": "odd"})
    assert "computed each night" in text_of(get(stack, f"/report/index/{crash_id}").text)
    run = stack.query("insert into correlation_run (product, channel, day, days, total, share)"
                      " values ('Correlated', 'odd', '2026-11-20', 7, 20961, 1) returning id")[0][0]
    results = [{"item": {"cpu_arch": "amd64"}, "count_group": 912, "count_reference": 2935},
               {"item": {"Module \"x.dll\"": True, "reason": "<b>"}, "count_group": 223,
                "count_reference": 503,
                "prior": {"item": {"reason": "<b>"}, "count_group": 209, "total_group": 1000,
                          "count_reference": 22, "total_reference": 1000}}]
    stack.query("insert into correlation_group values (%s, 1, 'together', 'x', 1000, %s)", run,
                json.dumps(results))
    try:
        text = text_of(get(stack, f"/report/index/{crash_id}").text)
        assert "91.2 % 14.0 % cpu_arch = amd64" in text
        assert re.search(r'22\.3 % 2\.4 % (Module "x\.dll" and reason = <b>|reason = <b> and '
                         r'Module "x\.dll") \(20\.9 % vs 2\.2 % if reason = <b>\)', text)
        assert ("Computed on 2026-11-20 from 1,000 reports of this signature and 20,961 of the "
                "product and channel." in text)
    finally:
        stack.query("delete from correlation_run where id = %s", run)


def test_rights_of_tokens(stack, pair):
    """A token with one right sees what that right is for."""
    dumps = people.token(stack, "admin", "view_rawdump")
    page = get(stack, f"/report/index/{pair[0]}", dumps).text
    assert "format=raw" in page and "secret-a" not in page
