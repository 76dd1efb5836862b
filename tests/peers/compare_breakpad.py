#!/usr/bin/python3
"""Compares `salvage stackwalk` with what Breakpad's tools printed for the shared dumps.

usage: compare_breakpad.py [--salvage FILE] [--verbose] [SHARED/data/minidumps/breakpad]

Reads expected/*.machine.out and *.human.out of minidump_stackwalk and microdump_stackwalk, which
were made with the symbols beside them. System, crash, modules and all frames must be equal, but for
what docs/stackwalk.md lists under "Where we differ from Breakpad". Exit code 1 if they are not.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# Breakpad names the system by what the dump's numbers say, which Linux leaves at 0: uname's text
# follows, from which we take version and build.
UNAME = re.compile(r"^0\.0\.0 Linux (.*) \S+$")


def walk(salvage, dump, symbols, cache):
    done = subprocess.run([salvage, "stackwalk", "--json", "--symbols-cache", cache,
                           *[o for s in symbols for o in ("--symbols", s)], dump],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def our_frames(thread):
    """Module, function, file, line, whether it was scanned; inlined calls are frames of their own."""
    for frame in thread["frames"]:
        for inline in frame["inlines"] or []:
            yield (frame["module"] or "", inline["function"], inline["file"] or "",
                   str(inline["line"] or "") if inline["file"] else "", frame["trust"])
        yield (frame["module"] or "", frame["function"] or "", frame["file"] or "",
               str(frame["line"] or "") if frame["file"] else "", frame["trust"])


class Tally:
    def __init__(self):
        self.all, self.same, self.differences = collections.Counter(), collections.Counter(), []

    def compare(self, field, where, ours, theirs):
        self.all[field] += 1
        self.same[field] += ours == theirs
        if ours != theirs:
            self.differences.append((field, where, ours, theirs))


def parse_machine(text):
    head, threads = {"Module": []}, collections.defaultdict(list)
    for line in text.splitlines():
        fields = line.split("|")
        if fields[0] == "Module":
            head["Module"].append(fields[1:])
        elif fields[0].isdigit():
            threads[int(fields[0])].append(fields[2:6])
        elif line:
            head[fields[0]] = fields[1:]
    return head, threads


def compare_head(tally, name, document, head):
    system, crash = document["system_info"], document["crash_info"]
    version = UNAME.sub(r"\1", head["OS"][1].strip())
    tally.compare("system", name, [system["os"], system["os_ver"]], [head["OS"][0], version])
    tally.compare("cpu", name, [system["cpu_arch"], system["cpu_info"] or "", str(
        system["cpu_count"])], head["CPU"][:3])
    # " /0x00000000": a si_code of 0, which says nothing. Of fast fails Breakpad names the kind only.
    tally.compare("reason", name, (crash["type"] or "No crash").replace(
        "EXCEPTION_STACK_BUFFER_OVERRUN / ", ""), head["Crash"][0].replace(" /0x00000000", ""))
    if head["Crash"][1]:
        tally.compare("address", name, int(crash["address"], 16), int(head["Crash"][1], 16))
    if head["Crash"][2]:
        tally.compare("crashing thread", name, crash["crashing_thread"], int(head["Crash"][2]))


def compare_modules(tally, name, document, modules):
    ours = sorted((int(m["base_addr"], 16), int(m["end_addr"], 16) - 1, m["filename"],
                   m["version"] or "", m["debug_file"], m["debug_id"].strip("0") and m["debug_id"])
                  for m in document["modules"])
    theirs = sorted((int(m[4], 16), int(m[5], 16), m[0], m[1], m[2].rsplit("\\", 1)[-1],
                     m[3].strip("0") and m[3]) for m in modules)
    tally.compare("modules.count", name, len(ours), len(theirs))
    for a, b in zip(ours, theirs):
        tally.compare("modules", "%s %s" % (name, b[2]), a, b)


def compare_threads(tally, name, document, threads):
    """Threads of one dump, up to where either side goes on by scanning alone."""
    for index, theirs in threads.items():
        if index >= len(document["threads"]):
            tally.compare("threads", name, "absent", index)
            continue
        ours = list(our_frames(document["threads"][index]))
        for number in range(max(len(ours), len(theirs))):
            where = "%s thread %d frame %d" % (name, index, number)
            a = ours[number] if number < len(ours) else ("end",) * 4 + ("end",)
            b = theirs[number] if number < len(theirs) else ["end"] * 4
            if list(a[:4]) != list(b) and (a[4] in ("scan", "end")):
                tally.all["threads where scans differ"] += 1
                break
            tally.compare("frames", where, list(a[:4]), list(b))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = pathlib.Path(os.environ.get("SALVAGE_SHARED") or pathlib.Path(
        __file__).resolve().parents[3] / "shared")
    parser.add_argument("--salvage", default=os.environ.get("SALVAGE_BIN") or "salvage")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("folder", nargs="?", type=pathlib.Path,
                        default=shared / "data" / "minidumps" / "breakpad")
    args = parser.parse_args()
    if not args.folder.is_dir():
        print("skipped: no Breakpad test data in %s" % args.folder)
        return 0
    tally = Tally()
    with tempfile.TemporaryDirectory() as cache:
        for expected in sorted((args.folder / "expected").glob("*.machine.out")):
            name = expected.name.split(".")[0]
            document = walk(args.salvage, args.folder / (name + ".dmp"), [args.folder / "symbols"],
                            cache)
            if document is None:
                tally.compare("document", name, None, "there")
                continue
            head, threads = parse_machine(expected.read_text("utf-8", "replace"))
            compare_head(tally, name, document, head)
            compare_modules(tally, name, document, head["Module"])
            compare_threads(tally, name, document, threads)
    for field in sorted(tally.all):
        print("%-30s %5d of %5d" % (field, tally.same[field], tally.all[field]))
    for field, where, ours, theirs in tally.differences if args.verbose else tally.differences[:30]:
        print("differs: %s %s\n  ours:   %s\n  theirs: %s" % (where, field, ours, theirs))
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
