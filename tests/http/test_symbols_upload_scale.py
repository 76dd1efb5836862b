"""Uploads of many files (SALVAGE_TEST_MEMBERS, 3,000 by default, at most 100,000), and large ones."""
import hashlib
import http.client
import io
import os
import random
import signal
import struct
import subprocess
import threading
import time
import urllib.parse
import zipfile
import zlib

import pytest
import requests
from symbols import archive, new_id, sym, upload

MEMBERS = int(os.environ.get("SALVAGE_TEST_MEMBERS", "3000"))


def rss(pid):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Memory:
    """Peak growth of the largest httpd child, in KiB."""

    def __init__(self, stack):
        self.stack, self.stop, self.grown = stack, threading.Event(), 0
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        children = self.stack.children("httpd")
        before = {p: rss(p) for p in children}
        while children and not self.stop.wait(0.05):
            self.grown = max([self.grown] + [rss(p) - before[p] for p in children])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.stop.set()
        self.thread.join()


def text(debug_file, debug_id, i):
    return (f"MODULE Linux x86_64 {debug_id} {debug_file}\nINFO CODE_ID {i:040X}\n"
            f"FUNC 1000 10 0 f{i}\n").encode()


def many(n):
    """An archive of n little .sym files, and its first and last member."""
    debug_id, out = new_id(), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for i in range(n):
            z.writestr(zipfile.ZipInfo(f"lib{i}.so/{debug_id}/lib{i}.so.sym"),
                       text(f"lib{i}.so", debug_id, i), compress_type=zipfile.ZIP_DEFLATED)
    return debug_id, out.getvalue()


def timed(stack, data):
    """The answer of an upload, after a line about what it took."""
    start = time.monotonic()
    with Memory(stack) as memory:
        answer = upload(stack, data, timeout=900)
    print(f"{MEMBERS} members, {len(data) >> 20} MiB: {time.monotonic() - start:.1f} s, "
          f"memory of a child grew by {memory.grown} KiB")
    assert answer.status_code == 201, answer.text
    assert memory.grown < 16 << 10
    return answer.json()["upload"]


def test_many_members(stack):
    """Each becomes a row with its own header; sent again, each is skipped and renewed."""
    debug_id, data = many(MEMBERS)
    start = stack.query("select pg_current_wal_lsn()")[0][0]
    up = timed(stack, data)
    assert up["skipped_keys"] == []
    rows = stack.query("select count(*), count(distinct f.id), count(distinct code_id), "
                       "bool_and(header_file = f.debug_file and build_id = code_id and kind = 'sym' "
                       "and not replaced and stored_size > 0 and length(md5) = 16) "
                       "from symbol_file f join symbol_key k on k.file_id = f.id "
                       "and k.debug_file = f.debug_file and k.leaf = f.leaf where upload_id = %s",
                       up["id"])
    assert rows == [(MEMBERS, MEMBERS, MEMBERS, True)]
    wal = stack.query("select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", start)[0][0]
    print(f"WAL: {int(wal) >> 20} MiB")
    again = timed(stack, data)
    assert len(again["skipped_keys"]) == MEMBERS
    assert stack.query("select count(*) from symbol_file where debug_id = %s "
                       "and renewed_at is not null", debug_id) == [(MEMBERS,)]


def test_same_key_in_two_spellings(stack):
    """Ids fold to upper case, so that two members of an archive are one file: the later one."""
    debug_id = new_id()
    answer = upload(stack, archive([(f"two.pdb/{debug_id}/two.sym", sym("two.pdb", debug_id)),
                                    (f"two.pdb/{debug_id.lower()}/two.sym",
                                     sym("two.pdb", debug_id, lines=9))]))
    assert answer.status_code == 201, answer.text
    assert stack.query("select f.size from symbol_key k join symbol_file f on f.id = k.file_id "
                       "where k.debug_id = %s", debug_id) == [
                           (len(sym("two.pdb", debug_id, lines=9)),)]


