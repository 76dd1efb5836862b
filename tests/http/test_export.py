"""What is sent out: telemetry to folders and buckets, copies of reports, kills on the way.

Documents are validated with python3-jsonschema against the schema that is published beside them;
bodies of the stage submitter are compared with what Python's own libraries make of the same report.
"""
import email.header
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import threading
import time

import jsonschema
import pytest
from daemon import wait_until

DATA = pathlib.Path(__file__).parent.parent / "data"
BOUNDARY = "01659896d5dc42cabd7f3d8a3dcdd3bb"
CANARY = "canary-7f3a"


class Exports:
    """Lines of exports for the instance's daemon, or for commands alone; taken back at the end."""

    KINDS = {"telemetry": 0, "stage-submit": 1, "webhook": 2}

    def __init__(self, stack):
        self.stack = stack
        self.before = pathlib.Path(stack.conf).read_text()
        self.conf = stack.dir / "exports.conf"
        self.conf.write_text(self.before)
        self.changed = False

    def folder(self):
        made = pathlib.Path(tempfile.mkdtemp(prefix="telemetry", dir=self.stack.dir))
        owner = self.stack.store.stat()
        os.chown(made, owner.st_uid, owner.st_gid)
        return made

    def daemon(self, *lines):
        """The daemon sends."""
        pathlib.Path(self.stack.conf).write_text(self.before + "\n" + "\n".join(lines) + "\n")
        self.conf = pathlib.Path(self.stack.conf)
        self.changed = True
        self.stack.stop("salvaged")
        self.stack.start("salvaged")

    def use(self, *lines):
        """Commands send; the daemon's workers find the destinations in the database."""
        self.conf.write_text(self.before + "\n" + "\n".join(lines) + "\n")
        if any(line.startswith("stage-submit") for line in lines):
            self.salvage("submitter", "--once", check=False)    # registers what it reads
        for line in lines:
            key, name = line.split()[:2]
            if key in ("telemetry", "webhook"):
                self.stack.query("insert into outbox_destination (kind, name) values (%s, %s)",
                                 self.KINDS[key], name)

    def salvage(self, *args, check=True):
        return self.stack.salvage(*args, "-c", self.conf, check=check)

    def rows(self):
        return self.stack.query("select kind, destination, subject, pass, state, attempts, "
                                "last_error from outbox order by id")

    def restore(self):
        if self.changed:
            pathlib.Path(self.stack.conf).write_text(self.before)
            self.stack.stop("salvaged")
            self.stack.start("salvaged")
        self.stack.query("delete from outbox_parcel; delete from outbox; "
                         "delete from outbox_destination; delete from telemetry_state")


@pytest.fixture
def exports(stack):
    made = Exports(stack)
    yield made
    made.restore()


def lines_of(folder):
    """Every line of every file, each of which must be whole."""
    found = []
    for path in sorted(folder.glob("v1/crash_report/*/*.ndjson")):
        text = path.read_text()
        assert text.endswith("\n"), f"{path} is torn"
        for line in text.splitlines():
            found.append((path, json.loads(line)))
    return found


def validator(schema):
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


# ---- telemetry ----

PROTECTED = ("Email", "URL", "Comments", "RemoteType", "GleanClientId", "PHCAllocStack", "DumperError",
             "GMPLibraryPath", "Breadcrumbs", "NobodyKnowsThis", "TelemetryClientId")


