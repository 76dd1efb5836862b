"""Symbols that nobody has indexed yet: first answers, waiting, builders that die, new versions.

A builder that takes as long as a test likes: the lock of the symcache, held by the test.
"""
import concurrent.futures
import contextlib
import fcntl
import os
import signal
import time

import pytest
import requests
from symbols import new_id, put

CONF = """<Location "/now">
SetHandler symbolicate
SymbolicateExtensions on
SymbolicateBuildWait 0
</Location>
<Location "/second">
SetHandler symbolicate
SymbolicateExtensions on
SymbolicateBuildWait 1
</Location>
"""
BLOCKS, FUNCS, FUNC_SIZE, LINES = 1400, 512, 128, 16


def big_text(name, ident, blocks=BLOCKS):
    """
    Blocks of 64 KiB of address space: function n of block b is f<b>_<n>, at (b << 16) + n * 128; its
    line records are of 8 bytes each, but the last, which is of 4: a gap of 4 follows.
    """
    block = []
    for n in range(FUNCS):
        at = n * FUNC_SIZE
        block.append(f"FUNC @{at:04x} {FUNC_SIZE:x} 0 f@_{n}\n"
                     f"INLINE 0 {n + 1} 1 0 @{at + 32:04x} 10\n")
        for i in range(LINES):
            size = 8 if i < LINES - 1 else 4
            block.append(f"@{at + 8 * i:04x} {size} {n * LINES + i + 1} 0\n")
    text = "".join(block).encode()
    head = f"MODULE Linux x86_64 {ident} {name}\nFILE 0 a.c\nFILE 1 b.c\nINLINE_ORIGIN 0 inlined\n"
    return head.encode() + b"".join(text.replace(b"@", b"%03x" % b) for b in range(1, blocks + 1))


def expected(offset):
    """Function, file, line and inlined calls of big_text, from what its text says."""
    b, n, at = offset >> 16, (offset & 0xffff) // FUNC_SIZE, offset % FUNC_SIZE
    line = n * LINES + at // 8 + 1
    if at >= FUNC_SIZE - 4:
        return f"f{b:03x}_{n}", None, None, None
    if 32 <= at < 48:
        return f"f{b:03x}_{n}", "b.c", n + 1, [{"function": "inlined", "file": "a.c", "line": line}]
    return f"f{b:03x}_{n}", "a.c", line, None


def check_frames(result, offsets):
    for frame, offset in zip(result["stacks"][0], offsets, strict=True):
        got = tuple(frame.get(k) for k in ("function", "file", "line", "inlines"))
        assert got == expected(offset), hex(offset)


def ask(stack, module, offsets, path="/symbolicate/v5", **headers):
    body = {"memoryMap": [list(module)], "stacks": [[[0, o] for o in offsets]]}
    return requests.post(stack.url + path, json=body, headers={"Debug": "1", **headers}, timeout=120)


def result_of(response):
    assert response.status_code == 200, response.text
    return response.json()["results"][0]


def indexes(stack, module, ending=".symx"):
    return list((stack.dir / "symcache").glob(f"v*/*/{module[0]}/{module[1]}{ending}"))


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


FEW = [(b << 16) + o for b, o in ((1, 0), (1, 36), (7, 64 * 128 + 127), (350, 9), (700, 0xffff - 4),
                                  (700, 0xffff), (512, 200 * 128 + 40), (512, 200 * 128 + 41))]
MANY = [(b << 16) + o for b in range(1, 41) for o in (0, 35, 127, 0x8005)]


@pytest.fixture
def held(stack):
    """A small module whose symcache is gone and cannot be built; call release() to let it be."""
    stack.httpd_conf(CONF)
    module = ("held.so", new_id())
    put(stack, *module, "held.so.sym", big_text(*module, blocks=40))
    result_of(ask(stack, module, MANY))
    lock = wait_for(lambda: indexes(stack, module, ".symx.lock"))[0]
    wait_for(lambda: indexes(stack, module))[0].unlink()
    stack.httpd_conf(CONF + "\n")
    with contextlib.ExitStack() as locks:
        fd = os.open(lock, os.O_RDWR)
        locks.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        module_held = type("Held", (), {"module": module})
        module_held.release = staticmethod(lambda: fcntl.flock(fd, fcntl.LOCK_UN))
        yield module_held


def test_first_answers(stack):
    """Few addresses of a large module are answered while its index is being built, and the same."""
    module = ("large.so", new_id())
    put(stack, *module, "large.so.sym", big_text(*module))
    begun = time.monotonic()
    response = ask(stack, module, FEW)
    first = time.monotonic() - begun
    there = bool(indexes(stack, module))
    result = result_of(response)
    check_frames(result, FEW)
    assert result["found_modules"] == {"/".join(module): True}
    debug = response.json()["debug"]
    assert debug["index"]["parts"] == 1 and debug["parse_sym"]["time"] > 0
    assert "hits" not in debug["cache_lookups"] and "time_per_module" not in debug["parse_sym"]
    wait_for(lambda: indexes(stack, module))
    whole = time.monotonic() - begun
    assert not there and first < whole, (first, whole)

    builds = []
    for _ in range(20):
        response = ask(stack, module, FEW + MANY)
        check_frames(result_of(response), FEW + MANY)
        builds += response.json()["debug"]["parse_sym"].get("time_per_module", {}).values()
    response = ask(stack, module, FEW)
    assert response.json()["debug"]["index"]["parts"] == 0
    assert response.json()["debug"]["cache_lookups"]["hits"] == 1
    assert len(builds) == 1 and builds[0] > 0, builds  # told once, by the first answer after it
    assert not list((stack.dir / "symcache").glob("part.*"))


