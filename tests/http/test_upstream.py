"""SymbolsUpstream: symbols of other servers for symbolication and for the processor, and what servers
that are slow, dead or wrong cost."""
import concurrent.futures
import os
import pathlib
import struct
import time

import pytest
import requests
from daemon import Daemon, wait_until
from symbol_server import SymbolServer, closed_port, endless, file, in_turn, redirect, stalled, status
from test_symsrv import cabinet
from test_daemon import crash, hooked, job as queue_row  # noqa: F401 (a fixture)

ID = "A1B2C3D4E5F60718293A4B5C6D7E8F90"


def sym(n, name="far.so"):
    """(name, id, key, text) of a module that only other servers have."""
    debug_id = f"{ID[:-4]}{n:04X}0"
    text = f"MODULE Linux x86_64 {debug_id} {name}\nFILE 0 far.c\nFUNC 1000 10 0 far_{n}\n1000 10 {n + 1} 0\n"
    return name, debug_id, f"{name}/{debug_id}/{name}.sym", text.encode()


numbers = iter(range(1, 10000))


@pytest.fixture
def module():
    """One that no test has asked for before: what is remembered outlives a test."""
    return sym(next(numbers))


@pytest.fixture
def server():
    with SymbolServer() as s:
        yield s


@pytest.fixture
def upstream(stack, server):
    """Symbols are pulled from `server`; answers say what went wrong."""
    stack.httpd_conf(f"SymbolsUpstream {server.url}/\nSymbolicateExtensions on\n")
    return server


@pytest.fixture
def settings(stack):
    """More lines in salvage.conf, for this test."""
    path = pathlib.Path(stack.conf)
    before = path.read_text()

    def add(*lines):
        path.write_text(before + "\n".join(lines) + "\n")
    yield add
    path.write_text(before)


def ask(stack, *modules, offset=0x1004, timeout=60):
    """Results of a v5 request: function names (None: none), errors by module."""
    body = {"memoryMap": [list(m[:2]) for m in modules], "stacks": [[[i, offset] for i in range(len(modules))]]}
    r = requests.post(stack.url + "/symbolicate/v5", json=body, timeout=timeout)
    assert r.status_code == 200, r.text
    result = r.json()["results"][0]
    errors = {k: v[0]["name"] for k, v in result.get("module_errors", {}).items()}
    return [f.get("function") for f in result["stacks"][0]], errors


def key(module):
    return f"{module[0]}/{module[1]}"


# ---- symbolication ----

def test_pulled_once(stack, upstream, module):
    upstream.put(module[2], file(module[3], encoding="gzip"))
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ask(stack, module), range(24)))
    assert all(a == ([module[3].split()[12].decode()], {}) for a in answers), answers
    assert upstream.paths() == [module[2]]
    path, query, headers = upstream.requests[0]
    assert query == "" and set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "X-Salvage-Via"}


def test_missing_is_asked_once(stack, upstream, module):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(stack, module), range(24)))
    assert all(a == ([None], {key(module): "not_found"}) for a in answers)
    assert upstream.paths() == [module[2]]
    stack.stop("httpd")  # nor by children that know nothing of it
    stack.start("httpd")
    assert ask(stack, module)[1] == {key(module): "not_found"}
    assert upstream.paths() == [module[2]]


@pytest.mark.parametrize("answer, code", [
    (status(500), "download_failed"), (status(429), "download_failed"), (status(403), "download_failed"),
    (file(b"<html>\n"), "download_failed"), (status(410), "not_found"),
    (file(b"MODULE Linux x86_64 B1B2C3D4E5F60718293A4B5C6D7E8F900 far.so\n"), "download_failed"),
], ids=["500", "429", "403", "a page", "410", "another id"])
def test_errors_are_told_apart(stack, upstream, module, answer, code):
    stack.error_log.expect("SAL2081|SAL2082")
    upstream.put(module[2], answer)
    assert ask(stack, module) == ([None], {key(module): code})
    asked = len(upstream.requests)
    assert ask(stack, module) == ([None], {key(module): code})
    assert len(upstream.requests) == asked
    body = {"memoryMap": [list(module[:2])], "stacks": [[[0, 1]]]}
    text = requests.post(stack.url + "/symbolicate/v5", json=body, timeout=30).text
    assert str(upstream.port) not in text  # whom we ask is nobody's business


