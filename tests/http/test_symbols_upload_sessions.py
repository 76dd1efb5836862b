"""Uploads in several requests: Tecken's API v2, tus 1.0, Breakpad's symupload."""
import base64
import gzip
import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import time
import urllib.parse
import zlib

import pytest
import requests
from symbols import ID, archive, counts, stored, sym, upload
from test_symbols import new_id, refused, try_token


def token(stack, **more):
    return dict({"Auth-Token": stack.upload_token}, **more)


def get(stack, key, **params):
    return requests.get(f"{stack.url}/symbols/{key}", params=params, timeout=20)


def noise(size, seed=1):
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


# ---- auth_info ----

def test_auth_info(stack):
    for path in ("/upload/auth_info/", "/upload/auth_info"):
        info = requests.post(stack.url + path, headers=token(stack), timeout=20)
        assert info.status_code == 200
        found = info.json()
        assert found["email"] == "quickstart@localhost" and found["try_symbols"] is False
        assert found["upload_api_version"] == 1 and isinstance(found["user_id"], int)
        assert found["token_expires_at"] > time.time()
    trying = requests.post(stack.url + "/upload/auth_info/", timeout=20,
                           headers={"Auth-Token": try_token(stack)}).json()
    assert trying["try_symbols"] is True and trying["email"] == "try@example.com"


def test_preferred_version(stack):
    """What `salvage token` says is what clients of the token are told, and those of no other."""
    def make(*more):
        return stack.salvage("token", "create", "api@example.com", "-p", "upload_symbols",
                             *more).stdout.strip()

    def told(text):
        return requests.post(stack.url + "/upload/auth_info/", headers={"Auth-Token": text},
                             timeout=20).json()["upload_api_version"]
    one, two = make(), make("--upload-api", "2")
    number = stack.query("select id from api_token where prefix = %s", one[:8])[0][0]
    assert (told(one), told(two)) == (1, 2)
    assert stack.salvage("token", "set", number, "--upload-api", "2").stdout == ""
    assert told(one) == 2
    stack.salvage("token", "set", number, "--upload-api", "1")
    assert (told(one), told(two)) == (1, 2)
    rows = stack.salvage("token", "list", "api@example.com").stdout.splitlines()
    assert [r.split("\t")[-1] for r in rows] == ["upload API", "2", "1"]
    assert stack.query("select detail from audit_log where action = 'token.upload-api' "
                       "and target = %s order by id", str(number)) == [
                           (one[:8] + "...: 2",), (one[:8] + "...: 1",)]


def test_auth_info_refusals(stack):
    url = stack.url + "/upload/auth_info/"
    refused(requests.post(url, timeout=20), 403,
            "This requires an Auth-Token to authenticate the request")
    refused(requests.get(url, timeout=20), 405, "Method Not Allowed (GET): /upload/auth_info/")
    refused(requests.post(url, headers={"Auth-Token": "f" * 64}, timeout=20), 403,
            "API Token not matched")


# ---- v2 ----

def ask(stack, files, headers=None):
    return requests.post(stack.url + "/upload/v2/", json={"files": files}, timeout=30,
                         headers=headers or token(stack))


def claim(key, data):
    return {"key": key, "size": len(data), "md5_hash": hashlib.md5(data).hexdigest()}


def session_url(stack, key, data, headers=None):
    answer = ask(stack, [claim(key, data)], headers)
    assert answer.status_code == 201, answer.text
    action = answer.json()["files"][0]["action"]
    assert action["type"] == "upload", action
    assert action["url"].startswith(stack.url + "/upload/session/")
    return action["url"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"files": 1}', b'{"files": [1]}',
                                  b'{"files": [{"key": "a"}]}',
                                  b'{"files": [{"key": "a", "size": "1", "md5_hash": "x"}]}',
                                  b'{"files": [{"key": "a", "size": 1.5, "md5_hash": "x"}]}',
                                  b'{"files": [{"key": 1, "size": 1, "md5_hash": "x"}]}'])
