"""What each sender puts on the wire, replayed as it stands (tests/data/exchanges), and what becomes of
it. Expectations: the collector's specification, sections 4.3 and 12.
"""
import hashlib
import importlib.util
import json
import pathlib

import pytest

from reports import CRASH_ID, TOKEN, container, dump, exchange, raw_crash

HERE = pathlib.Path(__file__).resolve().parent.parent / "data" / "exchanges"
spec = importlib.util.spec_from_file_location("exchanges", HERE / "make.py")
made = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made)

CONF = f"""
CrashSubmitToken {TOKEN}
<LocationMatch "^/cr(?:/report)?$">
    CrashReplyStyle id
</LocationMatch>
<LocationMatch "^/api/[^/]+/(?:minidump|envelope|upload)/?$">
    SetHandler crash-sentry
</LocationMatch>
"""
MAIN = "upload_file_minidump"
SENTRY = {"ProductName": "notes", "Version": "3.4.5", "BuildID": "77", "ReleaseChannel": "staging",
          "SentryEventId": "fc6d8c0c-43fc-4630-ad85-0ee518f1b9d0"}
SENTRY_NOTES = ["Removed user from sentry event.", "dialect: sentry"]
FIREFOX = {k: v for k, v in made.EXTRA.items() if k != "Throttleable"}
GOOGLE = {"prod": "Demo", "ver": "1.2.3", "ProductName": "Demo", "Version": "1.2.3"}


def unknown(*names, ctype="text/plain"):
    return [f"unknown content type: {n} {ctype}" for n in names]


# name: annotations that must be there, annotations that must not, notes, dumps
EXPECTED = {
    "breakpad-linux": (GOOGLE, [], ["dialect: google"], {MAIN: made.DUMP}),
    "breakpad-google": (
        dict(GOOGLE, guid="", ptime="61234", ctime="70000", email="", comments_="it froze",
             Comments="it froze", UptimeTS="61.234"), ["Email"],
        ["dialect: google", "Removed Email from raw crash."], {MAIN: made.DUMP}),
    "breakpad-windows": (dict(GOOGLE, comments="it froze", Comments="it froze"), [],
                         ["delimiter without line break", "dialect: google"], {MAIN: made.DUMP}),
    "breakpad-mac": (
        dict(GOOGLE, guid=made.GUID, ptime="61234", comments="it%20froze", Comments="it%20froze",
             UptimeTS="61.234"), ["Email"],
        ["delimiter without line break", "dialect: google", "Removed Email from raw crash."],
        {MAIN: made.DUMP, "log": made.LOG}),
    # The sender's line break before the end marker falls to the last value; the copy is mended.
    "breakpad-mac-log": (dict(GOOGLE, type="log", ver="1.2.3\r\n"), [], ["dialect: google"], {}),
    "crashpad": (
        {"prod": "Demo_Linux", "ver": "108.0.5359.94", "ProductName": "Demo_Linux",
         "Version": "108.0.5359.94", "ptype": "renderer", "ProcessType": "renderer", "plat": "Linux",
         "guid": made.GUID, "list_annotations": "one\ntwo\n100%22", "pid": "4711",
         "lsb-release": "Debian GNU/Linux 12", "osarch": "x86_64"}, [],
        unknown(MAIN) + ["dialect: google"], {MAIN: made.DUMP}),
    "electron": (
        {"ProductName": "Notes", "Version": "3.4.5", "prod": "Electron", "ver": "28.1.0",
         "ProcessType": "browser", "extra_1": "a", "extra_2": "b", "platform": "linux"}, [],
        unknown(MAIN) + ["dialect: google", "dialect: electron"], {MAIN: made.DUMP}),
    "electron-nested": ({"ProductName": "Notes", "Version": "1.0"}, ["prod"],
                        [f"dump is itself a form, its minidump taken: {MAIN}", "dialect: electron"],
                        {MAIN: made.DUMP}),
    "firefox-client": (dict(FIREFOX, SubmittedFrom="Client", Throttleable="1"), [], [],
                       {MAIN: made.DUMP, "memory_report": made.DUMP}),
    "firefox-browser": (dict(made.EXTRA, SubmittedFrom="AboutCrashes"), [],
                        [f"dump without minidump magic: {MAIN}_browser"]
                        + unknown("memory_report", ctype="application/gzip"),
                        {MAIN: made.DUMP, MAIN + "_browser": made.DUMP[::-1],
                         "memory_report": made.gzip.compress(b"{}", mtime=0)}),
    "fenix": ({"ProductName": "Fenix", "Android_PackageName": "org.mozilla.firefox"}, [], [],
              {MAIN: made.DUMP}),
    "sentry-crashpad": (
        dict(SENTRY, guid=made.GUID), ["sentry[tags][origin]"],
        SENTRY_NOTES,
        {MAIN: made.DUMP, "__sentryevent": made.msgpack(made.SENTRY_EVENT),
         "__sentrybreadcrumb1": made.msgpack({"message": "clicked", "level": "info"}),
         "__sentrybreadcrumb2": b""}),
    "sentry-form": (dict(SENTRY, ReleaseChannel="beta"), ["sentry[environment]"], SENTRY_NOTES,
                    {MAIN: made.DUMP}),
    "sentry-chunks": (SENTRY, ["sentry__1", "sentry__16"], SENTRY_NOTES, {MAIN: made.DUMP}),
    "sentry-raw": ({"ProductName": "42"}, ["SentryEventId"], ["dialect: sentry"],
                   {MAIN: made.DUMP}),
    "sentry-envelope": (SENTRY, ["sentry[event_id]"], SENTRY_NOTES,
                        {MAIN: made.DUMP, "applog": b"hello"}),
    "stage-submitter": (made.EXTRA, [], [], {MAIN: made.DUMP}),
}


