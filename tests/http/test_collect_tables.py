"""The collector's specification, row by row: sections 1, 2 (order, transports, headers), 4.1, 5 and 13.

What a part of the form becomes (3.2, 3.3) is in tests/unit/test_intake.c, Content-Type in
tests/unit/test_form_type.c; what test_collect.py has already is not repeated here.
"""
import gzip
import json
import re
import socket
import subprocess
import time
import urllib.parse

import pytest
import requests

from instance import free_port
from reports import (BODY, BOUNDARY, END, FORM, TOKEN, accepted, dump, part, post, raw_crash,
                     raw_request, refused, stored)

CONF = f"""
CrashSubmitToken {TOKEN}
CrashMaxInFlight 64
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
Protocols h2c http/1.1
RequestReadTimeout body=2,MinRate=500
LogLevel crash_collect:info
<Location "/fake">
    SetHandler crash-collect
    CrashThrottleDefault fakeaccept
</Location>
<Location "/reject">
    SetHandler crash-collect
    CrashThrottleDefault reject
    CrashStopSendingReportsFor Demo 1.0
    CrashViewURL Demo https://crash.example.com/report/index/
</Location>
<Location "/defer">
    SetHandler crash-collect
    CrashThrottleDefault defer
</Location>
<Location "/id">
    SetHandler crash-collect
    CrashReplyStyle id
</Location>
<Location "/kind">
    SetHandler crash-collect
    CrashRejectStatus 200
</Location>
<Location "/opted">
    SetHandler crash-collect
    CrashViewURL Demo https://crash.example.com/report/index/
    CrashStopSendingReportsFor Demo 0.9
    CrashStopSendingReportsFor Demo 1.0
    CrashStoreAddress on
</Location>
<Location "/over">
    SetHandler crash-collect
    CrashAllowOverwrite on
</Location>
<Location "/google">
    SetHandler crash-collect
    CrashRemoveAnnotation email guid comments_
</Location>
<LocationMatch "^/api/[^/]+/(?:minidump|envelope|upload)/?$">
    SetHandler crash-sentry
</LocationMatch>
"""


@pytest.fixture(scope="module", autouse=True)
def locations(instance):
    instance.shared_conf(CONF)
    yield
    instance.shared_conf("")


def form(*parts):
    return b"".join(parts) + END


def head_of(stack, headers, method="POST /submit HTTP/1.1"):
    return f"{method}\nHost: x\n" + "".join(f"{k}: {v}\n" for k, v in headers.items())


# ---- 1: endpoints ----

@pytest.mark.parametrize("path", ["/submit", "/submit/", "/submit?x=y", "/post", "/cr", "/cr/report"])
def test_paths(stack, path):
    accepted(post(stack, path=path))


