"""The public API, endpoint by endpoint: parameters, statuses, bodies, headers, rights.

Expectations are those of Crash Stats (its API tests re-expressed, and its documented contract).
"""
import json
import subprocess
import uuid

import pytest
import requests

from people import person, token

UNKNOWN = "00000000-0000-4000-8000-000000261122"
# every endpoint, the methods it answers, and whether a reader may keep its answer
ENDPOINTS = {
    "Bugs": ("GET POST", True), "CrashSignature": ("POST", False), "CrashVerify": ("GET", False),
    "MissingProcessedCrash": ("GET", False), "NoOp": ("GET", True),
    "ProcessedCrash": ("GET", False), "RawCrash": ("GET", False), "Reprocessing": ("POST", True),
    "SignatureFirstDate": ("GET", True), "SignaturesByBugs": ("GET", True),
    "SuperSearch": ("GET", True), "SuperSearchFields": ("GET", True),
    "SuperSearchUnredacted": ("GET", True), "VersionString": ("GET", True),
}
GONE = ["MissingSymbols", "ProductVersions", "UnredactedCrash", "CrontabberState", "PriorityJob",
        "TelemetryCrash", "Query", "SuperSearchStatus", "SocorroMiddleware", "ESSocorroMiddleware",
        "Field", "BlaBLabla"]


def api(stack, name, given=None, auth=None, method="GET", **kw):
    kw.setdefault("headers", {})
    if auth:
        kw["headers"]["Auth-Token"] = auth
    return requests.request(method, f"{stack.url}/api/{name}/", params=given, timeout=30,
                            allow_redirects=False, **kw)


def error(r):
    assert r.headers["Content-Type"] == "application/json"
    return r.status_code, r.json()


@pytest.fixture(scope="module")
def all_rights(instance):
    return token(instance, "api-calls@example.com", "view_pii", "view_rawdump", "reprocess_crashes")


@pytest.fixture(scope="module")
def bugs(instance):
    rows = "bug,signature\n999999,API | small\n999998,API | large\n999998,API | small\n"
    instance.salvage("bugs", "import", "-", input=rows)
    return [{"id": 999998, "signature": "API | large"}, {"id": 999998, "signature": "API | small"},
            {"id": 999999, "signature": "API | small"}]


# ---- all of them ----

@pytest.mark.parametrize("name", GONE)
def test_unknown_names(stack, name):
    for method in ("GET", "POST", "OPTIONS", "PUT"):
        assert error(api(stack, name, method=method)) == (
            404, {"error": f"No service called '{name}'"}), method


@pytest.mark.parametrize("name", ENDPOINTS)
def test_methods(stack, all_rights, name):
    methods = ENDPOINTS[name][0].split()
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        r = api(stack, name, auth=all_rights, method=method)
        if method in methods:
            assert r.status_code in (200, 400), method
        else:
            assert error(r) == (405, {"error": "Method not allowed"}), method
            assert set(methods) <= set(r.headers["Allow"].split(", "))
    r = api(stack, name, method="OPTIONS")
    assert r.status_code == 200


@pytest.mark.parametrize("name", ENDPOINTS)
def test_cors(stack, name):
    origin = {"Origin": "https://elsewhere.example"}
    always = name in ("CrashVerify", "CrashSignature", "MissingProcessedCrash")
    r = api(stack, name, headers=dict(origin))
    assert r.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in r.headers
    assert ("Access-Control-Allow-Origin" in api(stack, name).headers) == always
    r = api(stack, name, method="OPTIONS", headers=dict(origin))
    assert (r.status_code, r.headers["Access-Control-Allow-Origin"]) == (200, "*")


