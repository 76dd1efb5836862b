"""`salvage signature`: formats, explanations, crash pings, and crashes of a server."""
import csv
import http.server
import io
import json
import os
import pathlib
import subprocess
import threading

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
DATA = TOP / "tests" / "data"

LISTS = {
    "signature_sentinels.txt": "boom::panic\n",
    "irrelevant_signature_re.txt": "# plumbing\n\n__libc_\n@0x[0-9a-f]{2,}\n",
    "prefix_signature_re.txt": "operator new\nstd::\n.*\\.so\n",
    "signatures_with_line_numbers_re.txt": "interpret$\n",
}
ID = "6d2b4a6e-0a5e-4a3e-8f55-0000001611%02d"


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    where = tmp_path_factory.mktemp("siglists")
    for name, text in LISTS.items():
        (where / name).write_text(text)
    return where


def run(*args, stdin="", code=0, env=None):
    done = subprocess.run([SALVAGE, "signature", *map(str, args)], input=stdin, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                          env={**os.environ, **(env or {})})
    assert done.returncode == code, done.stderr
    return done


def crash_data(*functions, **more):
    return {"crashing_thread": 0, "threads": [{"frames": [{"function": f} for f in functions]}],
            **more}


def processed(*functions, signature="old"):
    return {"uuid": ID % 1, "signature": signature, "json_dump": {
        "crash_info": {"crashing_thread": 0, "type": "SIGSEGV"}, "system_info": {"os": "Linux"},
        "threads": [{"frames": [{"function": f} for f in functions]}]}}


# ---- explanations ----

def explain(lists, data):
    return json.loads(run("--lists", lists, "--explain", stdin=json.dumps(data)).stdout)["why"]


def test_explains_each_frame(lists):
    why = explain(lists, crash_data("__libc_message(int)", "std::sort<int*>(int*, int*)", "",
                                    "interpret", "main"))
    frames = why["stacks"][0]["frames"]
    assert [f["decision"] for f in frames] == ["irrelevant", "prefix", "empty", "stop",
                                              "not reached"]
    assert frames[0]["by"] == {"list": "irrelevant_signature_re.txt", "line": 3,
                               "expression": "__libc_"}
    assert frames[1]["by"] == {"list": "prefix_signature_re.txt", "line": 2, "expression": "std::"}
    assert frames[1]["function"] == "std::sort<int*>(int*, int*)"
    assert frames[1]["normalized"] == "std::sort<T>"
    assert frames[3]["normalized"] == "interpret:None"
    assert frames[3]["line_number_by"]["list"] == "signatures_with_line_numbers_re.txt"
    assert "by" not in frames[3]
    assert why["signature"] == "std::sort<T> | interpret:None"


def test_explains_sentinels_and_repetitions(lists):
    frames = [{"function": "first"}, {"function": "boom::panic"}]
    why = explain(lists, {"threads": [{"frames": frames}]})
    assert [f["decision"] for f in why["stacks"][0]["frames"]] == ["above the sentinel", "stop"]
    assert why["stacks"][0]["frames"][0]["by"]["expression"] == "boom::panic"
    why = explain(lists, {"threads": [{"frames": [{"module": "a.so"}] * 2 + [{"module": "b"}]}]})
    assert [f["decision"] for f in why["stacks"][0]["frames"]] == ["prefix", "repeated", "stop"]
    assert why["stacks"][0]["frames"][0]["how"] == "module"


def test_explains_rules(lists):
    why = explain(lists, crash_data("f", oom_allocation_size=1 << 30, ipc_message_name="M",
                                    hang="ui"))
    assert len(why["rules"]) == 14
    changed = {r["rule"]: (r["before"], r["after"]) for r in why["rules"] if r["changed"]}
    assert changed == {
        "SignatureGenerationRule": ("", "f"),
        "OOMSignature": ("f", "OOM | large | f"),
        "SignatureIPCMessageName": ("OOM | large | f", "OOM | large | f | IPC_Message_Name=M"),
        "HungProcess": ("OOM | large | f | IPC_Message_Name=M",
                        "hang: ui | OOM | large | f | IPC_Message_Name=M"),
    }