@pytest.mark.parametrize("path", ["/submit", "/post", "/cr"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_other_method_looks_like_success(stack, method, path):
    r = requests.request(method, stack.url + path, timeout=30)
    assert (r.status_code, r.headers["Allow"]) == (405, "POST, OPTIONS")
    assert r.headers["Content-Type"].startswith("text/plain")


def test_no_redirect_and_no_cookie(stack):
    for path in ("/submit", "/submit/", "/cr/report"):
        r = post(stack, path=path)
        assert r.history == [] and "Set-Cookie" not in r.headers
        assert not [h for h in r.headers if h.lower().startswith("access-control")]


# ---- 2: order of the steps: what is wrong twice is told as the earlier step ----

@pytest.mark.parametrize("headers,body,status,text", [
    ({"Content-Encoding": "br"}, b"", 400, "Discarded=malformed_no_content_type"),
    ({"Content-Type": "text/plain", "Content-Length": "0"}, b"", 400,
     "Discarded=malformed_wrong_content_type"),
    ({"Content-Type": "multipart/form-data", "Content-Length": "0"}, b"", 400,
     "Discarded=malformed_no_boundary"),
    ({"Content-Type": FORM, "Content-Length": "0", "Content-Encoding": "gzip"}, b"", 400,
     "Discarded=malformed_no_content_length"),
    ({"Content-Type": FORM, "Content-Length": "4", "Content-Encoding": "gzip"}, b"junk", 400,
     "Discarded=malformed_bad_gzip"),
], ids=["type", "wrong type", "boundary", "length", "gzip"])
def test_order_of_checks(stack, headers, body, status, text):
    answer = raw_request(stack, head_of(stack, dict(headers, Connection="close")), body)
    assert f" {status} " in answer.split(b"\r\n")[0].decode()
    assert answer.endswith(b"\r\n\r\n" + text.encode())


@pytest.mark.parametrize("path,digit", [("/reject", None), ("/fake", None), ("/defer", "1")])
def test_uuid_is_authorised_after_the_throttler_and_before_its_answer(stack, path, digit):
    body = form(part("a", "1"), part("uuid", "de1bb258-cbbf-4589-a673-34f800160918"))
    refused(post(stack, body, path=path), 401, "Discarded=unauthorized_uuid")


def test_client_cannot_set_our_keys(stack):
    body = form(part("a", "1"), part("metadata", "x"), part("submitted_timestamp", "2001"),
                part("version", "9"), part("Version", "2.0"))
    raw = raw_crash(stack, accepted(post(stack, body)))
    assert raw["version"] == 2 and raw["Version"] == "2.0"
    assert raw["metadata"]["payload"] == "multipart" and raw["submitted_timestamp"] != "2001"


def test_json_and_fields(stack):
    body = form(part("extra", '{"a": "1", "b": "2"}', "extra.json", "application/json"),
                part("b", "3"))
    raw = raw_crash(stack, accepted(post(stack, body)))
    assert (raw["a"], raw["b"], raw["metadata"]["payload"]) == ("1", "3", "json")
    assert raw["metadata"]["collector_notes"] == [
        "includes annotations in both json-encoded extra and formdata parts"]


def test_user_agent_absent(stack):
    answer = raw_request(stack, head_of(stack, {"Content-Type": FORM, "Connection": "close",
                                                "Content-Length": len(BODY)}), BODY)
    crash_id = answer.decode().strip()[-36:]
    assert raw_crash(stack, crash_id)["metadata"]["user_agent"] == "None"


# ---- 2.2: transports ----

def chunks(body, size):
    out = b""
    for i in range(0, len(body), size):
        out += b"%x;name=value\r\n" % len(body[i:i + size]) + body[i:i + size] + b"\r\n"
    return out + b"0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_chunks(stack, size):
    """Every delimiter is cut at every place; extensions and trailers are read over."""
    answer = raw_request(stack, head_of(stack, {"Content-Type": FORM, "Connection": "close",
                                                "Transfer-Encoding": "chunked"}),
                         chunks(BODY, size))
    assert b"\r\n\r\nCrashID=bp-" in answer
    crash_id = answer.decode().strip()[-36:]
    assert dump(stack, crash_id) == b"MDMP1234"
    assert raw_crash(stack, crash_id)["metadata"]["payload_size"] == len(BODY)


def test_nothing_hides_behind_a_length(stack):
    """With chunks beside it the request is refused, and what follows is no request."""
    answer = raw_request(stack, head_of(stack, {"Content-Type": FORM, "Content-Length": 5,
                                                "Transfer-Encoding": "chunked"}),
                         chunks(BODY, 50) + b"GET /submit HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1 and answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_http_2(stack, coding):
    """One stream after another; curl sends no length with -T."""
    body = gzip.compress(BODY) if coding else BODY
    for how in (["--data-binary", "@-"], ["-T", "-", "-X", "POST"]):
        done = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "-H", f"Content-Type: {FORM}",
             *(["-H", f"Content-Encoding: {coding}"] if coding else []), *how, "-w",
             "%{http_version} %{http_code}", stack.url + "/submit"],
            input=body, capture_output=True, timeout=60)
        text = done.stdout.decode()
        assert text.startswith("CrashID=bp-") and text.endswith("\n2 200"), (text, done.stderr)
        assert dump(stack, text.split("\n")[0][-36:]) == b"MDMP1234"


def test_http_1_0_keeps_no_connection(stack):
    answer = raw_request(stack, f"POST /submit HTTP/1.0\nContent-Type: {FORM}\n"
                         f"Content-Length: {len(BODY)}\n", BODY)
    assert b"\r\nContent-Length: 48\r\n" in answer and b"CrashID=bp-" in answer


@pytest.mark.parametrize("sent", ["length", "chunked"])
def test_late_body(stack, sent):
    """Part of the body and then nothing: 408, nothing stored."""
    before = stored(stack)
    framing = {"Content-Length": len(BODY)} if sent == "length" else {"Transfer-Encoding": "chunked"}
    body = BODY[:-20] if sent == "length" else chunks(BODY, 50)[:-40]
    answer = raw_request(stack, head_of(stack, dict(framing, **{"Content-Type": FORM})), body)
    assert b" 408 " in answer.split(b"\r\n")[0], answer
    assert stored(stack) == before


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_413_can_be_read_by_a_client_that_is_still_sending(stack, framing):
    """The client writes everything before it reads: the answer must outlive that."""
    size = 26214400 + 3000000
    url = urllib.parse.urlsplit(stack.url)
    head = head_of(stack, dict({"Content-Length": size} if framing == "length"
                               else {"Transfer-Encoding": "chunked"}, **{"Content-Type": FORM}))
    start = part("a", "1") + part("f", b"", "f", "application/octet-stream")[:-2]
    with socket.create_connection((url.hostname, url.port), timeout=30) as s:
        s.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        sent, piece = 0, start
        try:
            while sent < size:
                s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if framing == "chunked" else piece)
                sent += len(piece)
                piece = bytes(65536)
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail(f"the connection went away after {sent} bytes")
        answer = b""
        while b"too_large" not in answer:
            got = s.recv(65536)
            assert got, answer
            answer += got
    assert b" 413 " in answer.split(b"\r\n")[0]