def test_preflight(stack):
    ask = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET",
           "Access-Control-Request-Headers": "auth-token"}

    def allowed(path):
        r = requests.options(stack.url + path, headers=ask, timeout=30)
        assert (r.status_code, r.content) == (200, b"")
        assert r.headers["Access-Control-Allow-Origin"] == "*"
        assert r.headers["Access-Control-Allow-Methods"] == "DELETE, GET, OPTIONS, PATCH, POST, PUT"
        assert r.headers["Access-Control-Max-Age"] == "86400"
        assert "Access-Control-Allow-Credentials" not in r.headers
        return r.headers["Access-Control-Allow-Headers"].split(", ")

    usual = ["accept", "authorization", "content-type", "user-agent", "x-csrftoken",
             "x-requested-with"]
    for path in ("/api/NoOp/", "/api/Nobody/", "/api/"):
        assert allowed(path) == usual
    stack.httpd_conf("CrashStatsCorsHeader auth-token x-mine\n")
    assert allowed("/api/NoOp/") == usual + ["auth-token", "x-mine"]
    assert not stack.judge_conf("CrashStatsCorsHeader \"a: b\"")[0]


def test_no_slash_and_other_paths(stack):
    r = requests.get(stack.url + "/api/NoOp?product=x%20y", timeout=30, allow_redirects=False)
    assert r.status_code == 301 and r.headers["Location"].endswith("/api/NoOp/?product=x%20y")
    r = requests.get(stack.url + "/api/NoOp/x/?a=b", timeout=30)
    assert error(r) == (404, {"error": "Page not found", "path": "/api/NoOp/x/",
                              "query_string": "a=b"})


def test_cache_control(stack, all_rights):
    good = {"Bugs": {"signatures": "x"}, "NoOp": {"product": "x"},
            "SignatureFirstDate": {"signatures": "x"}, "SignaturesByBugs": {"bug_ids": "1"},
            "SuperSearch": {"_facets_size": 0, "_results_number": 0}, "SuperSearchFields": {},
            "SuperSearchUnredacted": {"_facets_size": 0, "_results_number": 0},
            "VersionString": {"product": "x", "channel": "beta", "build_id": "1"}}
    for name, given in good.items():
        assert ENDPOINTS[name][1]
        r = api(stack, name, given, all_rights)
        assert (r.status_code, r.headers["Cache-Control"]) == (200, "private, max-age=300"), name
        assert r.headers["Content-Type"] == "application/json; charset=UTF-8"
    crash_id = stack.sample_id
    for name in ("ProcessedCrash", "RawCrash"):
        assert "Cache-Control" not in api(stack, name, {"crash_id": crash_id}).headers
        r = api(stack, name, {"crash_id": crash_id}, all_rights)
        assert r.headers["Cache-Control"] == "private, no-store"
    assert "Auth-Token" in r.headers["Vary"]


def test_wire_form(stack):
    r = api(stack, "NoOp", {"product": "x"})
    assert r.text == '{"hits": [], "total": 0}'
    r = api(stack, "NoOp", {"product": "x", "pretty": "print"})
    assert r.text == '{\n  "hits": [],\n  "total": 0\n}'
    assert api(stack, "NoOp", {"product": "x", "pretty": "1"}).text == '{"hits": [], "total": 0}'
    text = "</script> \u00e9 \u20ac \U0001f4a9 \x7f"
    stack.salvage("bugs", "import", "-", input=f"bug,signature\n999997,{text}\n")
    r = api(stack, "SignaturesByBugs", {"bug_ids": "999997"})
    assert r.text == ('{"hits": [{"id": 999997, "signature": "<\\/script> \\u00e9 \\u20ac '
                      '\\ud83d\\udca9 \\u007f"}], "total": 1}')
    r = api(stack, "SignaturesByBugs", {"bug_ids": "999997", "pretty": "print"})
    assert r.text.replace("<\\/", "</") == json.dumps(
        {"hits": [{"id": 999997, "signature": text}], "total": 1}, indent=2)


# ---- tokens ----

def test_token_failures(stack):
    for name in ("NoOp", "SuperSearch", "Reprocessing"):
        r = api(stack, name, {"product": "x"}, "somecrap")
        assert (r.status_code, r.json()) == (403, {"error": "API Token not matched"})
    assert api(stack, "NoOp", {"product": "x"}, headers={"Auth-Token": ""}).status_code == 200
    assert api(stack, "NoOp", {"product": "x"}, stack.upload_token).status_code == 200


