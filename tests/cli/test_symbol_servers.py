"""`salvage stackwalk` with symbols of servers: good ones, bad ones, and minidump-stackwalk's opinion
of the same."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from symbol_server import (SymbolServer, closed_port, cut_off, endless, file, in_turn, redirect, stalled, status,
                           until_closed, without_debug_id)

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))
PEER = os.environ.get("MINIDUMP_STACKWALK", "/tmp/peers/bin/minidump-stackwalk")
KEY = "test_app.pdb/5A9832E5287241C1838ED98914E9B7FF1/test_app.sym"
KERNEL = "kernel32.pdb/BCE8785C57B44245A669896B6A19B9542/kernel32.sym"
QUERY = "code_file=test_app.exe&code_id=45d35f6c2d000"


@pytest.fixture(scope="module")
def corpus(shared):
    return shared / "data" / "minidumps" / "rust-minidump"


@pytest.fixture(scope="module")
def text(corpus):
    return (corpus / "symbols" / KEY).read_bytes()


@pytest.fixture
def server():
    with SymbolServer() as s:
        yield s


def walk(dump, cache, *args, timeout=60):
    """(document, seconds) of a walk that must succeed."""
    begun = time.monotonic()
    done = subprocess.run([SALVAGE, "stackwalk", "--json", "--symbols-cache", cache, *args, dump], timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), time.monotonic() - begun


def app(doc):
    return next(m for m in doc["modules"] if m["filename"] == "test_app.exe")


def is_walked(doc):
    frames = doc["crashing_thread"]["frames"]
    return app(doc)["loaded_symbols"] and any(f["function"] == "main" for f in frames)


def left_behind(cache):
    """Downloads that were not finished."""
    return list((cache / ".salvage" / "tmp").glob("*")) + list(cache.glob("*/*/*.tmp*"))


# ---- what is asked, how often, and what is kept ----

def test_asked_once(corpus, text, server, tmp_path):
    server.put(KEY, file(text))
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url + "/")
    assert is_walked(doc)
    assert app(doc)["symbol_url"] == f"{server.url}/{KEY}?{QUERY}"
    assert sorted(server.paths()) == [KERNEL, KEY]
    assert dict((p, q) for p, q, _ in server.requests)[KEY] == QUERY
    assert (tmp_path / KEY).read_bytes() == text + f"INFO URL {server.url}/{KEY}?{QUERY}\n".encode()
    again, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert again == doc
    assert len(server.requests) == 2  # neither what is there nor what is not


def test_only_names_are_sent(corpus, text, server, tmp_path):
    server.put(KEY, file(text))
    walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    for _, _, headers in server.requests:
        assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}
        assert headers["User-Agent"].startswith("salvage/")


def test_text_is_not_needed_again(corpus, text, server, tmp_path):
    """A symcache made of a server's file serves without it."""
    server.put(KEY, file(text))
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    (tmp_path / KEY).unlink()
    again, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert again == doc
    assert server.paths().count(KEY) == 1


def test_cache_of_the_peer_is_ours(corpus, text, server, tmp_path):
    """A cache folder that minidump-stackwalk filled."""
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).write_bytes(text + b"INFO URL https://example.org/x.sym\n")
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert is_walked(doc) and app(doc)["symbol_url"] == "https://example.org/x.sym"
    assert KEY not in server.paths()


def test_cache_is_not_looked_at_without_a_server(corpus, text, tmp_path):
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).write_bytes(text)
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols", tmp_path / "elsewhere")
    assert not app(doc)["loaded_symbols"]
    assert not (tmp_path / ".salvage").exists()  # nor was anything started that has a network


@pytest.mark.parametrize("first", ["server", "folder"])
def test_places_are_asked_in_order(corpus, text, server, tmp_path, first):
    server.put(KEY, file(text))
    places = ["--symbols", server.url, "--symbols", corpus / "symbols"]
    if first == "folder":
        places[1], places[3] = places[3], places[1]
    doc, _ = walk(corpus / "test.dmp", tmp_path, *places)
    assert is_walked(doc)
    assert (KEY in server.paths()) == (first == "server")
    assert (app(doc)["symbol_url"] is None) == (first == "folder")


