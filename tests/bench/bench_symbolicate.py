"""Symbolication: against Eliot, both warm, the same requests over HTTP.

The peer is a checkout of mozilla-services/eliot outside this repository: ELIOT_DIR names it,
ELIOT_PYTHON an interpreter that has its requirements (docs/benchmarks.md). It fetches the symbols
from this run's own download server and runs with a worker a core.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import time
import urllib.request

from figures import BENCH, TOP, anonymous_kib, figure, pss_kib, skipped, tree, wrk

MEGABYTES = "300"  # of text, as of a large browser's main library
WORKERS = len(os.sched_getaffinity(0))
SCRIPT = TOP / "tests/bench/post_json.lua"


def make_sym(scratch):
    """The generated module: its folder, name, id, and how far its addresses reach."""
    at = scratch / "symbolicate"
    at.mkdir()
    _, span, _ = subprocess.run([BENCH / "bench_make_sym", at, MEGABYTES], check=True,
                                capture_output=True, text=True).stdout.split()
    sym = next((at / "symbols").rglob("*.sym"))
    return sym, sym.parent.parent.name, sym.parent.name, int(span, 0)


def request(path, module, span, frames):
    """One stack of addresses spread over the module, as a profiler sends them."""
    random.seed(frames)
    stack = [[0, random.randrange(0x1000, span)] for _ in range(frames)]
    path.write_text(json.dumps({"jobs": [{"memoryMap": [module], "stacks": [stack]}]}))
    return path


def ask(url, body, timeout=600):
    with urllib.request.urlopen(urllib.request.Request(url, body.read_bytes()),
                                timeout=timeout) as answer:
        return json.load(answer)


@contextlib.contextmanager
def eliot(home, python, symbols_url, scratch):
    """Eliot on a free port; gives its URL and process id."""
    from instance import free_port  # the path is set by bench.py
    port = free_port()
    env = dict(os.environ, ELIOT_LOCAL_DEV_ENV="True", ELIOT_SYMBOLS_URLS=symbols_url,
               ELIOT_SYMBOLS_CACHE_DIR=str(scratch / "eliot"), ELIOT_LOGGING_LEVEL="ERROR")
    (scratch / "eliot").mkdir()
    log = open(scratch / "eliot.log", "w")
    child = subprocess.Popen([python, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "--timeout",
                              "600", "--workers", str(WORKERS), "eliot.wsgi:application"],
                             cwd=home, env=env, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                urllib.request.urlopen(url + "/__lbheartbeat__").close()
                break
        yield url, child.pid
    finally:
        child.terminate()
        child.wait()


def same(ours, theirs):
    """The answers agree on function, file and line of every frame."""
    def facts(doc):
        return [(f.get("function"), f.get("file"), f.get("line"))
                for s in doc["results"][0]["stacks"] for f in s]
    a, b = facts(ours), facts(theirs)
    return sum(x == y for x, y in zip(a, b)) / len(b)


def processor_ms(pid):
    """What a process and those below it have used."""
    ticks = 0
    for p in tree(pid):
        fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def load(url, body, seconds, pid):
    """Requests a second, milliseconds of half and of 99 %, of the processor a request."""
    before = processor_ms(pid)
    rate, p50, p99, bad = wrk(url, 4, seconds, SCRIPT, {"BENCH_BODY": str(body)})
    if bad or not rate:
        raise RuntimeError(f"{url}: {bad} bad answers, {rate} a second")
    return rate, p50, p99, (processor_ms(pid) - before) / (rate * seconds)


def memory(pid):
    """Anonymous MiB, and all of it with the mapped files."""
    return [sum(f(p) for p in tree(pid)) / 1024 for f in (anonymous_kib, pss_kib)]


def cold(stack, scratch):
    """A module nobody asked for before: time to an answer for few addresses, and for many."""
    sym, name, ident, span = make_sym(scratch)
    stack.upload_symbols(sym.parent.parent.parent)
    url = stack.url + "/symbolicate/v5"
    few = request(scratch / "few.json", [name, ident], span, 50)
    many = request(scratch / "many.json", [name, ident], span, 25_000)
    start = time.monotonic()
    first = ask(url, few)
    first_took = time.monotonic() - start
    whole = ask(url, many)
    whole_took = time.monotonic() - start
    stored = next((stack.symbol_store / "key").rglob(f"{name}.sym"))
    runs = [[float(x) / 1e3 for x in subprocess.run(
        [BENCH / "bench_symcache", stored, scratch / "cold.symx", str(span)], capture_output=True,
        text=True, check=True).stdout.split()] for _ in range(3)]
    build, wall, part = (min(run[i] for run in runs) for i in (0, 5, 6))
    if not all(doc["results"][0]["found_modules"][f"{name}/{ident}"] for doc in (first, whole)):
        raise RuntimeError("a cold answer came without symbols")
    shutil.rmtree(scratch / "symbolicate")
    what = f"{sym_size(stored)} of gzip; against building the symcache alone"
    figure("symbolicate_cold_part", part, build, "<=0.333", "s",
           f"processor time of a first answer for 50 addresses; {what}")
    figure("symbolicate_cold_few", first_took, wall, "<=0.333", "s", f"50 frames; {what}")
    figure("symbolicate_cold_many", whole_took, wall, "<=1.1", "s",
           f"25,000 frames, asked together with the former; {what}")


def sym_size(path):
    return f"{path.stat().st_size / 1e6:.0f} MB"


def symbolication(stack, scratch):
    home, python = os.environ.get("ELIOT_DIR"), os.environ.get("ELIOT_PYTHON", "python3")
    if not home or not shutil.which("wrk"):
        return skipped("symbolicate", "ELIOT_DIR does not name Eliot's sources, or wrk is missing")
    sym, name, ident, span = make_sym(scratch)
    stack.upload_symbols(sym.parent.parent.parent)
    ours_url = stack.url + "/symbolicate/v5"
    with eliot(home, python, stack.url + "/symbols/", scratch) as (url, pid):
        peer_url = url + "/symbolicate/v5"
        for frames, seconds, peers_seconds in ((50, 4, 10), (25_000, 10, 40)):
            body = request(scratch / f"{frames}.json", [name, ident], span, frames)
            share = same(ask(ours_url, body), ask(peer_url, body))
            for _ in range(8):
                ask(peer_url, body)  # every worker has it
            ours = load(ours_url, body, seconds, stack.pid("httpd"))
            theirs = load(peer_url, body, peers_seconds, pid)
            figure(f"symbolicate_{frames}", ours[0], theirs[0], ">=20", "/s",
                   f"{frames} frames a request, p50 {ours[1]:.2f} ms against {theirs[1]:.1f} ms; "
                   f"{share:.1%} of frames equal; {sym.stat().st_size / 1e6:.0f} MB of symbols; "
                   "against Eliot")
            figure(f"symbolicate_{frames}_cpu", ours[3], theirs[3], "<=0.05", "ms",
                   "processor time a request, all processes of the server; against Eliot")
        mine, peers = memory(stack.pid("httpd")), memory(pid)
        figure("symbolicate_memory", mine[0], peers[0], "<=0.1", "MiB",
               f"all of httpd against Eliot with {WORKERS} workers after the load, without mapped "
               f"files; with them {mine[1]:.0f} against {peers[1]:.0f} MiB")
    return None


BENCHES = [cold, symbolication]
