"""Uploads as they arrive: what a stream may look like, retries, limits, failures, downloads."""
import concurrent.futures
import http.server
import io
import os
import pathlib
import random
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
import zipfile
import zlib

import pytest
import requests
from symbols import ID, archive, counts, stored, sym, upload
from test_symbols import PATTERN, good, new_id, refused, untouched  # noqa: F401  (a fixture)


@pytest.fixture(scope="module", autouse=True)
def configured(instance):
    """What the log says of uploads is read here, and fetched is from this host."""
    instance.shared_conf("LogLevel symbols:info\nSymbolsFetchAnyDomain on\nSymbolsFetchPrivate on\n")
    yield
    instance.shared_conf("")


def get(stack, key, **params):
    return requests.get(f"{stack.url}/symbols/{key}", params=params, timeout=30)


class Unseekable(io.RawIOBase):
    """What zipfile writes to a pipe: sizes behind the members, in data descriptors."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, b):
        self.data += b
        return len(b)


def piped(members):
    """Members with data descriptors: (name, content, method)."""
    out = Unseekable()
    with zipfile.ZipFile(out, "w") as z:
        for name, data, method in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with z.open(info, "w") as f:
                f.write(data)
    return bytes(out.data)


def all_there(stack, members):
    for key, text in members.items():
        r = get(stack, key)
        assert r.status_code == 200 and r.content == text, key


# ---- forms of archives ----

@pytest.mark.parametrize("methods", [(8, 8, 8), (0, 0, 0), (8, 0, 8), (8, 8, 0), (0, 8, 8)])
def test_data_descriptors(stack, methods, no_leftovers):
    debug_id = new_id()
    members = {f"d{i}.pdb/{debug_id}/d{i}.sym": sym(f"d{i}.pdb", debug_id, lines=5000 * i + 1)
               for i in range(3)}
    data = piped([(k, v, m) for (k, v), m in zip(members.items(), methods)])
    assert data[6] & 8
    answer = upload(stack, data)
    assert answer.status_code == 201, answer.text
    all_there(stack, members)


def test_zip64(stack):
    """Local headers, directory and end record in their wide forms."""
    debug_id = new_id()
    key = f"w.pdb/{debug_id}/w.sym"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        with z.open(zipfile.ZipInfo(key), "w", force_zip64=True) as f:
            f.write(sym())
    data = bytearray(out.getvalue())
    start = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    size, offset = end - start, start
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, offset)
    wide += struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    data[end + 8:end + 12] = b"\xff" * 4
    data[end + 16:end + 20] = b"\xff" * 4
    data[end:end] = wide
    assert upload(stack, bytes(data)).status_code == 201
    assert get(stack, key).content == sym()


def test_bytes_before_the_archive(stack):
    """A self-extracting archive cannot be followed from the front."""
    key = f"sfx.pdb/{new_id()}/sfx.sym"
    out = io.BytesIO(b"#!/bin/sh\nexit\n")
    with zipfile.ZipFile(out, "a") as z:        # offsets count from the script's first byte
        z.writestr(key, sym())
    assert upload(stack, out.getvalue()).status_code == 201
    assert get(stack, key).content == sym()


def test_member_that_is_not_listed(stack, no_leftovers):
    """What the central directory leaves out was never sent."""
    kept, left = f"kept.pdb/{new_id()}/kept.sym", f"left.pdb/{new_id()}/left.sym"
    data = bytearray(archive([(kept, sym()), (left, sym())]))
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    end = data.index(b"PK\5\6")
    del data[second:end]
    end = data.index(b"PK\5\6")
    data[end + 8:end + 12] = struct.pack("<HH", 1, 1)
    data[end + 12:end + 16] = struct.pack("<I", second - first)
    assert upload(stack, bytes(data)).status_code == 201
    assert get(stack, kept).status_code == 200 and get(stack, left).status_code == 404


def test_directory_lists_what_was_not_sent(stack, untouched):  # noqa: F811
    data = bytearray(archive(good()))
    at = data.index(b"PK\1\2") + 42
    data[at:at + 4] = struct.pack("<I", 7)
    refused(upload(stack, bytes(data)), 400, "File is not a zip file")


def test_wrong_crc_in_a_descriptor(stack, untouched):  # noqa: F811
    name = f"xul.pdb/{ID}/xul.sym"
    data = bytearray(piped([(name, sym(), 8)]))
    data[data.index(b"PK\7\x08") + 4] ^= 1
    refused(upload(stack, bytes(data)), 400, f"Bad CRC-32 for file '{name}'")


def test_encrypted(stack, untouched):  # noqa: F811
    name = f"xul.pdb/{ID}/xul.sym"
    data = bytearray(archive({**good(), name: b"secret"}))
    at = data.rindex(b"PK\3\4")
    data[at + 6] |= 1
    refused(upload(stack, bytes(data)), 400, f"Unsupported zip feature in '{name}'")


def test_name_is_no_utf8(stack, untouched):  # noqa: F811
    data = archive({f"caf_.pdb/{ID}/x.sym": b"x"}).replace(b"caf_", b"caf\xe9")
    refused(upload(stack, data), 400, PATTERN.replace("%r", f"'caf\\xe9.pdb/{ID}/x.sym'"))


@pytest.mark.parametrize("name", ["a/" * 200 + "x.sym", "x" * 60000])
def test_deep_and_long_names(stack, untouched, name):  # noqa: F811
    answer = upload(stack, archive({**good(), name: b"x"}))
    assert answer.status_code == 400 and "Unrecognized file pattern" in answer.json()["error"]


def test_bomb_of_unknown_size(stack, untouched):  # noqa: F811
    """Its header does not say how large it gets: it is stopped while it unpacks."""
    data = piped([(f"xul.pdb/{ID}/xul.sym", b"\0" * (80 << 20), 8)])
    refused(upload(stack, data), 413, "Archive member too large")


def test_bad_name_is_refused_before_the_bulk(stack, untouched):  # noqa: F811
    """The answer is there when a fraction of the archive has been sent."""
    url = urllib.parse.urlparse(stack.url)
    body = (b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
            + archive({"bad name": random.Random(5).randbytes(100000)}))
    with socket.create_connection((url.hostname, url.port), timeout=20) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        s.sendall(f"POST /upload/ HTTP/1.1\r\nHost: {url.netloc}\r\nAuth-Token: "
                  f"{stack.upload_token}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                  f"Content-Length: {300 << 20}\r\n\r\n".encode() + body[:2000])
        sent, answered = 2000, []
        while not answered and sent < 80 << 20:         # the server drains 64 MiB at most
            answered, writable, _ = select.select([s], [s], [], 20)
            if writable and not answered:
                sent += s.send(b"\0" * 65536)
        head = s.recv(4096)
    assert b" 400 " in head.split(b"\r\n")[0] and sent < 80 << 20


def empty_members(n):
    """An archive of n empty files that are ignored; zipfile would take seconds."""
    names = [b"d%d/.DS_Store" % i for i in range(n)]
    local, central, at = [], [], 0
    for name in names:
        local.append(struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0) + name)
        central.append(struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0,
                                   len(name), 0, 0, 0, 0, 0, at) + name)
        at += len(local[-1])
    size = sum(map(len, central))
    end = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, n, n, size, at)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, at + size, 1)
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xffff, 0xffff, size, at, 0)
    return b"".join(local + central) + end


def test_hundred_thousand_members(stack):
    """At the limit: accepted, and httpd's memory stays where it was; one more is refused."""
    before = sum(rss(p) for p in stack.children("httpd"))
    answer = upload(stack, empty_members(100000), timeout=120)
    assert answer.status_code == 201, answer.text
    row = stack.query("select members, cardinality(ignored_keys) from symbol_upload where id = %s",
                      answer.json()["upload"]["id"])[0]
    assert row == (100000, 100000)
    grown = sum(rss(p) for p in stack.children("httpd")) - before
    assert grown < 16 << 10, f"{grown} KiB"
    assert upload(stack, empty_members(100001), timeout=120).status_code == 413


