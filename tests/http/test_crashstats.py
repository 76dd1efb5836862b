"""mod_crashstats from outside: pages in every state, the document API, and who may see what."""
import html
import html.parser
import re

import pytest
import requests

CANARY = "\"'><script>canary()</script><img src=x onerror=canary()>{{{x}}}"
UNKNOWN = "00000000-0000-4000-8000-000000261122"

# Annotations whose values only holders of view_pii may see (the field list's protected ones that a
# client can send), and one that no list knows: unknown is protected.
PROTECTED = ["Comments", "URL", "RemoteType", "DumperError", "GMPLibraryPath", "GleanClientId",
             "JavaException", "ModuleSignatureInfo", "Breadcrumbs", "PHCKind", "NobodyKnowsThis"]


def get(stack, path, token=None, **params):
    headers = {"Auth-Token": token} if token else {}
    return requests.get(stack.url + path, params=params, headers=headers, timeout=30,
                        allow_redirects=False)


def api(stack, service, token=None, **params):
    return get(stack, f"/api/{service}/", token, **params)


@pytest.fixture(scope="module")
def marked(instance, top):
    """A processed crash whose annotations all carry a marker; (id, {annotation: value})."""
    values = {name: f"marker-{name}-x" for name in PROTECTED}
    values.update(ProductName="Marked", Version="7.1", ReleaseChannel="nightly",
                  MozCrashReason="Failed to load module \"C:/Users/marker-user/x.dll\"",
                  BuildID="20261104093212", UptimeTS="17.5")
    crash_id = instance.submit(values, top / "tests/data/crashes/crasher_cpp.dmp")
    instance.wait_processed(crash_id)
    return crash_id, values


# ---- pages ----

def test_security_headers(stack):
    for path in ("/", "/search/", "/api/", "/nowhere", f"/report/index/{UNKNOWN}",
                 "/api/RawCrash/", "/search/?signature=@("):
        r = get(stack, path)
        policy = r.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "unsafe-inline" not in policy, path
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert r.headers["X-Content-Type-Options"] == "nosniff"
        assert r.headers["X-Frame-Options"] == "DENY"
        assert r.headers["Referrer-Policy"] == "same-origin"
        assert r.headers["Cross-Origin-Opener-Policy"] == "same-origin"