def test_bad_names_are_not_sent(stack, upstream):
    for name, debug_id in [("a b.so", "0" * 33), ("..", sym(0)[1]), ("x.so", "12"), (".salvage", sym(0)[1])]:
        ask(stack, (name, debug_id))
    assert [p for p in upstream.paths() if not p.startswith("x.so/")] == []


def test_dead_servers_cost_little(stack, server, module):
    stack.error_log.expect("SAL2081")
    server.put(module[2], file(module[3]))
    with closed_port() as dead:
        stack.httpd_conf(f"SymbolsUpstream {dead}\nSymbolsUpstream {server.url}\nSymbolicateExtensions on\n")
        begun = time.monotonic()
        assert ask(stack, module)[0] != [None]
        assert time.monotonic() - begun < 5
        other = sym(next(numbers))
        assert ask(stack, other) == ([None], {key(other): "download_failed"})  # the dead one may have it


def test_a_slow_download_goes_on(stack, upstream, module):
    """A thread of httpd waits ten seconds; then the answer says so, and later it is there."""
    upstream.put(module[2], file(module[3], delay=12))
    begun = time.monotonic()
    assert ask(stack, module) == ([None], {key(module): "pending"})
    assert 9 < time.monotonic() - begun < 11.5
    assert wait_until(lambda: ask(stack, module)[0] != [None], 10)
    assert upstream.paths() == [module[2]]


def test_httpd_stops_while_downloading(stack, upstream, module):
    upstream.put(module[2], stalled(module[3][:20]))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(ask, stack, module)
        assert wait_until(lambda: upstream.requests, 10)
        begun = time.monotonic()
        stack.stop("httpd")
        assert time.monotonic() - begun < 20
        stack.start("httpd")
        pending.exception()  # whatever became of it
    fresh = sym(next(numbers))
    upstream.put(fresh[2], file(fresh[3]))
    assert ask(stack, fresh)[0] != [None]


def test_size_limit(stack, server, settings, module):
    settings(f"symbols-upstream {server.url}", "symbols-upstream-max-file 1M")
    stack.error_log.expect("SAL2081|SAL2082")
    stack.httpd_conf("SymbolicateExtensions on\n")
    server.put(module[2], endless(module[3]))
    assert ask(stack, module) == ([None], {key(module): "download_failed"})
    packed = sym(next(numbers))
    server.put(packed[2], file(packed[3] + b"FILE 1 " + b"x" * (2 << 20) + b"\n", encoding="gzip"))
    assert ask(stack, packed) == ([None], {key(packed): "download_failed"})


def test_token_goes_to_its_server_alone(stack, server, module):
    token = stack.dir / "token"
    token.write_text("Auth-Token: secret-0123\n")
    token.chmod(0o644)
    with SymbolServer() as store:
        stack.httpd_conf(f"SymbolsUpstream {server.url} header-file={token}\n")
        server.put(module[2], redirect(store.url + "/blob"))
        store.put("blob", file(module[3]))
        assert ask(stack, module)[0] != [None]
        assert server.requests[0][2]["Auth-Token"] == "secret-0123"
        assert "Auth-Token" not in store.requests[0][2]


def test_only_what_may_be_asked(stack, server, module):
    stack.httpd_conf(f"SymbolsUpstream {server.url} ask=pdb\nSymbolicateExtensions on\n")
    server.put(module[2], file(module[3]))
    assert ask(stack, module) == ([None], {key(module): "not_found"})
    assert server.requests == []


