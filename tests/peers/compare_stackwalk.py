#!/usr/bin/python3
"""Compares `salvage stackwalk --json` with minidump-stackwalk, field by field.

usage: compare_stackwalk.py [--verbose] [--salvage FILE] [--peer FILE] [--symbols DIR]... DUMP...

The peer is $MINIDUMP_STACKWALK or minidump-stackwalk on PATH. A line a field: how many values were
compared, how many were equal; then the differences, each with its place. The texts (--human, --brief,
--dump) are compared letter by letter, but for what only ours says. Exit code 1 if there are
differences that are not among those that docs/stackwalk.md explains.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FRAME_FIELDS = ("module", "module_offset", "offset", "function", "function_offset", "file", "line",
                "trust", "missing_symbols", "inlines", "unloaded_modules")

# Where we differ on purpose: docs/stackwalk.md "Where we differ".
EXPLAINED = ("crash_info.assertion", "crash_info.memory_accesses, rip-relative",
             "text of a rip-relative access", "crash_info.instruction, listed",
             "crash_info.memory_accesses, listed", "crash_info.adjusted_address, listed")

# Mnemonics of ours whose text, and those whose accesses, docs/stackwalk.md lists as different.
LISTED_TEXTS = re.compile(r"f\w+|(popfq|pushfq|int1|int3|loopn?e|xchg|scas|cmps|ins|outs|movsxd|push|shl|rol|ror|rcl|"
                          r"rcr|sar|shr|callf|jmpf)")
LISTED_ACCESSES = re.compile(r"callf|jmpf|retf|cmps|nop|f(rstor|n?save|n?stenv|ldenv|xsave|xrstor)\w*|(push|pop) (word|[a-z]{2}$)")


def listed(field, instruction):
    """Is it one of the differences of an instruction that are on the list? The texts are for display only."""
    words = re.sub(r"^(lock|rep|repnz) ", "", instruction or "")
    if field == "instruction":
        return LISTED_TEXTS.fullmatch(words.split(" ")[0]) is not None
    if field == "adjusted_address":
        return words.startswith("nop ")
    return field == "memory_accesses" and LISTED_ACCESSES.match(words) is not None


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode(
        "utf-8", "replace")


class Tally:
    def __init__(self):
        self.same = collections.Counter()
        self.all = collections.Counter()
        self.differences = []

    def compare(self, field, where, ours, theirs):
        self.all[field] += 1
        if ours == theirs:
            self.same[field] += 1
        else:
            self.differences.append((field, where, ours, theirs))

    def print(self, verbose):
        for field in sorted(self.all):
            print("%-40s %6d of %6d  %6.2f %%" % (field, self.same[field], self.all[field],
                                                  100.0 * self.same[field] / self.all[field]))
        shown = self.differences if verbose else self.differences[:20]
        for field, where, ours, theirs in shown:
            print("differs: %s %s\n  ours:   %s\n  theirs: %s" % (
                where, field, json.dumps(ours)[:400], json.dumps(theirs)[:400]))
        if len(shown) < len(self.differences):
            print("... and %d more (--verbose)" % (len(self.differences) - len(shown)))

    def unexplained(self):
        return [d for d in self.differences if d[0] not in EXPLAINED]


def normal(field, value):
    """Order that means nothing is taken out."""
    if field == "proc_limits" and value:
        return sorted(value["limits"], key=lambda limit: limit["name"])
    return value


def compare_threads(tally, name, ours, theirs):
    tally.compare("threads.count", name, len(ours), len(theirs))
    for index, (a, b) in enumerate(zip(ours, theirs)):
        where = "%s thread %d" % (name, index)
        for key in ("frame_count", "last_error_value", "thread_id", "thread_name"):
            tally.compare("threads." + key, where, a.get(key, "absent"), b.get(key, "absent"))
        for number in range(max(len(a["frames"]), len(b["frames"]))):
            x = a["frames"][number] if number < len(a["frames"]) else {}
            y = b["frames"][number] if number < len(b["frames"]) else {}
            for key in FRAME_FIELDS:
                tally.compare("frames." + key, "%s frame %d" % (where, number),
                              x.get(key, "absent"), y.get(key, "absent"))


def compare_documents(tally, name, ours, theirs):
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key, "absent"), theirs.get(key, "absent")
        if key == "threads":
            compare_threads(tally, name, a, b)
        elif key in ("crash_info", "system_info") and isinstance(a, dict) and isinstance(b, dict):
            for inner in sorted(set(a) | set(b)):
                # They leave the instruction's own length out.
                relative = inner == "memory_accesses" and "rip" in (a.get("instruction") or "")
                x, y = a.get(inner, "absent"), b.get(inner, "absent")
                known = x != y and not relative and listed(inner, a.get("instruction"))
                tally.compare(key + "." + inner + ", rip-relative" * relative + ", listed" * known, name, x, y)
        elif key == "modules":
            tally.compare("modules.count", name, len(a), len(b))
            for x, y in zip(a, b):
                for inner in sorted(set(x) | set(y)):
                    tally.compare("modules." + inner, "%s %s" % (name, y.get("filename")),
                                  x.get(inner, "absent"), y.get(inner, "absent"))
        else:
            tally.compare(key, name, normal(key, a), normal(key, b))


def failure_name(stderr):
    """The name at the start of the peer's last error line."""
    lines = [line for line in stderr.splitlines() if line.lstrip().startswith("ERROR")]
    return lines[-1].split()[1] if lines else stderr.strip()