# ---- parameters ----

REQUIRED = [("NoOp", "product"), ("ProcessedCrash", "crash_id"), ("RawCrash", "crash_id"),
            ("Bugs", "signatures"), ("SignatureFirstDate", "signatures"),
            ("SignaturesByBugs", "bug_ids"), ("VersionString", "product"),
            ("VersionString", "channel"), ("VersionString", "build_id")]


@pytest.mark.parametrize("name, param", REQUIRED)
def test_required(stack, name, param):
    status, body = error(api(stack, name))
    assert status == 400 and body["errors"][param] == ["This field is required."]
    r = requests.get(f"{stack.url}/api/{name}/?{param}=a%00b", timeout=30)
    assert error(r)[1]["errors"][param] == ["Null characters are not allowed."]


def test_every_missing_parameter_is_named(stack):
    assert set(error(api(stack, "VersionString"))[1]["errors"]) == {"product", "channel",
                                                                  "build_id"}


def test_strings_are_trimmed_and_the_last_counts(stack):
    assert error(api(stack, "NoOp", {"product": " \t "})) == (
        400, {"errors": {"product": ["This field is required."]}})
    assert api(stack, "NoOp", {"product": " bad "}).status_code == 400
    assert api(stack, "NoOp", [("product", "bad"), ("product", "good")]).status_code == 200
    # what is not declared is not read
    assert api(stack, "NoOp", {"product": "good", "product2": "bad", "crash_id": "x"}).ok


def test_no_op(stack):
    assert error(api(stack, "NoOp", {"product": "bad"})) == (
        400, {"error": "Bad request: BadArgumentError: Bad value for parameter(s) 'Bad product'"})
    assert api(stack, "NoOp", {"product": "good"}).json() == {"hits": [], "total": 0}


NUMBERS = ["_facets_size", "_results_number", "_results_offset", "_histogram_interval.uptime",
           "_histogram_interval.build_id"]


@pytest.mark.parametrize("name", NUMBERS)
def test_whole_numbers(stack, name):
    for bad in ("many", "1x", "1.5", "-", "0x10", "1 2"):
        assert error(api(stack, "SuperSearch", {name: bad})) == (
            400, {"errors": {name: ["Enter a whole number."]}}), bad


def test_numbers_that_are_accepted(stack):
    for good in ("1", " 1 ", "+1", "1.0", "01", ""):
        r = api(stack, "SuperSearch", {"_results_number": good, "_facets_size": 0})
        assert r.status_code == 200, good
    assert error(api(stack, "SuperSearch", {"_histogram_interval.uptime_ts": "x"})) == (
        400, {"errors": {"_histogram_interval.uptime_ts": ["Enter a number."]}})
    r = requests.get(f"{stack.url}/api/SuperSearch/?signature=%00&url=x%00", timeout=30)
    assert error(r) == (400, {"errors": {"signature": ["Null characters are not allowed."],
                                         "url": ["Null characters are not allowed."]}})


# ---- documents ----

@pytest.mark.parametrize("name", ["ProcessedCrash", "RawCrash"])
def test_crash_ids(stack, all_rights, name):
    for bad in ("123", "821fcd0c-d925-4900-85b6-687250180607docker/as_me.sh", UNKNOWN[:-1] + "g",
                "' or 1=1 --"):
        assert error(api(stack, name, {"crash_id": bad})) == (
            400, {"error": "Bad request: BadArgumentError: Bad value for parameter(s) 'uuid'"}), bad
    for auth in (None, all_rights):
        assert error(api(stack, name, {"crash_id": UNKNOWN}, auth)) == (
            404, {"error": f"Not found: CrashIDNotFound {UNKNOWN}"})
    assert api(stack, name, {"crash_id": " bp-" + stack.sample_id + " "}).status_code == 200


