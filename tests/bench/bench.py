#!/usr/bin/python3
"""Every benchmark: a line a figure, `NAME RATIO GOAL ok|short`, then a table.

A ratio is against a peer or a physical limit measured in the same run, so that it means the same
on any machine. Goals: `>=x` the ratio shall be at least x, `<=x` at most x.
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "lib"))
from instance import Instance  # noqa: E402  (the path is set above)

BENCH = pathlib.Path(os.environ["SALVAGE_BENCH"])
SHARED = pathlib.Path(os.environ.get("SALVAGE_SHARED", TOP.parent / "shared"))
ROWS = []


def figure(name, ours, against, goal, unit, what):
    """ours and against in the same unit; the ratio is ours / against."""
    ratio = ours / against
    bound = float(goal[2:])
    good = ratio >= bound if goal.startswith(">=") else ratio <= bound
    print(f"{name} {ratio:.3f} {goal} {'ok' if good else 'short'}", flush=True)
    ROWS.append((name, f"{ratio:.3f}", goal, f"{ours:.6g} {unit}", f"{against:.6g} {unit}", what))


def skipped(name, why):
    print(f"{name} skipped: {why}", flush=True)
    ROWS.append((name, "skipped", "", "", "", why))


def pss_kib(pid):
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def tree(pid):
    found = [pid]
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    for child in out.split():
        found += tree(int(child))
    return found


def idle_footprint(stack, _scratch):
    """Proportional set size of all processes, after a crash was processed and quiet returned."""
    stack.sample_id
    time.sleep(5)
    by_server = {}
    for server in ("httpd", "salvaged", "postgres"):
        by_server[server] = sum(pss_kib(p) for p in tree(stack.pid(server))) / 1024
    total = sum(by_server.values())
    parts = ", ".join(f"{k} {v:.1f}" for k, v in by_server.items())
    figure("idle_pss", total, 150, "<=1", "MiB", f"httpd + salvaged + PostgreSQL idle ({parts})")


def wrk(url, connections, seconds, script=None, env=None):
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", url]
    if script:
        command[1:1] = ["-s", str(script)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, **(env or {}))).stdout
    found = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    values = found.get("BENCH") or found.get("Requests/sec:")
    if not values:
        raise RuntimeError(out)
    return [float(x) for x in values]


def crash_body(path, size):
    boundary = "----------benchboundary0123456789"
    random.seed(1)
    parts = []
    for i in range(40):
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="Note{i}"\r\n\r\n'
                     f'{random.random()} of the run\r\n')
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="ProductName"\r\n\r\n'
                 f'Bench\r\n--{boundary}\r\nContent-Disposition: form-data; '
                 f'name="upload_file_minidump"; filename="x.dmp"\r\n'
                 f'Content-Type: application/octet-stream\r\n\r\n')
    path.write_bytes("".join(parts).encode() + random.randbytes(size)
                     + f"\r\n--{boundary}--\r\n".encode())
    return {"BENCH_BODY": str(path), "BENCH_BOUNDARY": boundary}


def acceptance(stack, scratch):
    """Crashes a second through httpd, against overwriting a file and fdatasync, 16 at once."""
    if not shutil.which("wrk"):
        return skipped("accept", "wrk is not installed (apt-get install wrk)")
    stack.stop("salvaged")  # it would compete for the two
    for label, size, goal in (("20k", 20_000, ">=0.126"), ("400k", 400_000, ">=0.24")):
        env = crash_body(scratch / "body", size)
        limit = float(subprocess.run([BENCH / "bench_fsync", stack.store, str(size), "16", "3"],
                                     capture_output=True, text=True, check=True).stdout)
        rate, p50, p99, bad = wrk(stack.url + "/submit", 16, 4, TOP / "tests/bench/post.lua", env)
        if bad:
            raise RuntimeError(f"{bad} crashes were not accepted")
        figure(f"accept_{label}", rate, limit, goal, "/s",
               f"16 clients, p50 {p50:.1f} ms, p99 {p99:.1f} ms; against write + fdatasync")
    shutil.rmtree(stack.store / "pending")
    (stack.store / "pending").mkdir()
    shutil.chown(stack.store / "pending", stack.store.owner(), stack.store.group())
    stack.query("truncate crash_job")
    stack.start("salvaged")


def downloads(stack, scratch):
    """Symbol downloads against httpd's own static files."""
    if not shutil.which("wrk"):
        return skipped("download_small", "wrk is not installed (apt-get install wrk)")
    stack.sample_id
    sym = next((TOP / "tests/data/symbols").rglob("crasher_cpp*.sym"))
    name, debug_id = sym.parts[-3], sym.parts[-2]
    stored = subprocess.run(["curl", "-s", "-H", "Accept-Encoding: gzip", "-o", scratch / "x",
                             f"{stack.url}/symbols/{name}/{debug_id}/{sym.name}"])
    stored.check_returncode()
    static = pathlib.Path(stack.prefix) / "share/salvage/htdocs/bench.bin"
    shutil.copy(scratch / "x", static)
    static.chmod(0o644)
    lua = scratch / "gzip.lua"
    lua.write_text('wrk.headers["Accept-Encoding"] = "gzip"\n')
    try:
        limit = max(wrk(f"{stack.url}/static/bench.bin", 16, 3, lua)[0] for _ in range(2))
        ours = max(wrk(f"{stack.url}/symbols/{name}/{debug_id}/{sym.name}", 16, 3, lua)[0]
                   for _ in range(2))
    finally:
        static.unlink()
    figure("download_small", ours, limit, ">=0.95", "/s",
           f"{(scratch / 'x').stat().st_size} stored bytes, keep-alive; against a static file")
    misses = wrk(f"{stack.url}/symbols/none.so/0123456789ABCDEF0123456789ABCDEF0/none.so.sym", 16, 3)
    figure("download_miss", misses[0], 5000, ">=1", "/s", "symbols that are not there; against 5,000/s")


