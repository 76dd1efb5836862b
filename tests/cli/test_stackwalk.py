"""`salvage stackwalk` on the shared corpus: the snapshots of minidump-stackwalk, letter by letter,
what breaks, and how the command fails."""
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))


def run(*args, cwd=None):
    return subprocess.run([SALVAGE, *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False,
                          cwd=cwd)


@pytest.fixture(scope="module")
def corpus(shared):
    return shared / "data" / "minidumps"


@pytest.fixture(scope="module")
def peers(corpus):
    return corpus / "rust-minidump"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("symcache")


def snapshot(peers, name):
    text = (peers / "snapshots" / f"test_minidump_stackwalk__{name}.snap").read_text("utf-8")
    return text.split("---\n", 2)[2].rstrip("\n")


@pytest.mark.parametrize("name, dump, options", [
    ("json", "test.dmp", ["--json"]),
    ("json-pretty", "test.dmp", ["--json", "--pretty"]),
    ("json-stable-all", "test.dmp", ["--json", "--pretty", "--features", "stable-all"]),
    ("json-unstable-all", "test.dmp", ["--json", "--pretty", "--features", "unstable-all"]),
    ("json-pretty-symbols", "test.dmp", ["--json", "--pretty", "--symbols", "@symbols"]),
    ("json-pretty-evil-symbols", "test.dmp",
     ["--json", "--pretty", "--evil-json", "@evil.json", "--symbols-path", "@symbols"]),
    ("linux_json_pretty", "linux-mini.dmp", ["--json", "--pretty"]),
    ("macos_inlines_json_pretty", "pipeline-inlines-macos-segv.dmp",
     ["--json", "--pretty", "--symbols", "@symbols"]),
    ("human", "test.dmp", []),
    ("human", "test.dmp", ["--human"]),
    ("human-stable-all", "test.dmp", ["--human", "--features", "stable-all"]),
    ("human-unstable-all", "test.dmp", ["--human", "--features", "unstable-all"]),
    ("human-brief", "test.dmp", ["--human", "--brief"]),
    ("human-symbols", "test.dmp", ["--human", "--symbols", "@symbols"]),
    ("linux_human", "linux-mini.dmp", ["--human"]),
    ("macos_inlines_human", "pipeline-inlines-macos-segv.dmp", ["--symbols", "@symbols"]),
    ("dump", "test.dmp", ["--dump"]),
    ("dump-brief", "test.dmp", ["--dump", "--brief"]),
])
def test_snapshot(peers, cache, name, dump, options):
    options = [str(peers / o[1:]) if o.startswith("@") else o for o in options]
    done = run("stackwalk", *options, "--symbols-cache", cache, peers / dump)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n") == snapshot(peers, name)


def test_symbols_as_arguments_behind_the_dump(peers, cache):
    done = run("stackwalk", "--symbols-cache", cache, peers / "test.dmp", peers / "symbols")
    assert done.stdout.rstrip("\n") == snapshot(peers, "human-symbols")


def test_both_forms_at_once(peers, tmp_path):
    done = run("stackwalk", "--cyborg", tmp_path / "out.json", peers / "test.dmp")
    assert done.stdout.rstrip("\n") == snapshot(peers, "human")
    assert (tmp_path / "out.json").read_text("utf-8") == snapshot(peers, "json")


def test_output_file(peers, tmp_path):
    done = run("stackwalk", "--json", "--output-file", tmp_path / "out", peers / "test.dmp")
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "out").read_text("utf-8") == snapshot(peers, "json")
    done = run("stackwalk", "--output-file", tmp_path / "no" / "out", peers / "test.dmp")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_single_symbol_file(corpus, cache):
    """A symbol file that no tree holds, in both forms of INLINE records."""
    folder = corpus / "breakpad" / "symbols" / "linux_inline" / "BBA6FA10B8AAB33D00000000000000000"
    documents = []
    for name in ("linux_inline.new.sym", "linux_inline.old.sym"):
        done = run("stackwalk", "--json", "--symbols", folder / name, "--symbols-cache",
                   cache / name, corpus / "breakpad" / "linux_inline.dmp")
        assert done.returncode == 0, done.stderr
        documents.append(json.loads(done.stdout))
    frame = documents[0]["crashing_thread"]["frames"][0]
    assert (frame["function"], frame["file"], frame["line"]) == ("main", "a.cpp", 42)
    assert [(i["function"], i["file"], i["line"]) for i in frame["inlines"]] == [
        ("func()", "linux_inline.cpp", 27), ("bar()", "c.cpp", 32), ("foo()", "b.cpp", 39)]
    old = documents[1]["crashing_thread"]["frames"][0]
    assert [i["function"] for i in old["inlines"]] == ["func()", "bar()", "foo()"]