def test_raw_formats(stack, all_rights):
    given = {"crash_id": stack.sample_id}
    assert api(stack, "RawCrash", dict(given, format="meta")).json() == \
        api(stack, "RawCrash", given).json()
    for auth in (None, all_rights):
        assert error(api(stack, "RawCrash", dict(given, format="wrong"), auth)) == (
            400, {"error": "Bad request: BadArgumentError: Bad value for parameter(s) 'format'"})
    refused = {"error": "Binary response requires permissions: View Raw Dumps"}
    pii = token(stack, "api-pii@example.com", "view_pii")
    for auth in (None, pii):
        for wanted in (given, {"crash_id": UNKNOWN}):
            assert error(api(stack, "RawCrash", dict(wanted, format="raw"), auth)) == (403, refused)
    r = api(stack, "RawCrash", dict(given, format="raw", name="nobody"), all_rights)
    assert error(r) == (404, {"error": f"Not found: CrashIDNotFound {stack.sample_id}"})


def test_a_broken_document_is_an_error(stack, top, all_rights):
    """A processed document that is not what its schema says is never shown unreduced."""
    crash_id = stack.submit({"ProductName": "ApiBroken", "Version": "1.0"},
                            top / "tests/data/crashes/crasher_cpp.dmp")
    stack.wait_processed(crash_id)
    path = stack.store / stack.query("select blob from processed_crash where crash_id = %s",
                                     crash_id)[0][0]
    good = path.read_bytes()
    doc = json.loads(subprocess.run(["zstd", "-dqc"], input=good, capture_output=True,
                                    check=True).stdout)
    stack.error_log.expect("SAL4008")
    try:
        for broken in ({"product": ["x"]}, {"json_dump": 1},
                       {"json_dump": {"threads": [{"frames": [{"module": {}}]}]}}):
            text = json.dumps({**doc, **broken}).encode()
            path.write_bytes(subprocess.run(["zstd", "-qc", f"--stream-size={len(text)}"],
                                            input=text, capture_output=True,
                                            check=True).stdout)
            r = api(stack, "ProcessedCrash", {"crash_id": crash_id, "x": "y"})
            assert error(r) == (500, {"error": "Internal Server Error",
                                      "path": "/api/ProcessedCrash/",
                                      "query_string": f"crash_id={crash_id}&x=y"}), broken
            # who may see all sees it as it is
            assert api(stack, "ProcessedCrash", {"crash_id": crash_id}, all_rights).ok
    finally:
        path.write_bytes(good)
    assert api(stack, "ProcessedCrash", {"crash_id": crash_id}).ok


# ---- triage ----

def test_bugs(stack, bugs):
    small = {"hits": bugs, "total": 3}
    assert api(stack, "Bugs", {"signatures": "API | small"}).json() == small
    assert api(stack, "Bugs", {"signatures": "API | large"}).json() == {"hits": bugs[:2],
                                                                       "total": 2}
    both = [("signatures", "API | large"), ("signatures", "API | small")]
    assert api(stack, "Bugs", both).json() == small
    assert api(stack, "Bugs", method="POST", data=both).json() == small
    assert api(stack, "Bugs", {"signatures": "API | small"}, method="POST").status_code == 400
    assert api(stack, "Bugs", method="POST", json={"signatures": "x"}).status_code == 400
    assert api(stack, "Bugs", {"signatures": "no such"}).json() == {"hits": [], "total": 0}


def test_signatures_by_bugs(stack, bugs):
    assert api(stack, "SignaturesByBugs", {"bug_ids": "999999"}).json() == {"hits": bugs[2:],
                                                                           "total": 1}
    r = api(stack, "SignaturesByBugs", [("bug_ids", "999999"), ("bug_ids", "999998")])
    assert sorted(x["id"] for x in r.json()["hits"]) == [999998, 999998, 999999]
    for bad in ("", "x", "-1", "1.0", "1,2", "999999;drop table bug_association"):
        r = api(stack, "SignaturesByBugs", [("bug_ids", "999999"), ("bug_ids", bad)])
        assert error(r) == (400, {"error": "Bad request: BadArgumentError: Bad value for "
                                           "parameter(s) 'bug_ids'"}), bad
    assert api(stack, "SignaturesByBugs", {"bug_ids": "9" * 40}).json()["total"] == 0