def test_symbols_url_is_asked_last(corpus, text, server, tmp_path):
    """As minidump-stackwalk: its options' order says nothing."""
    server.put(KEY, file(text))
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url, "--symbols", corpus / "symbols")
    assert is_walked(doc) and KEY not in server.paths()


def test_a_file_keeps_its_place(corpus, text, server, tmp_path):
    server.put(KEY, file(text))
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols", corpus / "symbols" / KEY, "--symbols", server.url)
    assert is_walked(doc) and KEY not in server.paths()


def test_second_server(corpus, text, server, tmp_path):
    with SymbolServer() as other:
        other.put(KEY, file(text))
        doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url, "--symbols-url", other.url)
        assert is_walked(doc) and app(doc)["symbol_url"].startswith(other.url)
        assert KEY in server.paths()


# ---- forms ----

@pytest.mark.parametrize("form", [
    dict(encoding="gzip"), dict(encoding="gzip", announce=False), dict(encoding="gzip", chunked=True),
    dict(chunked=True),
], ids=["gzip", "gzip unsaid", "gzip chunked", "chunked"])
def test_forms(corpus, text, server, tmp_path, form):
    server.put(KEY, file(text, **form))
    assert is_walked(walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)[0])
    assert (tmp_path / KEY).read_bytes().startswith(text)


def test_zstd(corpus, text, server, tmp_path):
    packed = subprocess.run(["zstd", "-qc"], input=text, stdout=subprocess.PIPE, check=False) \
        if shutil.which("zstd") else None
    if not packed:
        pytest.skip("SKIPPED LOUDLY: no zstd program")
    server.put(KEY, file(packed.stdout, Content_Encoding="zstd"))
    assert is_walked(walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)[0])


def test_temporary_folder(corpus, text, server, tmp_path):
    (tmp_path / "tmp").mkdir()
    server.put(KEY, file(text))
    doc, _ = walk(corpus / "test.dmp", tmp_path / "c", "--symbols-url", server.url, "--symbols-tmp", tmp_path / "tmp")
    assert is_walked(doc) and not list((tmp_path / "tmp").iterdir())


# ---- servers that are wrong ----

WRONG = {
    "another build's": lambda text: file(text.replace(b"5A9832E5", b"5A9832E6", 1)),
    "a page": lambda text: file(b"<html>Sign in</html>\n"),
    "empty": lambda text: file(b""),
    "cut off": lambda text: cut_off(text[:1000], len(text)),
    "cut off, no length": lambda text: until_closed(text[:1005]),
    "cut off gzip": lambda text: (lambda h: file(__import__("gzip").compress(text)[:-2000],
                                                 Content_Encoding="gzip")(h)),
    "damaged gzip": lambda text: file(b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xff" * 1000, Content_Encoding="gzip"),
    "unasked encoding": lambda text: file(text, encoding="deflate"),
    "404": lambda text: status(404),
    "403": lambda text: status(403),
    "500": lambda text: status(500),
    "429": lambda text: status(429, Retry_After="100"),
    "redirect to a file": lambda text: redirect("file:///etc/passwd"),
    "redirect to itself": lambda text: redirect("/" + KEY),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_answers(corpus, text, server, tmp_path, what):
    """Nothing of them is used; the next server is asked; and nobody is asked again at once."""
    text = text.replace(b"\r\n", b"\n")
    server.put(KEY, WRONG[what](text))
    doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert app(doc)["missing_symbols"] and not app(doc)["loaded_symbols"] and not app(doc)["corrupt_symbols"]
    assert not (tmp_path / KEY).exists() and not left_behind(tmp_path)
    asked = server.paths().count(KEY)
    assert 1 <= asked <= 6
    walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert server.paths().count(KEY) == asked
    with SymbolServer() as other:
        other.put(KEY, file(text))
        doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url, "--symbols-url", other.url)
        assert is_walked(doc)


def test_busy_for_a_moment(corpus, text, server, tmp_path):
    server.put(KEY, in_turn(status(503), file(text)))
    assert is_walked(walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)[0])
    assert server.paths().count(KEY) == 2