def test_explains_both_stacks_of_a_watchdog(lists):
    data = {"crashing_thread": 1, "threads": [{"frames": [{"function": "main_loop"}]},
                                              {"frames": [{"function": "RunWatchdog"}]}]}
    why = explain(lists, data)
    assert [(s["rule"], s["thread"]) for s in why["stacks"]] == [("SignatureGenerationRule", 1),
                                                                 ("SignatureRunWatchDog", 0)]
    assert why["stacks"][1]["frames"][0]["decision"] == "stop"
    assert why["signature"] == "shutdownhang | main_loop"


def test_explanation_as_text(lists):
    out = run("--lists", lists, "--explain", "--format", "text",
              stdin=json.dumps(crash_data("__libc_x", "g(int)"))).stdout
    assert "   0 irrelevant         __libc_x\n" in out
    assert "by irrelevant_signature_re.txt:3  __libc_\n" in out
    assert "   1 stop               g\n         from C/C++ function: g(int)\n" in out
    assert "  SignatureGenerationRule\n    -> g\n" in out


def test_explaining_changes_nothing(lists, shared):
    """Every vector has the same result with and without an explanation."""
    vectors = [json.loads(line)["crash_data"] for line in
               (shared / "data" / "signature" / "vectors.jsonl").open()]
    text = "".join(json.dumps(v) + "\n" for v in vectors)
    where = shared / "data" / "siglists-socorro"
    plain = run("--lists", where, "--lines", stdin=text).stdout.splitlines()
    told = run("--lists", where, "--lines", "--explain", stdin=text).stdout.splitlines()
    assert len(plain) == len(told) == len(vectors)
    for a, b in zip(plain, told):
        b = json.loads(b)
        assert b.pop("why")["signature"] == b["signature"]
        assert json.loads(a) == b


# ---- limits ----

def test_catastrophic_expression_leaves_a_note(lists, tmp_path):
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "prefix_signature_re.txt").write_text("(a+)+[xy]$\n")
    data = crash_data(*["a" * 50000 + str(i) for i in range(40)])
    out = json.loads(run("--lists", tmp_path, stdin=json.dumps(data)).stdout)
    assert out["signature"] == "a" * 252 + "..."
    assert out["notes"][0].startswith("SignatureGenerationRule: signature list "
                                      "prefix_signature_re.txt: limit reached on a frame of 50001")


@pytest.mark.parametrize("frames", [100000])
def test_many_frames(lists, frames):
    data = crash_data(*["__libc_%d" % i for i in range(frames)])
    out = json.loads(run("--lists", lists, stdin=json.dumps(data)).stdout)
    assert out["signature"] == "__libc_0" and out["proto_signature"].count(" | ") == 39


# ---- formats ----

def test_csv(lists):
    text = "".join(json.dumps(p) + "\n" for p in [
        processed('f"(int)', signature='say "x"'), processed("g", signature="g")])
    out = run("--lists", lists, "--format", "csv", "--lines", stdin=text).stdout
    assert out.startswith('"crashid","old","new","same?","notes"\r\n') or "\r" not in out
    rows = list(csv.reader(io.StringIO(out)))
    assert rows == [["crashid", "old", "new", "same?", "notes"],
                    [ID % 1, 'say "x"', 'f"', "False", "[]"], [ID % 1, "g", "g", "True", "[]"]]


def test_markdown(lists):
    out = run("--lists", lists, "--format", "markdown",
              stdin=json.dumps(processed("`x'::f"))).stdout
    assert out == (f"**Crash id:** {ID % 1}\n**Original:** `old`\n**New:** `\\`x'::f`\n"
                   "**Same?:** False\n**Notes:** (0)\n\n")


