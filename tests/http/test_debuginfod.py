"""debuginfod: what elfutils and gdb ask for, and the symbols that are made of raw ELF files."""
import gzip
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import time

import pytest
import requests
from elf import Program, have
from symbols import archive, new_id, raw_get, sym, upload

pytestmark = pytest.mark.skipif(not have("gcc", "objcopy", "strip", "readelf"),
                                reason="SKIPPED LOUDLY: no compiler or binutils")
NOBODY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def program(tmp_path):
    return Program(tmp_path, f"t{new_id()[:10].lower()}")


def put(stack, members, **more):
    answer = upload(stack, archive(members), **more)
    assert answer.status_code == 201, answer.text
    return answer.json()["upload"]


def wait(found, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError("nothing came in time")


def idle(stack, key):
    """True when no worker has anything to do for this debug file."""
    return stack.query("select count(*) from symbol_job j join symbol_file f on f.id = j.file_id "
                       "where f.debug_file = %s and j.state < 2", key)[0][0] == 0


def made_sym(stack, program, name=None):
    name = name or program.name
    r = requests.get(f"{stack.url}/symbols/{name}/{program.debug_id}/{name}.sym", timeout=20)
    return r.text if r.status_code == 200 else None


# ---- /buildid ----

@pytest.fixture
def whole(stack, program):
    """Stored as one unstripped file."""
    put(stack, {f"{program.name}/{program.build_id}/{program.name}": program.whole.read_bytes()})
    return program


def test_one_file_answers_both(stack, whole):
    data = whole.whole.read_bytes()
    for what in ("debuginfo", "executable"):
        for build in (whole.build_id, whole.build_id.upper()):
            r = raw_get(stack, f"/buildid/{build}/{what}", {"Accept-Encoding": "gzip, zstd"})
            assert (r.status, r.body) == (200, data)
            assert r.getheader("Content-Type") == "application/octet-stream"
            assert r.getheader("Last-Modified") and r.getheader("Content-Encoding") is None
            assert r.getheader("X-DEBUGINFOD-SIZE") == str(len(data))
            assert r.getheader("X-DEBUGINFOD-FILE") == whole.name
            assert r.getheader("ETag") == f'"{hashlib.sha256(data).hexdigest()}"'
            assert r.getheader("X-DEBUGINFOD-ARCHIVE") is None


def test_head(stack, whole):
    for what in ("debuginfo", "executable", "section/.text"):
        get = raw_get(stack, f"/buildid/{whole.build_id}/{what}")
        head = raw_get(stack, f"/buildid/{whole.build_id}/{what}", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Length", "X-DEBUGINFOD-SIZE", "X-DEBUGINFOD-FILE", "Last-Modified"):
            assert head.getheader(name) == get.getheader(name)


def test_two_files(stack, program):
    """Separate debug file and stripped program, uploaded under a debug id as well as a build id."""
    n = program.name
    put(stack, {f"{n}/{program.build_id}/{n}": program.stripped.read_bytes()})
    assert raw_get(stack, f"/buildid/{program.build_id}/debuginfo").status == 404
    put(stack, {f"{n}.debug/{program.debug_id}/{n}.debug": program.debug.read_bytes()})
    r = raw_get(stack, f"/buildid/{program.build_id}/debuginfo")
    assert r.body == program.debug.read_bytes()
    assert r.getheader("X-DEBUGINFOD-FILE") == f"{n}.debug"
    assert raw_get(stack, f"/buildid/{program.build_id}/executable").body == \
        program.stripped.read_bytes()


def test_packed_debug_file(stack, program):
    """<name>.dbg.gz, as Mozilla uploads them, is sent as it is with Content-Encoding."""
    n, data = program.name, program.debug.read_bytes()
    packed = gzip.compress(data)
    put(stack, {f"{n}/{program.debug_id}/{n}.dbg.gz": packed})
    path = f"/buildid/{program.build_id}/debuginfo"
    r = raw_get(stack, path, {"Accept-Encoding": "deflate, gzip, zstd"})
    assert (r.status, r.body, r.getheader("Content-Encoding")) == (200, packed, "gzip")
    assert r.getheader("X-DEBUGINFOD-SIZE") == str(len(data))
    r = raw_get(stack, path)
    assert (r.status, r.body, r.getheader("Content-Encoding")) == (200, data, None)
    plain = raw_get(stack, f"/symbols/v1/{n}/{program.debug_id}/{n}.dbg.gz", {"Accept-Encoding": "gzip"})
    assert plain.body == packed and plain.getheader("Content-Encoding") is None
    assert wait(lambda: made_sym(stack, program)).startswith("MODULE Linux ")


def test_sections(stack, program):
    """From the debug file; what has no content there from the program; as they are in the file."""
    n = program.name
    put(stack, {f"{n}/{program.build_id}/{n}": program.stripped.read_bytes(),
                f"{n}.debug/{program.build_id}/{n}.debug": program.debug.read_bytes()})
    for name in (".debug_info", ".debug_line", ".text", ".rodata", ".note.gnu.build-id"):
        r = raw_get(stack, f"/buildid/{program.build_id}/section/{name}")
        assert (r.status, r.body) == (200, program.section(name)), name
        assert r.getheader("X-DEBUGINFOD-SIZE") == str(len(r.body))
    for name in (".gdb_index", ".bss", ".", "%00"):
        assert raw_get(stack, f"/buildid/{program.build_id}/section/{name}").status == 404


@pytest.mark.parametrize("tail", [0, 9_000_000], ids=["as linked", "names far from their table"])
def test_sections_of_a_packed_file(stack, program, tail):
    """The same of <name>.dbg.gz, wherever its tables lie; what it lacks comes from the program."""
    n, data = program.name, bytearray(program.debug.read_bytes())
    if tail:                                # the section table moves to the end, its names stay
        entry, count = struct.unpack_from("<HH", data, 58)
        table = struct.unpack_from("<Q", data, 40)[0]
        struct.pack_into("<Q", data, 40, len(data) + tail)
        data += random.Random(1).randbytes(tail) + data[table:table + entry * count]
    put(stack, {f"{n}/{program.debug_id}/{n}.dbg.gz": gzip.compress(data, 1),
                f"{n}/{program.build_id}/{n}": program.stripped.read_bytes()})
    base = f"/buildid/{program.build_id}/section/"
    for name in (".debug_info", ".debug_line", ".debug_str", ".text"):
        r = raw_get(stack, base + name, {"Accept-Encoding": "gzip"})
        assert (r.status, r.body) == (200, program.section(name)), name
        assert r.getheader("Content-Encoding") is None and r.getheader("ETag") is None
        assert r.getheader("X-DEBUGINFOD-SIZE") == r.getheader("Content-Length") == str(len(r.body))
        head = raw_get(stack, base + name, method="HEAD")
        assert (head.status, head.getheader("Content-Length")) == (200, str(len(r.body)))
    assert raw_get(stack, base + ".gdb_index").status == 404
    size = len(program.section(".debug_info"))
    assert raw_get(stack, base + ".debug_info",
                   {"X-DEBUGINFOD-MAXSIZE": str(size - 1)}).status == 406


def test_sections_of_a_damaged_packed_file(stack, program):
    """Cut short, or a trailer that lies: no section, no harm."""
    n, packed = program.name, gzip.compress(program.debug.read_bytes())
    path = f"/buildid/{program.build_id}/section/.debug_info"
    stack.error_log.expect("SAL505[34]")
    for damaged in (packed[:len(packed) * 3 // 4], packed[:-4] + b"\xff\xff\xff\x7f",
                    packed[:-4] + b"\x50\0\0\0"):
        put(stack, {f"{n}/{program.debug_id}/{n}.dbg.gz": damaged})
        assert raw_get(stack, path).status in (200, 404)
    assert raw_get(stack, path).status == 404
    put(stack, {f"{n}/{program.debug_id}/{n}.dbg.gz": packed})
    assert raw_get(stack, path).body == program.section(".debug_info")
    wait(lambda: idle(stack, n))


def test_compressed_sections_are_sent_raw(stack, tmp_path):
    """objcopy --compress-debug-sections: the bytes of the section as the file has them."""
    plain = Program(tmp_path, f"z{new_id()[:10].lower()}")
    packed = tmp_path / "packed"
    subprocess.run(["objcopy", "--compress-debug-sections=zlib", plain.whole, packed], check=True)
    put(stack, {f"{plain.name}/{plain.build_id}/{plain.name}": packed.read_bytes()})
    table = subprocess.run(["readelf", "-SW", packed], check=True, capture_output=True, text=True)
    row = re.search(r"\.debug_info +PROGBITS +[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) .* C ", table.stdout)
    offset, size = (int(x, 16) for x in row.groups())
    r = raw_get(stack, f"/buildid/{plain.build_id}/section/.debug_info")
    assert (r.status, r.body) == (200, packed.read_bytes()[offset:offset + size])


def test_size_limit_of_the_client(stack, whole):
    size = whole.whole.stat().st_size
    path = f"/buildid/{whole.build_id}/debuginfo"
    assert raw_get(stack, path, {"X-DEBUGINFOD-MAXSIZE": str(size)}).status == 200
    r = raw_get(stack, path, {"X-DEBUGINFOD-MAXSIZE": str(size - 1)})
    assert (r.status, r.getheader("X-DEBUGINFOD-SIZE")) == (406, str(size))


@pytest.mark.parametrize("path", [f"/buildid/{NOBODY}/debuginfo", f"/buildid/{NOBODY}/executable",
                                  f"/buildid/{NOBODY}/section/.text", f"/buildid/{NOBODY}/source/a.c",
                                  f"/buildid/{NOBODY}/other", f"/buildid/{NOBODY}/section/",
                                  "/buildid/abc/debuginfo", "/buildid/xyz0/debuginfo",
                                  f"/buildid/{NOBODY}", "/buildid/", f"/buildid/{NOBODY}/source/",
                                  f"/buildid/{'ab' * 65}/debuginfo"])
def test_not_found(stack, path):
    r = raw_get(stack, path)
    assert (r.status, r.getheader("Cache-Control")) == (404, "max-age=60")


def test_methods(stack):
    assert raw_get(stack, f"/buildid/{NOBODY}/debuginfo", method="POST").status == 405


def test_try_files_are_asked_for(stack, program):
    put(stack, {f"{program.name}/{program.build_id}/{program.name}": program.whole.read_bytes()},
        fields={"try": "1"})
    assert raw_get(stack, f"/buildid/{program.build_id}/debuginfo").status == 404
    assert raw_get(stack, f"/buildid/{program.build_id}/debuginfo?try").status == 200


def test_delete_and_replace(stack, program, tmp_path):
    """A key that is deleted, or gets another build, takes its build id along."""
    other = Program(tmp_path, program.tag + "x")
    key = f"{program.name}/{program.build_id}/{program.name}"
    put(stack, {key: program.whole.read_bytes()})
    put(stack, {key: other.whole.read_bytes()})
    assert raw_get(stack, f"/buildid/{program.build_id}/debuginfo").status == 404
    assert raw_get(stack, f"/buildid/{other.build_id}/debuginfo").body == other.whole.read_bytes()
    (stack.symbol_store / "key" / key.replace(program.build_id, program.build_id.upper())).unlink()
    assert raw_get(stack, f"/buildid/{other.build_id}/debuginfo").status == 404


def test_damaged_elf(stack, program):
    """Headers that lie cost the upload nothing, and nobody an answer."""
    data = bytearray(program.whole.read_bytes())
    shoff = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<Q", data, 40, shoff + 7)                 # the section table is elsewhere
    stack.error_log.expect("SAL505[34]")
    put(stack, {f"{program.name}/{program.build_id}/{program.name}": bytes(data)})
    put(stack, {f"cut/{program.build_id}/cut": bytes(data[:100])})
    assert raw_get(stack, f"/buildid/{program.build_id}/section/.debug_info").status == 404
    assert raw_get(stack, f"/symbols/v1/cut/{program.build_id}/cut").body == data[:100]
    wait(lambda: idle(stack, "cut") and idle(stack, program.name))


# ---- sources ----

def test_sources(stack, program):
    """From a bundle: by manifest, by name; paths as the debug information has them."""
    n = program.name
    manifest = {"files": {"files/one.c": {"type": "source", "path": "/build/src/../src/one.c"}}}
    put(stack, {f"{n}/{program.debug_id}/{n}.src.zip": archive({
        "manifest.json": json.dumps(manifest).encode(), "files/one.c": b"int one;\n",
        "build/a b+c.c": b"int two;\n"})})
    base = f"/buildid/{program.build_id}/source"
    for path in ("/build/src/../src/one.c", "%2Fbuild%2Fsrc%2F..%2Fsrc%2Fone.c"):
        r = raw_get(stack, base + ("" if path[0] == "/" else "/") + path)
        assert (r.status, r.body) == (200, b"int one;\n")
    for path in ("/build/a%20b+c.c", "//build//a%20b%2Bc.c", "/build/x/../a%20b+c.c"):
        r = raw_get(stack, base + path)
        assert (r.status, r.body, r.getheader("X-DEBUGINFOD-SIZE")) == (200, b"int two;\n", "9")
    for path in ("/build/none.c", "/manifest.json/x", "/../../etc/passwd"):
        assert raw_get(stack, base + path).status == 404


# ---- metadata and metrics ----

def test_metadata(stack, program):
    n = program.name
    put(stack, {f"{n}/{program.build_id}/{n}": program.whole.read_bytes()})
    row = {"type": "executable", "buildid": program.build_id, "file": n}

    def ask(**query):
        return requests.get(f"{stack.url}/metadata", params=query, timeout=20)

    wait(lambda: idle(stack, n))
    for key, value in (("file", n), ("file", f"/usr/bin/{n}"), ("glob", f"/usr/bin/{n[:-1]}?"),
                       ("glob", f"{n[:8]}*")):
        r = ask(key=key, value=value)
        assert r.status_code == 200 and row in r.json()["results"] and r.json()["complete"] is True
    assert ask(key="file", value=n[:-1] + "?").json()["results"] == []
    assert ask(key="glob", value="no(such*").json() == {"results": [], "complete": True}
    for query in ({}, {"key": "file"}, {"key": "x", "value": "y"}):
        assert ask(**query).status_code == 400


def test_metrics(stack, whole):
    def read():
        r = requests.get(f"{stack.url}/metrics", timeout=20)
        assert r.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return dict(line.rsplit(" ", 1) for line in r.text.splitlines())

    before = read()
    for _ in range(3):
        raw_get(stack, f"/buildid/{whole.build_id}/debuginfo")
    after = read()
    for name in ('http_requests_total{type="debuginfo"}', 'http_responses_total{result="200"}'):
        assert int(after[name]) - int(before[name]) == 3


# ---- symbols of raw files ----

def test_symbols_are_made(stack, whole):
    """No dump_syms step: the .sym is there, under its key, with its origin in the books."""
    text = wait(lambda: made_sym(stack, whole))
    lines = text.splitlines()
    assert lines[0] == f"MODULE Linux {os.uname().machine} {whole.debug_id} {whole.name}"
    assert any(x.startswith(f"INFO CODE_ID {whole.build_id.upper()}") for x in lines)
    assert re.search(rf"^FUNC [0-9a-f]+ [0-9a-f]+ 0 salvage_{whole.tag}", text, re.M)
    assert re.search(r"^FILE \d+ .*" + re.escape(whole.source.name), text, re.M)
    assert "STACK CFI INIT" in text
    wait(lambda: idle(stack, whole.name))
    rows = stack.query("select kind, origin, lower(build_id), upload_id from symbol_file "
                       "where debug_file = %s order by id", whole.name)
    assert [r[:3] for r in rows] == [("elf", "upload", whole.build_id),
                                     ("sym", "dump-syms", whole.build_id)]
    assert rows[0][3] == rows[1][3]
    code = raw_get(stack, f"/symbols/{whole.name}/{whole.build_id.upper()}/{whole.name}.sym")
    assert (code.status, code.getheader("Location")) == (
        302, f"/symbols/{whole.name}/{whole.debug_id}/{whole.name}.sym")


@pytest.mark.parametrize("first", ["program", "debug"])
def test_halves_merge(stack, program, first):
    """Lines come from the debug file, call frames from the program; order does not matter."""
    n = program.name
    members = {"program": (f"{n}/{program.build_id}/{n}", program.stripped),
               "debug": (f"{n}.debug/{program.build_id}/{n}.debug", program.debug)}
    second = "debug" if first == "program" else "program"
    put(stack, {members[first][0]: members[first][1].read_bytes()})
    early = wait(lambda: made_sym(stack, program))
    put(stack, {members[second][0]: members[second][1].read_bytes()})

    def complete():
        text = made_sym(stack, program)
        return text if text and "STACK CFI" in text and f"salvage_{program.tag}" in text else None

    text = wait(complete)
    assert text != early and text.startswith(f"MODULE Linux {os.uname().machine} {program.debug_id} {n}")
    assert re.search(r"^[0-9a-f]+ [0-9a-f]+ \d+ \d+$", text, re.M)
    wait(lambda: idle(stack, n) and idle(stack, n + ".debug"))
    assert stack.query("select count(*) from symbol_key where debug_id = %s and leaf like '%%.sym'",
                       program.debug_id) == [(1,)]


def test_soname(stack, tmp_path):
    """A library is looked for under the name it carries, and under the name it came with."""
    lib = Program(tmp_path, "lib" + new_id()[:8].lower(), "-shared", "-fPIC",
                  "-Wl,-soname,libsal.so.4")
    put(stack, {f"{lib.name}/{lib.build_id}/{lib.name}": lib.whole.read_bytes()})
    text = wait(lambda: made_sym(stack, lib, "libsal.so.4"))
    assert text.split("\n", 1)[0].endswith(" libsal.so.4")
    assert wait(lambda: made_sym(stack, lib)) == text


def test_uploaded_symbols_stay(stack, program):
    """What somebody uploaded is never replaced by what is made here; the other way it is."""
    n = program.name
    key = f"{n}/{program.debug_id}/{n}.sym"
    text = sym(n, program.debug_id)
    put(stack, {key: text})
    put(stack, {f"{n}/{program.build_id}/{n}": program.whole.read_bytes()})
    wait(lambda: idle(stack, n))
    assert requests.get(f"{stack.url}/symbols/{key}", timeout=20).content == text


def test_uploaded_symbols_replace(stack, whole):
    wait(lambda: made_sym(stack, whole))
    wait(lambda: idle(stack, whole.name))
    text = sym(whole.name, whole.debug_id)
    put(stack, {f"{whole.name}/{whole.debug_id}/{whole.name}.sym": text})
    assert made_sym(stack, whole) == text.decode()


def test_try_stays_try(stack, program):
    n = program.name
    put(stack, {f"{n}/{program.build_id}/{n}": program.whole.read_bytes()}, fields={"try": "1"})
    wait(lambda: requests.get(f"{stack.url}/symbols/try/{n}/{program.debug_id}/{n}.sym",
                              timeout=20).status_code == 200)
    assert made_sym(stack, program) is None


def test_other_files_are_left_alone(stack):
    name = f"notes-{new_id()[:8]}"
    put(stack, {f"{name}/{new_id()}/{name}": b"just text\n"})
    wait(lambda: idle(stack, name))
    assert stack.query("select kind from symbol_file where debug_file = %s", name) == [("other",)]


# ---- real clients ----

@pytest.mark.skipif(not have("debuginfod-find"), reason="SKIPPED LOUDLY: no debuginfod-find")
def test_debuginfod_find(stack, program, tmp_path):
    n = program.name
    put(stack, {f"{n}/{program.build_id}/{n}": program.stripped.read_bytes(),
                f"{n}/{program.build_id}/{n}.dbg.gz": gzip.compress(program.debug.read_bytes()),
                f"{n}/{program.build_id}/{n}.src.zip": archive(
                    {str(program.source)[1:]: program.source.read_bytes()})})
    env = dict(os.environ, DEBUGINFOD_URLS=f"{stack.url} http://127.0.0.1:9", DEBUGINFOD_TIMEOUT="20",
               DEBUGINFOD_CACHE_PATH=str(tmp_path / "cache"))

    def find(*args):
        done = subprocess.run(["debuginfod-find", *map(str, args)], env=env, capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        with open(done.stdout.strip(), "rb") as f:
            return f.read()

    assert find("executable", program.build_id) == program.stripped.read_bytes()
    assert find("debuginfo", program.build_id) == program.debug.read_bytes()
    assert find("debuginfo", program.stripped) == program.debug.read_bytes()
    assert find("source", program.build_id, program.source) == program.source.read_bytes()
    done = subprocess.run(["debuginfod-find", "debuginfo", NOBODY], env=env, capture_output=True)
    assert done.returncode != 0


@pytest.mark.skipif(not have("gdb"), reason="SKIPPED LOUDLY: no gdb")
def test_gdb(stack, program, tmp_path):
    """gdb lists the source of a stripped program, which it has nothing of but the program."""
    n = program.name
    put(stack, {f"{n}.debug/{program.build_id}/{n}.debug": program.debug.read_bytes(),
                f"{n}/{program.build_id}/{n}.src.zip": archive(
                    {str(program.source)[1:]: program.source.read_bytes()})})
    source = program.source.read_text()
    program.source.unlink()
    program.debug.unlink()
    env = dict(os.environ, DEBUGINFOD_URLS=stack.url, HOME=str(tmp_path),
               DEBUGINFOD_CACHE_PATH=str(tmp_path / "cache"))
    done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled on",
                           "-ex", f"info line salvage_{program.tag}", "-ex", "list main",
                           program.stripped], env=env, capture_output=True, text=True, timeout=120)
    out = done.stdout + done.stderr
    if "debuginfod" in out and "not compiled" in out:
        pytest.skip("SKIPPED LOUDLY: this gdb was built without debuginfod")
    assert f'Line 2 of "{program.source}"' in out, out
    assert source.splitlines()[3] in out, out