def test_headers_that_are_missing(stack):
    """No header is NULL in the row, a missing line of one is an empty text; both in one batch."""
    debug_id = new_id()
    answer = upload(stack, archive({f"a.pdb/{debug_id}/a.sym": b"\xff\0",
                                    f"b.pdb/{debug_id}/b.sym": sym("b.pdb", debug_id),
                                    f"c.pdb/{debug_id}/c.sym": text("c.pdb", debug_id, 1)}))
    assert answer.status_code == 201, answer.text
    assert stack.query("select leaf, header_file, code_id, os, build_id from symbol_file "
                       "where debug_id = %s order by leaf", debug_id) == [
                           ("a.sym", None, None, None, None),
                           ("b.sym", "b.pdb", "", "windows", None),
                           ("c.sym", "c.pdb", f"{1:040X}", "Linux", f"{1:040X}")]


# ---- large archives: SALVAGE_TEST_UPLOAD_MB; by default so large that a session drops what it read ----

SIZE = int(os.environ.get("SALVAGE_TEST_UPLOAD_MB", "384")) << 20
PARTS = 16
LIMITS = "SymbolsMaxUpload 20G\nLogLevel symbols:info\n"


def pieces(name, debug_id, size):
    """What a member holds: a header, then the same noise again and again."""
    noise = random.Random(29).randbytes(1 << 20)
    first = f"MODULE windows x86_64 {debug_id} {name}\n".encode()
    yield first + noise[len(first):]
    for _ in range(size // len(noise) - 1):
        yield noise


def write_archive(path, debug_id):
    """A zip64 archive whose local headers tell sizes; deflate blocks that cost nothing to make."""
    central, size = b"", SIZE // PARTS
    with open(path, "wb") as f:
        for i in range(PARTS):
            key = f"big{i}.pdb/{debug_id}/big{i}.sym".encode()
            crc, offset, block = 0, f.tell(), 1 << 15
            for piece in pieces(f"big{i}.pdb", debug_id, size):
                crc = zlib.crc32(piece, crc)
            packed = size + 5 * (size // block)
            f.write(struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 8, 0, 33, crc, packed, size, len(key),
                                0) + key)
            done = 0
            for piece in pieces(f"big{i}.pdb", debug_id, size):
                for at in range(0, len(piece), block):
                    done += block
                    f.write(struct.pack("<BHH", done == size, block, block ^ 0xffff))
                    f.write(piece[at:at + block])
            extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
            central += struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 8, 0, 33, crc, 0xffffffff,
                                   0xffffffff, len(key), len(extra), 0, 0, 0, 0, 0xffffffff)
            central += key + extra
        start = f.tell()
        f.write(central + struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, PARTS, PARTS,
                                      len(central), start))
        f.write(struct.pack("<4sIQI", b"PK\6\7", 0, start + len(central), 1))
        f.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0))


@pytest.fixture
def large(stack):
    """An archive on disk: its path and the debug id of its members."""
    stack.httpd_conf(LIMITS)
    stack.error_log.expect("AH00051|AH00052|exit signal Kill")
    path, debug_id = stack.dir / "large.zip", new_id()
    write_archive(path, debug_id)
    yield path, debug_id
    path.unlink()
    subprocess.run(["rm", "-rf"] + [str(p) for p in stack.symbol_store.rglob(debug_id)], check=True)