@pytest.mark.parametrize("line", ["ftp://x", "http://x layout=none", "http://x ask=everything", "http://x what",
                                  "http://x/?q=1", "http://x header-file=/nowhere"])
def test_bad_directives(stack, line):
    try:
        with pytest.raises(RuntimeError):
            stack.httpd_conf(f"SymbolsUpstream {line}\n")
        assert "SymbolsUpstream: " in (stack.dir / "logs" / "httpd-start.log").read_text()
    finally:
        stack.httpd_conf("")


# ---- downloads ----

def test_download_is_pulled_through(stack, upstream, module):
    upstream.put(module[2], file(module[3], encoding="gzip"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(f"{stack.url}/symbols/{module[2]}", timeout=60), range(8)))
    for r in answers:
        assert r.status_code == 200 and r.content.startswith(module[3]), r.text
    assert upstream.paths() == [module[2]]
    assert ask(stack, module)[0] != [None]  # the cache is one
    assert upstream.paths() == [module[2]]


def test_download_of_what_nobody_has(stack, upstream, module):
    for _ in range(3):
        assert requests.get(f"{stack.url}/symbols/{module[2]}", timeout=60).status_code == 404
    assert upstream.paths() == [module[2]]


def pdb(n):
    return b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0" + bytes(i * 7 & 0xff for i in range(n))


@pytest.mark.parametrize("layout, asked", [("tecken", ["far.pd_"]), ("symstore", ["far.pdb", "far.pd_"])])
def test_cabinets_are_unpacked(stack, server, tmp_path, layout, asked):
    debug_id = sym(next(numbers))[1]
    stack.httpd_conf(f"SymbolsUpstream {server.url} layout={layout} ask=pdb\n")
    server.put(f"far.pdb/{debug_id}/far.pd_", file(cabinet(tmp_path, "far.pdb", pdb(70000))))
    for _ in range(2):
        r = requests.get(f"{stack.url}/symbols/far.pdb/{debug_id}/far.pdb", timeout=60)
        assert (r.status_code, r.content) == (200, pdb(70000))
    assert server.paths() == [f"far.pdb/{debug_id}/{leaf}" for leaf in asked]


def test_pe_files_are_checked(stack, server):
    """By time stamp and size of image, which the code id is made of."""
    stack.error_log.expect("SAL2082")
    stack.httpd_conf(f"SymbolsUpstream {server.url} layout=symstore\n")
    image = bytearray(400)
    image[:2], image[0x3c:0x40], image[0x80:0x84] = b"MZ", struct.pack("<I", 0x80), b"PE\0\0"
    stamp = 0x5f000000 + next(numbers)
    struct.pack_into("<I", image, 0x88, stamp)
    struct.pack_into("<I", image, 0xd0, 0x1c000)
    good, other = f"far.dll/{stamp:08X}1c000/far.dll", f"far.dll/{stamp + 1:08X}1c000/far.dll"
    server.put(good, file(bytes(image)))
    server.put(other, file(bytes(image)))
    r = requests.get(f"{stack.url}/symbols/{good}", timeout=60)
    assert (r.status_code, r.content) == (200, bytes(image))
    assert requests.get(f"{stack.url}/symbols/{other}", timeout=60).status_code == 404


def test_debuginfod_upstream(stack, server):
    build_id = f"{next(numbers):040x}"
    elf = b"\x7fELF\2\1\1" + bytes(500)
    stack.httpd_conf(f"SymbolsUpstream {server.url} layout=debuginfod\n")
    server.put(f"buildid/{build_id}/debuginfo", file(elf, encoding="gzip"))
    for _ in range(2):
        r = requests.get(f"{stack.url}/buildid/{build_id}/debuginfo", timeout=60)
        assert (r.status_code, r.content) == (200, elf)
    assert server.paths() == [f"buildid/{build_id}/debuginfo"]
    assert requests.get(f"{stack.url}/buildid/{build_id}/executable", timeout=60).status_code == 404