def test_v2_malformed(stack, body):
    refused(requests.post(stack.url + "/upload/v2/", data=body, headers=token(stack), timeout=20),
            400, "malformed JSON request body")


def test_v2_too_many(stack):
    refused(ask(stack, [claim("x", b"")] * 1025), 400, "too many files")
    assert len(ask(stack, [claim("x", b"")] * 1024).json()["files"]) == 1024


def test_v2_body_too_large(stack):
    r = requests.post(stack.url + "/upload/v2/", data=b" " * (3 << 20), headers=token(stack),
                      timeout=30)
    assert r.status_code == 400


def test_v2_actions(stack):
    known, new = f"k.pdb/{new_id()}/k.sym", f"n.pdb/{new_id()}/n.dl_"
    assert upload(stack, archive({known: sym()})).status_code == 201
    bad_md5 = dict(claim(new, b"x"), md5_hash="A" * 32)
    answer = ask(stack, [claim("../x", b""), bad_md5, claim(known, sym()), claim(known, sym(lines=9)),
                         claim(new, b"x")])
    assert answer.status_code == 201
    doc = answer.json()
    assert doc["upload_protocol"] == "gcs-resumable" and doc["try_symbols"] is False
    assert doc["user"] == "quickstart@localhost" and abs(doc["created_at"] - time.time()) < 60
    actions = [f["action"] for f in doc["files"]]
    assert actions[0] == {"type": "error", "msg": "invalid key"}
    assert actions[1] == {"type": "error", "msg": "invalid MD5 hex digest"}
    assert actions[2] == {"type": "skip"}
    assert actions[3]["type"] == "upload" and actions[3]["content_encoding"] == "gzip"
    assert actions[4]["type"] == "upload" and actions[4]["content_encoding"] is None
    assert [f["key"] for f in doc["files"]] == ["../x", new, known, known, new]


def test_v2_whole_body(stack):
    """A file of each kind, the rows they leave, the upload that is complete when both are there."""
    debug_id = new_id()
    text, key = sym("v.pdb", debug_id, code=("v.dll", "5F3C1A2B12000")), f"v.pdb/{debug_id}/v.sym"
    raw, raw_key = noise(5000), f"v.pdb/{debug_id}/v.pd_"
    doc = ask(stack, [claim(key, text), claim(raw_key, raw)]).json()
    urls = [f["action"]["url"] for f in doc["files"]]

    def completed():
        return stack.query("select completed_at is not null, stored from symbol_upload where id = %s",
                           doc["id"])[0]
    first = requests.put(urls[0], data=gzip.compress(text), headers={"Content-Type": "text/plain"},
                         timeout=30)
    assert first.status_code == 200, first.text
    assert completed() == (False, 1) and get(stack, key).content == text
    assert requests.put(urls[1], data=raw, timeout=30).status_code == 200
    assert completed() == (True, 2) and get(stack, raw_key).content == raw
    assert stack.query("select size, header_file, code_id, md5 from symbol_file where upload_id = %s "
                       "and kind = 'sym'", doc["id"])[0][:3] == (len(text), "v.pdb", "5F3C1A2B12000")
    assert requests.put(urls[0], data=b"again", timeout=30).status_code == 200    # it is complete
    assert ask(stack, [claim(key, text)]).json()["files"][0]["action"] == {"type": "skip"}
    assert not list((stack.symbol_store / "session").iterdir())


def put_range(url, data, first, last, total):
    return requests.put(url, data=data[first:last + 1], timeout=30,
                        headers={"Content-Range": f"bytes {first}-{last}/{total}"})


def state(url, total):
    return requests.put(url, headers={"Content-Range": f"bytes */{total}"}, timeout=30)