def big_sym(path, functions):
    """A .sym of realistic density: about 6 lines a function, every third with an inline."""
    random.seed(2)
    size = 0
    with open(path, "w") as f:
        f.write("MODULE Linux x86_64 0123456789ABCDEF0123456789ABCDEF0 bench.so\n")
        for i in range(500):
            f.write(f"FILE {i} /src/module{i % 40}/file_{i}.cpp\n")
        for i in range(2000):
            f.write(f"INLINE_ORIGIN {i} std::__detail::helper_{i}<int, long>(void*)\n")
        address = 0x1000
        for i in range(functions):
            length = random.randrange(4, 60) * 8
            f.write(f"FUNC {address:x} {length:x} 0 ns::Class{i % 997}::method_{i}(int, char*)\n")
            if i % 3 == 0:
                f.write(f"INLINE 0 {i % 300} {i % 500} {i % 2000} {address + 4:x} 10\n")
            step = max(4, length // 6)
            for a in range(address, address + length, step):
                f.write(f"{a:x} {min(step, address + length - a):x} {a % 2999 + 1} {i % 500}\n")
            address += length
        for a in range(0x1000, address, 256):
            f.write(f"STACK CFI INIT {a:x} 100 .cfa: $rsp 8 + .ra: .cfa -8 + ^\n")
        size = address
    return size


def symcache(stack, scratch):
    sym, cache = scratch / "bench.sym", scratch / "bench.symx"
    size = big_sym(sym, 200_000)
    start = time.monotonic()
    subprocess.run(["wc", "-l", sym], capture_output=True, check=True)
    wc = time.monotonic() - start
    out = subprocess.run([BENCH / "bench_symcache", sym, cache, str(size)], capture_output=True,
                         text=True, check=True).stdout.split()
    build_ms, open_us, lookup_ns = (float(x) for x in out[:3])
    megabytes = sym.stat().st_size / 1e6
    figure("symcache_lookup", lookup_ns, 200, "<=1", "ns", f"warm, random addresses, {out[3]} hits")
    figure("symcache_open", open_us, 100, "<=1", "us", "map and check")
    figure("symcache_build", build_ms / 1e3, wc, "<=40", "s",
           f"{megabytes:.0f} MB of text; against wc -l of it")


def stackwalk(stack, scratch):
    """Process start to JSON over the corpus, against rust-minidump's tool."""
    peer = os.environ.get("MINIDUMP_STACKWALK") or shutil.which("minidump-stackwalk")
    dumps = sorted((SHARED / "data/minidumps").rglob("*.dmp"))
    if not peer:
        return skipped("stackwalk_small", "minidump-stackwalk is not on PATH "
                                          "(cargo install minidump-stackwalk)")
    if not dumps:
        return skipped("stackwalk_small", f"the shared corpus is not at {SHARED}")

    def run(command):
        best = None
        for _ in range(3):
            start = time.monotonic()
            for dump in dumps:
                subprocess.run([*command, dump], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            took = time.monotonic() - start
            best = took if best is None else min(best, took)
        return best

    symbols = SHARED / "data/minidumps/breakpad/symbols"
    ours = run([stack.env["SALVAGE_BIN"], "stackwalk", "--json", "--symbols", symbols])
    theirs = run([peer, "--json", "--symbols-path", symbols])
    figure("stackwalk_small", theirs, ours, ">=3", "s",
           f"{len(dumps)} dumps, a process each, warm; rust-minidump's time against ours")


def main():
    stack = Instance(pathlib.Path(os.environ["SALVAGE_PREFIX"]), TOP)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="salvage-bench."))
    try:
        stack.make()
        stack.start()
        for bench in (idle_footprint, symcache, stackwalk, downloads, acceptance):
            bench(stack, scratch)
    finally:
        stack.destroy()
        shutil.rmtree(scratch, ignore_errors=True)
    print()
    widths = [max(len(r[i]) for r in ROWS) for i in range(5)]
    for row in ROWS:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths)), row[5])


main()
