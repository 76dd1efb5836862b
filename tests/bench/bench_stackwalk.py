"""The stackwalker and its symbol files, each against a peer or a physical limit of the same run."""
import random
import subprocess
import time

from figures import BENCH, SHARED, figure, peer, skipped


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
    theirs_at = peer("MINIDUMP_STACKWALK", "minidump-stackwalk")
    dumps = sorted((SHARED / "data/minidumps").rglob("*.dmp"))
    if not theirs_at:
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
    theirs = run([theirs_at, "--json", "--symbols-path", symbols])
    figure("stackwalk_small", theirs, ours, ">=3", "s",
           f"{len(dumps)} dumps, a process each, warm; rust-minidump's time against ours")


BENCHES = [symcache, stackwalk]