def test_expect_is_refused_before_the_body(stack):
    for extra, status in (({"Content-Type": "text/plain"}, 400), ({"Content-Type": FORM,
                          "Content-Encoding": "br"}, 415)):
        answer = raw_request(stack, head_of(stack, dict(
            extra, Expect="100-continue", **{"Content-Length": len(BODY)})))
        assert f" {status} ".encode() in answer.split(b"\r\n")[0]
        assert b"100 Continue" not in answer


# ---- 2.3: encodings ----

@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "compress"])
def test_unsupported_codings(stack, coding):
    r = post(stack, BODY, Content_Encoding=coding)
    refused(r, 415, "Discarded=malformed_unsupported_encoding")
    assert r.headers["X-Crash-Reason"] == "malformed_unsupported_encoding"


def test_identity(stack):
    accepted(post(stack, Content_Encoding="identity"))


@pytest.mark.parametrize("packed", [
    gzip.compress(BODY) + b"\x1f", gzip.compress(BODY) + b"\x1f\x8b",
    gzip.compress(BODY) + b"\x1f\x8b\x07junk", gzip.compress(BODY) + bytes(1000),
    gzip.compress(b"") + gzip.compress(BODY), gzip.compress(BODY) + gzip.compress(b"after the end"),
    b"".join(gzip.compress(BODY[i:i + 1]) for i in range(len(BODY)))],
    ids=["1 byte", "2 bytes", "other method", "zeros", "empty first", "second", "a member a byte"])
def test_gzip_members(stack, packed):
    assert dump(stack, accepted(post(stack, packed, Content_Encoding="gzip"))) == b"MDMP1234"


@pytest.mark.parametrize("packed", [
    b"\x1f", gzip.compress(BODY)[:20], gzip.compress(BODY)[:-1],
    gzip.compress(BODY) + gzip.compress(BODY)[:30],
    gzip.compress(BODY)[:-4] + b"\0\0\0\0"],
    ids=["1 byte", "cut early", "cut late", "second cut", "size"])
def test_bad_gzip(stack, packed):
    refused(post(stack, packed, Content_Encoding="gzip"), 400, "Discarded=malformed_bad_gzip")


