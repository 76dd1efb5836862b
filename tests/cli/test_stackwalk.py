"""`salvage stackwalk` on the shared corpus: the snapshots of minidump-stackwalk, letter by letter,
what breaks, and how the command fails."""
import json
import os
import pathlib
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
    assert (good, bad) == (28, 5)


@pytest.mark.parametrize("dump, line", [
    ("breakpad/microdump-arm.dmp", "ERROR HeaderMismatch - Error reading dump: Header mismatch"),
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
    (["--features", "all", "x.dmp"], 2, "all"),
    (["--max-frames", "0", "x.dmp"], 2, "0"),
    (["--pretty", "x.dmp"], 1, "only JSON can be pretty"),
    (["--json", "--brief", "x.dmp"], 1, "only the human form can be brief"),
])
def test_usage(options, code, text):
    done = run("stackwalk", *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr


def test_symbol_server_is_refused(peers):
    done = run("stackwalk", "--symbols", "https://symbols.example/", peers / "test.dmp")
    assert done.returncode == 1
    assert "symbols are not fetched from servers yet" in done.stderr


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