@pytest.fixture(scope="module", autouse=True)
def endpoints(instance):
    instance.shared_conf(CONF)
    yield
    instance.shared_conf("")


def id_of(name, status, headers, body):
    """The crash id that this dialect's reply names."""
    assert status == 200, body
    if not name.startswith("sentry"):
        assert headers["content-type"].startswith("text/plain")
        if name == "breakpad-google":
            assert CRASH_ID.match(f"CrashID=bp-{body}\n")
            return body
        assert CRASH_ID.match(body) or name == "stage-submitter"
        return body.strip()[len("CrashID=bp-"):]
    if name == "sentry-envelope":
        assert json.loads(body) == {"id": made.EVENT_ID}
    elif name == "sentry-raw":
        assert body == headers["x-crash-id"][3:]
    else:
        assert body == SENTRY["SentryEventId"]
    return headers["x-crash-id"][len("bp-"):]


@pytest.mark.parametrize("name", sorted(p.stem for p in HERE.glob("*.http")))
def test_exchange(stack, name):
    if name == "crashpad-plain":
        expected = EXPECTED["crashpad"]
    else:
        expected = EXPECTED[name]       # a new recording needs a row
    annotations, absent, notes, dumps = expected
    crash_id = id_of(name, *exchange(stack, (HERE / f"{name}.http").read_bytes()))
    raw = raw_crash(stack, crash_id)
    assert annotations.items() <= {k: v for k, v in raw.items() if isinstance(v, str)}.items()
    assert not set(absent) & set(raw)
    meta = raw["metadata"]
    assert meta["collector_notes"] == notes
    assert meta["dump_checksums"] == {k: hashlib.sha256(v).hexdigest() for k, v in dumps.items()}
    for dump_name, data in dumps.items():
        assert dump(stack, crash_id, dump_name) == data
    line, headers, body = made.parse((HERE / f"{name}.http").read_bytes())
    assert meta["payload_size"] == len(body)
    assert meta["payload_compressed"] == ("1" if "content-encoding" in headers else "0")
    assert meta["user_agent"] == headers.get("user-agent", "None")


def test_recordings_are_what_make_writes():
    """The synthetic ones can be made again, byte by byte."""
    for name, build in made.EXCHANGES.items():
        assert (HERE / f"{name}.http").read_bytes() == build(), name


def test_no_full_path_is_kept(stack):
    """Breakpad on Windows sends the path of the dump, with the user's name in it."""
    data = (HERE / "breakpad-windows.http").read_bytes()
    assert b"Jane Doe" in data
    crash_id = id_of("x", *exchange(stack, data))
    with container(stack, crash_id) as zip_file:
        for name in zip_file.namelist():
            assert b"Jane" not in zip_file.read(name)
    assert "Jane Doe" not in (stack.dir / "logs" / "error_log").read_text(errors="replace")


# ---- salvage submit speaks as they do ----