class Inline(html.parser.HTMLParser):
    """What a strict policy forbids: style elements and attributes, handlers, script addresses."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "style":
            self.found.append(tag)
        self.found += [(tag, name) for name, value in attrs
                       if name == "style" or name.startswith("on")
                       or (value or "").lower().startswith("javascript:")]


def test_no_inline_script_or_style(stack, marked):
    assert Inline('<p style="x"><a onclick="x" href="javascript:x"><style>').found == [
        ("p", "style"), ("a", "onclick"), ("a", "href"), "style"]
    for path in ("/", "/search/", "/api/", "/nowhere", f"/report/index/{marked[0]}"):
        text = get(stack, path).text
        assert not Inline(text).found, path
        assert re.findall(r"<script[^>]*>", text) == ['<script src="/static/salvage.js" defer>']


def test_report_addresses(stack, marked):
    crash_id = marked[0]
    r = get(stack, f"/report/index/bp-{crash_id}")
    assert (r.status_code, r.headers["Location"].split("127.0.0.1")[-1].split("/", 1)[1]) == (
        302, f"report/index/{crash_id}")
    bad_date = crash_id[:-6] + "261332"
    r = get(stack, f"/report/index/{bad_date}")
    assert r.status_code == 400 and "Invalid crash ID" in r.text
    for wrong in ("x", crash_id.upper(), crash_id[:-1], crash_id + "0", "%3Cscript%3E"):
        if wrong == crash_id:
            continue
        assert get(stack, f"/report/index/{wrong}").status_code == 404, wrong
    r = get(stack, f"/report/index/{UNKNOWN}")
    assert r.status_code == 404 and UNKNOWN in r.text
    assert get(stack, "/report/index/").status_code == 404


def test_redirects_and_methods(stack):
    for path, to in (("/search?product=x", "/search/?product=x"), ("/query/?a=b", "/search/?a=b"),
                     ("/api", "/api/"), ("/api/RawCrash?crash_id=1", "/api/RawCrash/?crash_id=1")):
        r = get(stack, path)
        assert r.status_code == 301 and r.headers["Location"].endswith(to), path
    assert requests.post(stack.url + "/", timeout=30).status_code == 405
    assert get(stack, "/robots.txt").text == "User-agent: *\nDisallow: /\n"


def test_quick_search(stack, marked):
    def to(text):
        r = get(stack, "/search/quick/", query=text)
        assert r.status_code == 302
        return re.sub(r"^https?://[^/]*", "", r.headers["Location"])

    assert to(marked[0]) == f"/report/index/{marked[0]}"
    assert to(" bp-" + marked[0] + " ") == f"/report/index/{marked[0]}"
    assert to("Foo::bar & x") == "/search/?signature=~Foo%3A%3Abar%20%26%20x"
    assert to("") == "/search/"


def test_report_page(stack, top):
    crash_id = stack.sample_id
    r = get(stack, f"/report/index/{crash_id}")
    assert r.status_code == 200
    text = html.unescape(re.sub(r"<wbr>", "", r.text))
    doc = stack.processed(crash_id)
    assert f"[@ {doc['signature']}] - Sampler 1.0 Crash Report - Report ID: {crash_id}" in text
    frames = doc["json_dump"]["crashing_thread"]["frames"]
    assert len(frames) >= 3
    for frame in frames:
        if frame["file"]:
            assert f"{frame['file']}:{frame['line']}" in text
        if frame["module"]:
            assert frame["module"] in text
    for n, thread in enumerate(doc["json_dump"]["threads"]):
        if thread["frames"] and n != doc["crashing_thread"]:
            assert f'id="t{n}"' in text or "with the same stack" in text
    for module in doc["json_dump"]["modules"]:
        assert module["filename"] in text and module["debug_id"] in text


def test_anonymous_page_can_be_asked_for_again(stack, marked):
    url = stack.url + f"/report/index/{marked[0]}"
    first = requests.get(url, timeout=30)
    again = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert again.status_code == 304 and not again.content
    seen = requests.get(url, headers={"Auth-Token": stack.api_token}, timeout=30)
    assert seen.headers["Cache-Control"] == "private, no-store" and "ETag" not in seen.headers


def test_list_and_search(stack, marked):
    crash_id = marked[0]
    for path in ("/search/?product=Marked", "/search/?version=7.1&product=marked",
                 "/search/?release_channel=nightly", f"/search/?uuid={crash_id}"):
        assert crash_id in get(stack, path).text, path
    for path in ("/search/?product=Nothing", "/search/?version=!7.1", "/search/?to=2020-01-01"):
        r = get(stack, path)
        assert r.status_code == 200 and crash_id not in r.text, path
        assert "No results were found." in r.text or "version=!7.1" in path
    page = get(stack, "/search/?signature=~crash&version=!9").text
    assert "does not" in page or "is not" in page          # conditions are said in words
    for path, says in (("/search/?signature=@(", "regular expression"),
                       ("/search/?from=soon", "is not a date"), ("/search/?page=x", "Invalid page"),
                       ("/search/?uptime=many", "not a valid int"),
                       ("/search/?date=%3E2001-01-01", "bigger than 365 days")):
        r = get(stack, path)
        assert r.status_code == 400 and says in r.text, path


def test_protected_fields_cannot_be_searched(stack, marked):
    crash_id = marked[0]
    for query in ("user_comments=~marker-Comments", "user_comments=~nothing-like-this"):
        # dropped for anonymous readers, so that nothing can be guessed from the result
        assert crash_id in get(stack, "/search/?" + query).text
    seen = get(stack, "/search/?user_comments=~nothing-like-this", stack.api_token)
    assert crash_id not in seen.text
    seen = get(stack, "/search/?user_comments=~marker-Comments", stack.api_token)
    assert crash_id in seen.text


def test_waiting_report(stack, top):
    stack.stop("salvaged")
    crash_id = stack.submit({"ProductName": "Later"}, top / "tests/data/crashes/crasher_cpp.dmp")
    page = None
    for _ in range(3):
        page = get(stack, f"/report/index/{crash_id}")
        assert page.status_code == 200
    assert "being processed" in page.text and 'http-equiv="refresh"' in page.text
    jobs = stack.query("select queue, state from crash_job where crash_id = %s", crash_id)
    assert jobs == [(0, 0)]                                 # raised, and once
    r = api(stack, "ProcessedCrash", crash_id=crash_id)
    assert r.status_code == 404
    r = api(stack, "CrashVerify", crash_id=crash_id).json()
    assert r["raw_crash"] is True and r["processed_crash"] is False
    stack.start("salvaged")
    stack.wait_processed(crash_id)
    assert "being processed" not in get(stack, f"/report/index/{crash_id}").text


def test_given_up_report(stack, top):
    stack.stop("salvaged")
    crash_id = stack.submit({"ProductName": "Hopeless"}, top / "tests/data/crashes/crasher_cpp.dmp")
    get(stack, f"/report/index/{crash_id}")
    stack.query("update crash_job set state = 2, last_error = 'it ate <b>three</b> workers' "
                "where crash_id = %s", crash_id)
    page = get(stack, f"/report/index/{crash_id}")
    assert "could not be processed" in page.text
    assert "it ate &lt;b&gt;three&lt;/b&gt; workers" in page.text
    assert stack.query("select count(*) from crash_job where crash_id = %s", crash_id) == [(1,)]
    stack.query("delete from crash_job where crash_id = %s", crash_id)


def test_failures_name_themselves(stack):
    crash_id = stack.submit({"ProductName": "Broken"}, b"this is no minidump at all" * 10)
    doc = stack.wait_processed(crash_id)
    page = get(stack, f"/report/index/{crash_id}").text
    assert "This report has no stack." in page
    assert doc["mdsw_status_string"] in page and doc["mdsw_status_string"] != "OK"
    crash_id = stack.submit({"ProductName": "Broken"}, b"")
    stack.wait_processed(crash_id)
    assert "This report has no stack." in get(stack, f"/report/index/{crash_id}").text
    crash_id = stack.submit({"ProductName": "NoDump"}, None)
    stack.wait_processed(crash_id)
    assert "without a minidump" in get(stack, f"/report/index/{crash_id}").text


def test_database_down(stack, marked):
    stack.error_log.expect("SAL4005|SAL4008|dbd|DBD|SAL5[0-9]{3}|SAL1[0-9]{3}|SAL9[0-9]{3}|"
                           "SAL6[0-9]{3}")
    stack.stop("postgres")
    try:
        for path in ("/", "/search/", f"/report/index/{marked[0]}"):
            r = get(stack, path)
            assert r.status_code == 503 and "does not answer" in r.text, path
            assert r.headers["Retry-After"]
        r = api(stack, "ProcessedCrash", crash_id=marked[0])
        assert r.status_code == 503 and r.json()["error"] == "Service Unavailable"
        assert api(stack, "RawCrash", crash_id=marked[0]).status_code == 200
    finally:
        stack.start("postgres")
    assert get(stack, "/").status_code == 200


# ---- what strangers write ----

def test_canaries_stay_text(stack, top):
    names = ["ProductName", "Version", "ReleaseChannel", "BuildID", "Vendor", "ProcessType",
             "MozCrashReason", "Notes", "Comments", "URL", "Add-ons", "Android_Model",
             "AdapterVendorID", "CrashTime", "InstallTime", "Distributor", "AbortMessage",
             "JavaStackTrace", "ServerURL", "AsyncShutdownTimeout", "TelemetryEnvironment"]
    crash_id = stack.submit({name: f"{CANARY}{name}" for name in names},
                            top / "tests/data/crashes/crasher_cpp.dmp")
    stack.wait_processed(crash_id)
    for path, token in ((f"/report/index/{crash_id}", None),
                        (f"/report/index/{crash_id}", stack.api_token), ("/", None),
                        ("/search/", None),
                        ("/search/?product=%22%3E%3Cscript%3Ecanary()%3C/script%3E", None),
                        ("/search/?%3Cscript%3E=1&from=%3Cscript%3E", None),
                        ("/search/quick/?query=%3Cscript%3E", None),
                        ("/nowhere/%3Cscript%3Ecanary()", None)):
        text = get(stack, path, token).text
        assert "<script>canary" not in text and "<img" not in text, path
        assert len(re.findall(r"<script", text)) <= 1, path
        assert "onerror=canary()>" not in text, path
    for name in ("RawCrash", "ProcessedCrash"):
        r = api(stack, name, stack.api_token, crash_id=crash_id)
        assert "</" not in r.text and r.headers["Content-Type"].startswith("application/json")
        assert CANARY in str(r.json()).replace("\\'", "'")


# ---- the API ----

def test_unknown_service(stack):
    r = api(stack, "Nonsense")
    assert (r.status_code, r.json()) == (404, {"error": "No service called 'Nonsense'"})
    # what is no UTF-8, or would be a header, stays inside the document or the address
    r = get(stack, "/api/%ff%fe/")
    assert (r.status_code, r.json()) == (404, {"error": "No service called '\ufffd\ufffd'"})
    r = get(stack, "/api/%ff/%ff")
    assert r.status_code == 404 and r.json()["path"] == "/api/\ufffd/\ufffd"
    r = get(stack, "/api/a%0d%0aX-Evil:%201")
    assert r.status_code == 301 and "X-Evil" not in r.headers
    r = get(stack, "/api/RawCrash/more/", x="1")
    assert r.status_code == 404
    assert r.json() == {"error": "Page not found", "path": "/api/RawCrash/more/",
                        "query_string": "x=1"}


@pytest.mark.parametrize("name", ["RawCrash", "ProcessedCrash"])
def test_parameters(stack, name):
    r = api(stack, name)
    assert (r.status_code, r.json()) == (400, {"errors": {"crash_id": ["This field is required."]}})
    r = api(stack, name, crash_id="  ")
    assert r.json() == {"errors": {"crash_id": ["This field is required."]}}
    r = get(stack, f"/api/{name}/?crash_id=a%00b")
    assert (r.status_code, r.json()) == (
        400, {"errors": {"crash_id": ["Null characters are not allowed."]}})
    r = api(stack, name, crash_id="not-an-id")
    assert (r.status_code, r.json()) == (
        400, {"error": "Bad request: BadArgumentError: Bad value for parameter(s) 'uuid'"})
    r = api(stack, name, crash_id=UNKNOWN)
    assert (r.status_code, r.json()) == (404, {"error": f"Not found: CrashIDNotFound {UNKNOWN}"})
    for method in ("post", "put", "delete"):
        r = requests.request(method, f"{stack.url}/api/{name}/", timeout=30)
        assert (r.status_code, r.json()) == (405, {"error": "Method not allowed"})


def test_cors(stack):
    r = requests.get(f"{stack.url}/api/RawCrash/", headers={"Origin": "http://o"}, timeout=30)
    assert r.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in api(stack, "RawCrash").headers
    assert api(stack, "CrashVerify").headers["Access-Control-Allow-Origin"] == "*"
    r = requests.options(f"{stack.url}/api/RawCrash/", timeout=30, headers={
        "Origin": "http://o", "Access-Control-Request-Method": "GET"})
    assert r.status_code == 200 and not r.content
    assert r.headers["Access-Control-Max-Age"] == "86400"
    assert "Auth-Token" not in r.headers["Access-Control-Allow-Headers"]


def test_wire_form(stack, marked):
    r = api(stack, "CrashVerify", crash_id=marked[0])
    assert r.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert r.text == (f'{{"uuid": "{marked[0]}", "raw_crash": true, "processed_crash": true, '
                      f'"elasticsearch_crash": true, "telemetry_crash": false}}')
    r = api(stack, "CrashVerify", crash_id=marked[0], pretty="print")
    assert r.text.startswith('{\n  "uuid"')
    r = api(stack, "CrashVerify", crash_id="x")
    assert (r.status_code, r.json()) == (400, {"error": "unknown crash id"})
    r = api(stack, "CrashVerify", crash_id=UNKNOWN)
    assert r.json() == {"uuid": UNKNOWN, "raw_crash": False, "processed_crash": False,
                        "elasticsearch_crash": False, "telemetry_crash": False}


def test_protected_data_is_hidden(stack, marked):
    crash_id, values = marked
    anonymous = "".join([get(stack, f"/report/index/{crash_id}").text,
                         api(stack, "RawCrash", crash_id=crash_id).text,
                         api(stack, "ProcessedCrash", crash_id=crash_id).text,
                         get(stack, f"/search/?uuid={crash_id}").text])
    for name in PROTECTED:
        assert f"marker-{name}-x" not in anonymous, name
    assert "marker-user" not in anonymous                   # in MozCrashReason
    raw = api(stack, "RawCrash", crash_id=crash_id).json()
    assert raw["ProductName"] == "Marked" and raw["uuid"] == crash_id
    assert not set(raw) & set(PROTECTED) and "metadata" not in raw
    doc = api(stack, "ProcessedCrash", crash_id=crash_id).json()
    for name in ("url", "user_comments", "remote_type", "collector_metadata", "mdsw_stderr",
                 "mdsw_return_code", "signature_debug", "moz_crash_reason_raw", "memory_report"):
        assert name not in doc, name
    assert doc["product"] == "Marked" and doc["uptime_ts"] == 17.5
    thread = doc["json_dump"]["crashing_thread"]
    assert thread["frames"] and "registers" not in thread["frames"][0]


def test_protected_data_is_shown_to_holders(stack, marked):
    crash_id, values = marked
    raw = api(stack, "RawCrash", stack.api_token, crash_id=crash_id)
    assert raw.headers["Cache-Control"] == "private, no-store"
    for name in ("Comments", "URL", "RemoteType", "NobodyKnowsThis"):
        assert raw.json()[name] == values[name]
    assert raw.json()["metadata"]["dump_checksums"]
    doc = api(stack, "ProcessedCrash", stack.api_token, crash_id="bp-" + crash_id).json()
    assert doc["url"] == values["URL"] and doc["user_comments"] == values["Comments"]
    assert doc["json_dump"]["crashing_thread"]["frames"][0]["registers"]
    page = get(stack, f"/report/index/{crash_id}", stack.api_token).text
    for name in ("Comments", "URL", "NobodyKnowsThis"):
        assert values[name] in page
    assert "public and protected data" in page


def test_token_without_the_right_sees_public_data(stack, marked):
    # an upload token is a valid token, but holds neither view_pii nor view_rawdump
    r = api(stack, "RawCrash", stack.upload_token, crash_id=marked[0])
    assert r.status_code == 200 and "Comments" not in r.json()
    r = api(stack, "RawCrash", "0" * 64, crash_id=marked[0])
    assert (r.status_code, r.json()) == (403, {"error": "API Token not matched"})


def test_dumps_need_their_right(stack, marked, top):
    crash_id = marked[0]
    refused = {"error": "Binary response requires permissions: View Raw Dumps"}
    for token in (None, stack.upload_token):
        for params in ({"crash_id": crash_id}, {"crash_id": UNKNOWN}, {"crash_id": "x"}):
            r = api(stack, "RawCrash", token, format="raw", **params)
            assert (r.status_code, r.json()) == (403, refused), params
    sent = (top / "tests/data/crashes/crasher_cpp.dmp").read_bytes()
    for name, file in ((None, f"{crash_id}.dmp"), ("dump", f"{crash_id}-dump.dmp"),
                       ("upload_file_minidump", f"{crash_id}-upload_file_minidump.dmp")):
        params = {"name": name} if name else {}
        r = api(stack, "RawCrash", stack.api_token, crash_id=crash_id, format="raw", **params)
        assert r.status_code == 200 and r.content == sent
        assert r.headers["Content-Type"] == "application/octet-stream"
        assert r.headers["Content-Disposition"] == f'attachment; filename="{file}"'
    r = api(stack, "RawCrash", stack.api_token, crash_id=crash_id, format="raw", name="a\r\nX: y\"")
    assert r.status_code == 404
    r = api(stack, "RawCrash", stack.api_token, crash_id=crash_id, format="xml")
    assert (r.status_code, r.json()) == (
        400, {"error": "Bad request: BadArgumentError: Bad value for parameter(s) 'format'"})