DOCUMENT_KEYS = {
    "crash_info", "handles", "linux_memory_map_count", "lsb_release", "mac_boot_args",
    "mac_crash_info", "main_module", "modules", "modules_contains_cert_info", "pid",
    "proc_limits", "process_uptime", "soft_errors", "status", "system_info", "thread_count",
    "threads", "unloaded_modules"}
FRAME_KEYS = {
    "file", "frame", "function", "function_offset", "inlines", "line", "missing_symbols", "module",
    "module_offset", "offset", "trust", "unloaded_modules"}
MODULE_KEYS = {
    "base_addr", "cert_subject", "code_id", "corrupt_symbols", "debug_file", "debug_id",
    "end_addr", "filename", "loaded_symbols", "missing_symbols", "symbol_url", "version"}


def test_every_dump_gives_a_document_or_a_name(corpus):
    """All of the corpus: every key present and sorted, or one line with a name on stderr."""
    good = bad = 0
    for dump in sorted(corpus.glob("*/*.dmp")):
        done = run("stackwalk", "--json", dump)
        if done.returncode != 0:
            assert done.returncode == 1
            assert done.stderr.startswith("ERROR ") and done.stderr.count("\n") == 1, done.stderr
            bad += 1
            continue
        document = json.loads(done.stdout)
        good += 1
        assert set(document) - {"crashing_thread"} == DOCUMENT_KEYS
        assert list(document) == sorted(document)
        assert document["thread_count"] == len(document["threads"])
        for thread in document["threads"]:
            assert thread["frame_count"] == len(thread["frames"])
            for number, frame in enumerate(thread["frames"]):
                assert set(frame) == FRAME_KEYS
                assert list(frame) == sorted(frame)
                assert frame["frame"] == number
        for module in document["modules"]:
            assert set(module) == MODULE_KEYS
    assert (good, bad) == (31, 2)


@pytest.mark.parametrize("dump, line", [
    ("rust-minidump/evil.json", "ERROR HeaderMismatch - Error reading dump: Header mismatch"),
    ("rust-minidump/invalid-range.dmp", "ERROR MissingThreadList - Error processing dump: "
     "The thread list stream was not found"),
    ("rust-minidump/invalid-record-count.dmp", "ERROR MissingThreadList - Error processing dump: "
     "The thread list stream was not found"),
    ("rust-minidump/no-such.dmp", "ERROR FileNotFound - Error reading dump: File not found"),
])
def test_failure_line(corpus, dump, line):
    done = run("stackwalk", corpus / dump)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(line)


@pytest.mark.parametrize("content, line", [
    (b"", "ERROR IoError - Error reading dump: I/O error"),
    (b"MDMP", "ERROR MissingHeader - Error reading dump: Missing minidump header"),
    (b"MDMP\x93\xa6" + bytes(26), "ERROR VersionMismatch - Error reading dump: "
     "Minidump version mismatch"),
    (b"MDMP\x93\xa7\0\0\5\0\0\0\xff\xff\0\0" + bytes(16), "ERROR MissingDirectory - Error reading "
     "dump: Missing stream directory"),
    (b"MDMP\x93\xa7\0\0" + bytes(24), "ERROR MissingThreadList - Error processing dump: "
     "The thread list stream was not found"),
])
def test_broken_header(tmp_path, content, line):
    (tmp_path / "broken.dmp").write_bytes(content)
    done = run("stackwalk", tmp_path / "broken.dmp")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(line), done.stderr