# dialect: its path if any, annotations that come of ProductName=Demo Version=1.2 Comments=x
DIALECTS = {
    "plain": ("", {"Comments": "x"}, []),
    "breakpad-linux": ("", {"prod": "Demo", "comments": "x"}, ["dialect: google"]),
    "breakpad-windows": ("", {"prod": "Demo"},
                         2 * ["delimiter without line break"] + ["dialect: google"]),
    "breakpad-mac": ("", {"prod": "Demo"}, ["delimiter without line break", "dialect: google"]),
    "crashpad": ("", {"prod": "Demo"}, unknown(MAIN, "log") + ["dialect: google"]),
    "electron": ("", {"_productName": "Demo", "prod": "Electron"},
                 unknown(MAIN, "log") + ["dialect: google", "dialect: electron"]),
    "firefox": ("", {"Comments": "x"}, []),
    "sentry": ("", {}, ["dialect: sentry"]),
    "sentry-envelope": ("", {}, ["dialect: sentry"]),
    "mini-breakpad": ("", {"prod": "Demo"}, ["dialect: google"]),
    "breakpad-google": ("/cr/report", {"prod": "Demo"}, ["dialect: google"]),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_submit_dialects(stack, tmp_path, dialect):
    path, annotations, notes = DIALECTS[dialect]
    (tmp_path / "crash.dmp").write_bytes(made.DUMP)
    log = b"a log"      # one that ended in a line break would lose it where no other follows
    (tmp_path / "log.txt").write_bytes(log)
    done = stack.salvage("submit", "--server", stack.url + path, "--dialect",
                         "breakpad-linux" if path else dialect, "-a", "ProductName=Demo",
                         "-a", "Version=1.2", "-a", "Comments=x", "-d", tmp_path / "crash.dmp",
                         "-d", f"log={tmp_path / 'log.txt'}")
    assert CRASH_ID.match(done.stdout)
    crash_id = done.stdout.strip()[len("CrashID=bp-"):]
    raw = raw_crash(stack, crash_id)
    want = dict(annotations, ProductName="Demo", Version="1.2")
    assert want.items() <= {k: v for k, v in raw.items() if isinstance(v, str)}.items()
    assert raw["metadata"]["collector_notes"] == notes
    assert dump(stack, crash_id) == made.DUMP and dump(stack, crash_id, "log") == log
    packed = dialect in ("crashpad", "electron")
    assert raw["metadata"]["payload_compressed"] == ("1" if packed else "0")
    assert raw["metadata"]["payload"] == ("json" if dialect == "firefox" else "multipart")


def test_submit_many(stack, tmp_path):
    (tmp_path / "crash.dmp").write_bytes(made.DUMP)
    done = stack.salvage("submit", "--server", stack.url, "-a", "ProductName=Demo", "-d",
                         tmp_path / "crash.dmp", "--count", "30", "--jobs", "4", "--dialect",
                         "crashpad")
    lines = done.stdout.splitlines()
    assert len(set(lines)) == 30 and done.stderr == "30 accepted, 0 failed\n"
    assert all(dump(stack, line[len("CrashID=bp-"):]) == made.DUMP for line in lines[::10])


def test_submit_own_id(stack):
    uuid = "2e2bb258-cbbf-4589-a673-34f800160918"
    args = ["submit", "--server", stack.url, "-a", "a=1", "--uuid", uuid]
    done = stack.salvage(*args, "--token", TOKEN)
    assert done.stdout == f"CrashID=bp-{uuid}\n"
    done = stack.salvage(*args, check=False)
    assert done.returncode == 1 and "401 Discarded=unauthorized_uuid" in done.stderr


@pytest.mark.parametrize("args,words", [
    (["--dialect", "klingon"], "none of plain, breakpad-linux"), (["--count", "0"], "not a number"),
    (["--jobs", "1000"], "not a number in 1..256"), (["--uuid", "x", "--count", "2"], "sent once"),
    (["file"], "not an option")])
def test_submit_usage(stack, args, words):
    done = stack.salvage("submit", "--server", stack.url, "-a", "a=1", *args, check=False)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_compressed_dump_is_processed(stack, top):
    """The processor unpacks it; the store keeps what came."""
    plain = (top / "tests/data/crashes/crasher_cpp.dmp").read_bytes()
    packed = made.gzip.compress(plain)
    crash_id = stack.submit(dump=packed)
    processed = stack.wait_processed(crash_id)
    assert processed["mdsw_status_string"] == "OK"
    assert processed["json_dump"]["crash_info"]["type"].startswith("SIG")
    assert f"MinidumpStackwalkRule: {MAIN} was compressed with gzip" in processed["processor_notes"]
    assert dump(stack, crash_id) == packed
