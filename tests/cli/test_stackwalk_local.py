"""`salvage stackwalk --use-local-debuginfo`: a program that is made and crashes here, its files in every
state a host may have them in, and minidump-stackwalk's opinion of the same."""
import concurrent.futures
import fcntl
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
PEER = os.environ.get("MINIDUMP_STACKWALK", "/tmp/peers/bin/minidump-stackwalk")

SOURCE = r"""
#include <stdlib.h>
volatile long sink = 1, zero;
static inline __attribute__((always_inline)) int inner(int n)
{
    *(volatile int *)zero = n;
    return n;
}
__attribute__((noinline)) int middle(int n)
{
    return inner(n) + (int)sink;
}
__attribute__((noinline)) int compare(const void *a, const void *b)
{
    return middle(*(const int *)a - *(const int *)b) + 1;
}
int main(void)
{
    int list[] = { 3, 1, 2 };
    qsort(list, 3, sizeof(int), compare);
    return list[0] + (int)sink;
}
"""
BUILD = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-fasynchronous-unwind-tables", "-Wl,--build-id"]


def run(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, timeout=60, **more)


def limit_core():
    resource.setrlimit(resource.RLIMIT_CORE, (256 << 20, 256 << 20))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(place, bytes of the program, dump)"""
    if not shutil.which("gcc"):
        pytest.skip("SKIPPED LOUDLY: no gcc to make a program that crashes")
    if "/" in pathlib.Path("/proc/sys/kernel/core_pattern").read_text():
        pytest.skip("SKIPPED LOUDLY: cores do not come into the working directory")
    place = tmp_path_factory.mktemp("local")
    (place / "app.c").write_text(SOURCE)
    run(*BUILD, "-o", place / "app", place / "app.c")
    where = tmp_path_factory.mktemp("core")
    subprocess.run([place / "app"], cwd=where, preexec_fn=limit_core, check=False)
    cores = list(where.glob("core*"))
    if not cores:
        pytest.skip("SKIPPED LOUDLY: the program left no core")
    run(SALVAGE, "core2md", "-o", where / "app.dmp", cores[0])
    return place, (place / "app").read_bytes(), where / "app.dmp"


@pytest.fixture
def app(built):
    """Path of the program, as it was built and alone."""
    place, program, _ = built
    for entry in place.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (place / "app").write_bytes(program)
    (place / "app").chmod(0o755)
    return place / "app"


@pytest.fixture
def dump(built):
    return built[2]


def walk(dump, cache, *args, timeout=60, cwd=None):
    done = subprocess.run([SALVAGE, "stackwalk", "--json", "--symbols-cache", cache, *map(str, args), dump],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=timeout, cwd=cwd,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def local(dump, cache, *args, **more):
    return walk(dump, cache, "--use-local-debuginfo", *args, **more)


def module(doc, name="app"):
    return next(m for m in doc["modules"] if m["filename"] == name)


def functions(doc, name="app"):
    """Functions of a module on the crashing thread's stack, inlined ones too."""
    found = []
    for frame in doc["crashing_thread"]["frames"]:
        if frame["module"] == name:
            found += [i["function"] for i in frame["inlines"] or []] + [frame["function"]]
    return found


def has_symbols(doc):
    found = functions(doc)
    return found[:4] == ["inner", "middle", "compare", "main"] and module(doc)["loaded_symbols"]


def has_none(doc):
    return set(functions(doc)) == {None} and not module(doc)["loaded_symbols"]


def texts(cache, name="app"):
    return sorted((cache / ".salvage" / "local" / name).glob("*/*.sym"))


def leftovers(cache):
    return list(cache.glob(".salvage/local/*/*/*.tmp"))


def strings(dump):
    """The maps in a dump, with the paths of all that was loaded."""
    return dump.read_bytes().decode("latin-1")


# ---- what it gives ----