def rss(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


# ---- retries ----

def large(n, size, debug_id, seed=1):
    """Members that hardly compress, as (key, content)."""
    rnd = random.Random(seed)
    return {f"l{i}.pdb/{debug_id}/l{i}.sym":
            sym(f"l{i}.pdb", debug_id) + rnd.randbytes(size // 2).hex().encode() for i in range(n)}


def form(data):
    head = b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n"


def send_half(stack, data, part, then):
    """A request of which `part` is sent; then() happens before the connection goes."""
    url = urllib.parse.urlparse(stack.url)
    body = form(data)
    with socket.create_connection((url.hostname, url.port), timeout=30) as s:
        s.sendall(f"POST /upload/ HTTP/1.1\r\nHost: {url.netloc}\r\nAuth-Token: "
                  f"{stack.upload_token}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:int(len(body) * part)])
        time.sleep(0.7)
        then()


def adopted(stack):
    """Bytes that the last upload did not inflate again, by httpd's log."""
    lines = [x for _, x in stack.error_log.new_lines() if "SAL2012" in x]
    return int(lines[-1].split(" bytes, ")[1].split()[0])


def kill_children(stack):
    for pid in stack.children("httpd"):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [False, True])
def test_retry_adopts_what_was_staged(stack, kill):
    """Half of an archive, then the connection or the server's children die; the same again."""
    stack.error_log.expect("AH00051|AH00052|exit signal Kill")
    members = large(8, 1200000, new_id(), 7 + kill)
    data = archive(members)
    send_half(stack, data, 0.6, (lambda: kill_children(stack)) if kill else (lambda: None))
    time.sleep(1.5)
    assert all(get(stack, key).status_code == 404 for key in members)     # nothing half visible
    answer = upload(stack, data)
    assert answer.status_code == 201 and answer.json()["upload"]["skipped_keys"] == []
    assert len(data) * 0.35 < adopted(stack) < len(data) * 0.6
    all_there(stack, members)
    assert not list((stack.symbol_store / "stage").rglob("*.*"))
    assert upload(stack, data).json()["upload"]["skipped_keys"] == list(members)


def test_staged_members_are_of_one_token(stack):
    members = large(3, 1200000, new_id(), 11)
    data = archive(members)
    send_half(stack, data, 0.8, lambda: None)
    time.sleep(1)
    other = stack.salvage("token", "create", "other@example.com", "--permission",
                          "upload_symbols").stdout.strip()
    assert upload(stack, data, token=other).status_code == 201
    assert adopted(stack) == 0
    all_there(stack, members)


def test_same_file_at_once(stack, no_leftovers):
    """Both are answered 201, one content is visible, nothing is left over."""
    members = large(4, 800000, new_id(), 13)
    data, answers = archive(members), []
    threads = [threading.Thread(target=lambda: answers.append(upload(stack, data)))
               for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [a.status_code for a in answers] == [201] * 4
    all_there(stack, members)


def test_too_many_uploads_of_a_token(stack):
    stack.httpd_conf("SymbolsUploadsPerToken 1\n")
    data, seen = archive(good()), []
    send_half(stack, data, 0.5, lambda: seen.append(upload(stack, data)))
    refused(seen[0], 429, "Too many uploads at once (1), try again later")
    assert seen[0].headers["Retry-After"] == "15"
    time.sleep(0.5)
    assert upload(stack, data).status_code == 201


def test_strict_header_check(stack, untouched):  # noqa: F811
    stack.httpd_conf("SymbolsHeaderCheck strict\n")
    key = f"liar.pdb/{ID}/liar.sym"
    refused(upload(stack, archive({key: sym("honest.pdb")})), 400,
            f"header does not match key: {key}")


# ---- failures of ours ----

def test_database_goes_away(stack):
    """503 with Retry-After, nothing visible; the retry does not inflate again."""
    stack.error_log.expect("dbd|DBD|SAL|database")
    members = large(2, 1500000, new_id(), 17)
    data = archive(members)
    upload(stack, archive({f"warm.pdb/{new_id()}/warm.sym": sym()}))     # the token is known
    stack.stop("salvaged", "postgres")
    answer = upload(stack, data)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "15"), answer.text
    assert all(get(stack, key).status_code == 404 for key in members)
    stack.start("postgres", "salvaged")
    end = time.monotonic() + 30
    while upload(stack, data).status_code != 201:
        assert time.monotonic() < end
        time.sleep(0.5)
    all_there(stack, members)


@pytest.fixture
def small_store(stack, tmp_path):
    """The symbol store on a file system of 6 MiB; skips where nothing may be mounted."""
    store = stack.symbol_store
    aside = store.with_name("aside")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "none", tmp_path],
                      capture_output=True).returncode:
        pytest.skip("SKIPPED LOUDLY: a full disk needs the right to mount")
    subprocess.run(["umount", tmp_path], check=True)
    stack.stop("httpd")
    store.rename(aside)
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "none", store], check=True)
    stack.start("httpd")
    yield store
    stack.stop("httpd")
    subprocess.run(["umount", store], check=True)
    store.rmdir()
    aside.rename(store)
    stack.start("httpd")


