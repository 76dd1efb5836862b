#!/usr/bin/python3
"""Writes the exchanges of senders that cannot run here, byte by byte as their sources build them.

README.md says which these are and where each form comes from; record.sh makes the others.
usage: make.py [DIR]; with --seeds also the fuzzers' seeds, from every *.http beside this file.
"""
import gzip
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
HOST = "crash.example.com"
# Not a dump that can be walked, but one that parsers stumble over: every byte value, line breaks,
# dashes and the beginning of a delimiter.
DUMP = (b"MDMP\x93\xa7\x00\x00" + bytes(range(256)) + b"\r\n--\r\n-----\r\n\r\n" + bytes(64)
        + b"\r\n-----------------------------")
LOG = b"log.tar.bz2: not really\r\n"
GUID = "4f1c2d3e-5a6b-4788-99aa-bbccddeeff00"


def head(path, fields, method="POST", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}"] + [f"{k}: {v}" for k, v in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def sized(path, fields, body):
    return head(path, fields + [("Content-Length", len(body))]) + body


def chunked(path, fields, body, sizes=(1, 4096, 9, 700)):
    out, at, i = b"", 0, 0
    while at < len(body):
        piece = body[at:at + sizes[i % len(sizes)]]
        out += b"%x\r\n" % len(piece) + piece + b"\r\n"
        at += len(piece)
        i += 1
    return head(path, fields + [("Transfer-Encoding", "chunked")]) + out + b"0\r\n\r\n"


