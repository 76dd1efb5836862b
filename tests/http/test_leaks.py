"""Protected data never leaks, and nothing that crashes or requests bring becomes markup.

Every route of modules/crashstats/routes.def is walked, and every link that is found; a route that the
walk does not reach fails the test, so that what is new is walked, too.
"""
import json
import re
import urllib.parse

import pytest
import requests
from people import admin, person
from walker import MODULES_ELSEWHERE, Markup, Walker, everything, routes

PRODUCT = "Leaky"
MARK = "cnry"
XSS = "\"'><script>canary()</script><canary onerror=canary()>{{{x}}}${x}"
OPEN_RATES = "CrashStatsApiRate off\nCrashStatsSearchRate off\n"
# What a client cannot set: made by the collector or the processor, or of another form than text.
NOT_SENT = {"metadata", "JavaStackTrace", "JavaException", "Breadcrumbs", "additional_minidumps"}
ENDPOINT = re.compile(r'<section id="(\w+)"')


@pytest.fixture(scope="module", autouse=True)
def rates(instance):
    instance.shared_conf(OPEN_RATES)
    yield
    instance.plain = ""


def annotations(top):
    """(name, is protected) of the field list."""
    for line in (top / "conf/schema/raw_crash.tsv").read_text().splitlines():
        cells = line.split("\t")
        if line and not line.startswith("#") and "." not in cells[0]:
            yield cells[0], cells[2] != "public"


@pytest.fixture(scope="module")
def marked(instance, top):
    """A processed crash with a canary of its own in every protected annotation that is text."""
    values = {name: f"{MARK}-{name.lower()}-7q" for name, protected in annotations(top)
              if protected and name not in NOT_SENT}
    values["NobodyKnowsThis"] = f"{MARK}-unknown-7q"
    values["URL"] = f"https://{MARK}-url-7q.example/"
    values["MozCrashReason"] = f"Failed to load module \"C:/{MARK}-mozcrashreason-7q/x.dll\""
    values["Breadcrumbs"] = json.dumps([{"timestamp": "2026-11-01T00:00:00Z", "category": "x",
                                         "message": f"{MARK}-breadcrumbs-7q"}])
    sent = dict(values, ProductName=PRODUCT, Version="1.0", ReleaseChannel="release",
                BuildID="20261104093212")
    crash_id = instance.submit(sent, top / "tests/data/crashes/crasher_cpp.dmp")
    instance.wait_processed(crash_id)
    marks = {re.search(MARK + r"-[\w.-]+?-7q", v).group(): k for k, v in values.items()}
    return crash_id, marks


@pytest.fixture(scope="module")
def people(instance):
    return {"anonymous": None, "user": person(instance, "leak-user"),
            "pii": person(instance, "leak-pii", "Hackers"), "admin": admin(instance)}


def walker(stack, who):
    return Walker(stack, auth=who and (who.name, who.password))


def api_starts(stack, crash_id):
    names = ENDPOINT.findall(requests.get(stack.url + "/api/", timeout=30).text)
    names += ["Reprocessing", "SuperSearch", "SuperSearchUnredacted"]
    assert len(names) > 8
    return [f"/api/{n}/?" + urllib.parse.urlencode(
        {"crash_id": crash_id, "signature": "x", "signatures": "x", "bug_ids": "1", "product": PRODUCT,
         "format": f, "name": "dump"}) for n in names for f in ("meta", "raw")]


def starts(stack, top, crash_id):
    signature = stack.processed(crash_id)["signature"]
    query = urllib.parse.urlencode({"product": "=" + PRODUCT, "signature": "=" + signature})
    fixed = [r.path for r in routes(top) if "GET" in r.methods or r.methods == "*"]
    return fixed + MODULES_ELSEWHERE + api_starts(stack, crash_id) + [
        f"/report/index/{crash_id}", f"/report/diff/{crash_id}/{crash_id}",
        f"/report/raw/{crash_id}", f"/home/product/{PRODUCT}", f"/topcrashers/?product={PRODUCT}",
        f"/signature/?{query}", f"/search/?{query}", f"/search/results/?{query}",
        f"/search/?product={PRODUCT}&_facets=user_comments&_columns=url&_sort=remote_type",
        f"/ping/{crash_id}", "/error/404",
        f"/search/?product={PRODUCT}&_histogram.date=product", "/buginfo/bug?bug_ids=1", "/search/saved/new"]