def test_v2_resumable(stack):
    """Chunks, a question in between, a chunk twice, one too far ahead."""
    debug_id, step = new_id(), 262144
    data = noise(step * 3 + 777, 2)
    key = f"r.pdb/{debug_id}/r.ex_"
    url = session_url(stack, key, data)
    total = len(data)
    empty = state(url, total)
    assert empty.status_code == 308 and "Range" not in empty.headers
    one = put_range(url, data, 0, step - 1, "*")
    assert (one.status_code, one.headers["Range"]) == (308, f"bytes=0-{step - 1}")
    far = put_range(url, data, 2 * step, 3 * step - 1, total)
    assert (far.status_code, far.headers["Range"]) == (308, f"bytes=0-{step - 1}")
    twice = put_range(url, data, 0, 2 * step - 1, total)        # overlaps what is there
    assert (twice.status_code, twice.headers["Range"]) == (308, f"bytes=0-{2 * step - 1}")
    held = state(url, "*")
    assert (held.status_code, held.headers["Range"]) == (308, f"bytes=0-{2 * step - 1}")
    assert put_range(url, data, 2 * step, total - 1, total + 1).status_code == 400   # contradicts
    assert get(stack, key).status_code == 404
    last = put_range(url, data, 2 * step, total - 1, total)
    assert last.status_code == 200 and get(stack, key).content == data
    assert state(url, total).status_code == 200


@pytest.mark.parametrize("text", ["bytes 5-4/9", "bytes x-4/9", "bytes 0-9/9", "lines 0-4/9",
                                  "bytes 0-4", "bytes 0-4/x", "bytes -1-4/9"])
def test_v2_bad_range(stack, text):
    url = session_url(stack, f"b.pdb/{new_id()}/b.sym", b"123456789")
    r = requests.put(url, data=b"12345", headers={"Content-Range": text}, timeout=20)
    assert r.status_code == 400 and "Content-Range" in r.json()["error"]


@pytest.mark.parametrize("sent,why", [(b"other text 123", "MD5"), (b"short", "size"),
                                      (gzip.compress(b"other text 123"), "MD5"),
                                      (gzip.compress(b"exactly so")[:-5], "damaged"),
                                      (gzip.compress(b"exactly so") + b"more", "damaged")],
                         ids=["other", "short", "other-gzip", "cut", "longer"])
def test_v2_not_what_was_announced(stack, sent, why):
    """400 on the final PUT, nothing published, the session is gone."""
    text = b"exactly this.."
    key = f"m.pdb/{new_id()}/m.sym"
    url = session_url(stack, key, text)
    r = requests.put(url, data=sent, timeout=20)
    assert r.status_code == 400 and why in r.json()["error"]
    assert get(stack, key).status_code == 404
    assert requests.put(url, data=text, timeout=20).status_code == 404


def test_v2_cancel(stack):
    url = session_url(stack, f"c.pdb/{new_id()}/c.sym", b"x")
    assert requests.delete(url, timeout=20).status_code == 499
    assert requests.put(url, data=b"x", timeout=20).status_code == 404


def test_v2_expiry(stack):
    url = session_url(stack, f"e.pdb/{new_id()}/e.sym", b"x")
    put_range(url, b"x" * 9, 0, 4, 9)
    stack.query("update symbol_session set expires_at = now() - interval '1 s'")
    assert requests.put(url, data=b"x", timeout=20).status_code == 410
    assert requests.put(stack.url + "/upload/session/" + "0" * 64, timeout=20).status_code == 404
    assert requests.put(stack.url + "/upload/session/../../x", timeout=20).status_code in (404, 405)


def test_v2_try(stack):
    """Decided by the token alone."""
    key = f"t.pdb/{new_id()}/t.sym"
    answer = ask(stack, [claim(key, sym())], {"Auth-Token": try_token(stack)}).json()
    assert answer["try_symbols"] is True
    url = answer["files"][0]["action"]["url"]
    assert requests.put(url, data=gzip.compress(sym()), timeout=20).status_code == 200
    assert get(stack, key).status_code == 404 and get(stack, key, **{"try": 1}).content == sym()


