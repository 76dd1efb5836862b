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