def test_only_with_the_option(app, dump, tmp_path):
    assert has_none(walk(dump, tmp_path, "--symbols", tmp_path / "elsewhere"))
    assert not (tmp_path / ".salvage").exists()
    doc = local(dump, tmp_path)
    assert has_symbols(doc)
    frames = [f for f in doc["crashing_thread"]["frames"] if f["module"] == "app"]
    assert [(f["line"], f["trust"]) for f in frames[:3]] == [(11, "context"), (15, "cfi"), (20, "cfi")]
    assert frames[0]["file"].endswith("app.c") and frames[0]["inlines"][0]["line"] == 6


def test_the_same_as_with_dumped_symbols(app, dump, tmp_path):
    """One implementation: no matter who called it."""
    doc = local(dump, tmp_path / "a")
    used = {f["module"] for f in doc["crashing_thread"]["frames"]}
    paths = set(re.findall(rf"(/\S+/(?:{'|'.join(map(re.escape, used))}))\n", strings(dump)))
    assert len(paths) >= len(used) >= 2
    for path in paths:
        run(SALVAGE, "dump-syms", "--store", tmp_path / "store", "--name", os.path.basename(path), path,
            stdout=subprocess.DEVNULL)
    assert walk(dump, tmp_path / "b", "--symbols", tmp_path / "store") == doc


def test_named_symbols_come_first(app, dump, tmp_path):
    run(SALVAGE, "dump-syms", "--store", tmp_path / "store", app, stdout=subprocess.DEVNULL)
    text = next((tmp_path / "store").glob("app/*/app.sym"))
    text.write_text(text.read_text().replace(" middle", " muddle"))
    doc = local(dump, tmp_path / "cache", "--symbols", tmp_path / "store")
    assert functions(doc)[1] == "muddle"
    assert not texts(tmp_path / "cache")


def test_text_for_people(app, dump, tmp_path):
    done = subprocess.run([SALVAGE, "stackwalk", "--brief", "--use-local-debuginfo", "--symbols-cache", tmp_path, dump],
                          stdout=subprocess.PIPE, encoding="utf-8", check=True)
    assert "app!middle [app.c : 11 + " in done.stdout


# ---- what is kept ----