def test_disk_full(stack, small_store):
    stack.error_log.expect("SAL2011")
    before = counts(stack)
    members = large(4, 6000000, new_id(), 19)
    answer = upload(stack, archive(members))
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "15"), answer.text
    assert counts(stack) == before
    assert all(get(stack, key).status_code == 404 for key in members)
    for path in (small_store / "stage").rglob("*"):     # somebody makes room
        if path.is_file():
            path.unlink()
    for path in (small_store / "tmp").iterdir():
        path.unlink()
    little = {f"fits.pdb/{new_id()}/fits.sym": sym()}
    assert upload(stack, archive(little)).status_code == 201
    all_there(stack, little)


def test_read_only_store(stack, small_store):
    stack.error_log.expect("SAL2011")
    kept = {f"ro.pdb/{new_id()}/ro.sym": sym()}
    assert upload(stack, archive(kept)).status_code == 201
    before = counts(stack)
    subprocess.run(["mount", "-o", "remount,ro", small_store], check=True)
    answer = upload(stack, archive({f"x.pdb/{new_id()}/x.sym": sym()}))
    assert answer.status_code in (500, 503) and "error" in answer.json()
    all_there(stack, kept)
    assert counts(stack) == before


# ---- memory and size ----

def test_large_archive_with_flat_memory(stack):
    """SALVAGE_TEST_UPLOAD_MB of mostly sparse archive in one request, 64 by default."""
    size = int(os.environ.get("SALVAGE_TEST_UPLOAD_MB", "64")) << 20
    debug_id, n = new_id(), 4
    key = "big%d.pdb/" + debug_id + "/big%d.sym"
    pattern = random.Random(23).randbytes(1 << 20)
    before = max(rss(p) for p in stack.children("httpd"))
    peak = [0]
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05):
            for p in stack.children("httpd"):
                try:
                    peak[0] = max(peak[0], rss(p))
                except OSError:
                    pass
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = requests.post(
            stack.url + "/upload/", data=big_form(key, n, size // n, pattern), timeout=3600,
            headers={"Auth-Token": stack.upload_token,
                     "Content-Type": "multipart/form-data; boundary=b"})
    finally:
        stop.set()
        watcher.join()
    assert answer.status_code == 201, answer.text
    assert peak[0] - before < 8 << 10, f"{peak[0] - before} KiB"
    assert stack.query("select size from symbol_file where debug_id = %s limit 1",
                       debug_id) == [(size // n,)]


def big_form(key, n, size, pattern):
    """The body, piece by piece: stored deflate blocks, so that it costs its sender nothing."""
    yield b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
    offset, central = 0, b""
    for i in range(n):
        name = (key % (i, i)).encode()
        crc, packed = 0, 0
        head = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 8, 8, 0, 33, 0, 0, 0, len(name), 0) + name
        yield head
        for at in range(0, size, 65535):
            block = pattern[at % 65536:at % 65536 + min(65535, size - at)]
            last = at + len(block) >= size
            crc = zlib.crc32(block, crc)
            packed += 5 + len(block)
            yield struct.pack("<BHH", last, len(block), len(block) ^ 0xffff) + block
        wide = size >= 1 << 32 or packed >= 1 << 32
        yield struct.pack("<4sIQQ" if wide else "<4sIII", b"PK\7\x08", crc, packed, size)
        extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
        central += struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, 45, 8, 8, 0, 33, crc, 0xffffffff,
                               0xffffffff, len(name), len(extra), 0, 0, 0, 0, 0xffffffff)
        central += name + extra
        offset += len(head) + packed + (24 if wide else 16)
    yield central
    yield struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, n, n, len(central), offset)
    yield struct.pack("<4sIQI", b"PK\6\7", 0, offset + len(central), 1)
    yield struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    yield b"\r\n--b--\r\n"