def test_code_id_is_asked_upstream(stack, upstream, module):
    code = f"{0x5f000000 + next(numbers):08X}2000"
    upstream.put(f"far.dll/{code}/far.sym", redirect("/" + module[2]))
    r = requests.get(f"{stack.url}/symbols/far.dll/{code}/far.sym", timeout=60, allow_redirects=False)
    assert r.status_code == 302 and r.headers["Location"] == f"/symbols/{module[2]}"


def test_nobody_asks_himself(stack, module):
    """Two of the servers are this one: the question ends where it has been before."""
    stack.httpd_conf(f"SymbolsUpstream {stack.url}/symbols\nSymbolsUpstream {stack.url.replace('127.0.0.1', 'localhost')}"
                     "/symbols/try\nSymbolicateExtensions on\n")
    begun = time.monotonic()
    assert requests.get(f"{stack.url}/symbols/{module[2]}", timeout=60).status_code == 404
    assert ask(stack, module) == ([None], {key(module): "not_found"})
    assert time.monotonic() - begun < 5
    lines = (stack.dir / "logs" / "access_log").read_text().splitlines()
    assert 1 <= sum(module[2] in line for line in lines) <= 3


# ---- the processor ----

KEY = "test_app.pdb/5A9832E5287241C1838ED98914E9B7FF1/test_app.sym"


@pytest.fixture
def app(shared):
    corpus = shared / "data" / "minidumps" / "rust-minidump"
    return corpus / "test.dmp", (corpus / "symbols" / KEY).read_bytes()


@pytest.fixture
def daemon(stack, hooked, server, tmp_path):
    """A daemon with a cache of its own that asks `server`; daemon(line, ...) starts it."""
    stack.error_log.expect("SAL208")
    made = []
    owner = stack.store.stat()

    def start(*lines, timeout=5):
        d = Daemon(stack, lease=30, timeout=timeout)
        text = d.conf.read_text()
        cache = stack.dir / f"symcache-{next(numbers)}"
        cache.mkdir()
        os.chown(cache, owner.st_uid, owner.st_gid)
        text = "".join(line for line in text.splitlines(True) if not line.startswith("symcache"))
        d.conf.write_text(text + f"symcache {cache}\nsymbols-upstream {server.url}\n" + "\n".join(lines) + "\n")
        d.cache = cache
        made.append(d)
        return d.start()
    yield start
    for d in made:
        d.stop()


def submit(stack, dump, hook=None):
    fields = {"ProductName": "Demo", "Version": "1.0"}
    if hook:
        fields["SalvageTestHook"] = hook
    return stack.submit(fields, dump)


def walked(doc):
    modules = doc["json_dump"]["modules"]
    return next(m for m in modules if m["filename"] == "test_app.exe")


def test_walk_with_symbols_of_a_server(stack, daemon, server, app):
    server.put(KEY, file(app[1], encoding="gzip"))
    first = submit(stack, app[0])
    d = daemon()
    doc = stack.wait_processed(first)
    assert walked(doc)["loaded_symbols"], d.log.read_text()
    assert "main" in [f.get("function") for f in doc["json_dump"]["crashing_thread"]["frames"]]
    assert walked(doc)["symbol_url"] is None  # the rules hide where an operator's own servers are
    asked = len(server.requests)
    assert server.paths().count(KEY) == 1
    second = submit(stack, app[0])
    assert walked(stack.wait_processed(second))["loaded_symbols"]
    assert len(server.requests) == asked


def descriptors(pid):
    found = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(fd))
        except OSError:
            pass
    return found