def all_stored(stack, debug_id):
    rows = stack.query("select size, sha256 from symbol_file where debug_id = %s order by id",
                       debug_id)
    digest = hashlib.sha256()
    for piece in pieces("big0.pdb", debug_id, SIZE // PARTS):
        digest.update(piece)
    assert len(rows) == PARTS and {r[0] for r in rows} == {SIZE // PARTS}
    assert bytes(rows[0][1]) == digest.digest()


def send(stack, method, path, headers, source, count):
    """A request's head, and `count` bytes from a file; the connection, or None if it broke."""
    url = urllib.parse.urlparse(stack.url)
    c = http.client.HTTPConnection(url.hostname, url.port, timeout=600)
    c.putrequest(method, path)
    for name, value in headers.items():
        c.putheader(name, str(value))
    c.endheaders()
    while count:
        piece = source.read(min(count, 1 << 20))
        count -= len(piece)
        c.send(piece)
    return c


def kill_children(stack):
    for pid in stack.children("httpd"):
        os.kill(pid, signal.SIGKILL)


def test_killed_at_half(stack, large):
    """httpd's children are killed at half of a request; the retry adopts what was staged."""
    path, debug_id = large
    head = b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
    tail = b"\r\n--b--\r\n"
    size = path.stat().st_size
    headers = {"Auth-Token": stack.upload_token, "Content-Length": len(head) + size + len(tail),
               "Content-Type": "multipart/form-data; boundary=b"}

    def post(count):
        with open(path, "rb") as f:
            c = send(stack, "POST", "/upload/", headers, io.BytesIO(head), len(head))
            while count:
                piece = f.read(min(count, 1 << 20))
                count -= len(piece)
                c.send(piece)
        return c
    c = post(size // 2)
    time.sleep(1)
    kill_children(stack)
    c.close()
    time.sleep(1.5)
    start = time.monotonic()
    with Memory(stack) as memory:
        c = post(size)
        c.send(tail)
        answer = c.getresponse()
        assert answer.status == 201, answer.read()
    lines = [x for _, x in stack.error_log.new_lines() if "SAL2012" in x]
    kept = int(lines[-1].split(" bytes, ")[1].split()[0])
    print(f"{size >> 20} MiB after a kill at half: {time.monotonic() - start:.1f} s, "
          f"{kept >> 20} MiB adopted, memory of a child grew by {memory.grown} KiB")
    assert size * 0.35 < kept < size * 0.6 and memory.grown < 8 << 10
    all_stored(stack, debug_id)


def test_tus_survives_broken_connections(stack, large):
    """Three connections break at quarters, the second with httpd's children."""
    path, debug_id = large
    size, offset = path.stat().st_size, 0
    tus = {"Tus-Resumable": "1.0.0", "Auth-Token": stack.upload_token}
    made = requests.post(stack.url + "/upload/tus/", timeout=60, headers={
        **tus, "Upload-Length": str(size), "Upload-Metadata": "filename cy56aXA="})
    url = made.headers["Location"]

    def patch(to):
        with open(path, "rb") as f:
            f.seek(offset)
            return send(stack, "PATCH", urllib.parse.urlparse(url).path,
                        {**tus, "Upload-Offset": offset, "Content-Length": size - offset,
                         "Content-Type": "application/offset+octet-stream"}, f, to - offset)

    def held():
        """The offset, once the broken request is over."""
        end = time.monotonic() + 60
        while True:
            r = requests.head(url, headers=tus, timeout=60)
            if r.status_code == 200:
                return int(r.headers["Upload-Offset"])
            assert time.monotonic() < end, r.status_code
            time.sleep(0.2)
    start, grown = time.monotonic(), 0
    for part in (1, 2, 3):
        target = size * part // 4
        with Memory(stack) as memory:
            c = patch(target)
            time.sleep(0.5)
        grown = max(grown, memory.grown)
        if part == 2:
            kill_children(stack)
        c.close()
        time.sleep(1.5)
        before, offset = offset, held()
        assert before + (target - before) // 2 < offset <= target
    with Memory(stack) as memory:
        answer = patch(size).getresponse()
    assert (answer.status, answer.getheader("Upload-Offset")) == (204, str(size)), answer.read()
    grown = max(grown, memory.grown)
    print(f"tus, {size >> 20} MiB, three broken connections: {time.monotonic() - start:.1f} s, "
          f"memory of a child grew by {grown} KiB")
    assert grown < 8 << 10
    all_stored(stack, debug_id)