def digits(text):
    """Confidences in one spelling: the shortest that gives the number."""
    return re.sub(r'"confidence":([0-9.]+)', lambda m: '"confidence":%r' % float(m.group(1)), text)


def text_of(form, ours):
    """Our text without what docs/stackwalk.md says that only we print."""
    if form == "--dump":
        for extra in ("MinidumpThreadInfoList\n", "MD_DSO_DEBUG\n", "Stream LinuxAuxv:\n"):
            ours = ours.split("\n" + extra)[0] + ("\n" if "\n" + extra in ours else "")
        return ours
    return re.sub(r"^Assertion: .*\n", "", ours, flags=re.M)


def first_difference(ours, theirs):
    a, b = ours.splitlines(), theirs.splitlines()
    for number, (x, y) in enumerate(zip(a + [""] * len(b), b + [""] * len(a))):
        if x != y:
            return ["line %d" % (number + 1), x], ["line %d" % (number + 1), y]
    return ["end", ""], ["end", ""]


def compare_texts(tally, ours_command, theirs_command, dump):
    for form in (["--human"], ["--human", "--brief"], ["--dump", "--brief"], ["--dump"]):
        _, ours, _ = run(ours_command + form + [str(dump)])
        _, theirs, _ = run(theirs_command + form + [str(dump)])
        ours = text_of(form[0], ours)
        if ours == theirs:
            tally.compare("text " + " ".join(form), dump.name, True, True)
        else:
            ours, theirs = first_difference(ours, theirs)
            relative = ours[1].startswith("  0. Address: ")
            tally.compare("text of a rip-relative access" if relative
                          else "text " + " ".join(form), dump.name, ours, theirs)


def compare_dump(tally, args, dump, cache):
    symbols = [str(path) for path in args.symbols or []]
    ours_command = [args.salvage, "stackwalk", "--symbols-cache", cache, "--max-frames", "1048576"]
    theirs_command = [args.peer, "--no-color"]
    for path in symbols:
        ours_command += ["--symbols", path]
        theirs_command += ["--symbols-path", path]
    code_a, out_a, err_a = run(ours_command + ["--json", str(dump)])
    code_b, out_b, err_b = run(theirs_command + ["--json", str(dump)])
    name = dump.name
    tally.compare("exit code", name, code_a, code_b)
    if code_a or code_b:
        tally.compare("failure", name, failure_name(err_a), failure_name(err_b))
        return
    compare_documents(tally, name, json.loads(out_a), json.loads(out_b))
    if args.texts:
        compare_texts(tally, ours_command, theirs_command, dump)
    if json.loads(out_a) == json.loads(out_b):
        tally.compare("order and form of the text", name, digits(out_a) == digits(out_b), True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--no-texts", dest="texts", action="store_false")
    parser.add_argument("--salvage", default=os.environ.get("SALVAGE_BIN") or "salvage")
    parser.add_argument("--peer", default=os.environ.get("MINIDUMP_STACKWALK")
                        or shutil.which("minidump-stackwalk"))
    parser.add_argument("--symbols", action="append", type=pathlib.Path)
    parser.add_argument("dumps", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    if not args.peer:
        print("skipped: no minidump-stackwalk on PATH or in $MINIDUMP_STACKWALK")
        return 0
    tally = Tally()
    with tempfile.TemporaryDirectory() as cache:
        for dump in args.dumps:
            compare_dump(tally, args, dump, cache)
    tally.print(args.verbose)
    return 1 if tally.unexplained() else 0


if __name__ == "__main__":
    sys.exit(main())