def test_walker_has_no_socket_while_it_asks(stack, daemon, server, app):
    """It waits at a pipe for a slow server; the fetcher has the network, and nothing of the worker."""
    server.put(KEY, file(app[1], delay=3))
    crash_id = submit(stack, app[0])
    d = daemon()
    assert wait_until(lambda: KEY in server.paths(), 20), d.log.read_text()
    below = [c for w in d.children() for c in Children(w)]
    assert len(below) == 2, below  # of the worker that has the job: its walker and its fetcher
    sockets = {pid: {x for x in descriptors(pid) if x.startswith("socket:")} for pid in below}
    workers = {x for w in d.children() for x in descriptors(w) if x.startswith("socket:")}
    assert workers  # to the database
    walker = [pid for pid in below if not sockets[pid]]
    assert len(walker) == 1, sockets
    # what to walk, what came of it, what it asks the fetcher, what that answers
    assert sorted(x.split(":")[0] for x in descriptors(walker[0])).count("pipe") == 4
    fetcher, = set(below) - set(walker)
    assert not sockets[fetcher] & workers
    assert pathlib.Path(f"/proc/{walker[0]}/status").read_text().count("Seccomp:\t2") == 1
    assert walked(stack.wait_processed(crash_id))["loaded_symbols"]


def Children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(x) for x in text.split()]


def test_walker_is_still_refused_sockets(stack, daemon, server, app):
    server.put(KEY, file(app[1]))
    crash_id = submit(stack, app[0], "walker-socket")
    daemon()
    doc = stack.wait_processed(crash_id)
    assert doc["mdsw_status_string"] == "OK" and walked(doc)["loaded_symbols"]


def test_silent_server_costs_a_bounded_time(stack, daemon, server, app):
    """Waiting is not walking: the walk is not killed. And the next one does not wait at all."""
    server.down = True
    first = submit(stack, app[0])
    begun = time.monotonic()
    d = daemon("symbols-upstream-per-dump 4s", "symbols-upstream-timeout 3s", timeout=2)
    doc = stack.wait_processed(first)
    took = time.monotonic() - begun
    assert doc["mdsw_status_string"] == "OK" and walked(doc)["missing_symbols"], d.log.read_text()
    assert 2.5 < took < 9
    asked = len(server.requests)
    begun = time.monotonic()
    assert stack.wait_processed(submit(stack, app[0]))["mdsw_status_string"] == "OK"
    assert time.monotonic() - begun < 3 and len(server.requests) == asked


def test_long_download_is_there_for_the_next(stack, daemon, server, app):
    server.put(KEY, file(app[1], delay=5))
    first = submit(stack, app[0])
    d = daemon("symbols-upstream-per-dump 2s", timeout=3)
    d.workers = 1
    doc = stack.wait_processed(first)
    assert doc["mdsw_status_string"] == "OK" and walked(doc)["missing_symbols"]
    assert wait_until(lambda: (d.cache / "upstream" / KEY).exists(), 10)
    time.sleep(0.2)
    assert walked(stack.wait_processed(submit(stack, app[0])))["loaded_symbols"]
    assert server.paths().count(KEY) == 1


def test_fetcher_that_dies(stack, daemon, server, app):
    """The walk goes on without; the next one has a new fetcher."""
    server.put(KEY, in_turn(stalled(app[1][:100], 20), file(app[1])))
    first = submit(stack, app[0])
    d = daemon(timeout=3)
    assert wait_until(lambda: KEY in server.paths(), 20)
    below = [c for w in d.children() for c in Children(w)]
    fetcher, = [pid for pid in below if any(x.startswith("socket:") for x in descriptors(pid))]
    os.kill(fetcher, 9)
    doc = stack.wait_processed(first)
    assert doc["mdsw_status_string"] == "OK" and walked(doc)["missing_symbols"]
    assert walked(stack.wait_processed(submit(stack, app[0])))["loaded_symbols"]


def test_bad_setting_is_found_at_start(stack, daemon):
    d = daemon("symbols-upstream nonsense")
    assert d.process.wait(20) == 1
    assert d.says("symbols-upstream: \"nonsense\" is not an http or https URL")