def seen_marks(walked, marks):
    found = {}
    for path, r in walked.items():
        asked = urllib.parse.unquote(path)
        text = everything(r)
        for mark in marks:
            if mark in text and mark not in asked:
                found.setdefault(mark, path)
    return found


@pytest.mark.parametrize("who", ["anonymous", "user"])
def test_no_page_leaks(stack, top, marked, people, who):
    crash_id, marks = marked
    w = walker(stack, people[who])
    walked = w.walk(starts(stack, top, crash_id))
    assert seen_marks(walked, marks) == {}
    broken = {p: r.status_code for p, r in walked.items() if r.status_code >= 500}
    assert broken == {}
    # A field that is held back is named
    page = walked[f"/report/index/{crash_id}"].text
    assert "lockmark" in page and "View Personal Identifiable Information" in page


def test_who_may_sees_all_of_it_and_is_remembered(stack, top, marked, people):
    crash_id, marks = marked
    before = stack.query("select count(*) from protected_access where actor = 'leak-pii'")[0][0]
    walked = walker(stack, people["pii"]).walk(starts(stack, top, crash_id))
    found = seen_marks(walked, marks)
    assert set(found) == set(marks), {marks[m] for m in set(marks) - set(found)}
    for path, r in walked.items():
        if seen_marks({path: r}, marks):
            assert r.headers.get("Cache-Control") == "private, no-store", path
    rows = stack.query("select what from protected_access where actor = 'leak-pii' order by id")
    kept = [what for what, in rows[before:]]
    assert f"GET /report/index/{crash_id}" in kept and "GET /api/RawCrash/" in kept
    assert not any("?" in what or MARK in what for what in kept)


def test_every_route_is_walked(stack, top, marked, people):
    w = walker(stack, people["admin"])
    walked = w.walk(starts(stack, top, marked[0]))
    paths = {urllib.parse.urlsplit(p).path for p, r in walked.items() if r.status_code != 404}
    for route in routes(top):
        if route.methods == "POST" or route.path == "/error/":
            continue
        hit = [p for p in paths if p == route.path or
               (route.match == "UNDER" and p.startswith(route.path))]
        # An UNDER route without a sample to look at must at least have answered
        tried = any(urllib.parse.urlsplit(p).path.startswith(route.path) for p in walked)
        assert hit or (route.match == "UNDER" and tried), f"nothing walks {route.path}"
    assert {p: r.status_code for p, r in walked.items() if r.status_code >= 500} == {}


# ---- the search: every protected field in every place that takes a field ----

def fields(stack):
    r = requests.get(stack.url + "/api/SuperSearchFields/", timeout=30,
                     headers={"Auth-Token": stack.api_token})
    assert r.status_code == 200
    doc = r.json()
    secret = sorted(n for n, f in doc.items()
                    if set(f.get("permissions_needed") or []) - {"public", "crashstats.public"})
    assert len(secret) >= 5
    return secret, sorted(set(doc) - set(secret))


def search(stack, params, who=None):
    if requests.get(stack.url + "/api/SuperSearch/?_results_number=0", timeout=30).status_code == 404:
        pytest.skip("SKIPPED LOUDLY: there is no /api/SuperSearch/ here")
    return requests.get(stack.url + "/api/SuperSearch/", params=params, timeout=60,
                        auth=who and (who.name, who.password))