def test_few_while_another_builds(held, stack):
    """Nobody who needs few addresses waits for a builder, however long that takes."""
    begun = time.monotonic()
    result = result_of(ask(stack, held.module, [0x10000 + 36, 0x10000 + 127]))
    check_frames(result, [0x10000 + 36, 0x10000 + 127])
    assert time.monotonic() - begun < 5
    assert not indexes(stack, held.module)


def test_pending(held, stack):
    """Who will not wait is told that symbols are coming; they are there later."""
    pair = "/".join(held.module)
    for path, least in (("/now/v5", 0), ("/second/v5", 0.9)):
        begun = time.monotonic()
        result = result_of(ask(stack, held.module, MANY, path))
        took = time.monotonic() - begun
        assert least <= took < least + 4, path
        assert result["found_modules"] == {pair: False}
        assert result["module_errors"][pair][0]["name"] == "pending"
        assert all("function" not in frame for frame in result["stacks"][0])
    v4 = requests.post(stack.url + "/now/v4", timeout=60, json={
        "memoryMap": [held.module], "stacks": [[[0, o] for o in MANY]]}).json()
    assert v4["knownModules"] == [False]
    held.release()
    wait_for(lambda: result_of(ask(stack, held.module, MANY, "/now/v5"))["found_modules"][pair])
    check_frames(result_of(ask(stack, held.module, MANY, "/second/v5")), MANY)


def test_prefer_wait(held, stack):
    """`Prefer: wait`: all symbols or 503, which says when to ask again."""
    for prefer in ("wait", "respond-async, wait=10", "WAIT"):
        r = ask(stack, held.module, MANY, "/now/v5", Prefer=prefer, Origin="https://profiler.test")
        assert (r.status_code, r.text) == (503, '{"title": "503 Service Unavailable"}'), prefer
        assert r.headers["Content-Type"] == "application/json"
        assert int(r.headers["Retry-After"]) > 0
        assert r.headers["Access-Control-Allow-Origin"] == "*"
    for prefer in ("waiting", "respond-async", "return=minimal"):
        assert ask(stack, held.module, MANY, "/now/v5", Prefer=prefer).status_code == 200, prefer
    # nothing is missing in an answer of few addresses
    check_frames(result_of(ask(stack, held.module, MANY[:4], "/now/v5", Prefer="wait")), MANY[:4])
    held.release()
    r = wait_for(lambda: (lambda r: r.status_code == 200 and r)(
        ask(stack, held.module, MANY, "/now/v5", Prefer="wait")))
    check_frames(result_of(r), MANY)


def holder(path):
    """Who holds the lock on a file, or 0."""
    try:
        st = os.stat(path)
    except FileNotFoundError:
        return 0
    name = f"{os.major(st.st_dev):02x}:{os.minor(st.st_dev):02x}:{st.st_ino}"
    with open("/proc/locks", encoding="ascii") as locks:
        for line in locks:
            words = line.split()
            if words[1] == "FLOCK" and words[5] == name:
                return int(words[4])
    return 0


def test_killed_builder(stack):
    """A child of httpd that dies as it builds leaves nothing broken; the next request builds."""
    stack.error_log.expect("exit signal Killed")
    stack.httpd_conf(CONF)
    module = ("killed.so", new_id())
    put(stack, *module, "killed.so.sym", big_text(*module))
    assert not result_of(ask(stack, module, MANY, "/now/v5"))["found_modules"]["/".join(module)]
    pid = wait_for(lambda: next((p for p in map(holder, indexes(stack, module, ".symx.lock")) if p),
                                0), 10)
    assert pid in stack.children("httpd")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in stack.children("httpd"))
    assert not indexes(stack, module)
    r = ask(stack, module, FEW)
    check_frames(result_of(r), FEW)
    wait_for(lambda: result_of(ask(stack, module, FEW + MANY))["found_modules"]["/".join(module)])
    check_frames(result_of(ask(stack, module, FEW + MANY)), FEW + MANY)
    assert len(indexes(stack, module)) == 1


def test_uploaded_again(stack):
    """Symbols replaced while every child has the old ones mapped: new requests see the new ones."""
    module = ("again.so", new_id())
    text = big_text(*module, blocks=4)
    put(stack, *module, "again.so.sym", text)

    def names():
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = pool.map(lambda _: result_of(ask(stack, module, [0x10000])), range(64))
            return {a["stacks"][0][0].get("function") for a in answers}

    assert names() == {"f001_0"}
    put(stack, *module, "again.so.sym", text.replace(b" f001_", b" renewed_"))
    # A look at the file is believed for five seconds; who comes as the new one is built gets the old.
    wait_for(lambda: names() == {"renewed_0"}, 15)
    assert names() == {"renewed_0"}