def test_signature_first_date(stack):
    name = f"first_{uuid.uuid4().hex}"
    stack.query("insert into signature (signature, first_seen, first_date, first_build) values "
                "(%s, '2026-10-01', '2026-10-02 03:04:05.678', 20261002030405)", name)
    stack.query("insert into signature (signature, first_seen) values (%s, '2026-10-01')", name + "x")
    want = {"hits": [{"signature": name, "first_build": "20261002030405",
                      "first_date": "2026-10-02T03:04:05.678000+00:00"}], "total": 1}
    r = api(stack, "SignatureFirstDate", [("signatures", name), ("signatures", name + "x"),
                                          ("signatures", "nobody")])
    assert r.json() == want


def test_version_string(stack):
    for row in (("beta", "20261101000000", "108.0b3"), ("beta", "20261101000000", "108.0rc1"),
                ("beta", "20261102000000", "108.0rc1"), ("beta", "20261102000000", "108.0"),
                ("release", "20261102000000", "108.0")):
        stack.query("insert into product_version (product, channel, build, version) "
                    "values ('ApiFox', %s, %s, %s) on conflict do nothing", *row)

    def strings(**given):
        body = api(stack, "VersionString", given).json()
        assert body["total"] == len(body["hits"])
        return [x["version_string"] for x in body["hits"]]

    build = {"product": "ApiFox", "build_id": "20261101000000"}
    assert strings(channel="beta", **build) == strings(channel="BETA", **build) == ["108.0b3"]
    build["build_id"] = "20261102000000"
    assert strings(channel="beta", **build) == ["108.0rc1"]
    assert strings(channel="release", **build) == ["108.0"]
    assert strings(channel="nightly", **build) == []
    assert strings(product="apifox", channel="beta", build_id="20261102000000") == []


# ---- MissingProcessedCrash ----

def test_missing_processed_crash(stack):
    made = [f"{i:08x}-0000-4000-8000-000000261122" for i in range(1, 1006)]
    assert stack.query("select count(*) from missing_processed_crash")[0][0] < 900
    stack.query("insert into missing_processed_crash select x, timestamptz '2020-01-01 00:00:00.5Z' "
                "+ o * interval '1 second', o = 1 from unnest(%s) with ordinality u(x, o)", made)
    try:
        check_pages(stack, made)
    finally:
        stack.query("delete from missing_processed_crash where created < '2021-01-01'")


def check_pages(stack, made):
    first = api(stack, "MissingProcessedCrash").json()
    link = stack.url + "/api/MissingProcessedCrash/?page="
    assert [x["crash_id"] for x in first["results"]] == made[:1000]
    assert first["results"][0] == {"crash_id": made[0], "is_processed": True,
                                   "created": "2020-01-01T00:00:01.500000Z"}
    assert not first["results"][1]["is_processed"]
    assert first["count"] >= 1005
    assert (first["next"], first["previous"]) == (link + "2", None)
    second = api(stack, "MissingProcessedCrash", {"page": "2"}).json()
    assert [x["crash_id"] for x in second["results"]][:5] == made[1000:]
    assert (second["next"], second["previous"]) == (None, link + "1")
    # past the end and below the beginning is the last page; links go from the number asked for
    for page in ("99", "0", "-5", "9" * 30):
        r = api(stack, "MissingProcessedCrash", {"page": page}).json()
        assert r["results"] == second["results"], page
    assert api(stack, "MissingProcessedCrash", {"page": "99"}).json()["previous"] == link + "98"
    r = api(stack, "MissingProcessedCrash", {"x": "a b", "page": "1"}).json()
    assert r["next"] == stack.url + "/api/MissingProcessedCrash/?x=a%20b&page=2"
    for bad in ("x", "1.5", "", "1,000"):
        assert error(api(stack, "MissingProcessedCrash", {"page": bad})) == (
            400, {"error": "invalid page number"}), bad