@pytest.mark.parametrize("options, code, text", [
    ([], 2, "name the minidump"),
    (["--nonsense", "x.dmp"], 2, "nonsense"),
    (["--json", "--human", "x.dmp"], 2, "one form at a time"),
    (["--dump", "--cyborg", "y.json", "x.dmp"], 2, "one form at a time"),
    (["--verbose", "loud", "x.dmp"], 2, "loud"),
    (["--pretty", "--dump", "x.dmp"], 1, "only JSON can be pretty"),
    (["--features", "all", "x.dmp"], 2, "all"),
    (["--max-frames", "0", "x.dmp"], 2, "0"),
    (["--pretty", "x.dmp"], 1, "only JSON can be pretty"),
    (["--json", "--brief", "x.dmp"], 1, "only the human form can be brief"),
])
def test_usage(options, code, text):
    done = run("stackwalk", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr


def test_cache_that_others_may_write(peers, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    done = run("stackwalk", "--symbols", peers / "symbols", "--symbols-cache", tmp_path / "cache",
               peers / "test.dmp")
    assert done.returncode == 1
    assert "name another with --symbols-cache" in done.stderr


def test_bad_extra_costs_a_line_only(peers, tmp_path):
    (tmp_path / "extra.json").write_text("{")
    done = run("stackwalk", "--json", "--evil-json", tmp_path / "extra.json", peers / "test.dmp")
    assert done.returncode == 0
    assert done.stdout == snapshot(peers, "json")
    assert done.stderr.startswith("ERROR evil-json")


def test_max_frames(peers):
    done = run("stackwalk", "--json", "--max-frames", "3", peers / "linux-mini.dmp")
    document = json.loads(done.stdout)
    assert [t["frame_count"] for t in document["threads"]] == [3]


def test_rare_instruction(corpus, tmp_path):
    """What the quick decoder does not know goes to the program that has Zydis; nobody notices."""
    dump = (corpus / "breakpad" / "linux_null_dereference.dmp").read_bytes()
    known = bytes.fromhex("c70005000000")  # mov dword [rax], 0x5
    at = dump.index(known)
    changed = tmp_path / "vex.dmp"
    changed.write_bytes(dump[:at] + bytes.fromhex("c5fe6f00") + dump[at + 4:])
    result = run("stackwalk", "--json", changed)
    assert result.returncode == 0 and result.stderr == ""
    info = json.loads(result.stdout)["crash_info"]
    assert info["instruction"] == "vmovdqu ymm0, ymmword [rax]"
    assert [a["size"] for a in info["memory_accesses"]] == [32]


@pytest.mark.parametrize("code, line", [
    ("c70005000000", "No instruction pointer update by instruction\n"),  # mov dword [rax], 0x5
    ("e87856341290", None),  # call to an immediate address: it goes somewhere, nobody asks where
    ("7505cccccccc", None),  # jnz: it may
    ("ff2090909090", None),  # jmp through memory that is not in the dump
    ("ffe090909090", "Instruction pointer update done by instruction:\n  Address: 0x0000000000000000\n"),
])
def test_what_is_said_of_jumps(corpus, tmp_path, code, line):
    """rax is 0 in this dump."""
    dump = (corpus / "breakpad" / "linux_null_dereference.dmp").read_bytes()
    changed = tmp_path / "jump.dmp"
    changed.write_bytes(dump.replace(bytes.fromhex("c70005000000"), bytes.fromhex(code)))
    text = run("stackwalk", "--brief", changed).stdout
    if line:
        assert line in text
    else:
        assert "nstruction pointer update" not in text


# ---- microdumps: what Breakpad's microdump_stackwalk says of the same files ----

FRAME = re.compile(r"^ ?\d+  (?:(?P<module>[^!+ ]+)(?:!(?P<function>.*?))?)"
                   r"(?: \[(?P<file>[^ ]+) : (?P<line>\d+).*\]| \+ 0x[0-9a-f]+)$")
FOUND_BY = {"given as instruction pointer in context": "context", "call frame info": "cfi",
            "stack scanning": "scan", "previous frame's frame pointer": "frame_pointer"}


def breakpad_frames(text):
    """(module, function, file, line, trust) of each frame of the first thread."""
    frames = []
    for line in text.split("Thread 0 (crashed)\n", 1)[1].split("\n\n", 1)[0].splitlines():
        match = FRAME.match(line)
        if match:
            frames.append(match.groupdict())
        elif line.startswith("    Found by: "):
            frames[-1]["trust"] = FOUND_BY[line[len("    Found by: "):]]
    return [(f["module"], f["function"], f["file"], int(f["line"]) if f["line"] else None,
             f["trust"]) for f in frames]


def breakpad_pcs(text):
    """Program counters as the context and the callers have them."""
    return [int(pc, 16) for pc in re.findall(r" pc = (0x[0-9a-f]+)", text.split("Loaded modules")[0])]


@pytest.mark.parametrize("name, cpu, os_version, reason, address, frames", [
    ("arm", "arm", "OS VERSION INFO", "unknown 0x00000000 / 0x00000000", "0x00000000", 8),
    ("mips64", "mips64", "3.10.0-gf185e20 #112 PREEMPT Mon Oct 5 11:12:49 PDT 2015",
     "unknown 0x00000000 / 0x00000000", "0x0000000000000000", 4),
    ("withcrashreason", "arm",
     "Nokia/TA-1025_00WW/PLE:7.1.1/NMF26F/00WW_3_32C:user/release-keys", "SIGTRAP", "0x4a7cb000",
     25),
])
def test_microdump(corpus, cache, name, cpu, os_version, reason, address, frames):
    folder = corpus / "breakpad"
    done = run("stackwalk", "--json", "--symbols", folder / "symbols" / "microdump",
               "--symbols-cache", cache, folder / f"microdump-{name}.dmp")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    expected = (folder / "expected" / f"microdump-{name}.human.out").read_text("utf-8")
    system = document["system_info"]
    assert (system["os"], system["os_ver"], system["cpu_arch"]) == ("Android", os_version, cpu)
    crash = document["crash_info"]
    assert (crash["type"], crash["address"], crash["crashing_thread"]) == (reason, address, 0)
    ours = document["threads"][0]["frames"]
    # Behind a frame that CFI found we scan 160 words as rust-minidump does, Breakpad 40.
    assert [f["trust"] for f in ours[frames:]] in ([], ["scan"])
    basename = [(f["module"], f["function"], f["file"] and f["file"].rsplit("/", 1)[-1],
                 f["line"], f["trust"]) for f in ours[:frames]]
    assert len(basename) == frames
    assert basename == breakpad_frames(expected)
    loaded = re.findall(r"^0x([0-9a-f]+) - 0x([0-9a-f]+)  (\S+)", expected, re.M)
    assert sorted((int(m["base_addr"], 16), int(m["end_addr"], 16) - 1, m["filename"])
                  for m in document["modules"]) >= sorted(
        (int(a, 16), int(b, 16), n) for a, b, n in loaded)


def test_microdump_for_people(corpus, cache):
    folder = corpus / "breakpad"
    text = run("stackwalk", "--symbols", folder / "symbols" / "microdump", "--symbols-cache", cache,
               folder / "microdump-arm.dmp").stdout
    assert "\nGPU: OpenGL ES 3.0 V@104.0 AU@  (GIT@Id3510ff6dc)\n     Qualcomm\n" in text
    expected = breakpad_pcs(
        (folder / "expected" / "microdump-arm.human.out").read_text("utf-8"))
    assert breakpad_pcs(text)[:len(expected)] == expected


def test_microdump_that_lost_lines(corpus, tmp_path):
    """Lines of a log are lost: each costs what it held, not the report."""
    lines = (corpus / "breakpad" / "microdump-arm.dmp").read_text("utf-8").splitlines(True)
    for number in range(1, len(lines)):
        (tmp_path / "lost.dmp").write_text("".join(lines[:number] + lines[number + 1:]))
        done = run("stackwalk", "--json", tmp_path / "lost.dmp")
        if ": O " in lines[number]:
            assert done.stderr.startswith("ERROR MissingSystemInfo")
            continue
        document = json.loads(done.stdout)
        assert len(document["modules"]) == 6 - (": M " in lines[number])
        assert (document["threads"][0]["frame_count"] == 0) == (": C " in lines[number])


# ---- the raw contents ----

def test_dump_of_every_stream(tmp_path):
    """Streams that no dump of the corpus has, in both byte orders."""
    for order in "<>":
        (tmp_path / "made.dmp").write_bytes(made_dump(order))
        text = run("stackwalk", "--dump", tmp_path / "made.dmp").stdout
        for expected in ("  stream type 0x11 (ThreadInfoListStream) at index 1\n",
                         "MinidumpThreadInfoList\n  thread_info_count = 1\n",
                         "  start_address               = 0x401000\n",
                         "StabilityReport\n  process_state[0].process_id = 77\n",
                         "  system_memory_state.windows_memory.system_handle_count = 300\n",
                         "MD_DSO_DEBUG\n  version   = 1\n", "  link_map[0] = 0x7000 0x7800 \"libé\"\n",
                         "Stream LinuxAuxv:\n    00000000: 21 00 41 ", "Stream MozSoftErrors:\n[]\n",
                         "  stream type 0x12345678 (unknown) at index "):
            assert expected in text, (order, expected, text)


def made_dump(order):
    """A minidump of Python's making: streams by type, then where each begins."""
    def pack(form, *values):
        return struct.pack(order + form, *values)

    name = "libé".encode("utf-16-le" if order == "<" else "utf-16-be")
    report = bytes([0x12, 2, 0x18, 77, 0x3a, 5, 0x0a, 3, 0x18, 0xac, 0x02])
    data = {
        7: pack("HHHBBIIIIIHH", 9, 6, 0x0503, 1, 0, 0, 0, 0, 0x8201, 0, 0, 0) + bytes(24),
        17: pack("III", 12, 64, 1) + pack("IIII", 5, 0, 0, 0)
            + pack("QQQQQQ", 0, 0, 0, 0, 0x401000, 1),
        0x4b6b0002: report,
        0x4d7a0004: b"[]",
        0x47670008: b"\x21\0A",
        0x12345678: b"what",
        0x4767000a: None,
    }
    place = 32 + 12 * len(data)
    body, directory = b"", b""
    text_at, link_at = place, place + 4 + len(name) + 2
    body += pack("I", len(name)) + name + b"\0\0"
    body += pack("QIIQ", 0x7000, text_at, 0, 0x7800)
    data[0x4767000a] = pack("IIIIQQQ", 1, link_at, 1, 0, 0, 0, 0)
    for kind, content in data.items():
        directory += pack("III", kind, len(content), place + len(body))
        body += content
    return pack("IIIIIIQ", 0x504d444d, 0xa793, len(data), 32, 0, 0, 0) + directory + body


# ---- options ----

def test_recovered_arguments(peers, tmp_path):
    """Names say how many, the caller's stack pointer where: 0x12fe90 and 0x12ff78 here."""
    shutil.copytree(peers / "symbols", tmp_path / "symbols")
    symbols = next(tmp_path.glob("symbols/test_app.pdb/*/test_app.sym"))
    text = symbols.read_text("utf-8")
    for old, new in (("`anonymous namespace'::CrashFunction", "Crash::it(std::map<int, char> *m, int)"),
                     (" main\n", " main(int argc, char **argv)\n"),
                     (" __tmainCRTStartup\n", " __tmainCRTStartup(void)\n")):
        assert old in text
        text = text.replace(old, new)
    symbols.write_text(text, "utf-8")
    options = ["--brief", "--symbols", tmp_path / "symbols", "--symbols-cache", tmp_path / "cache",
               peers / "test.dmp"]
    memory = run("stackwalk", "--dump", peers / "test.dmp").stdout.split("Stack\n")[1]
    words = [int(w, 16) for w in re.findall(r": 0x([0-9a-f]{8})\n", memory.split("\n\n")[0])]

    def word(address):
        return words[(address - 0x12f31c) // 4]

    done = run("stackwalk", "--recover-function-args", *options).stdout
    assert ("    Arguments (assuming windows thiscall [C++ member function])\n"
            "        arg 0 (this) = 0x00000045\n"
            f"        arg 1 (std::map<int, char> *m) = 0x{word(0x12fe90):08x}\n"
            f"        arg 2 (int) = 0x{word(0x12fe94):08x}\n\n") in done
    assert ("    Arguments (assuming cdecl [static function])\n"
            f"        arg 0 (int argc) = 0x{word(0x12ff78):08x}\n"
            f"        arg 1 (char **argv) = 0x{word(0x12ff7c):08x}\n\n") in done
    assert "(void) =" not in done
    assert run("stackwalk", "--features", "unstable-all", *options).stdout == done
    assert "Arguments" not in run("stackwalk", *options).stdout


def test_how_much_is_said(peers, tmp_path):
    missing = tmp_path / "no.dmp"
    assert run("stackwalk", "--verbose", "off", missing).stderr == ""
    assert run("stackwalk", "--log-file", tmp_path / "log", missing).stderr == ""
    assert (tmp_path / "log").read_text().startswith("ERROR FileNotFound")
    trace = run("stackwalk", "--verbose", "trace", peers / "linux-mini.dmp").stderr
    assert all(line.startswith("DEBUG ") for line in trace.splitlines())
    assert "unwind: thread " in trace and " by scan, pc 0x" in trace


def on_terminal(*args):
    """What the command writes to a terminal that is its stderr, and its exit code."""
    master, slave = pty.openpty()
    child = subprocess.Popen([SALVAGE, *map(str, args)], stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(master)
    return said.decode("utf-8", "replace"), child.wait()


def test_progress_on_a_terminal(peers, tmp_path):
    symbols = tmp_path / "symbols"
    shutil.copytree(peers / "symbols", symbols)
    with next(symbols.glob("test_app.pdb/*/test_app.sym")).open("a") as out:
        for i in range(1 << 20):
            out.write(f"PUBLIC {0x100000 + 16 * i:x} 0 some::rather::long::name::of::a::function{i}\n")
    options = ["stackwalk", "--symbols", symbols, "--symbols-cache", tmp_path / "cache"]
    said, code = on_terminal(*options, peers / "test.dmp")
    assert code == 0
    assert "\r\x1b[K0 of 2 threads, 0 frames; symbols of test_app.exe" in said
    assert said.endswith("\r\x1b[K")
    options[-1] = tmp_path / "other"
    assert on_terminal(*options, "--no-interactive", peers / "test.dmp") == ("", 0)