# ---- by URL ----

class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    data, seen, failures = b"", [], {}

    def log_message(self, *args):
        pass

    def answer(self, body):
        Site.seen.append((self.command, self.path, self.headers.get("User-Agent")))
        parts = self.path.strip("/").split("/")
        status = int(parts[0]) if parts[0].isdigit() else 200
        if parts[0] == "flaky" and Site.failures.setdefault(self.path, 0) < 2:
            Site.failures[self.path] += 1
            status = 500
        if parts[0] == "head-only" and self.command == "GET":
            status = 503
        if parts[0] == "loop":
            self.send_response(302)
            self.send_header("Location", f"/loop/{int(parts[1]) - 1}/s.zip" if int(parts[1]) > 1
                             else "/s.zip")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if parts[0] == "to":
            self.send_response(301)
            self.send_header("Location", urllib.parse.unquote(parts[1]))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        content = Site.data if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)


@pytest.fixture
def site(stack):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Site.seen, Site.failures = [], {}
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def by_url(stack, url, query="", **fields):
    return requests.post(stack.url + "/upload/" + query, data={"url": url, **fields}, timeout=60,
                         headers={"Auth-Token": stack.upload_token})


def test_by_url(stack, site):
    key = f"u.pdb/{new_id()}/u.sym"
    Site.data = archive({key: sym()})
    answer = by_url(stack, site + "/path/symbols.zip")
    assert answer.status_code == 201, answer.text
    up = answer.json()["upload"]
    assert up["filename"] == "symbols.zip" and up["download_url"] == site + "/path/symbols.zip"
    assert up["size"] == len(Site.data) and up["redirect_urls"] == []
    assert get(stack, key).content == sym()
    assert {agent for _, _, agent in Site.seen} == {"tecken-requests/1.0"}
    assert stack.query("select download_url from symbol_upload where id = %s", up["id"]) == [
        (site + "/path/symbols.zip",)]


