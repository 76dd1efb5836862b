#!/usr/bin/env python3
"""Compares lookups of `salvage symbolicate` with `symbolic`, the library of Sentry and Eliot.

usage: compare_symbolic.py [--salvage FILE] [--line-gaps extend] [--limit N] [--verbose] SYM...

Every offset at which something begins or ends in the text of a .sym, and its neighbours, is looked
up by both; function, file and line of the whole inline chain are compared. The interpreter must
have the module `symbolic` (pip install symbolic, outside this repository); without it the script
says so and skips. A difference is explained (docs/symbolicate.md "Where we differ") if the text
proves it; exit code 1 if there are others.
"""
import argparse
import bisect
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import symbolic
except ImportError:
    print("SKIPPED: this interpreter has no module `symbolic`")
    sys.exit(0)


class Text:
    """What the text says: enough to judge a difference, by brute force."""

    def __init__(self, path):
        self.module = None
        self.funcs, self.lines, self.inlines, self.publics = [], [], [], []
        func = None
        for raw in path.read_text("utf-8", "replace").split("\n"):
            raw = raw.rstrip("\r")
            words = raw.split(" ")
            try:
                if words[0] == "MODULE":
                    self.module = (" ".join(words[4:]), words[3])
                elif words[0] == "FUNC":
                    m = words[1] == "m"
                    parts = raw.split(" ", 4 + m)
                    func = (int(parts[1 + m], 16), int(parts[2 + m], 16),
                            parts[4 + m] if len(parts) > 4 + m else "")
                    self.funcs.append(func)
                elif words[0] == "PUBLIC":
                    self.publics.append(int(words[2 if words[1] == "m" else 1], 16))
                elif words[0] == "INLINE" and func:
                    ranges = words[5:] if len(words) % 2 else words[4:]
                    for a, n in zip(ranges[::2], ranges[1::2]):
                        self.inlines.append((int(a, 16), int(n, 16)))
                elif words[0] not in ("FILE", "INFO", "STACK", "INLINE_ORIGIN", "") and func:
                    self.lines.append((int(words[0], 16), int(words[1], 16), int(words[2])))
            except (ValueError, IndexError):
                continue
        self.funcs.sort()
        self.lines.sort()
        self.starts = [f[0] for f in self.funcs]
        self.line_starts = [x[0] for x in self.lines]

    def offsets(self, limit):
        edges = set(self.publics)
        for ranges in (self.funcs, self.lines, self.inlines):
            for r in ranges:
                edges.update((r[0], r[0] + r[1]))
        every = sorted({o for e in edges for o in (e - 1, e, e + 1) if o >= 0})
        if len(every) > limit:
            random.seed(len(every))
            every = sorted(random.sample(every, limit))
        return every

    def func_at(self, offset):
        i = bisect.bisect_right(self.starts, offset) - 1
        if i >= 0 and offset < self.funcs[i][0] + self.funcs[i][1]:
            return self.funcs[i]
        return None

    def functions_over(self, offset):
        i = bisect.bisect_right(self.starts, offset)
        return sum(a <= offset < a + n for a, n, _ in self.funcs[max(0, i - 50):i])

    def public_behind(self, offset):
        before = [s for s in self.starts if s <= offset]
        return any((before[-1] if before else -1) < p <= offset for p in self.publics)

    def line_covers(self, offset):
        i = bisect.bisect_right(self.line_starts, offset) - 1
        return any(a <= offset < a + n for a, n, _ in self.lines[max(0, i - 3):i + 1])


def ours(options, sym, module, offsets, scratch):
    body = {"memoryMap": [[module[0], module[1]]], "stacks": [[[0, o] for o in offsets]]}
    done = subprocess.run([options.salvage, "symbolicate", "--symbols", str(sym), "--symbols-cache",
                           scratch, "--line-gaps", options.line_gaps], input=json.dumps(body), capture_output=True, text=True,
                          check=True)
    answer = json.loads(done.stdout)["results"][0]
    if answer["found_modules"] != {f"{module[0]}/{module[1]}": True}:
        raise RuntimeError(f"{sym}: {answer['found_modules']}")
    chains = []
    for frame in answer["stacks"][0]:
        chain = [] if "function" not in frame else [
            (f["function"], f.get("file", ""), f.get("line", 0))
            for f in frame.get("inlines", []) + [frame]]
        chains.append(chain)
    return chains