def test_redirects_are_followed(corpus, text, server, tmp_path):
    with SymbolServer() as store:
        store.put("deep/file", file(text, encoding="gzip"))
        server.put(KEY, redirect("/hop"))
        server.put("hop", redirect(store.url + "/deep/file", 307))
        doc, _ = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
        assert is_walked(doc)
        assert app(doc)["symbol_url"] == f"{server.url}/{KEY}?{QUERY}"  # what was asked, not where it lay


# ---- servers that do not answer ----

def test_nobody_listens(corpus, text, server, tmp_path):
    server.put(KEY, file(text))
    with closed_port() as dead:
        doc, seconds = walk(corpus / "test.dmp", tmp_path, "--symbols-url", dead, "--symbols-url", server.url)
    assert is_walked(doc) and seconds < 5


def test_a_silent_server_costs_its_time_once(corpus, text, server, tmp_path):
    server.down = True
    limit = ["--symbols-download-timeout-secs", "2"]
    with SymbolServer() as other:
        other.put(KEY, file(text))
        both = ["--symbols-url", server.url, "--symbols-url", other.url, *limit]
        doc, seconds = walk(corpus / "test.dmp", tmp_path, *both)
        assert is_walked(doc)
        assert 1.5 < seconds < 6  # for the first of two modules
        assert len(server.requests) == 1
        _, seconds = walk(corpus / "test.dmp", tmp_path, *both)
        assert seconds < 1 and len(server.requests) == 1


@pytest.mark.parametrize("what", ["stalled", "endless"])
def test_a_download_ends_in_its_time(corpus, text, server, tmp_path, what):
    server.put(KEY, stalled(text[:5000]) if what == "stalled" else endless(text[:text.index(b"\n") + 1]))
    doc, seconds = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url,
                        "--symbols-download-timeout-secs", "2")
    assert app(doc)["missing_symbols"] and 1.5 < seconds < 8
    assert not left_behind(tmp_path)


