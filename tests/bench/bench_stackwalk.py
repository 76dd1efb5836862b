"""The stackwalker and its symbols: small dumps, a module with half a gigabyte of text, the symcache.

Peers: rust-minidump's minidump-stackwalk ($MINIDUMP_STACKWALK) and Breakpad's minidump_stackwalk
($BREAKPAD_STACKWALK), or what PATH has of these names. Peak memory is the resident set the kernel
counts, mapped file pages included.
"""
import os
import shutil
import subprocess

from figures import BENCH, SHARED, figure, peer, skipped

MEGABYTES = os.environ.get("BENCH_SYM_MEGABYTES", "520")


def rust():
    return peer("MINIDUMP_STACKWALK", "minidump-stackwalk")


def breakpad():
    return peer("BREAKPAD_STACKWALK", "minidump_stackwalk")


def spawn(scratch, rounds, arguments, *commands):
    """bench_spawn: (wall ms, processor ms, peak KiB) a command, each run in turn."""
    listed = scratch / "arguments"
    listed.write_text("".join(f"{a}\n" for a in arguments))
    words = [str(w) for c in commands for w in ["---", *c]][1:]
    out = subprocess.run([BENCH / "bench_spawn", str(rounds), listed, *words], check=True,
                         capture_output=True, text=True).stdout
    return [tuple(float(x) for x in line.split()) for line in out.splitlines()]


def small_dumps(stack, scratch):
    """A process a dump over the corpus, symcaches there: what a crash costs from start to JSON."""
    dumps = sorted((SHARED / "data/minidumps").rglob("*.dmp"))
    if not rust():
        return skipped("stackwalk_small", "minidump-stackwalk is not on PATH "
                                          "(cargo install minidump-stackwalk)")
    if not dumps:
        return skipped("stackwalk_small", f"the shared corpus is not at {SHARED}")
    trees = [SHARED / "data/minidumps" / d / "symbols" for d in ("breakpad", "rust-minidump")]
    ours = [stack.env["SALVAGE_BIN"], "stackwalk", "--json", "--symbols-cache", scratch / "small"]
    theirs = [rust(), "--json"]
    for tree in trees:
        ours += ["--symbols", tree]
        theirs += ["--symbols-path", tree]
    spawn(scratch, 1, dumps, ours)  # the symcaches
    mine, peers = spawn(scratch, 10, dumps, ours, theirs)
    n = len(dumps)
    figure("stackwalk_small", peers[0] / n, mine[0] / n, ">=3", "ms",
           f"{n} dumps, a process each, symcaches warm; rust-minidump's time against ours")


def make_big(scratch):
    """The generated module and a dump of it: where, the module's size, what to say of it."""
    at = scratch / "big"
    at.mkdir()
    functions, span, size = subprocess.run([BENCH / "bench_make_sym", at, MEGABYTES], check=True,
                                        capture_output=True, text=True).stdout.split()
    return at, span, f"{int(size) / 1e6:.0f} MB of text, {functions} functions, 576 frames"


def big_module(stack, scratch):
    """A dump whose main module has half a gigabyte of symbols, cold and warm, against both peers."""
    at, span, what = make_big(scratch)
    cache = scratch / "big-cache"
    ours = [stack.env["SALVAGE_BIN"], "stackwalk", "--json", "--symbols", at / "symbols",
            "--symbols-cache", cache]
    programs = [("rust", rust(), ["--json", "--symbols-path", at / "symbols"]),
                ("breakpad", breakpad(), ["-m"])]
    cold, warm = [], []
    for name, program, options in programs:
        if not program:
            skipped(f"stackwalk_big_{name}", "the peer is not on PATH")
            continue
        # Breakpad's takes its symbols behind the dump
        command = [program, *options] if name == "rust" else ["sh", "-c",
                                                              'exec "$0" -m "$2" "$1"', program,
                                                              at / "symbols"]
        runs = []
        for _ in range(3):
            shutil.rmtree(cache, ignore_errors=True)
            runs.append(spawn(scratch, 1, [at / "bench.dmp"], ours, command))
            warm.append(spawn(scratch, 5, [at / "bench.dmp"], ours)[0])
        cold = [min(r[0][i] for r in runs) for i in range(3)]
        theirs = [min(r[1][i] for r in runs) for i in range(3)]
        once = [min(w[0] for w in warm), max(w[2] for w in warm)]
        figure(f"stackwalk_big_warm_{name}", theirs[0], once[0], ">=100", "ms",
               f"{what}; its time against ours with the symcache there")
        if name == "rust":
            figure("stackwalk_big_cold", cold[0], theirs[0], "<=1", "ms",
                   f"{what}; building the symcache included")
            figure("stackwalk_big_cold_memory", cold[2] / 1024, theirs[2] / 1024, "<=0.5", "MiB",
                   "peak, building the symcache included; against rust-minidump")
    if warm:
        figure("stackwalk_big_warm_memory", max(w[2] for w in warm) / 1024, 32, "<=1", "MiB",
               "peak with the symcache there, its mapped pages included")
    shutil.rmtree(cache, ignore_errors=True)
    symcache_of(next((at / "symbols").rglob("*.sym")), span, scratch)
    shutil.rmtree(at)


def symcache_of(sym, span, scratch):
    """Building, opening, asking, in processor time: each is one thread's work."""
    out = subprocess.run([BENCH / "bench_symcache", sym, scratch / "bench.symx", span],
                         capture_output=True, text=True, check=True).stdout.split()
    build_ms, open_us, lookup_ns = (float(x) for x in out[:3])
    size = sym.stat().st_size / 1e6
    figure("symcache_lookup", lookup_ns, 200, "<=1", "ns",
           f"10,000 addresses again and again, {size:.0f} MB of text; {float(out[4]):.0f} ns where "
           "each is another one")
    figure("symcache_open", open_us, 100, "<=1", "us", "map and check")
    figure("symcache_build", 100, size / (build_ms / 1e3), "<=1", "MB/s",
           f"{size:.0f} MB of text in {build_ms / 1e3:.2f} s; against 100 MB/s")
    (scratch / "bench.symx").unlink()


BENCHES = [small_dumps, big_module]