def test_by_url_redirects(stack, site):
    Site.data = archive({f"u.pdb/{new_id()}/u.sym": sym()})
    answer = by_url(stack, site + "/loop/5/s.zip")
    assert answer.status_code == 201
    trail = answer.json()["upload"]["redirect_urls"]
    assert len(trail) == 5 and trail[-1] == site + "/s.zip"
    refused(by_url(stack, site + "/loop/6/s.zip"), 400,
            f"Too many redirects trying to open {site}/loop/6/s.zip")


def test_by_url_errors(stack, site, untouched):  # noqa: F811
    Site.data = b"no zip"
    rows = (("/404/s.zip", 400, "{} can't be found (404)"),
            ("/502/s.zip", 500, "{} errored (502)"),
            ("/429/s.zip", 500, "RetryError trying to open {}"),
            ("/head-only/s.zip", 400, "non-200 status code when retrieving {}"),
            ("/s.zip", 400, "File is not a zip file"),
            ("/s.rar", 400, 'Unrecognized archive file extension ".rar"'))
    with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:      # some try for seconds
        answers = list(pool.map(lambda row: by_url(stack, site + row[0]), rows))
    for (path, status, text), answer in zip(rows, answers):
        refused(answer, status, text.format(site + path))
    assert len([1 for _, p, _ in Site.seen if p == "/429/s.zip"]) == 6
    refused(by_url(stack, "http://127.0.0.1:9/s.zip"), 500,
            "ConnectionError trying to open http://127.0.0.1:9/s.zip")