@pytest.mark.parametrize("who", ["anonymous", "user"])
def test_no_search_leaks(stack, marked, people, who):
    secret, _ = fields(stack)
    base = [("product", "=" + PRODUCT)]
    whole = search(stack, base).json()["total"]
    assert whole >= 1
    ways = ["_facets", "_columns", "_sort", "_aggs.product", "_aggs.version.product",
            "_histogram.date", "_histogram.uptime", "_facets_size"]
    for name in secret:
        asked = [(way, x) for way in ways for x in (name, "_cardinality." + name)
                 if way != "_facets_size"]
        asked += [("_aggs." + name, "product"), ("_histogram." + name, "product"),
                  ("_histogram_interval." + name, "1")]
        for each in ([x] for x in asked):
            r = search(stack, base + each, people[who])
            assert MARK not in everything(r), (name, each)
            if r.status_code == 200:
                assert name not in r.json()["facets"], (name, each)
                assert not any(name in hit for hit in r.json()["hits"]), (name, each)


def test_no_condition_is_an_oracle(stack, marked, people):
    """Whether a protected value is so or not makes no difference for who may not see it."""
    secret, _ = fields(stack)
    base = [("product", "=" + PRODUCT)]
    differs = []
    for name in secret:
        answers = set()
        for value in (f"~{MARK}", "~zzz", f"!~{MARK}", "__null__", "!__null__", "1", ">0", "<0"):
            r = search(stack, base + [(name, value)], people["user"])
            if r.status_code == 200:
                answers.add(r.json()["total"])
        differs += [name] if len(answers) > 1 else []
    assert differs == []
    # and for who may it does
    assert search(stack, base + [("user_comments", f"~{MARK}")], people["pii"]).json()["total"] >= 1
    assert search(stack, base + [("user_comments", "~zzz")], people["pii"]).json()["total"] == 0


def test_who_may_finds_it(stack, marked, people):
    r = search(stack, [("product", "=" + PRODUCT), ("_columns", "user_comments"),
                       ("_columns", "url")], people["pii"])
    assert f"{MARK}-comments-7q" in r.text and f"{MARK}-url-7q" in r.text


@pytest.mark.parametrize("form", ["csv", "json", "ndjson"])
def test_no_export_leaks(stack, marked, people, form):
    secret, _ = fields(stack)
    params = [("product", "=" + PRODUCT), ("_format", form), ("format", form)]
    params += [("_columns", name) for name in secret]
    for who in ("anonymous", "user"):
        r = walker(stack, people[who]).get("/search/export/?" + urllib.parse.urlencode(params))
        assert MARK not in everything(r), who


# ---- markup ----

@pytest.fixture(scope="module")
def hostile(instance, top):
    """A processed crash with markup in every annotation."""
    fixed = {"ProductName": PRODUCT + "Hostile", "Version": "1.0"}
    sent = {name: f"{XSS}{name}" for name, _ in annotations(top)
            if name not in ("metadata", "uuid", "ProductName", "Version")}
    sent[XSS] = XSS
    crash_id = instance.submit(dict(sent, **fixed), top / "tests/data/crashes/crasher_cpp.dmp")
    instance.wait_processed(crash_id)
    return crash_id


def test_no_annotation_becomes_markup(stack, top, hostile, people):
    stack.query("insert into status_message (severity, message) values ('info', %s) returning 1", XSS)
    stack.query("insert into product (name, description) values (%s, %s) on conflict do nothing "
                "returning 1", PRODUCT + XSS, XSS)
    try:
        w = walker(stack, people["admin"])
        walked = w.walk(starts(stack, top, hostile) +
                        [f"/search/?product={PRODUCT}Hostile&_facets=user_comments&_columns=url",
                         "/?product=" + urllib.parse.quote(PRODUCT + XSS)])
        live = {}
        shown = 0
        for path, r in walked.items():
            if r.headers.get("Content-Type", "").startswith("text/html"):
                shown += "&lt;script&gt;canary()" in r.text
                found = Markup(r.text).live
                if found:
                    live[path] = found[:3]
            else:
                assert r.headers.get("X-Content-Type-Options") == "nosniff" or "canary()" not in r.text
        assert live == {} and shown > 5
    finally:
        stack.query("delete from status_message where message = %s returning 1", XSS)
        stack.query("delete from product where name = %s returning 1", PRODUCT + XSS)