def test_boundary_in_raw_bytes(stack):
    boundary = b"gr\xfc\xdfe-0123456789"
    body = BODY.replace(BOUNDARY.encode(), boundary)
    url = urllib.parse.urlsplit(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=20) as s:
        s.sendall(b"POST /submit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
                  b"multipart/form-data; boundary=" + boundary
                  + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    assert b"\r\n\r\nCrashID=bp-" in answer


# ---- 4.1: replies ----

REPLY_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@pytest.mark.parametrize("path,body,status", [
    ("/submit", BODY, 200), ("/fake", BODY, 200), ("/reject", BODY, 200), ("/submit", b"x", 400),
    ("/submit", form(part("a", "1"), part("uuid", "x")), 401)],
    ids=["accept", "fakeaccept", "reject", "malformed", "unauthorised"])
def test_reply_headers(stack, path, body, status):
    r = post(stack, body, path=path, Accept_Encoding="gzip, deflate, br")
    assert r.status_code == status
    assert REPLY_HEADERS.items() <= r.headers.items()
    assert int(r.headers["Content-Length"]) == len(r.content) > 0
    assert "Content-Encoding" not in r.headers and "Strict-Transport-Security" not in r.headers


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_strict_transport_security_on_tls(stack):
    port, key, cert = free_port(), stack.dir / "tls.key", stack.dir / "tls.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    stack.error_log.expect("AH01873|AH01906|AH01909|AH02292")
    stack.httpd_conf(CONF + f"""
<IfModule !ssl_module>
    LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
</IfModule>
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    SSLEngine on
    SSLCertificateFile {cert}
    SSLCertificateKeyFile {key}
</VirtualHost>
""")
    for body, status in ((BODY, 200), (b"x", 400)):
        r = requests.post(f"https://127.0.0.1:{port}/submit", data=body, timeout=30, verify=False,
                          headers={"Content-Type": FORM})
        assert r.status_code == status
        assert r.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_only_the_id_by_default(stack):
    assert post(stack).text.count("\n") == 1 and post(stack).text.count("=") == 1


def test_reply_style_id(stack):
    r = post(stack, path="/id")
    assert re.fullmatch(r"[0-9a-f-]{29}0\d{6}", r.text)
    raw_crash(stack, r.text)


def test_opted_lines(stack):
    r = post(stack, path="/opted")
    crash_id = r.text.split("\n")[0][len("CrashID=bp-"):]
    assert r.text == (f"CrashID=bp-{crash_id}\n"
                      f"ViewURL=https://crash.example.com/report/index/{crash_id}\n"
                      "StopSendingReportsFor=1.0\n")
    other = form(part("ProductName", "Other"), part("Version", "1.0"))
    assert accepted(post(stack, other, path="/opted"))
    newer = form(part("ProductName", "Demo"), part("Version", "1.1"))
    assert "StopSending" not in post(stack, newer, path="/opted").text
    r = post(stack, path="/reject")
    assert re.fullmatch(r"Discarded=rule_\w+\nStopSendingReportsFor=1.0\n", r.text)


def test_rejected_by_a_rule(stack):
    before = stored(stack)
    r = post(stack, form(part("ProductName", "Other")), path="/reject")
    assert r.status_code == 200 and re.fullmatch(r"Discarded=rule_\w+", r.text)
    assert stored(stack) == before


@pytest.mark.parametrize("agent,query,status", [
    ("Crashpad/0.8.0 libcurl/7.88", "", 200), ("curl/7.88", "", 400),
    ("Demo/1 libcurl/7", "?product=Demo&guid=x", 200)])
def test_crashpad_is_not_asked_to_come_again(stack, agent, query, status):
    r = post(stack, iter([b"no form"]), path="/kind" + query, User_Agent=agent)
    refused(r, status, "Discarded=malformed_invalid_payload_structure")
    r = post(stack, iter([b"no form"]), path="/submit" + query, User_Agent=agent)
    refused(r, 400, "Discarded=malformed_invalid_payload_structure")


# ---- 4.2: what is kept of the client ----

def test_address(stack):
    assert "address" not in raw_crash(stack, accepted(post(stack)))["metadata"]
    r = post(stack, path="/opted")
    raw = raw_crash(stack, r.text.split("\n")[0][len("CrashID=bp-"):])
    assert raw["metadata"]["address"] == "127.0.0.0/24"
    assert "127.0.0.1" not in json.dumps(raw)


def test_forwarded_for_is_not_believed(stack):
    r = post(stack, path="/opted", X_Forwarded_For="192.0.2.7", X_Real_Ip="192.0.2.8")
    raw = raw_crash(stack, r.text.split("\n")[0][len("CrashID=bp-"):])
    assert "192.0.2" not in json.dumps(raw)


def test_removed_by_directive(stack):
    body = form(part("prod", "Demo"), part("email", "a@b"), part("guid", "g"), part("comments_", "c"),
                part("Email", "kept here"))
    raw = raw_crash(stack, accepted(post(stack, body, path="/google")))
    assert not {"email", "guid", "comments_"} & set(raw) and raw["Email"] == "kept here"
    assert "Removed guid from raw crash." in raw["metadata"]["collector_notes"]


# ---- 5: ids ----

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize("value", ["7", "null", "true", "[]", '{"a": 1}'])
def test_uuid_that_is_no_string(stack, value):
    body = form(part("extra", f'{{"a": "1", "uuid": {value}}}', "e", "application/json"))
    if value == "null":     # absent, with a note
        accepted(post(stack, body))
        return
    refused(post(stack, body), 401, "Discarded=unauthorized_uuid")
    refused(post(stack, body, **BEARER), 400, "Discarded=malformed_invalid_uuid")


@pytest.mark.parametrize("header", [f"bearer {TOKEN}", f"Bearer  {TOKEN}", f"Token {TOKEN}",
                                    "Bearer", f"Bearer {TOKEN[:-1]}", "Bearer \xe4\xf6"])
def test_token_forms(stack, header):
    body = form(part("a", "1"), part("uuid", "de1bb258-cbbf-4589-a673-34f800160918"))
    answer = requests.post(stack.url + "/submit", data=body, timeout=30, headers={
        "Content-Type": FORM, "Authorization": header.encode("latin-1")})
    refused(answer, 401, "Discarded=unauthorized_uuid")


@pytest.mark.parametrize("tail", ["\n", "\x00", " "], ids=["LF", "NUL", "blank"])
def test_uuid_with_something_behind_it(stack, tail):
    body = form(part("a", "1"), part("uuid", "de1bb258-cbbf-4589-a673-34f800160918" + tail))
    r = post(stack, body, **BEARER)
    refused(r, 400, "Discarded=malformed_invalid_uuid")


def test_overwrite(stack):
    uuid = "0b0b0b0b-cbbf-4589-a673-34f800160918"

    def send(path, value):
        body = form(part("a", value), part("uuid", uuid),
                    part("upload_file_minidump", b"MDMP" + value.encode(), "x.dmp",
                         "application/octet-stream"))
        return accepted_any(post(stack, body, path=path, **BEARER), uuid)

    send("/submit", "1")
    send("/submit", "2")
    assert raw_crash(stack, uuid)["a"] == "1" and dump(stack, uuid) == b"MDMP1"
    send("/over", "3")
    assert raw_crash(stack, uuid)["a"] == "3" and dump(stack, uuid) == b"MDMP3"
    stack.salvage("sweep", "--pending")
    assert raw_crash(stack, uuid)["a"] == "3"
    assert not [p for p in (stack.store / "pending").iterdir() if uuid in p.name]


def accepted_any(response, uuid):
    assert (response.status_code, response.text) == (200, f"CrashID=bp-{uuid}\n")


def test_token_file(stack, tmp_path):
    path = stack.dir / "submitter-token"
    path.write_text("token-of-the-file-0123\nsecond line\n")
    path.chmod(0o600)
    stack.httpd_conf(f"CrashSubmitterTokenFile {path}")
    body = form(part("a", "1"), part("uuid", "1e1bb258-cbbf-4589-a673-34f800160918"))
    accepted_any(post(stack, body, Authorization="Bearer token-of-the-file-0123"),
                 "1e1bb258-cbbf-4589-a673-34f800160918")
    refused(post(stack, body, **BEARER), 401, "Discarded=unauthorized_uuid")


# ---- 13: bounded work, nothing written, logged once ----

def memory(pids, anew=False):
    """Largest peak of resident memory of these processes, in KiB; anew: the peak begins now."""
    peak = 0
    for pid in pids:
        if anew:
            with open(f"/proc/{pid}/clear_refs", "w") as f:
                f.write("5")
        with open(f"/proc/{pid}/status") as f:
            peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)))
    return peak