@pytest.mark.parametrize("args, said", [
    (["--format", "xml"], "--format is json, text, csv or markdown, not xml"),
    (["abc"], "name it with --server URL"),
    (["--different-only"], "--different-only compares"),
    (["--ping", "--server", "http://127.0.0.1:1"], "--ping reads standard input"),
])
def test_usage(args, said):
    assert said in run(*args, code=2).stderr


# ---- crash pings ----

@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    done = subprocess.run([SALVAGE, "stackwalk", "--json", "--symbols", DATA / "symbols",
                           "--symbols-cache", tmp_path_factory.mktemp("cache"),
                           DATA / "crashes" / "crasher_cpp.dmp"],
                          stdout=subprocess.PIPE, check=True, timeout=60)
    return json.loads(done.stdout)


def legacy_traces(doc):
    """The stack of a ping as Firefox's older ping spells it."""
    modules = [{k: m[k] for k in ("base_addr", "end_addr", "debug_file", "debug_id", "filename")}
               for m in doc["modules"]]
    thread = doc["crash_info"]["crashing_thread"]
    names = [m["filename"] for m in doc["modules"]]
    threads = [{"frames": []} for _ in doc["threads"]]
    threads[thread]["frames"] = [
        {"ip": f["offset"], "trust": f["trust"],
         **({"module_index": names.index(f["module"])} if f["module"] else {})}
        for f in doc["threads"][thread]["frames"]]
    return {"status": "OK", "crash_info": {"type": doc["crash_info"]["type"],
                                           "crashing_thread": thread},
            "modules": modules, "threads": threads}


def glean(legacy, **strings):
    """The same as a Glean ping."""
    traces = {"crash_type": legacy["crash_info"]["type"],
              "crash_thread": legacy["crash_info"]["crashing_thread"],
              "modules": [{**m, "base_address": m["base_addr"], "end_address": m["end_addr"]}
                          for m in legacy["modules"]], "threads": legacy["threads"]}
    for m in traces["modules"]:
        del m["base_addr"], m["end_addr"]
    return {"client_info": {"os": "Linux"}, "ping_info": {"reason": "crash"},
            "metrics": {"object": {"crash.stack_traces": traces}, "string": strings}}


def ping_signature(ping, cache, *symbols):
    done = run("--ping", *[x for s in symbols for x in ("--symbols", s)], "--symbols-cache", cache,
               stdin=json.dumps(ping))
    return json.loads(done.stdout)


def test_pings_are_signed_like_reports(walked, tmp_path):
    report = {"json_dump": walked}
    want = json.loads(run(stdin=json.dumps(report)).stdout)
    legacy = legacy_traces(walked)
    for ping in ({"payload": {"stackTraces": legacy, "metadata": {}}}, glean(legacy),
                 {"stack_traces": legacy, "os": "Linux"}):
        got = ping_signature(ping, tmp_path, DATA / "symbols")
        assert (got["signature"], got["proto_signature"]) == (want["signature"],
                                                              want["proto_signature"])


def test_frames_without_module_index_are_found_by_address(walked, tmp_path):
    ping = legacy_traces(walked)
    want = ping_signature({"stack_traces": ping}, tmp_path, DATA / "symbols")
    for frame in ping["threads"][ping["crash_info"]["crashing_thread"]]["frames"]:
        frame.pop("module_index", None)
    assert ping_signature({"stack_traces": ping}, tmp_path, DATA / "symbols") == want


def test_annotations_of_pings(walked, tmp_path):
    ping = glean(legacy_traces(walked), **{"crash.hang": "ui"})
    ping["metrics"]["quantity"] = {"memory.oom_allocation_size": 1 << 30}
    got = ping_signature(ping, tmp_path, DATA / "symbols")
    assert got["signature"].startswith("hang: ui | OOM | large | ")
    ping["metrics"]["object"]["crash.async_shutdown_timeout"] = {
        "phase": "profile", "conditions": json.dumps([{"name": "b"}, {"name": "a"}])}
    got = ping_signature(ping, tmp_path, DATA / "symbols")
    assert got["signature"] == "hang: ui | AsyncShutdownTimeout | profile | a,b"


