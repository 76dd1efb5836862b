"""Dumping symbols: against rust-minidump's dump_syms, the same file, both with inlined calls.

Files: what DUMP_SYMS_FILES names (paths with ":" between), else the largest debug files of
/usr/lib/debug. Large ones are in Debian's ceph-osd-dbg (docs/dump-syms.md).
"""
import os
import pathlib

from figures import alternate, figure, measure, peer, skipped

MOST = 2  # files of /usr/lib/debug


def files():
    named = os.environ.get("DUMP_SYMS_FILES")
    if named:
        return [pathlib.Path(f) for f in named.split(":")]
    found = [f for f in pathlib.Path("/usr/lib/debug/.build-id").rglob("*.debug") if f.is_file()]
    return sorted(found, key=lambda f: f.stat().st_size)[-MOST:]


def dump_syms(stack, scratch):
    """Wall time and peak memory, inflating and writing included."""
    salvage, theirs = stack.env["SALVAGE_BIN"], peer("DUMP_SYMS", "dump_syms")
    if not theirs:
        skipped("dump_syms", "rust-minidump's dump_syms is not on PATH (cargo install dump_syms)")
        return
    out = scratch / "bench.sym"
    if not files():
        skipped("dump_syms", "no debug files in /usr/lib/debug (apt install libc6-dbg)")
    for path in files():
        if not path.is_file():
            skipped(f"dump_syms_{path.name}", f"{path} is not there")
            continue
        # the separate debug file alone, for both: the peer looks for nothing
        ours, peers = alternate(3, lambda p=path: measure([salvage, "dump-syms", "--no-search", p,
                                                           "-o", out]),
                                lambda p=path: measure([theirs, "--inlines", p, "-o", out]))
        failed = [r.status for r in ours + peers if r.status]
        name = "dump_syms_" + path.name.split(".")[0][:8]
        if failed:
            skipped(name, f"{path}: exit codes {failed}")
            continue
        what = (f"{path.name}, {path.stat().st_size / 1e6:.0f} MB, "
                f"{out.stat().st_size / 1e6:.1f} MB of symbols")
        figure(name + "_time", min(r.wall for r in ours), min(r.wall for r in peers), "<=1", "s",
               what)
        figure(name + "_memory", max(r.peak for r in ours), max(r.peak for r in peers), "<=0.5",
               "MiB", what)
    out.unlink(missing_ok=True)


BENCHES = [dump_syms]