def test_every_dump_is_exported(stack, exports, shared):
    folder = exports.folder()
    exports.daemon(f"telemetry {folder} form=both", "telemetry-interval 1s")
    dumps = sorted((shared / "data" / "minidumps").rglob("*.dmp"))
    dumps += sorted((DATA / "crashes").glob("*.dmp"))
    assert len(dumps) > 30
    fields = {name: f"{CANARY} {name}" for name in PROTECTED}
    fields.update({"ProductName": "Corpus", "Version": "1.0", "BuildID": "20260131102030",
                   "Accessibility": "Active", "OOMAllocationSize": "4096", "SafeMode": "1",
                   "TotalPhysicalMemory": "17179869184", "StartupCrash": "0",
                   "MozCrashReason": f"no {CANARY}"})
    fields["MozCrashReason"] = "MOZ_CRASH(public)"
    sent = {stack.submit(fields, path): path.name for path in dumps}
    for crash_id in sent:
        stack.wait_processed(crash_id, timeout=180)
    wait_until(lambda: set(sent) <= {doc["crash_id"] for _, doc in lines_of(folder)})

    schema = json.loads((folder / "telemetry_socorro_crash.json").read_text())
    assert len(schema["properties"]) == 84 and schema["$target_version"] == 2
    assert schema == json.loads(exports.salvage("export", "schema").stdout)
    valid = validator(schema)
    lines = [(path, doc) for path, doc in lines_of(folder) if doc["crash_id"] in sent]
    assert sorted(doc["crash_id"] for _, doc in lines) == sorted(sent)
    for path, doc in lines:
        valid.validate(doc)
        crash_id = doc["crash_id"]
        assert path.name.endswith(".first.ndjson") and path.parent.name == "20" + crash_id[-6:]
        assert doc["export_state"] == "first" and doc["export_pass"] == 1
        assert set(doc) <= set(schema["properties"]) | {"export_pass", "export_state"}
        # conversions and old names
        assert doc["build_id"] == "20260131102030" and "build" not in doc
        assert doc["accessibility"] == "1" and doc["safe_mode"] == "1"
        assert doc["startup_crash"] == "0" and doc["oom_allocation_size"] == "4096"
        assert doc["total_physical_memory"] == "17179869184"
        assert doc["platform"] and "date" in doc and "os_name" not in doc
        # the same, an object a crash
        one = json.loads((path.parent / crash_id).read_text())
        valid.validate(one)
        assert one == {k: v for k, v in doc.items() if not k.startswith("export_")}
    walked = [doc for _, doc in lines if doc.get("json_dump", {}).get("threads")]
    assert len(walked) > 20
    for doc in walked:
        for frame in doc["json_dump"]["threads"][0]["frames"]:
            assert "registers" not in frame
    for path in folder.rglob("*"):
        assert not path.is_file() or CANARY not in path.read_text(), path

    # a later state goes to a file of its own, and replaces the object
    crash_id = next(iter(sent))
    stack.query("insert into crash_job (crash_id, queue) values (%s, 0)", crash_id)
    later = wait_until(lambda: [(p, d) for p, d in lines_of(folder)
                                if d["crash_id"] == crash_id and d["export_pass"] == 2])
    assert [(p.name[-13:], d["export_state"]) for p, d in later] == [(".later.ndjson", "later")]
    valid.validate(later[0][1])
    mark = json.loads((folder / "v1" / "watermark.json").read_text())
    assert mark["target_version"] == 2 and mark["exported_until"]
    text = exports.salvage("export", "status", "--metrics").stdout
    assert f'salvage_processor_telemetry_later{{destination="{folder}"}} 1' in text


def mutate(value, rng):
    """One node of a document becomes something else."""
    strange = [None, True, 0, -1, 1.5, "text", [], {}, [None], {"a": None}, ["x", 1, None, {}],
               {"frames": None}, 2 ** 62]
    if isinstance(value, dict) and value and rng.random() < 0.93:
        key = rng.choice(sorted(value))
        return dict(value, **{key: mutate(value[key], rng)})
    if isinstance(value, list) and value and rng.random() < 0.93:
        i = rng.randrange(len(value))
        return value[:i] + [mutate(value[i], rng)] + value[i + 1:]
    return rng.choice(strange)