def test_v2_connection_breaks(stack):
    """What had come stays, and the client is told how much."""
    data = noise(900000, 3)
    key = f"x.pdb/{new_id()}/x.dl_"
    url = urllib.parse.urlparse(session_url(stack, key, data))
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    c.putrequest("PUT", url.path)
    c.putheader("Content-Range", f"bytes 0-{len(data) - 1}/{len(data)}")
    c.putheader("Content-Length", str(len(data)))
    c.endheaders(data[:600000])
    time.sleep(0.3)
    c.close()
    time.sleep(0.5)
    held = state(url.geturl(), len(data))
    assert held.status_code == 308
    offset = int(held.headers["Range"].split("-")[1]) + 1
    assert 0 < offset <= 600000
    assert put_range(url.geturl(), data, offset, len(data) - 1, len(data)).status_code == 200
    assert get(stack, key).content == data


# ---- tus: a client from the protocol's text ----

class Tus:
    def __init__(self, stack, token=None):
        self.base = stack.url + "/upload/tus/"
        self.headers = {"Tus-Resumable": "1.0.0", "Auth-Token": token or stack.upload_token}

    def create(self, length, name="symbols.zip", **metadata):
        pairs = {"filename": name, **metadata}
        text = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
        return requests.post(self.base, timeout=20, headers={**self.headers, "Upload-Length":
                                                             str(length), "Upload-Metadata": text})

    def offset(self, url):
        r = requests.head(url, headers=self.headers, timeout=20)
        assert r.status_code == 200 and r.headers["Cache-Control"] == "no-store"
        return int(r.headers["Upload-Offset"])

    def patch(self, url, offset, data, **headers):
        return requests.patch(url, data=data, timeout=60, headers={
            **self.headers, "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream", **headers})

    def break_off(self, url, offset, data, sent):
        """A connection that dies when `sent` bytes have gone out."""
        u = urllib.parse.urlparse(url)
        c = http.client.HTTPConnection(u.hostname, u.port, timeout=20)
        c.putrequest("PATCH", u.path)
        for name, value in {**self.headers, "Upload-Offset": offset,
                            "Content-Type": "application/offset+octet-stream",
                            "Content-Length": len(data)}.items():
            c.putheader(name, str(value))
        c.endheaders(data[:sent])
        time.sleep(0.2)
        c.close()

    def wait_offset(self, url, at_least):
        end = time.monotonic() + 20
        while True:
            r = requests.head(url, headers=self.headers, timeout=20)
            if r.status_code == 200 and int(r.headers["Upload-Offset"]) >= at_least:
                return int(r.headers["Upload-Offset"])
            assert time.monotonic() < end, (r.status_code, dict(r.headers))
            time.sleep(0.1)


@pytest.fixture
def tus(stack):
    return Tus(stack)


def test_tus_options(stack):
    r = requests.options(stack.url + "/upload/tus/", timeout=20)
    assert r.status_code == 204 and r.headers["Tus-Version"] == "1.0.0"
    assert r.headers["Tus-Extension"] == "creation,expiration,checksum,termination"
    assert int(r.headers["Tus-Max-Size"]) == 8 << 30
    assert set(r.headers["Tus-Checksum-Algorithm"].split(",")) >= {"sha1"}


def members(n, size, debug_id):
    return {f"m{i}.pdb/{debug_id}/m{i}.sym": sym(f"m{i}.pdb", debug_id) + noise(size, i).hex().encode()
            for i in range(n)}


def test_tus_upload(stack, tus, no_leftovers):
    made = members(3, 1000, new_id())
    data = archive(made)
    r = tus.create(len(data))
    assert r.status_code == 201 and r.headers["Tus-Resumable"] == "1.0.0"
    assert "Upload-Expires" in r.headers
    url = r.headers["Location"]
    assert tus.offset(url) == 0
    r = tus.patch(url, 0, data[:1000])
    assert (r.status_code, r.headers["Upload-Offset"]) == (204, "1000")
    assert tus.offset(url) == 1000
    r = tus.patch(url, 1000, data[1000:])
    assert (r.status_code, r.headers["Upload-Offset"]) == (204, str(len(data))), r.text
    for key, text in made.items():
        assert get(stack, key).content == text
    row = stack.query("select archive_name, archive_size, archive_sha256, members, stored, "
                      "completed_at is not null from symbol_upload where id = %s",
                      int(r.headers["Salvage-Upload"]))[0]
    assert row[:2] == ("symbols.zip", len(data)) and row[3:] == (3, 3, True)
    assert bytes(row[2]) == hashlib.sha256(data).digest()
    assert tus.offset(url) == len(data)
    assert not list((stack.symbol_store / "session").iterdir())