def test_java_ping(tmp_path):
    ping = {"metrics": {"object": {"crash.java_exception": {"throwables": [
        {"type_name": "java.lang.IllegalStateException", "message": "private",
         "stack": [{"class_name": "org.a.B", "method_name": "c", "file": "B.kt", "line": 3}]}]}}}}
    got = ping_signature(ping, tmp_path)
    assert got["signature"] == "java.lang.IllegalStateException: at org.a.B.c(B.kt)"


def test_windows_ping_without_symbols(tmp_path):
    ping = {"client_info": {"os": "Windows"}, "metrics": {"object": {"crash.stack_traces": {
        "modules": [{"base_address": "0x1000", "end_address": "0x2000", "filename": "App.EXE"}],
        "threads": [{"frames": [{"ip": "0x1500", "module_index": 0}, {"ip": "0x9999"}]}]}}}}
    got = ping_signature(ping, tmp_path)
    assert got["proto_signature"] == "app.exe | @0x9999"


@pytest.mark.parametrize("ping", [{}, {"stack_traces": []}, {"metrics": 3}, {"payload": None}])
def test_not_a_ping(ping, tmp_path):
    done = run("--ping", "--symbols-cache", tmp_path, stdin=json.dumps(ping), code=1)
    assert "neither stack_traces nor java_exception" in done.stderr


# ---- crashes of a server ----

class Api(http.server.BaseHTTPRequestHandler):
    """Answers by the last digits of the crash id."""
    answers = {"01": (200, processed("f", signature="f")), "02": (200, processed("g")),
               "03": (404, {}), "04": (500, "broken"), "05": (429, "slow down"),
               "06": (200, {"error": "no rights"}), "07": (200, "no json {"),
               "08": (403, {"error": "bad token"}), "09": (403, "forbidden"),
               "10": (200, processed(signature="a `b`")),
               "11": (200, processed("x" * 3_000_000))}
    tokens = []

    def do_GET(self):  # pylint: disable=invalid-name
        Api.tokens.append(self.headers.get("Auth-Token"))
        good = self.path.startswith("/api/ProcessedCrash/?crash_id=")
        status, body = self.answers[self.path[-2:]] if good else (400, "")
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


@pytest.fixture(scope="module")
def api():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch(api, lists, *args, **more):
    return run("--server", api, "--lists", lists, *args, **more)


def test_fetched_text(api, lists):
    out = fetch(api, lists, ID % 1, "bp-" + ID % 2).stdout
    assert out == (f"Crash id: {ID % 1}\nOriginal: f\nNew:      f\nSame?:    True\n\n"
                   f"Crash id: {ID % 2}\nOriginal: old\nNew:      g\nSame?:    False\n")


def test_verbose(api, lists):
    out = fetch(api, lists, "-v", "--crash-id", ID % 2).stdout
    assert "Debug:    (3)\n          SignatureGenerationRule: using signature lists from" in out
    assert out.endswith("Extra:\n          normalized_frames:\n          - g\n"
                        "          proto_signature: g\n")


def test_only_different_ones(api, lists):
    out = fetch(api, lists, "--different-only", "--format", "csv", ID % 1, ID % 2).stdout
    assert out.splitlines()[1:] == [f'"{ID % 2}","old","g","False","[]"']


def test_ids_from_standard_input_and_urls(api, lists):
    ids = f"\n  {ID % 1} \n{api}/report/index/{ID % 2}?x=1\n"
    out = fetch(api, lists, "--format", "json", stdin=ids).stdout
    got = [json.loads(line) for line in out.splitlines()]
    assert [(g["crash_id"], g["original"], g["signature"], g["same"]) for g in got] == [
        (ID % 1, "f", "f", True), (ID % 2, "old", "g", False)]