def test_no_parameter_becomes_markup(stack, top, people):
    w = walker(stack, people["admin"])
    names = ["product", "version", "versions", "signature", "query", "q", "page", "next", "need", "date",
             "_facets", "_columns", "_sort", "from", "to", "job", "id", "url", "days", "bug_ids", "state"]
    for route in routes(top):
        if "GET" not in route.methods and route.methods != "*":
            continue
        for rest in ("", urllib.parse.quote(XSS, safe="")) if route.match == "UNDER" else ("",):
            path = route.path + rest + "?" + urllib.parse.urlencode([(n, XSS) for n in names])
            r = w.get(path)
            assert r.status_code < 500, path
            if r.headers.get("Content-Type", "").startswith("text/html"):
                assert Markup(r.text).live == [], path


# ---- parameters that want to break something ----

INJECTIONS = ["'", "\"", "1' OR '1'='1", "1; DROP TABLE users; --", "' UNION SELECT hash FROM api_token--",
              "$$;SELECT pg_sleep(3);$$", "1) AND 1=(SELECT 1 FROM pg_sleep(3))--", "\\", "%' --",
              "admin'/*", "~' OR 1=1 --", "@(a+)+$", "=\\x00", "{{7*7}}", "../../etc/passwd",
              "|| pg_read_file('/etc/passwd')", "0x27204f5220313d31", "＇ OR 1=1"]
TABLES = ["users", "groups", "group_member", "status_message", "platform", "policy_exception",
          "bug_association", "graphics_device", "product", "signature", "saved_search", "crash_pin",
          "web_secret", "schema_migration"]


def state(stack):
    sums = {t: stack.query(f"select count(*), md5(coalesce(string_agg(t::text, '|' order by t::text), "
                           f"'')) from (select * from {t}) t")[0] for t in TABLES}
    sums["users"] = stack.query("select count(*), md5(string_agg(name || active, ',' order by id)) "
                                "from users")[0]
    sums["api_token"] = stack.query("select count(*), md5(string_agg(id || hash::text || permissions, "
                                    "',' order by id)) from api_token")[0]
    return sums


def test_injections_change_nothing(stack, top, people):
    w = walker(stack, people["admin"])
    assert w.get("/profile/").status_code == 200        # an account is made at its first sign-in
    before = state(stack)
    lists = re.findall(r'href="(/siteadmin/[\w-]+/)"', w.get("/siteadmin/").text)
    assert len(lists) > 10
    paths = [r.path for r in routes(top) if "GET" in r.methods and r.match == "PAGE"]
    paths += [p for p in lists if "crash-me" not in p] + ["/api/SuperSearch/", "/api/ProcessedCrash/",
                                                         "/api/Bugs/", "/uploads/files/"]
    names = ["product", "version", "signature", "q", "page", "_facets", "_columns", "_sort", "date",
             "_histogram.date", "_aggs.product", "_results_number", "crash_id", "signatures", "id",
             "build_id", "uptime", "days", "key", "_range_type"]
    slow = []
    for i, path in enumerate(paths):
        for j in range(0, len(INJECTIONS), 3):
            text = INJECTIONS[(i + j) % len(INJECTIONS)]
            r = w.get(path, params={n: text for n in names})
            assert r.status_code < 500, (path, text, r.text[:300])
            one = w.get(path, params={names[(i + j) % len(names)]: text})
            assert one.status_code < 500, (path, text, one.text[:300])
            slow += [(path, text)] if one.elapsed.total_seconds() > 2.9 and "sleep" in text else []
    assert slow == []
    assert state(stack) == before


def test_odd_and_enormous_parameters(stack, top, people):
    w = walker(stack, people["pii"])
    odd = ["%00", "%ff%fe", "%c0%af", "%ed%a0%80", "9" * 400, "-1", "1e999", "NaN", "%", "%zz", "a" * 7000,
           "%E2%80%AE", "[]", "{}", "%0d%0aX-Canary:%201", "=".join("&" * 3000)]
    for route in routes(top):
        if "GET" not in route.methods and route.methods != "*":
            continue
        for i, value in enumerate(odd):
            name = ["page", "product", "date", "_results_number", "q", "query"][i % 6]
            r = w.get(f"{route.path}?{name}={value}")
            assert r.status_code < 500, (route.path, name, value[:50], r.text[:300])
            assert "X-Canary" not in r.headers
        r = w.get(route.path + "?" + "&".join(f"p{i}=1" for i in range(900)))
        assert r.status_code < 500, route.path
        if route.match == "UNDER":
            for rest in ("%0d%0aX-Canary:%201", "..%2f..%2f", "%00", "a" * 3000, "%ff", "//", "x/y/z/"):
                r = w.get(route.path + rest)
                assert r.status_code < 500 and "X-Canary" not in r.headers, (route.path, rest)