@pytest.mark.parametrize("step", [1000, 30000, 262144])
def test_tus_in_chunks(stack, tus, step):
    made = members(6, 60000, new_id())
    data = archive(made)
    url = tus.create(len(data)).headers["Location"]
    for at in range(0, len(data), step):
        assert tus.patch(url, at, data[at:at + step]).status_code == 204
    for key, text in made.items():
        assert get(stack, key).content == text


def test_tus_three_broken_connections(stack, tus):
    """And each time httpd's children are killed as well; nothing is sent twice."""
    made = members(8, 400000, new_id())
    data = archive(made)
    url = tus.create(len(data)).headers["Location"]
    offset = 0
    stack.error_log.expect("AH00051|AH00052|exit signal Kill")
    for part in (1, 2, 3):
        target = len(data) * part // 4
        tus.break_off(url, offset, data[offset:], target - offset)
        if part == 2:
            for pid in stack.children("httpd"):
                os.kill(pid, signal.SIGKILL)
            time.sleep(1.5)
        offset = tus.wait_offset(url, offset + (target - offset) // 2)
        assert offset <= target
    assert tus.patch(url, offset, data[offset:]).status_code == 204
    for key, text in made.items():
        assert get(stack, key).content == text


def test_tus_bad_archive(stack, tus):
    """Refused as soon as it is known; nothing is left."""
    before = counts(stack)
    data = archive({f"good.pdb/{ID}/good.sym": sym(), "bad name": b"x" * 100000})
    url = tus.create(len(data)).headers["Location"]
    r = tus.patch(url, 0, data)
    assert r.status_code == 400 and "Unrecognized file pattern" in r.json()["error"]
    assert requests.head(url, headers=tus.headers, timeout=20).status_code == 404
    assert counts(stack) == before and not list((stack.symbol_store / "session").iterdir())


def test_tus_errors(stack, tus):
    base = tus.base
    r = requests.post(base, headers={**tus.headers, "Tus-Resumable": "0.2.2"}, timeout=20)
    assert r.status_code == 412 and r.headers["Tus-Version"] == "1.0.0"
    assert requests.post(base, headers=tus.headers, timeout=20).status_code == 400
    assert tus.create("x").status_code == 400
    assert tus.create(9 << 40).status_code == 413
    refused(tus.create(10, "symbols.rar"), 400, 'Unrecognized archive file extension ".rar"')
    url = tus.create(100).headers["Location"]
    r = tus.patch(url, 5, b"x")
    assert (r.status_code, r.headers["Upload-Offset"]) == (409, "0")
    assert tus.patch(url, 0, b"x", **{"Content-Type": "text/plain"}).status_code == 415
    assert tus.patch(url, 0, b"x" * 101).status_code == 413
    assert tus.offset(tus.create(10).headers["Location"]) == 0
    assert requests.get(base, headers=tus.headers, timeout=20).status_code == 405
    assert requests.head(base + "0" * 64, headers=tus.headers, timeout=20).status_code == 404
    assert requests.post(base, headers={"Tus-Resumable": "1.0.0"}, timeout=20).status_code == 403


def test_tus_checksum(stack, tus):
    data = archive(members(2, 1000, new_id()))
    url = tus.create(len(data)).headers["Location"]

    def sum_of(name, b):
        return f"{name} {base64.b64encode(hashlib.new(name, b).digest()).decode()}"
    half = len(data) // 2
    bad = tus.patch(url, 0, data[:half], **{"Upload-Checksum": sum_of("sha1", b"other")})
    assert bad.status_code == 460 and tus.offset(url) == 0
    assert tus.patch(url, 0, data[:half],
                     **{"Upload-Checksum": "crc32 AAAA"}).status_code == 400
    assert tus.patch(url, 0, data[:half],
                     **{"Upload-Checksum": sum_of("sha1", data[:half])}).status_code == 204
    assert tus.patch(url, half, data[half:],
                     **{"Upload-Checksum": sum_of("sha256", data[half:])}).status_code == 204


def test_tus_termination_and_expiration(stack, tus):
    url = tus.create(100).headers["Location"]
    tus.patch(url, 0, b"PK")
    assert requests.delete(url, headers=tus.headers, timeout=20).status_code == 204
    assert requests.head(url, headers=tus.headers, timeout=20).status_code == 404
    url = tus.create(100).headers["Location"]
    stack.query("update symbol_session set expires_at = now() - interval '1 s'")
    assert requests.head(url, headers=tus.headers, timeout=20).status_code == 410


def test_tus_of_another_token(stack, tus):
    url = tus.create(100).headers["Location"]
    other = Tus(stack, try_token(stack))
    assert requests.head(url, headers=other.headers, timeout=20).status_code == 404
    key = f"tt.pdb/{new_id()}/tt.sym"
    data = archive({key: sym()})
    url = other.create(len(data)).headers["Location"]
    assert other.patch(url, 0, data).status_code == 204
    assert get(stack, key).status_code == 404 and get(stack, key, **{"try": 1}).status_code == 200
    refused(other.create(10, **{"try": "0"}), 403, "Forbidden")


def test_session_list(stack, tus):
    url = tus.create(100, "mine.zip").headers["Location"]
    tus.patch(url, 0, b"PK\3\4")
    found = requests.get(stack.url + "/api/uploads/sessions/", headers=token(stack), timeout=20)
    assert found.status_code == 200
    top = found.json()["sessions"][0]
    assert (top["kind"], top["name"], top["length"], top["received"]) == ("zip", "mine.zip", 100, 4)
    others = requests.get(stack.url + "/api/uploads/sessions/", timeout=20,
                          headers={"Auth-Token": try_token(stack)}).json()["sessions"]
    assert all(s["user"] == "try@example.com" for s in others)
    assert requests.get(stack.url + "/api/uploads/sessions/", timeout=20).status_code == 403


# ---- Breakpad ----

# The patterns of symbol_collector_client.cc.
STATUS = re.compile(r'"status": "([^"]+)"')
URL_RE, KEY_RE = re.compile(r'"uploadUrl": "([^"]+)"'), re.compile(r'"uploadKey": "([^"]+)"')
RESULT = re.compile(r'"result": "([^"]+)"')


def breakpad_v1(stack, text, fields=None, query=None, **more):
    parts = {"os": "Linux", "cpu": "x86_64", "debug_file": "app", "code_file": "app",
             "debug_identifier": "", **(fields or {})}
    files = [(k, (None, v)) for k, v in parts.items()]
    files.append(("symbol_file", ("app.sym", text, "application/octet-stream")))
    return requests.post(stack.url + "/symupload/v1", files=files, timeout=20,
                         params={"key": stack.upload_token} if query is None else query,
                         **{"headers": {"User-Agent": "Breakpad/1.0 (Linux)"}, **more})


def test_symupload_v1(stack):
    debug_id = new_id()
    text = sym("app", debug_id)
    r = breakpad_v1(stack, text, {"debug_identifier": debug_id})
    assert (r.status_code, r.text, r.headers["Content-Type"]) == (200, "OK", "text/plain")
    assert get(stack, f"app/{debug_id}/app.sym").content == text
    assert breakpad_v1(stack, text, {"debug_identifier": debug_id}).text == "OK"


def test_symupload_v1_tokens(stack):
    debug_id = new_id()
    fields = {"debug_identifier": debug_id}
    for more in ({"headers": token(stack)}, {"auth": ("label", stack.upload_token)}):
        assert breakpad_v1(stack, sym("app", debug_id), fields, {}, **more).status_code == 200
    refused(breakpad_v1(stack, sym(), query={}), 403,
            "This requires an Auth-Token to authenticate the request")
    refused(breakpad_v1(stack, sym(), query={"key": "0" * 64}), 403, "API Token not matched")


def test_symupload_v1_refusals(stack):
    before = counts(stack)
    refused(breakpad_v1(stack, sym("app", new_id()), {"debug_identifier": new_id()}), 400,
            "debug id does not match file")
    refused(breakpad_v1(stack, sym("other", ID), {"debug_identifier": ID}), 400,
            "debug file does not match file")
    refused(breakpad_v1(stack, b"no symbols"), 400, "the symbol file has no MODULE line")
    r = requests.post(stack.url + "/symupload/v1", params={"key": stack.upload_token}, timeout=20)
    refused(r, 400, "Must be multipart form data with a symbol_file")
    assert counts(stack) == before


class SymUploadV2:
    """As libcurl_wrapper.cc and symbol_collector_client.cc send it."""

    def __init__(self, stack, key=None):
        self.base, self.key = stack.url + "/symupload", key or stack.upload_token

    def status(self, file, debug_id):
        return requests.get(f"{self.base}/v1/symbols/{file}/{debug_id}:checkStatus?key={self.key}",
                            timeout=20)

    def create(self):
        return requests.post(f"{self.base}/v1/uploads:create?key={self.key}", data=b"", timeout=20,
                             headers={"Content-Type": "application/x-www-form-urlencoded"})

    def put(self, url, data):
        """Chunked, without a length."""
        return requests.put(url, data=iter([data[:100], data[100:]]), timeout=20)

    def complete(self, upload_key, file, debug_id, kind="BREAKPAD", body=None, type_="application/son"):
        body = body or ('{ symbol_id: {debug_file: "%s", debug_id: "%s" }, '
                        'symbol_upload_type: "%s" }' % (file, debug_id, kind))
        return requests.post(f"{self.base}/v1/uploads/{upload_key}:complete?key={self.key}",
                             data=body, headers={"Content-Type": type_}, timeout=20)


def test_symupload_v2(stack):
    debug_id, c = new_id(), SymUploadV2(stack)
    text = sym("app", debug_id)
    r = c.status("app", debug_id)
    assert (r.status_code, STATUS.findall(r.text)) == (200, ["MISSING"])
    made = c.create()
    assert made.status_code == 200 and made.text == '{ "uploadUrl": "%s", "uploadKey": "%s" }' % (
        URL_RE.findall(made.text)[0], KEY_RE.findall(made.text)[0])
    json.loads(made.text)
    key = KEY_RE.findall(made.text)[0]
    assert c.put(URL_RE.findall(made.text)[0], text).status_code == 200
    assert get(stack, f"app/{debug_id}/app.sym").status_code == 404      # not before "complete"
    done = c.complete(key, "app", debug_id)
    assert (done.status_code, RESULT.findall(done.text)) == (200, ["OK"])
    assert get(stack, f"app/{debug_id}/app.sym").content == text
    assert STATUS.findall(c.status("app", debug_id).text) == ["FOUND"]
    assert STATUS.findall(c.status("app", debug_id.lower()).text) == ["FOUND"]


def test_symupload_v2_again(stack):
    debug_id, c = new_id(), SymUploadV2(stack)
    text = sym("app", debug_id)
    for expected in ("OK", "DUPLICATE_DATA"):
        made = c.create().text
        c.put(URL_RE.findall(made)[0], text)
        done = c.complete(KEY_RE.findall(made)[0], "app", debug_id)
        assert RESULT.findall(done.text) == [expected]


@pytest.mark.parametrize("pack", ["zlib", "raw", "gzip"])
def test_symupload_v2_windows(stack, pack):
    """A body packed by zlib, completed with real JSON that names a product."""
    debug_id, c = new_id(), SymUploadV2(stack)
    text = sym("app.pdb", debug_id, lines=300)
    raw = zlib.compressobj(wbits={"zlib": 15, "raw": -15, "gzip": 31}[pack])
    packed = raw.compress(text) + raw.flush()
    made = c.create().text
    r = requests.put(URL_RE.findall(made)[0], data=packed, timeout=20,
                     headers={"Content-Encoding": "deflate"})
    assert r.status_code == 200
    body = json.dumps({"symbol_id": {"debugFile": "app.pdb", "debugId": debug_id},
                       "symbol_upload_type": "BREAKPAD", "use_async_processing": "true",
                       "metadata": {"product_name": "Demo"}}, indent=2)
    done = c.complete(KEY_RE.findall(made)[0], "", "", body=body, type_="application/json")
    assert RESULT.findall(done.text) == ["OK"], done.text
    assert get(stack, f"app.pdb/{debug_id}/app.sym").content == text


def test_symupload_v2_elf(stack, tmp_path):
    """A binary: its identity is read from it, the client's must agree; a build id will do."""
    program = tmp_path / "app"
    build_id = hashlib.sha1(str(time.time()).encode()).hexdigest()
    subprocess.run(["gcc", "-x", "c", "-g", "-", "-o", program, f"-Wl,--build-id=0x{build_id}"],
                   input=b"int main(void) { return 0; }", check=True)
    b = bytes.fromhex(build_id)
    debug_id = (b[3::-1] + b[5:3:-1] + b[7:5:-1] + b[8:16]).hex().upper() + "0"
    c = SymUploadV2(stack)
    made = c.create().text
    c.put(URL_RE.findall(made)[0], program.read_bytes())
    wrong = c.complete(KEY_RE.findall(made)[0], "app", "ab" * 20, "ELF")
    refused(wrong, 400, "debug id does not match file")
    made = c.create().text
    c.put(URL_RE.findall(made)[0], program.read_bytes())
    done = c.complete(KEY_RE.findall(made)[0], "app", build_id, "ELF")
    assert RESULT.findall(done.text) == ["OK"], done.text
    assert stack.query("select debug_file, leaf from symbol_file where debug_id = %s and leaf = 'app'",
                       debug_id) == [("app", "app")]


def test_symupload_v2_refusals(stack):
    """Proper statuses, and none of the members that clients look for."""
    c, bad = SymUploadV2(stack), SymUploadV2(stack, "0" * 64)
    for r, status in ((bad.create(), 403), (bad.status("a", ID), 403),
                      (c.complete("0" * 64, "a", ID), 404), (c.complete("x", "a", ID), 404),
                      (c.put(stack.url + "/symupload/v1/put/" + "0" * 64, b"x"), 404),
                      (requests.get(stack.url + "/symupload/v1/nothing", timeout=20,
                                    params={"key": stack.upload_token}), 404)):
        assert r.status_code == status, r.text
        assert not re.search(r'"(status|uploadUrl|uploadKey|result)"', r.text)
    made = c.create().text
    key = KEY_RE.findall(made)[0]
    assert c.complete(key, "a", ID).status_code == 400                 # nothing was sent
    assert c.put(URL_RE.findall(made)[0], sym("a", ID)).status_code == 200
    assert c.put(URL_RE.findall(made)[0], sym("a", ID)).status_code == 409   # one PUT each
    refused(c.complete(key, "a", new_id()), 400, "debug id does not match file")
    stack.query("update symbol_session set expires_at = now() - interval '1 s'")
    made = c.create().text
    stack.query("update symbol_session set expires_at = now() - interval '1 s'")
    assert c.put(URL_RE.findall(made)[0], b"x").status_code == 410


def test_stored_form(stack):
    """However a .sym came, its bytes in the store are gzip of the text."""
    def working():
        return [p for p in stored(stack) if p.startswith(("session/", "lock/", "stage/", "tmp/"))]
    debug_id, before = new_id(), working()
    text = sym("form", debug_id)
    assert breakpad_v1(stack, text, {"debug_file": "form", "debug_identifier": debug_id}).ok
    path = stack.symbol_store / "key" / "form" / debug_id / "form.sym"
    assert gzip.decompress(path.read_bytes()) == text
    assert working() == before
