"""`salvage stackwalk` on input that wants to cost much: each case ends within 2 seconds of processor
time and 64 MB of memory, pages of the mapped input included, and gives a document or a name."""
import json
import os
import pathlib
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from minidumps import (CRASHPAD, Dump, EXCEPTION, HANDLES, MEMORY, MEMORY64,  # noqa: E402
                       MEMORY_INFO, MODULES, THREAD_NAMES, THREADS, UNLOADED, WINDOWS, X86)

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
SECONDS, MEGABYTES = 2.0, 64

# A process of its own starts the command: what this one has used would be counted with it.
MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], dict(os.environ))
_, status, used = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
"""


def walk(tmp_path, dump, *options, code=0, megabytes=MEGABYTES):
    """The document of a dump, after checking what it cost."""
    (tmp_path / "hostile.dmp").write_bytes(dump)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", MEASURE, SALVAGE, "stackwalk",
         "--json", "--output-file", str(out), "--symbols-cache",
         str(tmp_path / "cache"), *map(str, options), str(tmp_path / "hostile.dmp")],
        stderr=subprocess.PIPE, encoding="utf-8", timeout=20, check=True)
    *said, figures = done.stderr.splitlines()
    exit_code, seconds, kilobytes = figures.split()
    assert int(exit_code) == code, said
    assert float(seconds) < SECONDS, f"{seconds} s"
    assert int(kilobytes) < megabytes * 1024, f"{int(kilobytes) // 1024} MB"
    if code:
        return said
    return json.loads(out.read_text("utf-8"))


def one_thread(dump, stack, rip=0x401234, base=0x7fff0000, rbp=None, rsp=None, name="app",
               cv=(0, 0)):
    context = dump.amd64(rip, base if rsp is None else rsp, base if rbp is None else rbp)
    place = dump.put(stack)
    dump.list(THREADS, [dump.thread(1, base, place, context)])
    dump.list(MEMORY, [dump.pack("QII", base, *place)])
    dump.list(MODULES, [dump.module(0x400000, 0x100000, dump.text(name), cv)])
    dump.stream(EXCEPTION, dump.exception(1, 11, 0x45, context))
    return dump


def symbols(tmp_path, text, name="app", guid=0x5A, age=1):
    folder = tmp_path / "symbols" / name / ("%08X%024d%x" % (guid, 0, age))
    folder.mkdir(parents=True)
    with (folder / f"{name}.sym").open("w") as out:
        out.write("MODULE Linux x86_64 %s %s\n" % (folder.name, name))
        for piece in [text] if isinstance(text, str) else text:
            out.write(piece)
    return tmp_path / "symbols"


def with_symbols(dump, stack, **more):
    return one_thread(dump, stack, cv=dump.cv_pdb(0x5A, 1, "app"), **more).bytes()


# ---- stacks ----

def test_frame_pointers_in_a_circle(tmp_path):
    base, n = 0x7fff0000, 4096
    stack = b"".join(struct.pack("<QQ", base + 16 * ((i * 7 + 1) % n), 0x401000 + i)
                     for i in range(n))
    document = walk(tmp_path, one_thread(Dump(), stack).bytes())
    assert 1 <= document["threads"][0]["frame_count"] <= 1024


@pytest.mark.parametrize("options, most, megabytes", [
    ((), 1024, 64), (("--max-frames", "20000"), 20000, 192), (("--max-frames", "1048576"), 65536, 512)])
def test_a_million_frames_of_recursion(tmp_path, options, most, megabytes):
    base, n = 0x7f0000000000, 1 << 20
    stack = bytearray(16 * n)
    for i in range(n):
        struct.pack_into("<QQ", stack, 16 * i, base + 16 * (i + 1), 0x401000)
    document = walk(tmp_path, one_thread(Dump(), bytes(stack), base=base).bytes(), *options,
                    megabytes=megabytes)
    assert document["threads"][0]["frame_count"] == most


def test_a_stack_of_return_addresses(tmp_path):
    """Every word is found by scanning: the bound on scanned frames holds, too."""
    stack = struct.pack("<Q", 0x401000) * (1 << 20)
    document = walk(tmp_path, one_thread(Dump(), stack, rbp=0).bytes(), "--max-frames", "1048576",
                    megabytes=128)
    assert document["threads"][0]["frame_count"] == 16384 + 1


def test_many_threads_share_one_deep_stack(tmp_path):
    dump, base, n = Dump(), 0x7f0000000000, 1 << 16
    stack = b"".join(struct.pack("<QQ", base + 16 * (i + 1), 0x401000) for i in range(n))
    place, context = dump.put(stack), dump.amd64(0x401000, base, base)
    dump.list(THREADS, [dump.thread(i, base, place, context) for i in range(4096)])
    dump.list(MODULES, [dump.module(0x400000, 0x100000, dump.text("app"))])
    document = walk(tmp_path, dump.bytes())
    assert sum(t["frame_count"] for t in document["threads"]) == 24576 - 2048


# ---- counts ----

@pytest.mark.parametrize("kind", [THREADS, MODULES, MEMORY, THREAD_NAMES])
@pytest.mark.parametrize("count", [1 << 20, 0xffffffff])
def test_counts_without_entries(tmp_path, kind, count):
    dump = Dump()
    if kind != THREADS:
        dump.list(THREADS, [])
    dump.list(kind, [], count)
    if kind == THREADS:
        assert walk(tmp_path, dump.bytes(), code=1)[0].startswith("ERROR MissingThreadList")
    else:
        assert walk(tmp_path, dump.bytes())["threads"] == []


@pytest.mark.parametrize("kind, header, size", [(UNLOADED, 12, 24), (MEMORY_INFO, 16, 48),
                                                (HANDLES, 16, 32), (MEMORY64, 16, 16)])
def test_counts_without_entries_behind_a_header(tmp_path, kind, header, size):
    dump = Dump()
    dump.list(THREADS, [])
    dump.list_ext(kind, header, [], size, 0xffffffff)
    assert walk(tmp_path, dump.bytes())["unloaded_modules"] == []


def test_a_million_threads(tmp_path):
    dump = Dump()
    dump.stream(THREADS, dump.pack("I", 1 << 20) + dump.thread(1, 0, (0, 0), (0, 0)) * (1 << 20))
    assert walk(tmp_path, dump.bytes())["thread_count"] == 16384


def test_a_million_modules(tmp_path):
    dump = Dump()
    dump.list(THREADS, [])
    name = dump.text("n" * 200)
    entries = [dump.module(0x1000 * (i + 1), 0x1000, name) for i in range(4096)]
    dump.stream(MODULES, dump.pack("I", 1 << 18) + b"".join(entries) * 64)
    assert len(walk(tmp_path, dump.bytes())["modules"]) == 2048


def test_a_million_streams_claimed(tmp_path):
    dump = Dump()
    dump.list(THREADS, [])
    dump.put(bytes(12 << 20))
    assert walk(tmp_path, dump.bytes(claimed=1 << 20), code=1)[0].startswith(
        "ERROR MissingDirectory")


# ---- what refers to itself, or to one thing many times ----

def test_overlapping_memory(tmp_path):
    """A million regions over each other, most of the file each."""
    dump = Dump()
    context = dump.amd64(0x401000, 0x7fff0000, 0x7fff0000)
    place = dump.put(bytes(1 << 20))
    dump.list(THREADS, [dump.thread(1, 0x7fff0000, (0, 0), context)])
    dump.list(MEMORY, [dump.pack("QII", 0x7fff0000 + i % 64, place[0] - 64, place[1])
                       for i in range(1 << 18)])
    assert walk(tmp_path, dump.bytes())["threads"][0]["frame_count"] == 1


def test_streams_that_are_the_whole_file(tmp_path):
    dump = Dump()
    dump.list(THREADS, [])
    data = bytearray(dump.bytes())
    for i in range(2, 38):  # each of them: all of the file, header included
        kind = (4, 5, 6, 9, 12, 14, 15, 16, 17, 24, 0x43500001, 0x47670001, 0x47670002, 0x47670003,
                0x47670004, 0x47670005, 0x47670007, 0x47670009, 0x4d7a0001, 0x4d7a0002, 0x4d7a0003,
                0x4d7a0004)[i % 22]
        struct.pack_into("<III", data, 32 + 12 * i, kind, len(data), 0)
    struct.pack_into("<I", data, 8, 38)
    assert walk(tmp_path, bytes(data))["status"] == "OK"


def test_names_that_are_their_own_length(tmp_path):
    """Modules whose name is the list of modules."""
    dump = Dump()
    dump.list(THREADS, [])
    at = dump.here() + 4
    dump.list(MODULES, [dump.module(0x1000 * (i + 1), 0x1000, at) for i in range(1000)])
    assert len(walk(tmp_path, dump.bytes())["modules"]) == 1000


def test_crashpad_tree(tmp_path):
    """Modules that share dictionaries that share strings: 10^12 annotations if it were followed."""
    dump = Dump()
    dump.list(THREADS, [])
    text = dump.utf8("x" * 60000)
    pairs = dump.put(dump.pack("I", 50000) + dump.pack("II", text, text) * 50000)
    info = dump.put(dump.pack("I", 1) + dump.pack("II", 0, 0) + dump.pack("II", *pairs)
                    + dump.pack("II", 0, 0))
    links = dump.put(dump.pack("I", 60000) + dump.pack("III", 0, *info) * 60000)
    dump.stream(CRASHPAD, dump.pack("I", 1) + bytes(32) + dump.pack("II", *pairs)
                + dump.pack("II", *links))
    assert walk(tmp_path, dump.bytes())["status"] == "OK"


def test_handles_that_share_a_name(tmp_path):
    dump = Dump()
    dump.list(THREADS, [])
    name = dump.text("h" * 30000)
    dump.list_ext(HANDLES, 16, [dump.pack("QIIIIII", i, name, name, 0, 0, 0, 0)
                                for i in range(4096)], 32)
    assert len(walk(tmp_path, dump.bytes())["handles"]) == 4096


# ---- symbols ----

def test_a_symbol_of_82000_characters(tmp_path):
    """In every frame: names are cut once they are 32 MiB together."""
    base, n = 0x7f0000000000, 1024
    stack = b"".join(struct.pack("<QQ", base + 16 * (i + 1), 0x401010) for i in range(n + 1))
    folder = symbols(tmp_path, "FUNC 1000 1000 0 %s\n" % ("std::pair<int, " * 5466))
    document = walk(tmp_path, with_symbols(Dump(), stack, base=base), "--symbols", folder)
    frames = document["threads"][0]["frames"]
    assert len(frames) >= 1000
    assert len(frames[0]["function"]) > 81000


@pytest.mark.parametrize("rule", [
    ".cfa: $rsp 8 + .ra: .cfa -8 + ^ $rbx: " + "1 " * 60000,         # a stack that grows
    ".cfa: $rsp 8 + .ra: .cfa -8 + ^ $rbx: 1 " + "1 + " * 60000,     # an expression that does not end
    ".cfa: $rsp .ra: .cfa",                                          # no progress
    ".cfa: $rsp 0 * .ra: 4198400",                                   # backwards
    ".cfa: .cfa .ra: .ra",                                           # of itself
    ".cfa: $rsp 8 + .ra: .cfa -8 + ^ " + "$rbx: $rbx 1 + " * 10000,  # one register again and again
], ids=["stack grows", "long expression", "no progress", "backwards", "of itself", "again"])
def test_call_frame_information(tmp_path, rule):
    stack = struct.pack("<Q", 0x401010) * (1 << 16)
    folder = symbols(tmp_path, "FUNC 1000 1000 0 f\nSTACK CFI INIT 1000 1000 %s\n" % rule)
    document = walk(tmp_path, with_symbols(Dump(), stack), "--symbols", folder)
    assert document["threads"][0]["frame_count"] >= 1


def test_a_million_deltas_of_call_frame_information(tmp_path):
    def deltas():
        yield "FUNC 1000 fffff 0 f\nSTACK CFI INIT 1000 fffff .cfa: $rsp 8 + .ra: .cfa -8 + ^\n"
        for i in range(200000):
            yield "STACK CFI %x $rbx: $rbx 1 +\n" % (0x1001 + i % 0x200)
    stack = struct.pack("<Q", 0x401f00) * (1 << 16)
    document = walk(tmp_path, with_symbols(Dump(), stack, rip=0x401f00), "--symbols",
                    symbols(tmp_path, deltas()))
    assert document["threads"][0]["frame_count"] >= 1


@pytest.mark.parametrize("program", [
    "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + = " + "$T1 $T1 1 + = " * 75000,
    "$T0 1 = " + "".join("$T%d %d = " % (i, i) for i in range(1, 80000)),
    "1 " * 500000,
    "$eip 4198416 = $esp $esp 4 + = " * 33000,
], ids=["sums", "variables", "stack", "assignments"])
def test_windows_programs_of_a_megabyte(tmp_path, program):
    base = 0x70000000
    stack = struct.pack("<II", base, 0x401010) * 4096
    folder = symbols(tmp_path, "FUNC 1000 1000 0 f\nSTACK WIN 4 1000 1000 0 0 4 0 0 0 1 %s\n"
                     % program)
    dump = Dump(arch=X86, platform=WINDOWS)
    context, place = dump.x86(0x401010, base, base), dump.put(stack)
    dump.list(THREADS, [dump.thread(1, base, place, context)])
    dump.list(MODULES, [dump.module(0x400000, 0x100000, dump.text("app"),
                                    dump.cv_pdb(0x5A, 1, "app"))])
    document = walk(tmp_path, dump.bytes(), "--symbols", folder)
    assert document["threads"][0]["frame_count"] >= 1


def test_inlines_100000_deep(tmp_path):
    def inlines():
        yield "FILE 0 a.c\nINLINE_ORIGIN 0 g\nFUNC 1000 1000 0 f\n"
        for depth in range(100000):
            yield "INLINE %d 1 0 0 1000 1000\n" % depth
        yield "1000 1000 7 0\n"
    base, n = 0x7f0000000000, 1024
    stack = b"".join(struct.pack("<QQ", base + 16 * (i + 1), 0x401010) for i in range(n + 1))
    document = walk(tmp_path, with_symbols(Dump(), stack, base=base, rip=0x401010), "--symbols",
                    symbols(tmp_path, inlines()))
    frames = document["threads"][0]["frames"]
    assert len(frames) >= 1000 and len(frames[0]["inlines"]) >= 64


def test_a_line_of_100_megabytes(tmp_path):
    def lines():
        yield "FUNC 1000 1000 0 before\nPUBLIC 2000 0 "
        for _ in range(100):
            yield "x" * (1 << 20)
        yield "\nFUNC 3000 1000 0 behind\n"
    dump = with_symbols(Dump(), bytes(64), rip=0x403004)
    document = walk(tmp_path, dump, "--symbols", symbols(tmp_path, lines()))
    assert document["threads"][0]["frames"][0]["function"] == "behind"
    assert document["modules"][0]["corrupt_symbols"] is True


def test_functions_over_each_other(tmp_path):
    def functions():
        for i in range(100000):
            yield "FUNC %x fffff 0 f%d\n" % (0x1000 + i % 256, i)
    document = walk(tmp_path, with_symbols(Dump(), bytes(64), rip=0x401000), "--symbols",
                    symbols(tmp_path, functions()))
    assert document["threads"][0]["frames"][0]["function"] == "f0"


# ---- microdumps ----

def test_microdumps(tmp_path):
    tag = b"W/google-breakpad( 1): "
    begin = tag + b"-----BEGIN BREAKPAD MICRODUMP-----\n"
    system = tag + b"O A arm 02 armv7l x\n"
    module = tag + b"M F6FEE000 00000000 00004000 DFCD7772F3A5BD1E84A50C4DBFDE6F570 " + b"n" * 5000
    cases = {
        "begins": begin * 200000,
        "modules": begin + system + (module + b"\n") * 5000,
        "chunks": begin + system + b"".join(
            tag + b"S %08X 00112233\n" % (i * 16 & 0xffffffff) for i in range(300000)),
        "one line": begin + system + tag + b"S 00001000 " + b"00" * (20 << 20),
        "no lines": begin + b"google-breakpad" * 1000000,
    }
    for name, text in cases.items():
        if name in ("begins", "no lines"):
            assert walk(tmp_path, text, code=1)[0].startswith("ERROR MissingSystemInfo")
        else:
            assert walk(tmp_path, text)["status"] == "OK"