def test_no_header_is_split(stack, people):
    w = walker(stack, people["admin"])
    split = "x%0d%0aX-Canary:%201%0d%0a%0d%0abody"
    for path in (f"/search/quick/?query={split}", f"/login/?next=/{split}", f"/signin?next=/{split}",
                 f"/query/?product={split}", f"/search?x={split}", f"/home/product/{split}",
                 f"/report/index/{split}", f"/api/RawCrash?crash_id={split}"):
        r = w.get(path)
        assert "X-Canary" not in r.headers and r.status_code < 500, path
        assert "\r" not in r.headers.get("Location", "") and "\n" not in r.headers.get("Location", "")


@pytest.mark.parametrize("path", ["/login/", "/signin"])
def test_no_open_redirect(stack, people, path):
    for bad in ("//evil.example/", "https://evil.example/", "/\\evil.example", "\\\\evil.example",
                "/\t/evil.example", "javascript:alert(1)", "///evil.example",
                " //evil.example", "/ /evil.example", "http:evil.example"):
        r = walker(stack, people["admin"]).get(path, params={"next": bad})
        to = urllib.parse.urlsplit(r.headers.get("Location", "/"))
        assert to.netloc in ("", stack.url.split("//")[1]) and not to.path.startswith("//"), bad
        assert "evil" not in r.headers.get("Location", ""), bad
    ok = walker(stack, people["admin"]).get(path, params={"next": "/search/?product=x"})
    assert ok.headers["Location"].endswith("/search/?product=x")


# ---- forms ----

POSTS_ELSEWHERE = ["/tokens/", "/tokens/1/delete", "/tokens/1/extend", "/api/tokens/",
                   "/api/tokens/delete/1/", "/api/tokens/token/1/extend"]


def test_forms_of_strangers_are_refused(stack, top, marked, people):
    who = people["admin"]
    w = walker(stack, who)
    walked = w.walk(["/siteadmin/", "/alerts/", "/search/saved/", f"/report/index/{marked[0]}"] +
                    re.findall(r'href="(/siteadmin/[\w-]+/)"', w.get("/siteadmin/").text), most=80)
    assert walked
    posts = {r.path for r in routes(top) if r.methods == "POST"} | w.posts | set(POSTS_ELSEWHERE)
    # Forms that try the API: what changes something there looks itself (test_reprocess.py)
    posts = {p for p in posts if not p.startswith("/api/") or "tokens" in p}
    assert len(posts) > 12
    before = state(stack)
    for path in sorted(posts):
        for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"},
                        {"X-CSRFToken": "0" * 64}, {"Referer": stack.url + "/"},
                        {"Origin": stack.url + ".evil.example"}):
            r = requests.post(stack.url + path, auth=(who.name, who.password), timeout=30,
                              headers=dict(headers, Accept="text/html"), allow_redirects=False,
                              data={"csrf": "f" * 64, "id": "1", "name": "forged", "severity": "info",
                                    "message": "forged", "enabled": "t", "action": "process"})
            assert r.status_code in (403, 404, 405), (path, headers, r.status_code)
            if path in {x.path for x in routes(top) if x.match == "PAGE" and x.methods == "POST"}:
                assert r.status_code == 403, path
    other = person(stack, "leak-user").csrf()           # a token of somebody else's forms
    r = requests.post(stack.url + "/siteadmin/status-messages/edit/", auth=(who.name, who.password),
                      timeout=30, data={"csrf": other, "severity": "info", "message": "forged"})
    assert r.status_code == 403
    assert state(stack) == before