def test_by_url_retries(stack, site):
    Site.data = archive({f"u.pdb/{new_id()}/u.sym": sym()})
    assert by_url(stack, site + "/flaky/s.zip").status_code == 201


def test_by_url_private_addresses(stack, untouched):  # noqa: F811
    stack.httpd_conf("SymbolsFetchAnyDomain on\n")
    for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.1.2.3",
                 "[::ffff:192.168.0.1]", "0", "2130706433"):
        answer = by_url(stack, f"http://{host}/s.zip")
        assert answer.status_code == 400, host
        assert answer.json()["error"].startswith("Not an allowed domain ("), host


def test_by_url_checks_every_hop(stack, tmp_path, untouched):  # noqa: F811
    """An allowed host over TLS redirects to one that is not allowed, and to one without TLS."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
                   check=True, capture_output=True)
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if parent != pathlib.Path("/tmp"):
            parent.chmod(0o755)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = server.server_address[1]
    stack.httpd_conf(f"SymbolsFetchDomains localhost\nSymbolsFetchPrivate on\n"
                     f"SymbolsFetchCA {tmp_path}/cert.pem\n")
    base = f"https://localhost:{port}"
    try:
        def to(target):
            return by_url(stack, f"{base}/to/{urllib.parse.quote(target, safe='')}/s.zip")
        refused(to("https://www.mozilla.org/s.zip"), 400,
                "Not an allowed domain ('www.mozilla.org') to download from.")
        refused(to(f"http://localhost:{port}/s.zip"), 400, "Insecure URL")
        refused(by_url(stack, f"http://localhost:{port}/s.zip"), 400, "Insecure URL")
        refused(by_url(stack, f"https://127.0.0.1:{port}/s.zip"), 400,
                "Not an allowed domain ('127.0.0.1') to download from.")
        Site.data = b"no zip"
        refused(by_url(stack, f"{base}/s.zip"), 400, "File is not a zip file")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_by_url_async(stack, site):
    key = f"u.pdb/{new_id()}/u.sym"
    Site.data = archive({key: sym()})
    answer = by_url(stack, site + "/s.zip", "?async=1")
    assert answer.status_code == 202
    number = int(answer.headers["Location"].rsplit("/", 1)[1])
    assert answer.headers["Location"] == f"/api/uploads/upload/{number}"
    end = time.monotonic() + 20
    while not stack.query("select 1 from symbol_upload where id = %s and completed_at is not null",
                          number):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert get(stack, key).content == sym()
    failed = by_url(stack, site + "/404/s.zip", "?async=1")
    assert failed.status_code == 202
    number = int(failed.headers["Location"].rsplit("/", 1)[1])
    end = time.monotonic() + 20
    while True:
        warnings, done = stack.query("select warnings, completed_at from symbol_upload "
                                     "where id = %s", number)[0]
        if warnings:
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    assert done is None and warnings == [f"{site}/404/s.zip can't be found (404)"]
    refused(by_url(stack, "http://x y", "?async=1"), 400, "Enter a valid URL.")
