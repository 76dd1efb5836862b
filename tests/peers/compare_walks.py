#!/usr/bin/python3
"""Walks dumps with symbols of `salvage dump-syms` and with symbols of its peer: the same stacks?

usage: compare_walks.py [--salvage FILE] [--peer DUMP_SYMS] [--walker MINIDUMP_STACKWALK] DUMP...

The modules of a dump are those that --elf names and this host's libraries and programs, if they are
of the same build; their debug files are found by build id. Every dump is walked by `salvage stackwalk` and, if it is there, by minidump-stackwalk,
with either set of symbols. A line a dump and walker: threads and frames compared, frames that
differ; then the first differences. Not counted as such is what follows where the peer's symbols
have no rule and the walker guesses, while ours unwind or end the stack (docs/dump-syms.md). Exit
code 1 if frames differ.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from compare_dump_syms import debug_file, why_name

PLACES = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/bin", "/usr/sbin")
FIELDS = ("module", "module_offset", "function", "file", "line", "trust", "inlines")


def walk(command, symbols, dump):
    args = ["stackwalk"] if "salvage" in os.path.basename(command) else []
    done = subprocess.run([command, *args, "--json", "--symbols-path", symbols, dump], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit("%s %s: %s" % (command, dump, done.stderr.decode("utf-8", "replace")))
    return json.loads(done.stdout)


def find(module, named):
    """The file of a module, of the same build."""
    places = named + ["%s/%s" % (d, module["filename"]) for d in PLACES]
    for elf in places:
        if os.path.basename(elf) == module["filename"] and os.path.isfile(elf):
            notes = subprocess.run(["readelf", "-n", elf], capture_output=True, text=True,
                                   check=False).stdout
            if "Build ID: " + (module["code_id"] or "none") in notes:
                return elf
    return None


def make_symbols(args, document, root):
    """Two stores; returns how many modules are in them."""
    count = 0
    for module in document["modules"]:
        elf = find(module, args.elf)
        if not elf:
            continue
        debug = debug_file(elf)
        ours = subprocess.run([args.salvage, "dump-syms", "--store", root / "ours", elf],
                              check=False, stdout=subprocess.PIPE, text=True)
        if ours.returncode:
            continue
        path = root / "theirs" / os.path.relpath(ours.stdout.strip(), root / "ours")
        path.parent.mkdir(parents=True, exist_ok=True)
        theirs = subprocess.run([args.peer, "--inlines", "-o", path, elf] +
                                ([debug] if debug else []), check=False)
        count += theirs.returncode == 0
    return count


def normal(frame):
    out = {k: frame.get(k) for k in FIELDS}
    for inline in out["inlines"] or []:
        inline.pop("module", None)
    return out


def same(a, b):
    """Names that only demanglers write differently are the same: docs/dump-syms.md."""
    a, b = normal(a), normal(b)
    for x, y in [(a, b)] + list(zip(a["inlines"] or [], b["inlines"] or [])):
        if x["function"] != y["function"] and why_name(x["function"], y["function"]):
            y["function"] = x["function"]
    return a == b


def guessed(x, y):
    """Where the peer's file makes the walker guess: ours ends the stack, or unwinds by CFI."""
    return y.get("trust") == "scan" and x.get("trust") in (None, "cfi")


def compare(dump, walker, ours, theirs):
    bad, frames, explained = [], 0, 0
    for number, (a, b) in enumerate(zip(ours["threads"], theirs["threads"])):
        apart = False
        for i in range(max(len(a["frames"]), len(b["frames"]))):
            x = a["frames"][i] if i < len(a["frames"]) else {}
            y = b["frames"][i] if i < len(b["frames"]) else {}
            frames += 1
            apart = apart or (not same(x, y) and guessed(x, y))
            explained += apart
            if not apart and not same(x, y):
                bad.append((number, i, normal(x), normal(y)))
    print("%s by %s: %d threads, %d frames, %d differ, %d more where theirs makes the walker guess" %
          (dump, os.path.basename(walker), len(ours["threads"]), frames, len(bad), explained))
    for number, i, x, y in bad[:5]:
        print("  thread %d frame %d\n    ours:   %s\n    theirs: %s" % (number, i, x, y))
    return len(bad)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--salvage", default="build/salvage")
    args.add_argument("--peer", default=os.environ.get("DUMP_SYMS") or shutil.which("dump_syms"))
    args.add_argument("--walker", default=os.environ.get("MINIDUMP_STACKWALK") or
                      shutil.which("minidump-stackwalk"))
    args.add_argument("--elf", action="append", default=[], help="a module that is elsewhere now")
    args.add_argument("dump", nargs="+")
    args = args.parse_args()
    if not args.peer or not os.access(args.peer, os.X_OK):
        print("SKIPPED: no dump_syms to compare with (cargo install dump_syms; --peer FILE)")
        return 0
    bad = 0
    for dump in args.dump:
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            count = make_symbols(args, walk(args.salvage, root / "none", dump), root)
            print("%s: symbols of %d modules" % (dump, count))
            for walker in [args.salvage] + ([args.walker] if args.walker else []):
                bad += compare(dump, walker, walk(walker, root / "ours", dump),
                               walk(walker, root / "theirs", dump))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