def refusals_logged(stack, before):
    text = (stack.dir / "logs" / "error_log").read_text(errors="replace")[before:]
    return text.count("SAL1011")


def log_size(stack):
    return len((stack.dir / "logs" / "error_log").read_text(errors="replace"))


HOSTILE = {
    "parts by the hundred thousand": (lambda: b"".join(part(f"k{i}", "") for i in range(5000)) * 50 + END, {},
                        413, "too_large"),
    "a 1,000:1 bomb": (lambda: gzip.compress(part("a", "1")) + gzip.compress(bytes(64 << 20)) * 4,
                       {"Content-Encoding": "gzip"}, 413, "too_large"),
    "a bomb in a part": (lambda: gzip.compress(
        part("a", "1") + part("f", b"", "f", "application/octet-stream")[:-2])
        + gzip.compress(bytes(64 << 20)) * 4, {"Content-Encoding": "gzip"}, 413, "too_large"),
    "a million empty members": (lambda: gzip.compress(b"") * 1000000, {"Content-Encoding": "gzip"},
                                400, "invalid_payload_structure"),
    "near delimiters": (lambda: part("a", "1")[:-2] + f"\r\n--{BOUNDARY[:-1]}".encode() * 900000,
                        {}, 400, "invalid_payload_structure"),
    "deep JSON": (lambda: form(part("e", '{"a":' + "[" * 5000000, "e", "application/json")), {}, 400,
                  "invalid_json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies(stack, name):
    make, headers, status, reason = HOSTILE[name]
    body = make()
    accepted(post(stack))
    before, peak, size = stored(stack), memory(stack.children("httpd"), anew=True), log_size(stack)
    began = time.monotonic()
    r = requests.post(stack.url + "/submit", data=body, timeout=120,
                      headers=dict(headers, **{"Content-Type": FORM}))
    refused(r, status, f"Discarded=malformed_{reason}")
    assert time.monotonic() - began < 60        # bounded; not a figure
    assert stored(stack) == before
    assert memory(stack.children("httpd")) - peak < 24 * 1024
    assert refusals_logged(stack, size) == 1


def test_a_million_annotations_in_json(stack):
    """They are read, the first 4096 are kept, one note says so; the process does not keep them."""
    body = form(part("e", "{" + ",".join(f'"k{i}":""' for i in range(1000000)) + "}", "e",
                     "application/json"))
    accepted(post(stack))
    peak = memory(stack.children("httpd"), anew=True)
    r = post(stack, body)
    raw = raw_crash(stack, accepted(r))
    assert sum(k.startswith("k") for k in raw) == 4096
    assert raw["metadata"]["collector_notes"] == ["annotations over 4096 were dropped"]
    assert memory(stack.children("httpd")) - peak < 128 * 1024


# ---- 12.6: Sentry's endpoints ----

def sentry(stack, body, ctype=FORM, path="/api/42/minidump/", **headers):
    return post(stack, body, ctype, path, **headers)


@pytest.mark.parametrize("body,ctype,status,cause", [
    (form(part("sentry", "{}")), FORM, 400, "malformed_no_minidump"),
    (b"junk", FORM, 400, "malformed_invalid_payload_structure"),
    (b"", "application/x-dmp", 400, "malformed_no_content_length"),
    (BODY, "text/plain", 400, "malformed_wrong_content_type"),
    (BODY, None, 400, "malformed_no_content_type"),
], ids=["no minidump", "junk", "empty", "wrong type", "no type"])
def test_sentry_errors_are_json(stack, body, ctype, status, cause):
    before = stored(stack)
    r = sentry(stack, body, ctype)
    assert r.status_code == status and r.headers["Content-Type"].startswith("application/json")
    assert r.json().keys() == {"detail", "causes"} and r.json()["causes"] == [cause]
    assert stored(stack) == before


def test_sentry_too_large_is_413(stack):
    r = sentry(stack, bytes(26214401), "application/octet-stream")
    assert r.status_code == 413 and r.json()["causes"] == ["malformed_too_large"]


@pytest.mark.parametrize("path,status", [
    ("/api/42/upload/", 404), ("/api/4%2f2/minidump/", 404), ("/api/a%20b/minidump/", 404)])
def test_sentry_other_paths(stack, path, status):
    assert sentry(stack, BODY, path=path).status_code == status


def test_sentry_get(stack):
    assert requests.get(stack.url + "/api/42/minidump/", timeout=30).status_code == 405


def test_sentry_session_envelope(stack):
    before = stored(stack)
    r = sentry(stack, b'{}\n{"type":"session"}\n{"sid":"x"}\n', None, "/api/42/envelope/")
    assert (r.status_code, r.json()) == (200, {})
    assert stored(stack) == before


@pytest.mark.parametrize("line,words", [
    ("CrashReplyStyle xml", "none of socorro, id, sentry"),
    ("CrashRejectStatus 404", "neither 400 nor 200"),
    ("CrashViewURL Demo ftp://x/", "not an http or https URL"),
    ("CrashViewURL Demo https://x/?a=", "without blanks"),
    ("CrashStopSendingReportsFor * 1.0", "expected a product and a version"),
    ("CrashSubmitterTokenFile /nonexistent/token", "cannot be read"),
])
def test_wrong_directives(stack, line, words):
    accepted_it, said = stack.judge_conf(line)
    assert not accepted_it and words in said