def test_one_download_for_many(corpus, text, server, tmp_path):
    server.put(KEY, file(text, delay=1))
    args = [SALVAGE, "stackwalk", "--json", "--symbols-cache", tmp_path, "--symbols-url", server.url,
            corpus / "test.dmp"]
    many = [subprocess.Popen(args, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(5)]
    docs = [json.loads(p.communicate(timeout=60)[0]) for p in many]
    assert all(is_walked(d) for d in docs)
    assert server.paths().count(KEY) == 1


def test_killed_while_downloading(corpus, text, server, tmp_path):
    server.put(KEY, in_turn(stalled(text[:5000], 5), file(text)))
    walker = subprocess.Popen([SALVAGE, "stackwalk", "--json", "--symbols-cache", tmp_path, "--symbols-url",
                               server.url, corpus / "test.dmp"], stdout=subprocess.DEVNULL)
    while KEY not in server.paths():
        time.sleep(0.02)
    walker.send_signal(signal.SIGKILL)
    walker.wait()
    assert not (tmp_path / KEY).exists()
    doc, seconds = walk(corpus / "test.dmp", tmp_path, "--symbols-url", server.url)
    assert is_walked(doc) and seconds < 4  # its fetcher went with it, and with that its lock


# ---- a module of which only the code id is known ----

CODE = "test_app.exe/45D35F6C2D000/test_app.exe.sym"


def test_code_id(corpus, text, server, tmp_path):
    dump = tmp_path / "no-id.dmp"
    dump.write_bytes(without_debug_id((corpus / "test.dmp").read_bytes(), "test_app.exe"))
    server.put(CODE, redirect(f"/{KEY}?x=y"))
    server.put(KEY, file(text))
    doc, _ = walk(dump, tmp_path / "c", "--symbols-url", server.url)
    assert is_walked(doc)
    assert (app(doc)["debug_file"], app(doc)["debug_id"]) == tuple(KEY.split("/")[:2])
    assert server.paths().count(CODE) == 1
    again, _ = walk(dump, tmp_path / "c", "--symbols-url", server.url)
    assert again == doc and server.paths().count(CODE) == 1


@pytest.mark.parametrize("answer", [
    redirect("/elsewhere"), redirect("/../../x"), redirect("/a/b/c-d/e"), redirect("/test_app.pdb/xyz/test_app.sym"),
    file(b"MODULE x y 1 z\n"), status(404), redirect("/a%2fb/5A9832E5287241C1838ED98914E9B7FF1/x.sym"),
])
def test_code_id_unknown(corpus, server, tmp_path, answer):
    dump = tmp_path / "no-id.dmp"
    dump.write_bytes(without_debug_id((corpus / "test.dmp").read_bytes(), "test_app.exe"))
    server.put(CODE, answer)
    doc, _ = walk(dump, tmp_path / "c", "--symbols-url", server.url)
    assert app(doc)["missing_symbols"] and app(doc)["debug_file"] == ""
    assert app(doc)["debug_id"] == "0" * 33


# ---- the command line ----

@pytest.mark.parametrize("args", [
    ["--symbols-url", "ftp://example.org"], ["--symbols-url", "http://"], ["--symbols-url", "x"],
    ["--symbols-url", "http://example.org/?a=b"], ["--symbols", "https://example.org/#f"],
    ["--symbols-download-timeout-secs", "0", "--symbols", "x"],
])
def test_bad_options(corpus, tmp_path, args):
    done = subprocess.run([SALVAGE, "stackwalk", "--symbols-cache", tmp_path, *args, corpus / "test.dmp"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode in (1, 2) and args[1] in done.stderr


# ---- minidump-stackwalk beside it ----

def peer_walk(dump, cache, *args):
    if not os.access(PEER, os.X_OK):
        pytest.skip(f"SKIPPED LOUDLY: no minidump-stackwalk at {PEER} (set MINIDUMP_STACKWALK)")
    done = subprocess.run([PEER, "--json", "--symbols-cache", cache, *args, dump], stdout=subprocess.PIPE, timeout=60,
                          check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["test.dmp", "linux-mini.dmp", "pipeline-inlines-macos-segv.dmp"])
def test_same_document_as_the_peer(corpus, server, tmp_path, name):
    for path in (corpus / "symbols").rglob("*.sym"):
        server.put(str(path.relative_to(corpus / "symbols")), file(path.read_bytes(), encoding="gzip"))
    ours, _ = walk(corpus / name, tmp_path / "ours", "--symbols-url", server.url)
    questions = sorted((p, q) for p, q, _ in server.requests)
    server.requests.clear()
    theirs = peer_walk(corpus / name, tmp_path / "theirs", "--symbols-url", server.url)
    assert ours == theirs
    assert questions == sorted(set((p, q) for p, q, _ in server.requests))
    # and each on the other's cache, with the server gone
    server.routes.clear()
    assert walk(corpus / name, tmp_path / "theirs", "--symbols-url", server.url)[0] == theirs
    assert peer_walk(corpus / name, tmp_path / "ours", "--symbols-url", server.url) == theirs


def test_code_id_as_the_peer(corpus, text, server, tmp_path):
    dump = tmp_path / "no-id.dmp"
    dump.write_bytes(without_debug_id((corpus / "test.dmp").read_bytes(), "test_app.exe"))
    server.put(CODE, redirect(f"/{KEY}"))
    server.put(KEY, file(text))
    ours, _ = walk(dump, tmp_path / "ours", "--symbols-url", server.url)
    assert app(peer_walk(dump, tmp_path / "theirs", "--symbols-url", server.url)) == app(ours)