# ---- CrashVerify ----

def test_crash_verify(stack):
    assert error(api(stack, "CrashVerify", {"crash_id": "foo"})) == (
        400, {"error": "unknown crash id"})
    assert error(api(stack, "CrashVerify")) == (400, {"error": "unknown crash id"})
    want = {"uuid": UNKNOWN, "raw_crash": False, "processed_crash": False,
            "elasticsearch_crash": False, "telemetry_crash": False}
    assert api(stack, "CrashVerify", {"crash_id": UNKNOWN}).json() == want
    want.update(uuid=stack.sample_id, raw_crash=True, processed_crash=True,
                elasticsearch_crash=True)
    r = api(stack, "CrashVerify", {"crash_id": stack.sample_id})
    assert r.json() == want and "max-age" not in r.headers.get("Cache-Control", "")


# ---- CrashSignature ----

JOB = {"os": "Linux", "crashing_thread": 0, "threads": [{"frames": [
    {"frame": 0, "function": "SomeFunc", "line": 20, "file": "somefile.cpp",
     "module": "foo.so.5.15.0", "module_offset": "0x37a92", "offset": "0x7fc641052a92"},
    {"frame": 1, "function": "SomeOtherFunc", "line": 444, "file": "someotherfile.cpp",
     "module": "bar.so", "module_offset": "0x39a55", "offset": "0x7fc641044a55"}]}]}
RESULT = {"extra": {"normalized_frames": ["SomeFunc", "SomeOtherFunc"],
                    "proto_signature": "SomeFunc | SomeOtherFunc"},
          "notes": [], "signature": "SomeFunc"}


def sign(stack, **kw):
    return api(stack, "CrashSignature", method="POST", **kw)


def test_crash_signature(stack, all_rights):
    assert sign(stack, json={"jobs": [JOB]}).json() == {"results": [RESULT]}
    # also by who is known: no form token is asked for
    assert sign(stack, json={"jobs": [JOB, JOB]}, auth=all_rights).json() == {"results": [RESULT] * 2}
    who = person(stack, "signer")
    r = who.request("POST", "/api/CrashSignature/", json={"jobs": [JOB]})
    assert r.json() == {"results": [RESULT]}
    empty = sign(stack, json={"jobs": [{}]}).json()["results"][0]
    assert empty["signature"].startswith("EMPTY") and empty["extra"] == {}


def test_crash_signature_errors(stack):
    none = (400, {"error": "no jobs specified"})
    json_type = {"Content-Type": "application/json"}
    assert error(sign(stack, headers=dict(json_type))) == none
    assert error(sign(stack, json={})) == error(sign(stack, json={"jobs": []})) == none
    assert error(sign(stack, json=[1])) == error(sign(stack, json={"jobs": "x"})) == none
    for kind in ("application/multipart-formdata", "text/plain", "application/jsonx"):
        r = sign(stack, data=json.dumps({"jobs": [JOB]}), headers={"Content-Type": kind})
        assert error(r) == (415, {"detail": f'Unsupported media type "{kind}" in request.'})
    for text in ("{", '{"jobs": [', "[" * 100000, "\xff"):
        status, body = error(sign(stack, data=text.encode("latin-1"), headers=dict(json_type)))
        assert status == 400 and body["detail"].startswith("JSON parse error"), text[:10]
    for job in ("x", 1, None, [JOB]):
        status, body = error(sign(stack, json={"jobs": [JOB, job]}))
        assert status == 400 and "detail" in body
    assert error(sign(stack, json={"jobs": [{}] * 1001}))[0] == 400
    r = sign(stack, data=b" " * (17 << 20), headers=dict(json_type))
    assert r.status_code == 413