def test_hostile_documents(stack, exports):
    """Whatever a stored document holds: what is exported is valid, and the crash is exported."""
    crash_id = stack.sample_id
    schema = json.loads(exports.salvage("export", "schema").stdout)
    valid = validator(schema)
    blob = stack.store / stack.query("select blob from processed_crash where crash_id = %s",
                                     crash_id)[0][0]
    saved = blob.read_bytes()
    good = json.loads(subprocess.run(["zstd", "-dc", blob], capture_output=True, check=True).stdout)
    rng = random.Random(7)
    documents = []
    for n in range(30):
        doc = good
        for _ in range(1 + n):
            fresh = mutate(doc, rng)
            doc = fresh if isinstance(fresh, dict) else doc
        documents.append(dict(doc, uuid=crash_id))
    nulls = json.loads(json.dumps(good))
    for module in nulls["json_dump"]["modules"]:
        module["code_id"] = None
        module["debug_id"] = 7
    nulls["json_dump"]["threads"].insert(0, None)
    nulls.update({name: None for name in schema["properties"] if name != "uuid"})
    nulls["json_dump"] = dict(good["json_dump"], modules=nulls["json_dump"]["modules"] if
                              nulls["json_dump"] else good["json_dump"]["modules"])
    documents.append(nulls)
    null_ids = json.loads(json.dumps(good))
    null_ids["json_dump"]["threads"].insert(0, None)
    for module in null_ids["json_dump"]["modules"]:
        module["code_id"] = None
    documents.append(null_ids)
    plain = stack.dir / "hostile.json"
    try:
        for doc in documents:
            plain.write_text(json.dumps(doc))
            subprocess.run(["zstd", "-q", "-f", plain, "-o", blob], check=True)
            shown = json.loads(exports.salvage("export", "show", crash_id).stdout)
            valid.validate(shown)
            assert shown["uuid"] == crash_id
    finally:
        blob.write_bytes(saved)
    # the last one had null code ids: each module is there, without them; indexes stay right
    assert len(shown["json_dump"]["modules"]) == len(good["json_dump"]["modules"])
    assert all("code_id" not in m and m["filename"] for m in shown["json_dump"]["modules"])
    threads = shown["json_dump"]["threads"]
    assert len(threads) == len(good["json_dump"]["threads"]) + 1
    assert threads[0] == {} and threads[1]["frames"]


def test_folder_that_takes_nothing(stack, exports):
    """A destination that fails keeps what it is to get, and gets it when it works again."""
    folder = exports.folder()
    exports.use(f"telemetry {folder}", "telemetry-interval 0s")
    folder.rename(folder.with_suffix(".away"))
    folder.write_text("not a folder")
    crash_id = stack.submit()
    stack.wait_processed(crash_id)
    done = exports.salvage("export", "run", check=False)
    assert done.returncode == 1 and "SAL9260" in done.stderr
    (error,), = stack.query("select last_error from outbox_parcel")
    assert error and error in exports.salvage("export", "status").stdout
    assert stack.query("select count(*) from outbox where subject = %s", crash_id) == [(1,)]
    folder.unlink()
    folder.with_suffix(".away").rename(folder)
    exports.salvage("export", "retry", "--all")
    exports.salvage("export", "run")
    assert crash_id in {doc["crash_id"] for _, doc in lines_of(folder)}
    assert stack.query("select count(*) from outbox where subject = %s", crash_id) == [(0,)]