def test_markdown_links(api, lists):
    out = fetch(api, lists, "--format", "markdown", ID % 2).stdout
    assert out.startswith(f"**Crash id:** [{ID % 2}]({api}/report/index/{ID % 2})\n")


@pytest.mark.parametrize("last, warning, code", [
    ("03", "{id}: does not have processed crash.", 0),
    ("04", "HTTP 500: broken", 0),
    ("05", "API rate limit reached. slow down", 1),
    ("06", "Error fetching processed crash: no rights", 1),
    ("07", "Error fetching processed crash: {id}: the answer is no JSON object", 1),
    ("08", "Error fetching processed crash: bad token", 1),
    ("09", "HTTP 403: forbidden", 1),
])
def test_warnings(api, lists, last, warning, code):
    bad = ID % int(last)
    done = fetch(api, lists, bad, ID % 1, code=code)
    assert done.stderr == "WARNING: " + warning.format(id=bad) + "\n"
    assert ("Crash id: " + ID % 1 in done.stdout) == (code == 0)


@pytest.mark.parametrize("bad", ["x", ID % 1 + "0", (ID % 1).upper(), "http://h/other/" + ID % 1,
                                 "bp-", "bp-bp-" + ID % 1])
def test_bad_ids(api, lists, bad):
    done = fetch(api, lists, bad)
    assert done.stderr == f"WARNING: Error: {bad} is not a valid crash id\n"


def test_no_ids(api, lists):
    done = fetch(api, lists, "--format", "csv", stdin="\n")
    assert done.stdout.startswith("usage: salvage signature") and "crashid" not in done.stdout


def test_records_are_separated(api, lists):
    """An empty line between two records, also where a crash was left out; none in CSV."""
    ids = [ID % 3, ID % 1, ID % 4, ID % 2]
    out = fetch(api, lists, *ids).stdout
    assert out == (f"\nCrash id: {ID % 1}\nOriginal: f\nNew:      f\nSame?:    True\n\n\n"
                   f"Crash id: {ID % 2}\nOriginal: old\nNew:      g\nSame?:    False\n")
    table = subprocess.run([SALVAGE, "signature", "--server", api, "--lists", lists, "--format",
                            "csv", *ids], capture_output=True, timeout=60, check=True).stdout
    assert table.count(b"\r\n") == table.count(b"\n") == 3


def test_notes_in_each_format(api, lists):
    """A report without a stack has a note: Python's CSV of a list is a JSON array here."""
    note = ("SignatureGenerationRule: CSignatureTool: no frame data for crashing thread (0)")
    text = fetch(api, lists, ID % 10).stdout
    assert text.endswith(f"Same?:    False\nNotes:    (1)\n          {note}\n")
    table = fetch(api, lists, "--format", "csv", ID % 10).stdout
    assert list(csv.reader(io.StringIO(table, newline="")))[1] == [
        ID % 10, "a `b`", "EMPTY: no frame data available", "False", json.dumps([note])]
    markdown = fetch(api, lists, "--format", "markdown", "-v", ID % 10).stdout
    assert "**Original:** `a \\`b\\``\n" in markdown
    assert f"**Notes:** (1)\n\n* {note}\n\n**Debug:** (2)\n\n* SignatureGen" in markdown


def test_large_answer_is_read_whole(api, lists):
    out = fetch(api, lists, "--format", "json", ID % 11).stdout
    assert json.loads(out)["proto_signature"] == "x" * 3_000_000


def test_token(api, lists):
    Api.tokens.clear()
    fetch(api, lists, ID % 1, env={"SALVAGE_API_TOKEN": "", "SOCORRO_API_TOKEN": ""})
    fetch(api, lists, ID % 1, "--token", "given")
    fetch(api, lists, ID % 1, env={"SALVAGE_API_TOKEN": "from-environment"})
    assert Api.tokens == [None, "given", "from-environment"]


def test_no_server(lists):
    done = fetch("http://127.0.0.1:9", lists, ID % 1, code=1)
    assert done.stderr.startswith("WARNING: http://127.0.0.1:9: ")