def theirs(sym, module, offsets):
    debug_id = symbolic.normalize_debug_id(module[1])
    text = sym.read_bytes()  # an archive refers to it and does not hold it
    cache = symbolic.Archive.from_bytes(text).get_object(debug_id=debug_id).make_symcache()
    chains = []
    for offset in offsets:
        places = cache.lookup(offset)
        # a line without a file means nothing: Eliot leaves it out as well
        chains.append([(p.symbol, p.full_path or "", p.line if p.full_path else 0)
                       for p in places])
    return chains


def cleaned(chain):
    """With the paths as `symbolic` rewrites them: no "..", no "." in the middle."""
    out = []
    for function, path, line in chain:
        cut = "\\" if "\\" in path and "/" not in path else "/"
        parts = []
        for part in path.split(cut):
            if part == ".." and parts and parts[-1] not in ("..", ""):
                parts.pop()
            elif part != ".":
                parts.append(part)
        out.append((function, cut.join(parts), line))
    return out


def explain(text, offset, mine, other):
    """Why a difference is meant; None if it is not."""
    if cleaned(mine) == cleaned(other):
        return "the other rewrites the path"
    mine, other = cleaned(mine), cleaned(other)
    func = text.func_at(offset)
    if func and mine and mine[-1][0] == func[2] and (not other or other[-1][0] != func[2]):
        return "a FUNC covers it, the other answers with a PUBLIC or not at all"
    if text.functions_over(offset) > 1:
        return "several FUNC records cover it: here the first of the file counts"
    if func and not text.line_covers(offset):
        return "no line record covers it"
    if not func and mine and not other and text.public_behind(offset):
        return "Breakpad's rule: a PUBLIC inside a FUNC counts behind the FUNC's end too"
    if [m[:1] for m in mine] == [o[:1] for o in other] and any("<unknown>" in m[0] for m in mine):
        return "an inline origin is not named"
    return None


def compare(sym, options, tally, bad):
    text = Text(sym)
    if not text.module:
        print(f"{sym}: no MODULE line")
        return
    offsets = text.offsets(options.limit)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            others = theirs(sym, text.module, offsets)
        except (symbolic.SymbolicError, LookupError) as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            print(f"{sym}: the other refuses the whole file: {reason}")
            return
        pairs = zip(offsets, ours(options, sym, text.module, offsets, scratch), others)
        for offset, mine, other in pairs:
            if mine == other:
                tally["equal"] += 1
                continue
            why = explain(text, offset, mine, other)
            tally[why or "NOT EXPLAINED"] += 1
            if not why or options.verbose:
                bad.append(f"{sym.name} {offset:#x}: {why or 'NOT EXPLAINED'}\n"
                           f"    ours   {mine}\n    theirs {other}")


def main():
    parser = argparse.ArgumentParser()
    top = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--salvage", default=os.environ.get(
        "SALVAGE_BIN", str(top / "build/stage/bin/salvage")))
    parser.add_argument("--line-gaps", default="none", help="none or extend")
    parser.add_argument("--limit", type=int, default=200_000, help="offsets of one file")
    parser.add_argument("--verbose", action="store_true", help="print explained differences too")
    parser.add_argument("sym", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    tally, bad = collections.Counter(), []
    for sym in options.sym:
        compare(sym, options, tally, bad)
    for line in bad[:40 if not options.verbose else None]:
        print(line)
    total = sum(tally.values())
    for why, n in tally.most_common():
        print(f"{n:9} of {total} {why}")
    return 1 if tally["NOT EXPLAINED"] else 0


if __name__ == "__main__":
    sys.exit(main())