def text(boundary, name, value):
    return (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{value}\r\n").encode()


def file(boundary, name, filename, data, ctype="application/octet-stream", end=b"\r\n"):
    typed = f"Content-Type: {ctype}\r\n" if ctype else ""
    return (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{filename}"\r\n{typed}\r\n').encode() + data + end


def end(boundary):
    return f"--{boundary}--\r\n".encode()


def form(boundary):
    return ("Content-Type", f"multipart/form-data; boundary={boundary}")


def breakpad_windows():
    b = 27 * "-" + "4ad8c2f19be03d57"
    path = "C:\\Users\\Jane Doe\\AppData\\Local\\Demo\\" + GUID + ".dmp"
    body = (text(b, "prod", "Demo") + text(b, "ver", "1.2.3") + text(b, "comments", "it froze")
            + file(b, "upload_file_minidump", path, DUMP, end=b"") + end(b))
    return sized("/submit", [form(b), ("User-Agent", "Breakpad/1.0 (Windows)"), ("Host", HOST),
                             ("Connection", "Keep-Alive"), ("Cache-Control", "no-cache")], body)


MAC_AGENT = ("User-Agent", "Demo/1.2.3 CFNetwork/1410.0.3 Darwin/22.6.0")


def breakpad_mac():
    b = 27 * "-" + "00c0ffee12345678"
    fields = [("comments", "it%20froze"), ("email", ""), ("guid", GUID), ("prod", "Demo"),
              ("ptime", "61234"), ("ver", "1.2.3")]
    body = (b"".join(text(b, k, v) for k, v in fields)
            + file(b, "upload_file_minidump", "minidump.dmp", DUMP, end=b"")
            + file(b, "log", "minidump.dmp", LOG, end=b"") + b"\r\n" + end(b))
    return sized(f"/submit?product=Demo&version=1.2.3&guid={GUID}",
                 [("Host", HOST), form(b), ("Accept", "*/*"), MAC_AGENT], body)


def breakpad_mac_log():
    b = 27 * "-" + "00c0ffee12345679"
    body = (text(b, "guid", GUID) + text(b, "prod", "Demo") + text(b, "type", "log")
            + text(b, "ver", "1.2.3") + b"\r\n" + end(b))
    # Without a file nothing stands between the last value and the end marker's own line break.
    return sized(f"/submit?product=Demo&version=1.2.3&guid={GUID}",
                 [("Host", HOST), form(b), ("Accept", "*/*"), MAC_AGENT], body)


def crashpad_body(fields, files):
    b = "---MultipartBoundary-vkSGRxMrlzHIvRmPLTH8fdVTiSxuFYPD---"
    body = b"".join(text(b, k, v) for k, v in sorted(fields.items()))
    body += b"".join(file(b, *f) for f in sorted(files))
    return b, body + end(b)


def crashpad(packed=True):
    fields = {"guid": GUID, "lsb-release": "Debian GNU/Linux 12", "osarch": "x86_64",
              "pid": "4711", "plat": "Linux", "prod": "Demo_Linux", "ptype": "renderer",
              "list_annotations": "one\ntwo\n100%22", "ver": "108.0.5359.94"}
    b, body = crashpad_body(fields, [("upload_file_minidump", GUID + ".dmp", DUMP, None)])
    headers = [("Host", HOST), ("User-Agent", "Demo/108.0 libcurl/7.88.1 Linux/6.1.0 (x86_64)"),
               ("Accept", "*/*"), form(b)]
    if packed:
        headers.append(("Content-Encoding", "gzip"))
        body = gzip.compress(body, mtime=0)
    return chunked(f"/submit?product=Demo_Linux&version=108.0.5359.94&guid={GUID}", headers, body)


def electron():
    fields = {"_companyName": "Example", "_productName": "Notes", "_version": "3.4.5",
              "guid": GUID, "lsb-release": "Debian GNU/Linux 12", "osarch": "x86_64",
              "platform": "linux", "process_type": "browser", "prod": "Electron",
              "ptype": "browser", "ver": "28.1.0", "extra_1": "a", "extra_2": "b"}
    b, body = crashpad_body(fields, [("upload_file_minidump", GUID + ".dmp", DUMP, None)])
    return chunked(f"/post?product=Electron&version=28.1.0&guid={GUID}",
                   [("Host", HOST), ("User-Agent", "Electron/28.1.0 libcurl/8.4.0 Linux/6.1.0 "
                                     "(x86_64)"), ("Accept", "*/*"), form(b),
                    ("Content-Encoding", "gzip")], gzip.compress(body, mtime=0))


def electron_nested():
    inner = "------------------------fedcba9876543210"
    b = "------------------------0123456789abcdef"
    body = (text(inner, "prod", "Electron")
            + file(inner, "upload_file_minidump", "x.dmp", DUMP) + end(inner))
    body = (text(b, "_productName", "Notes") + text(b, "_version", "1.0")
            + file(b, "upload_file_minidump", "crash.dmp", body) + end(b))
    return sized("/submit", [("User-Agent", "Breakpad/1.0 (Linux)"), ("Host", HOST),
                             ("Accept", "*/*"), form(b)], body)


EXTRA = {"ProductName": "Firefox", "Version": "128.0", "ReleaseChannel": "release",
         "BuildID": "20240704121409", "Vendor": "Mozilla", "Throttleable": "0",
         "TelemetryEnvironment": json.dumps({"system": {"os": {"name": "Linux"}}}),
         "StartupCrash": "0", "CrashTime": "1720000000", "Notes": "caf\u00e9 \U0001f4a5"}


def firefox_browser():
    b = "----geckoformboundary4d7e1f7d4b1a3e7a8e1c2b3a4d5e6f70"
    body = (file(b, "extra", "blob", json.dumps(dict(EXTRA, SubmittedFrom="AboutCrashes")).encode(),
                 "application/json")
            + file(b, "upload_file_minidump", GUID + ".dmp", DUMP)
            + file(b, "upload_file_minidump_browser", GUID + "-browser.dmp", DUMP[::-1])
            + file(b, "memory_report", GUID + ".memory.json.gz", gzip.compress(b"{}", mtime=0),
                   "application/gzip") + end(b))
    return sized("/submit", [("Host", HOST), ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:"
                                              "128.0) Gecko/20100101 Firefox/128.0"),
                             ("Accept", "*/*"), ("Accept-Language", "en-US,en;q=0.5"),
                             ("Accept-Encoding", "gzip, deflate"), form(b),
                             ("Connection", "keep-alive")], body)


def fenix():
    b = "AaB03x0123456789abcdef"
    fields = {"ProductName": "Fenix", "ProductID": "{aa3c5121-dab2-40e2-81ca-7ea25febc110}",
              "Version": "128.0", "ReleaseChannel": "release", "Vendor": "Mozilla",
              "Android_PackageName": "org.mozilla.firefox", "Android_Model": "Pixel 7",
              "BuildID": "20240704121409"}
    body = (b"".join(text(b, k, v) for k, v in fields.items())
            + file(b, "upload_file_minidump", GUID + ".dmp", DUMP) + end(b))
    body = gzip.compress(body, mtime=0)
    return sized("/submit", [form(b), ("Content-Encoding", "gzip"), ("Host", HOST),
                             ("User-Agent", "MozacFetch/128.0"), ("Connection", "close")], body)


EVENT_ID = "fc6d8c0c43fc4630ad850ee518f1b9d0"


def msgpack(v):
    if isinstance(v, dict):
        return bytes([0x80 | len(v)]) + b"".join(msgpack(k) + msgpack(x) for k, x in v.items())
    if isinstance(v, list):
        return bytes([0x90 | len(v)]) + b"".join(map(msgpack, v))
    if v is None or isinstance(v, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[v]
    if isinstance(v, float):
        return b"\xcb" + struct.pack(">d", v)
    if isinstance(v, int):
        return b"\xce" + struct.pack(">I", v)
    data = v.encode()
    return (bytes([0xa0 | len(data)]) if len(data) < 32 else b"\xd9" + bytes([len(data)])) + data


SENTRY_EVENT = {"event_id": EVENT_ID, "release": "notes@3.4.5+77", "environment": "staging",
                "level": "fatal", "platform": "native", "dist": "77",
                "user": {"email": "jane@example.com"}, "tags": {"gpu": "none"},
                "sdk": {"name": "sentry.native", "version": "0.7.6"}}
SENTRY_QUERY = "sentry_client=sentry.native/0.7.6&sentry_key=0123456789abcdef0123456789abcdef"


def sentry_crashpad():
    files = [("__sentry-event", "__sentry-event", msgpack(SENTRY_EVENT)),
             ("__sentry-breadcrumb1", "__sentry-breadcrumb1",
              msgpack({"message": "clicked", "level": "info"})),
             ("__sentry-breadcrumb2", "__sentry-breadcrumb2", b""),
             ("upload_file_minidump", GUID + ".dmp", DUMP)]
    b, body = crashpad_body({"guid": GUID, "sentry[tags][origin]": "handler"}, files)
    return chunked(f"/api/42/minidump/?{SENTRY_QUERY}&guid={GUID}",
                   [("Host", HOST), ("User-Agent", "sentry.native/0.7.6"), ("Accept", "*/*"),
                    form(b), ("Content-Encoding", "gzip")], gzip.compress(body, mtime=0))


def sentry_form():
    b = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    body = (text(b, "sentry", json.dumps(SENTRY_EVENT)) + text(b, "sentry[environment]", "beta")
            + file(b, "upload_file_minidump", "crash.dmp", DUMP) + end(b))
    return sized(f"/api/42/minidump/?{SENTRY_QUERY}", [("Host", HOST), form(b)], body)


def sentry_chunks():
    b = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    whole = json.dumps(SENTRY_EVENT)
    pieces = [whole[i:i + 20] for i in range(0, len(whole), 20)]
    body = b"".join(text(b, f"sentry__{i + 1}", p) for i, p in enumerate(pieces))
    body += file(b, "upload_file_minidump", "crash.dmp", DUMP) + end(b)
    return sized(f"/api/42/minidump?{SENTRY_QUERY}", [("Host", HOST), form(b)], body)


def sentry_raw():
    return sized(f"/api/42/minidump/?{SENTRY_QUERY}",
                 [("Host", HOST), ("Content-Type", "application/x-dmp")], DUMP)


def sentry_envelope():
    event = json.dumps(SENTRY_EVENT).encode()
    items = [json.dumps({"dsn": "https://k@crash.example.com/42", "event_id": EVENT_ID}).encode(),
             json.dumps({"type": "event", "length": len(event)}).encode(), event,
             json.dumps({"type": "attachment", "length": len(DUMP), "filename": "minidump.dmp",
                         "attachment_type": "event.minidump"}).encode(), DUMP,
             json.dumps({"type": "attachment", "length": 5,
                         "filename": "C:\\Users\\jane\\app.log"}).encode(), b"hello",
             b'{"type":"session"}', b'{"sid":"x"}']
    return sized("/api/42/envelope/",
                 [("Host", HOST), ("Content-Type", "application/x-sentry-envelope"),
                  ("User-Agent", "sentry.native/0.7.6"),
                  ("X-Sentry-Auth", "Sentry sentry_key=0123456789abcdef, sentry_version=7, "
                   "sentry_client=sentry.native/0.7.6")], b"\n".join(items))


def stage_submitter():
    b = "01659896d5dc42cabd7f3d8a3dcdd3bb"
    extra = dict(EXTRA, uuid="57a6e5ab-cbbf-4589-a673-34f800160918")
    body = (f'--{b}\r\nContent-Disposition: form-data; name="extra"\r\n'
            f"Content-Type: application/json\r\n\r\n{json.dumps(extra)}\r\n").encode()
    body += file(b, "upload_file_minidump", "file.dump", DUMP) + end(b)
    return sized("/submit", [("Host", HOST), ("Content-Type", f"multipart/form-data; boundary={b}"),
                             ("User-Agent", "stage-submitter/2.0"), ("Accept-Encoding", "gzip"),
                             ("Authorization", "Bearer 0123456789abcdef-token")], body)


EXCHANGES = {"breakpad-windows": breakpad_windows, "breakpad-mac": breakpad_mac,
             "breakpad-mac-log": breakpad_mac_log, "crashpad": crashpad,
             "crashpad-plain": lambda: crashpad(False), "electron": electron,
             "electron-nested": electron_nested, "firefox-browser": firefox_browser,
             "fenix": fenix, "sentry-crashpad": sentry_crashpad, "sentry-form": sentry_form,
             "sentry-chunks": sentry_chunks, "sentry-raw": sentry_raw,
             "sentry-envelope": sentry_envelope, "stage-submitter": stage_submitter}


# ---- taking them apart again: for the fuzzers' seeds, and for tests ----

def parse(data):
    """(request line, headers as a dict with lower-case names, body without transfer coding)."""
    top, _, body = data.partition(b"\r\n\r\n")
    line, *rest = top.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, v in (x.split(": ", 1) for x in rest)}
    if headers.get("transfer-encoding") == "chunked":
        out = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            if int(size, 16) == 0:
                return line, headers, out
            out += body[:int(size, 16)]
            body = body[int(size, 16) + 2:]
    return line, headers, body


def seeds(top):
    for path in sorted(HERE.glob("*.http")):
        line, headers, body = parse(path.read_bytes())
        packed = headers.get("content-encoding") == "gzip"
        plain = gzip.decompress(body) if packed else body
        ctype = headers["content-type"]
        put = {"headers": ctype.encode(),
               "gzip": body if packed else gzip.compress(plain, mtime=0)}
        if "user-agent" in headers:
            put["guard"] = headers["user-agent"].encode("latin-1")
        if "boundary=" in ctype:
            put["multipart"] = plain
            blocks = [x.split(b"\r\n\r\n")[0] for x in plain.split(b"\r\nContent-Disposition")[1:]]
            put["headers"] += b"\n" + b"\n".join(b"Content-Disposition" + x for x in blocks[-1:])
        elif "envelope" in ctype:
            put["sentry"] = b"e" + plain
        if b'name="extra"' in plain:
            put["extra_json"] = plain.split(b"application/json\r\n\r\n")[1].split(b"\r\n--")[0]
        for target, data in put.items():
            folder = top / target
            folder.mkdir(exist_ok=True)
            (folder / f"exchange-{path.stem}").write_bytes(data)
    (top / "sentry").mkdir(exist_ok=True)
    (top / "sentry" / "exchange-msgpack").write_bytes(b"m" + msgpack(SENTRY_EVENT))
    (top / "sentry" / "exchange-event").write_bytes(b"j" + json.dumps(SENTRY_EVENT).encode())


def main(args):
    where = pathlib.Path(next((a for a in args if not a.startswith("-")), HERE))
    for name, build in EXCHANGES.items():
        (where / f"{name}.http").write_bytes(build())
    if "--seeds" in args:
        seeds(HERE.parent.parent / "fuzz" / "corpus")


if __name__ == "__main__":
    main(sys.argv[1:])