@pytest.mark.parametrize("line, says", [
    ("telemetry relative/folder", "from / on"),
    ("telemetry /folder form=xml", "form is"),
    ("telemetry s3://bucket", "needs s3 and s3-credentials"),
    ("stage-submit http://host/submit", "URL|SAMPLE"),
    ("stage-submit http://host/submit|101", "URL|SAMPLE"),
    ("stage-submit ftp://host/submit|10", "http://"),
    ("stage-submit http://host/submit|10 strip=all", "strip takes"),
    ("stage-submit http://host/submit|10 token-file=/nonexistent", "/nonexistent"),
    ("webhook name", "NAME URL"),
    ("webhook a/b http://host/", "NAME URL"),
])
def test_mistakes_are_named(stack, tmp_path, line, says):
    conf = tmp_path / "salvage.conf"
    conf.write_text(pathlib.Path(stack.conf).read_text() + f"\n{line}\n")
    done = stack.salvage("export", "run", "-c", conf, check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr


# ---- kills ----

@pytest.mark.parametrize("call, times", [("fsync", 4), ("linkat", 2), ("rename", 2), ("sendto", 9)])
def test_kill_at_each_step(stack, exports, tmp_path, call, times):
    """Killed at every such call: no line is torn or missing, none stands twice."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    ids = {stack.submit() for _ in range(3)}
    for crash_id in ids:
        stack.wait_processed(crash_id)
    killed = 0
    for n in range(1, times + 1):
        folder = tmp_path / str(n)
        conf = tmp_path / f"{n}.conf"
        conf.write_text(exports.before + f"\ntelemetry {folder}\n")
        run = [stack.env["SALVAGE_BIN"], "export", "run", "--from", day, "--to", day, "-c", conf]
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                               "-e", f"inject={call}:signal=SIGKILL:when={n}", *run],
                              capture_output=True, timeout=60)
        killed += done.returncode != 0
        lines_of(folder)
        stack.query("update outbox_parcel set lease_until = now() - interval '1 second', lost = 0 "
                    "where lease_until is not null")
        subprocess.run(run, check=True, capture_output=True, timeout=60)
        found = [doc["crash_id"] for _, doc in lines_of(folder)]
        assert ids <= set(found) and len(found) == len(set(found)), (call, n)
        assert not stack.query("select 1 from outbox where destination = %s", str(folder))
    assert killed or call in ("rename", "linkat")


# ---- the stage submitter ----

class Collector(http.server.BaseHTTPRequestHandler):
    """Does what the path says, and remembers what it was sent."""

    seen = []
    calls = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path
        Collector.calls[path] = Collector.calls.get(path, 0) + 1
        plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        Collector.seen.append((path, dict(self.headers), plain, body))
        if path == "/hang":
            time.sleep(30)
            return
        status, answer = 200, "Discarded=rule_test"
        if path == "/refuse":
            status, answer = 400, "Discarded=malformed_invalid_uuid"
        elif path == "/flaky" and Collector.calls[path] == 1:
            status, answer = 503, "busy"
        elif path == "/moved":
            status, answer = 302, ""
        else:
            at = plain.find(b'name="uuid"')
            if at >= 0:
                answer = "CrashID=bp-" + plain[at:].split(b"\r\n")[3].decode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    Collector.seen, Collector.calls = [], {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def expected_form(fields, dumps, as_json):
    out = b""
    if as_json:
        out += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="extra"\r\n'
                "Content-Type: application/json\r\n\r\n").encode()
        out += json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() + b"\r\n"
    else:
        for name, value in sorted(fields.items()):
            word = email.header.Header(name).encode()
            out += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{word}"\r\n'
                    f"Content-Type: text/plain; charset=utf-8\r\n\r\n{value}\r\n").encode()
    for name, data in sorted(dumps.items()):
        out += (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; '
                'filename="file.dump"\r\nContent-Type: application/octet-stream\r\n\r\n').encode()
        out += data + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def sent_to(path):
    return [entry for entry in Collector.seen if entry[0] == path]


def submitter(exports, *args, check=False):
    return exports.salvage("submitter", "--once", *args, check=check)


def test_bodies_byte_for_byte(stack, exports, collector):
    exports.use(f"stage-submit {collector}/all|100",
                f"stage-submit {collector}/bare|100 strip=dumps",
                f"stage-submit {collector}/public|100 strip=protected")
    dump = (DATA / "crashes" / "crasher.dmp").read_bytes()
    fields = {"ProductName": "Demo", "Version": "1.0", "Comments": "secret \u00e9\u4e16\U0001f600",
              "ABC_\u00fcml\u00e4ut": "named", "Notes": "a\r\nb", "Odd name": "blank"}
    jobs = [
        ({}, False), ({"User-Agent": "crashreporter/1.0.0"}, True),
    ]
    ids = []
    for headers, as_json in jobs:
        import requests
        if as_json:
            parts = {"extra": (None, json.dumps(fields), "application/json"),
                     "upload_file_minidump": ("x.dmp", dump, "application/octet-stream"),
                     "memory_report": ("m.gz", b"\x1f\x8bnot", "application/octet-stream")}
        else:
            parts = {name: (None, value) for name, value in fields.items()}
            parts["upload_file_minidump"] = ("x.dmp", dump, "application/octet-stream")
        ready = requests.Request("POST", stack.url + "/submit", files=parts,
                                 headers=headers).prepare()
        if as_json:
            ready.body = gzip.compress(ready.body)
            ready.headers["Content-Encoding"] = "gzip"
            ready.headers["Content-Length"] = str(len(ready.body))
        answer = requests.Session().send(ready, timeout=60)
        assert answer.text.startswith("CrashID=bp-"), answer.text
        ids.append(answer.text.strip()[11:])
        stack.wait_processed(ids[-1])
    done = submitter(exports, check=True)
    assert "6 settled" in done.stdout
    for crash_id, (_, as_json) in zip(ids, jobs):
        raw = stored_raw(stack, crash_id)
        kept = {k: v for k, v in raw.items()
                if k not in ("metadata", "submitted_timestamp", "version")}
        assert kept["uuid"] == crash_id and kept["Comments"] == fields["Comments"]
        dumps = {"upload_file_minidump": dump}
        if as_json:
            dumps["memory_report"] = b"\x1f\x8bnot"
        mine = {path: [e for e in sent_to(path) if crash_id.encode() in e[2]]
                for path in ("/all", "/bare", "/public")}
        assert {path: len(e) for path, e in mine.items()} == {"/all": 1, "/bare": 1, "/public": 1}
        _, headers, plain, body = mine["/all"][0]
        assert plain == expected_form(kept, dumps, as_json)
        assert headers["Content-Type"] == f"multipart/form-data; boundary={BOUNDARY}"
        assert headers["Content-Length"] == str(len(body))
        assert ("Content-Encoding" in headers) == as_json
        assert headers["User-Agent"] == (raw["metadata"].get("user_agent") or "stage-submitter/2.0")
        assert mine["/bare"][0][2] == expected_form(kept, {}, as_json)
        public = mine["/public"][0][2]
        assert b"ProductName" in public and b"uuid" in public
        assert b"Comments" not in public and b"Odd name" not in public
    assert Collector.seen[0][1].get("Authorization") is None


def stored_raw(stack, crash_id):
    import zipfile
    path = next(stack.store.glob(f"crash/20{crash_id[-6:]}/*/{crash_id}.zip"))
    return json.loads(zipfile.ZipFile(path).read("raw_crash.json"))


def draw(crash_id):
    return int.from_bytes(hashlib.sha256(crash_id.encode()).digest()[:4], "big") % 100


def test_outcomes(stack, exports, collector):
    token = stack.dir / "stage-token"
    token.write_text("hush\n")
    exports.use("exporter-timeout 1s", "exporter-attempts 3",
                f"stage-submit {collector}/flaky|100,{collector}/refuse|100,{collector}/half|50",
                f"stage-submit {collector}/moved|100", f"stage-submit {collector}/none|0",
                f"stage-submit {collector}/auth|100 token-file={token}")
    ids = [stack.submit() for _ in range(8)]
    for crash_id in ids:
        stack.wait_processed(crash_id)
    submitter(exports)
    states = {}
    for _, destination, subject, _, state, _, error in exports.rows():
        states.setdefault(destination.rsplit("/")[-1], {})[subject] = (state, error)
    assert set(states["half"]) == {i for i in ids if draw(i) < 50}
    assert "none" not in states
    assert {s for s, _ in states["refuse"].values()} == {2}
    assert all("400" in e and "malformed_invalid_uuid" in e for _, e in states["refuse"].values())
    assert {s for s, _ in states["moved"].values()} == {2}
    assert {s for s, _ in states["auth"].values()} == {3}
    assert [s for s, _ in states["flaky"].values()].count(1) == 1   # the first had 503
    assert {e[1]["Authorization"] for e in sent_to("/auth")} == {"Bearer hush"}
    text = exports.salvage("export", "failed").stdout
    assert text.count("/refuse") == len(ids) and "malformed_invalid_uuid" in text
    # what failed stays failed until somebody says so; what waits is due again
    assert len(sent_to("/refuse")) == len(ids)
    exports.salvage("export", "retry", ids[0])
    exports.salvage("export", "retry", "--all")
    submitter(exports)
    assert len(sent_to("/refuse")) == 2 * len(ids)
    assert len(sent_to("/flaky")) == len(ids) + 1
    # a second pass of a crash is no second report
    before = len(Collector.seen)
    stack.query("insert into crash_job (crash_id, queue) values (%s, 0)", ids[0])
    wait_until(lambda: stack.query("select pass from processed_crash where crash_id = %s",
                                   ids[0]) == [(2,)])
    submitter(exports)
    assert len(Collector.seen) == before


def test_hanging_collector_and_sigterm(stack, exports, collector):
    exports.use("exporter-timeout 2s", f"stage-submit {collector}/hang|100")
    crash_id = stack.submit()
    stack.wait_processed(crash_id)
    done = submitter(exports)
    assert done.returncode == 1
    row = stack.query("select attempts, last_error from outbox_parcel")
    assert row[0][0] == 1 and "no answer" in row[0][1]
    exports.conf.write_text(exports.conf.read_text() + "exporter-timeout 60s\n")
    stack.query("update outbox_parcel set run_after = now()")
    calls = Collector.calls["/hang"]
    running = subprocess.Popen([stack.env["SALVAGE_BIN"], "submitter", "-c", exports.conf],
                               stdout=subprocess.DEVNULL)
    wait_until(lambda: Collector.calls["/hang"] > calls)
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 0
    assert stack.query("select attempts, lease_until from outbox_parcel") == [(1, None)]


def test_another_collector_keeps_the_id(stack, exports):
    """The daemon sends to a collector that knows the token: here its own, which has the crash."""
    token = stack.dir / "submitter-token"
    token.write_text("a-token-of-submitters-0123\n")
    token.chmod(0o644)
    stack.httpd_conf(f"CrashSubmitterTokenFile {token}\n")
    exports.daemon(f"stage-submit {stack.url}/submit|100 token-file={token}")
    crash_id = stack.submit(dump=DATA / "crashes" / "crasher.dmp")
    stack.wait_processed(crash_id)
    sent = wait_until(lambda: [r for r in exports.rows() if r[2] == crash_id and r[4] == 3])
    assert sent and sent[0][6] is None, exports.rows()  # no note: the same id, not discarded
    text = exports.salvage("export", "status", "--metrics").stdout
    assert "salvage_submitter_sent" in text and "salvage_submitter_process_ms" in text


def test_deferred_crashes(stack, exports, collector):
    """Crashes that no job ends are sent to whoever wants them, and once."""
    exports.use(f"stage-submit {collector}/deferred|100 deferred",
                f"stage-submit {collector}/usual|100")
    crash_id = stack.submit()
    stack.wait_processed(crash_id)
    deferred = crash_id[:29] + "1" + crash_id[30:]
    stack.query("insert into crash_job (crash_id, queue, state) values (%s, 1, 3)", deferred)
    submitter(exports)
    submitter(exports)
    rows = stack.query("select destination, state, last_error from outbox where subject = %s",
                       deferred)
    assert [(d.rsplit("/")[-1], s, e) for d, s, e in rows] == [("deferred", 3, "not in the store")]
    stack.query("delete from crash_job where crash_id = %s", deferred)


def test_web_hooks_are_signed(stack, exports, collector):
    import hmac
    secret = stack.dir / "hook-secret"
    secret.write_text("s3cret\n")
    exports.use(f"webhook alerts {collector}/hook secret-file={secret}")
    stack.query("insert into outbox (kind, destination, subject, pass, body) "
                "values (2, 'alerts', 'signature-spike', 1, '{\"a\": [1, \"\u00e9\"]}')")
    exports.salvage("export", "run")
    (_, headers, plain, _), = sent_to("/hook")
    assert json.loads(plain) == {"a": [1, "\u00e9"]}
    mac = hmac.new(b"s3cret", plain, hashlib.sha256).hexdigest()
    assert headers["X-Salvage-Signature"] == f"sha256={mac}"
    assert headers["Content-Type"] == "application/json" and headers["X-Salvage-Delivery"].isdigit()
    assert [r[4] for r in exports.rows()] == [3]


# ---- a bucket ----

@pytest.fixture
def s3(stack):
    if subprocess.run(["/usr/bin/python3", "-c", "import swift, eventlet"],
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("SKIPPED LOUDLY: no S3 server: apt-get install python3-swift")
    folder = stack.dir / "s3"
    server = subprocess.Popen(["/usr/bin/python3", stack.top / "tests/lib/s3swift.py", folder],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = server.stdout.readline().split("port=")[1].split()[0]
        url = f"http://127.0.0.1:{port}"
        curl(url + "/exports", "-T", "/dev/null")
        yield url, folder
    finally:
        server.terminate()
        server.wait()


def curl(url, *args):
    return subprocess.run(
        ["curl", "-sS", "-f", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "TESTKEY:testsecret",
         "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *args, url],
        capture_output=True, check=True, timeout=30).stdout


def test_bucket(stack, exports, s3):
    url, folder = s3
    secret = stack.dir / "s3-credentials"
    secret.write_text("TESTKEY testsecret\n")
    secret.chmod(0o644)
    exports.use("telemetry s3://exports/here form=both", f"s3 {url}",
                f"s3-credentials {secret}")
    crash_id = stack.submit(dump=DATA / "crashes" / "crasher.dmp")
    stack.wait_processed(crash_id)
    (folder / "fault").write_text("503 2")      # it is tried again
    exports.salvage("export", "run")
    day = "20" + crash_id[-6:]
    one = json.loads(curl(f"{url}/exports/here/v1/crash_report/{day}/{crash_id}"))
    schema = json.loads(curl(f"{url}/exports/here/telemetry_socorro_crash.json"))
    validator(schema).validate(one)
    listing = curl(f"{url}/exports?list-type=2&prefix=here%2Fv1%2Fcrash_report%2F").decode()
    lines = [key.split("</Key>")[0] for key in listing.split("<Key>")[1:] if ".ndjson" in key]
    assert len(lines) == 1 and lines[0].endswith(".first.ndjson")
    line = json.loads(curl(f"{url}/exports/{lines[0]}"))
    assert line["crash_id"] == crash_id and line["export_state"] == "first"
    assert one == {k: v for k, v in line.items() if not k.startswith("export_")}
    # a server that takes nothing loses nothing
    second = stack.submit()
    stack.wait_processed(second)
    (folder / "fault").write_text("503 1000")
    done = exports.salvage("export", "run", check=False)
    assert done.returncode == 1
    (folder / "fault").unlink()
    exports.salvage("export", "retry", "--all")
    exports.salvage("export", "run")
    assert json.loads(curl(f"{url}/exports/here/v1/crash_report/{day}/{second}"))["uuid"] == second