def test_crash_signature_tells_its_log_where_it_is_asked_to(stack):
    assert "debug_log" not in sign(stack, json={"jobs": [JOB]}, headers={"DEBUG": "1"}).json()[
        "results"][0]
    stack.httpd_conf('LoadModule env_module /usr/lib/apache2/modules/mod_env.so\nSetEnv DEBUG 1\n')
    assert sign(stack, json={"jobs": [JOB]}).json()["results"][0]["debug_log"]


# ---- SuperSearchFields ----

def test_super_search_fields(stack):
    fields = api(stack, "SuperSearchFields").json()
    assert len(fields) == 156 and all(f["name"] == name for name, f in fields.items())
    keys = {"name", "namespace", "in_database_name", "query_type", "data_validation_type",
            "form_field_choices", "has_full_version", "is_exposed", "is_returned",
            "storage_mapping", "permissions_needed", "webapp_permissions_needed", "description"}
    for name, f in fields.items():
        assert keys <= set(f) <= keys | {"source_key", "destination_keys", "search_key"}, name
        assert f["is_exposed"] is f["is_returned"] is True
    protected = {name for name, f in fields.items() if f["webapp_permissions_needed"]}
    assert protected == {
        "collector_notes", "dumper_error", "glean_client_id", "gmp_library_path",
        "has_guard_page_access", "java_stack_trace_raw", "mac_boot_args", "moz_crash_reason_raw",
        "phc_alloc_stack", "phc_base_address", "phc_free_stack", "phc_kind", "phc_usable_size",
        "remote_type", "soft_errors", "url", "user_comments"}
    assert all(fields[x]["webapp_permissions_needed"] == ["crashstats.view_pii"] for x in protected)

    def some(name, *wanted):
        return tuple(fields[name][k] for k in wanted)

    kinds = ("query_type", "data_validation_type", "has_full_version", "storage_mapping")
    full = {"type": "text", "fields": {"full": {"type": "keyword"}}}
    listed = {"analyzer": "semicolon_keywords", "fielddata": True, "type": "text"}
    assert some("abort_message", *kinds) == ("string", "str", True, full)
    assert some("product", *kinds) == ("enum", "enum", True, full)
    assert some("uuid", *kinds) == ("enum", "enum", False, {"type": "keyword"})
    assert some("modules_in_stack", *kinds) == ("string", "str", False, listed)
    assert some("addons_checked", *kinds) == ("enum", "bool", False, {"type": "boolean"})
    assert some("uptime", *kinds) == ("integer", "int", False, {"type": "long"})
    assert some("major_version", *kinds)[3] == {"type": "integer"}
    assert some("cpu_count", *kinds)[3] == {"type": "short"}
    assert some("uptime_ts", *kinds) == ("float", "float", False, {"type": "double"})
    assert some("date", *kinds) == ("date", "datetime", False, {"type": "date"})
    assert some("build_id", "namespace", "in_database_name") == ("processed_crash", "build")
    assert some("memory_explicit", "namespace", "in_database_name") == (
        "processed_crash.memory_measures", "explicit")
    assert fields["cpu_count"]["source_key"] == "processed_crash.json_dump.system_info.cpu_count"
    assert fields["process_type"]["form_field_choices"] == [
        "content", ["gpu", "GPU"], "parent", "plugin", ["rdd", "RDD"], "socket", "utility"]
    assert sum(bool(f["description"]) for f in fields.values()) > 150


def test_super_search_unredacted_needs_its_right(stack):
    rightless = token(stack, "api-none@example.com", "reprocess_crashes")
    denied = {"error": "Use of this endpoint requires the 'View Personal Identifiable Information' "
                       "permission"}
    for auth in (None, rightless, stack.upload_token):
        for method in ("GET", "POST"):        # the right is asked for before the method
            assert error(api(stack, "SuperSearchUnredacted", {"url": "x"}, auth, method)) == (
                403, denied)