def test_made_once(app, dump, tmp_path):
    first = local(dump, tmp_path)
    text, = texts(tmp_path)
    before = text.stat()
    assert local(dump, tmp_path) == first
    assert (text.stat().st_ino, text.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not leftovers(tmp_path)


def test_by_many_at_once(app, dump, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        docs = list(pool.map(lambda _: local(dump, tmp_path), range(6)))
    assert all(d == docs[0] for d in docs) and has_symbols(docs[0])
    assert len(texts(tmp_path)) == 1 and not leftovers(tmp_path)


def test_kept_when_the_file_is_gone(app, dump, tmp_path):
    """The id says that it is still the module's."""
    doc = local(dump, tmp_path)
    app.unlink()
    assert local(dump, tmp_path) == doc


def test_made_again_when_debug_information_comes(app, dump, tmp_path):
    run("objcopy", "--only-keep-debug", app, app.parent / "kept")
    run("strip", app)
    assert "middle" not in functions(local(dump, tmp_path))
    time.sleep(0.05)  # clocks of file systems tick
    (app.parent / "kept").rename(app.parent / "app.debug")
    assert has_symbols(local(dump, tmp_path))


def test_leftovers_of_the_killed_are_removed(app, dump, tmp_path):
    local(dump, tmp_path)
    text, = texts(tmp_path)
    text.unlink()
    (text.parent / "app.sym.4711.tmp").write_text("MODULE Linux x86_64 half")
    assert has_symbols(local(dump, tmp_path))
    assert not leftovers(tmp_path)


# ---- where it is found ----

@pytest.mark.parametrize("where", ["app.debug", ".debug/app.debug", "else/where.debug"])
def test_stripped_with_debug_file(app, dump, tmp_path, where):
    debug = app.parent / where
    debug.parent.mkdir(exist_ok=True)
    run("objcopy", "--only-keep-debug", app, debug)
    run("strip", app)
    run("objcopy", f"--add-gnu-debuglink={debug}", app)
    doc = local(dump, tmp_path)
    if where.startswith("else"):  # nobody would look there
        assert "middle" not in functions(doc)
    else:
        assert has_symbols(doc)


def test_debug_file_without_a_link(app, dump, tmp_path):
    run("objcopy", "--only-keep-debug", app, app.parent / "app.debug")
    run("strip", app)
    assert has_symbols(local(dump, tmp_path))


def test_debug_file_alone(app, dump, tmp_path):
    """Functions and lines; how to unwind stood in the program."""
    run("objcopy", "--only-keep-debug", app, app.parent / "app.debug")
    app.unlink()
    assert functions(local(dump, tmp_path))[:2] == ["inner", "middle"]


def test_debug_file_of_another_build(app, dump, tmp_path):
    (app.parent / "other.c").write_text(SOURCE.replace("+ 1", "+ 2").replace("middle", "muddle"))
    run(*BUILD, "-o", app.parent / "other", app.parent / "other.c")
    run("objcopy", "--only-keep-debug", app.parent / "other", app.parent / "app.debug")
    run("strip", app)
    assert not {"middle", "muddle"} & set(functions(local(dump, tmp_path)))


def test_link_to_the_program(app, dump, tmp_path):
    app.rename(app.parent / "real")
    app.symlink_to("real")
    assert has_symbols(local(dump, tmp_path))


# ---- what is no file of the module ----

def another_build(app):
    source = app.parent / "other.c"
    source.write_text(SOURCE.replace("+ 1", "+ 2"))
    run(*BUILD, "-o", app, source)


def without_build_id(app):
    source = app.parent / "app.c"
    source.write_text(SOURCE)
    run(*BUILD, "-Wl,--build-id=none", "-o", app, source)


def pipe(app):
    app.unlink()
    os.mkfifo(app)


def directory(app):
    app.unlink()
    app.mkdir()


def device(app):
    app.unlink()
    app.symlink_to("/dev/zero")


def circle(app):
    app.unlink()
    app.symlink_to("app")


def cut(app):
    app.write_bytes(app.read_bytes()[:100])


@pytest.mark.parametrize("change", [another_build, without_build_id, pathlib.Path.unlink, pipe, directory, device,
                                    circle, cut, lambda app: app.write_text(""),
                                    lambda app: app.write_text("#!/bin/sh\n" * 50)])
def test_no_file_of_this_build(app, dump, tmp_path, change):
    change(app)
    assert has_none(local(dump, tmp_path, timeout=20))
    assert not texts(tmp_path)


def test_relative_paths_are_not_looked_for(app, dump, tmp_path):
    """The reader's working directory is no business of a dump."""
    path = str(app)
    relative = "." + "/" * (len(path) - 4) + "app"
    data = dump.read_bytes()
    assert path.encode("utf-16-le") in data
    (tmp_path / "relative.dmp").write_bytes(data.replace(path.encode("utf-16-le"), relative.encode("utf-16-le")))
    assert has_none(local(tmp_path / "relative.dmp", tmp_path / "cache", cwd=app.parent))
    assert not texts(tmp_path / "cache")


def test_damaged_debug_information(app, dump, tmp_path):
    """Of the right id, and nonsense behind it: the walk goes on."""
    data = bytearray(app.read_bytes())
    headers = subprocess.run(["readelf", "-SW", app], stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
    for offset, size in re.findall(r"\.debug_\w+ +PROGBITS +\w+ (\w+) (\w+)", headers):
        at, size = int(offset, 16), int(size, 16)
        data[at:at + size] = bytes((i * 37 + 11) & 255 for i in range(size))
    app.write_bytes(data)
    doc = local(dump, tmp_path)
    assert functions(doc)[0] in (None, "middle")
    assert not leftovers(tmp_path)


# ---- time ----

def test_no_longer_than_allowed(app, dump, tmp_path):
    """A debug file whose checksum alone takes longer than anybody waits."""
    debug = app.parent / "app.debug"
    debug.write_text("x")
    run("strip", app)
    run("objcopy", f"--add-gnu-debuglink={debug}", app)
    try:
        os.truncate(debug, 1 << 40)
    except OSError as why:
        pytest.skip(f"SKIPPED LOUDLY: no file of a terabyte without blocks here: {why}")
    begun = time.monotonic()
    doc = local(dump, tmp_path, "--local-timeout-secs", "1")
    took = time.monotonic() - begun
    debug.unlink()
    assert 0.9 < took < 6
    assert has_none(doc)
    assert not texts(tmp_path) and not leftovers(tmp_path)
    assert module(local(dump, tmp_path))["loaded_symbols"]  # its time was cut short: tried again


def test_failure_is_remembered_until_files_change(app, dump, tmp_path):
    program = app.read_bytes()
    assert has_symbols(local(dump, tmp_path))
    text, = texts(tmp_path)
    text.unlink()
    shutil.rmtree(tmp_path / "v4", ignore_errors=True)
    time.sleep(0.05)
    pathlib.Path(str(text) + ".failed").write_text("")
    assert has_none(local(dump, tmp_path))
    time.sleep(0.05)
    app.write_bytes(program)
    assert has_symbols(local(dump, tmp_path))
    assert not pathlib.Path(str(text) + ".failed").exists()


def test_waiting_for_another_has_an_end(app, dump, tmp_path):
    local(dump, tmp_path)
    text, = texts(tmp_path)
    text.unlink()
    with open(str(text) + ".lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = time.monotonic()
        assert has_none(local(dump, tmp_path, "--local-timeout-secs", "1"))
        assert 0.9 < time.monotonic() - begun < 6
    assert has_symbols(local(dump, tmp_path))


@pytest.mark.parametrize("value", ["0", "-1", "x", "86401"])
def test_bad_time(dump, value):
    done = subprocess.run([SALVAGE, "stackwalk", "--local-timeout-secs", value, dump], stderr=subprocess.PIPE,
                          check=False)
    assert done.returncode == 2


def test_what_went_wrong_is_said_if_asked(app, dump, tmp_path):
    debug = app.parent / "app.debug"
    debug.write_text("x")
    run("strip", app)
    run("objcopy", f"--add-gnu-debuglink={debug}", app)
    os.truncate(debug, 1 << 40)
    done = subprocess.run([SALVAGE, "stackwalk", "--use-local-debuginfo", "--local-timeout-secs", "1", "--verbose",
                           "warn", "--symbols-cache", tmp_path, dump], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, encoding="utf-8", check=True)
    debug.unlink()
    assert re.search(rf"^ WARN .*no symbols of {app}: ", done.stderr, re.M)


# ---- the peer ----

def plain(function):
    """A name as both say it: theirs are of the symbol table without its first underscore."""
    return re.sub(r"\.(part|cold|isra|constprop)\.\d+.*", "", function or "").lstrip("_")


def test_the_peer_sees_the_same(app, dump, tmp_path):
    if not os.access(PEER, os.X_OK):
        pytest.skip("SKIPPED LOUDLY: no minidump-stackwalk ($MINIDUMP_STACKWALK)")
    done = subprocess.run([PEER, "--json", "--use-local-debuginfo", dump], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True)
    theirs = json.loads(done.stdout)["crashing_thread"]["frames"]
    ours = local(dump, tmp_path)["crashing_thread"]["frames"]
    assert len(ours) > 5
    for key in ("module", "module_offset", "offset", "line", "trust"):
        assert [f[key] for f in ours] == [f[key] for f in theirs], key
    for a, b in zip(ours, theirs):
        assert plain(a["function"]) == plain(b["function"])
        assert [(i["function"], i["line"]) for i in a["inlines"] or []] == [
            (i["function"], i["line"]) for i in b["inlines"] or []]
