#!/usr/bin/python3
"""Compares `salvage stackwalk` with minidump-stackwalk on made-up dumps of every CPU.

usage: synth_stackwalk.py [--count N] [--seed N] [--keep DIR] [--cpu NAME]

Each round makes a dump (x86, amd64, arm, both arm64, mips; Windows, Linux, macOS, iOS, Android) with a
stack of plausible words, and symbols with functions, inlined calls, publics, call frame information and
STACK WIN records of made-up rules, and compares both documents. arm64 only with --cpu: the
peer forgets fp and lr there once it has followed them (docs/stackwalk.md).
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import compare_stackwalk as compare  # noqa: E402
from minidumps import Dump, EXCEPTION, MEMORY, MODULES, THREADS, UNLOADED  # noqa: E402

# architecture, word, size of the context, (flags, its width, where), registers by name: (where, width)
CPUS = {
    "x86": (0, 4, 716, (0x10007, 4, 0), dict(zip(
        "edi esi ebx edx ecx eax ebp eip esp".split(),
        ((156, 4), (160, 4), (164, 4), (168, 4), (172, 4), (176, 4), (180, 4), (184, 4), (196, 4))))),
    "amd64": (9, 8, 1232, (0x100007, 4, 48), dict(
        [(n, (120 + 8 * i, 8)) for i, n in enumerate(
            "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15 rip".split())])),
    "arm": (5, 4, 368, (0x40000006, 4, 0), dict(
        [("r%d" % i, (4 + 4 * i, 4)) for i in range(13)]
        + [("sp", (56, 4)), ("lr", (60, 4)), ("pc", (64, 4))])),
    "arm64": (12, 8, 912, (0x400007, 4, 0), dict(
        [("x%d" % i, (8 + 8 * i, 8)) for i in range(31)] + [("sp", (256, 8)), ("pc", (264, 8))])),
    "arm64-old": (0x8003, 8, 796, (0x80000007, 8, 0), dict(
        [("x%d" % i, (8 + 8 * i, 8)) for i in range(31)] + [("sp", (256, 8)), ("pc", (264, 8))])),
    "mips": (1, 4, 600, (0x40007, 4, 0), dict(
        [("s%d" % i, (8 + 8 * (16 + i), 8)) for i in range(8)]
        + [("gp", (232, 8)), ("sp", (240, 8)), ("fp", (248, 8)), ("ra", (256, 8)), ("pc", (312, 8))])),
}
PC = {"x86": "eip", "amd64": "rip"}
SP = {"x86": "esp", "amd64": "rsp"}
FP = {"x86": "ebp", "amd64": "rbp", "arm": "r11", "mips": "fp"}
PLATFORMS = {"windows": 2, "linux": 0x8201, "mac": 0x8101, "ios": 0x8102, "android": 0x8203}
BASE, SIZE, GUID = 0x400000, 0x8000, 0x5A
STACK, WORDS = 0x7fff0000, 96


class Maker:
    def __init__(self, rng, cpu):
        self.rng, self.cpu = rng, cpu
        self.arch, self.word, self.size, self.flags, self.registers = CPUS[cpu]
        self.limit = 1 << 8 * self.word

    def code(self):
        return BASE + self.rng.randrange(SIZE)

    def stack(self):
        return STACK + self.word * self.rng.randrange(WORDS)

    def value(self):
        return self.rng.choice((self.code, self.code, self.stack, self.stack, self.stack, lambda: 0,
                                lambda: self.rng.randrange(self.limit),
                                lambda: self.rng.randrange(0x2000)))() % self.limit

    def name(self):
        """A register as rules call it."""
        name = self.rng.choice(list(self.registers))
        return ("$" if self.cpu in ("x86", "amd64", "mips") and self.rng.random() < 0.9 else "") + name

    def special(self, table, other):
        name = table.get(self.cpu.split("-")[0], other)
        return ("$" if self.cpu in ("x86", "amd64", "mips") else "") + name

    def expression(self, cfa=False):
        rng = self.rng
        kinds = ["%s %d +" % (self.special(SP, "sp"), self.word * rng.randrange(9)),
                 "%s %d +" % (self.special(FP, "x29"), self.word * rng.randrange(5)),
                 self.name(), "%d" % self.value(), ".undef",
                 "%s %d / 3 %% 8 +" % (self.name(), rng.randrange(3)),
                 "%s %d @" % (self.special(SP, "sp"), rng.choice((8, 16, 12)))]
        if not cfa:
            kinds += [".cfa %d - ^" % (self.word * rng.randrange(1, 6))] * 6 + [
                ".cfa %d +" % (self.word * rng.randrange(-3, 3))]
        weights = [12, 5, 1, 1, 1, 1, 1] + ([4] * 6 + [1] if not cfa else [])
        return rng.choices(kinds, weights)[0]

    def rules(self, whole):
        rng = self.rng
        parts = []
        if whole or rng.random() < 0.5:
            parts.append(".cfa: " + self.expression(True))
        if whole or rng.random() < 0.2:
            ra = ".cfa %d - ^" % self.word if rng.random() < 0.7 else self.expression()
            if self.cpu not in ("x86", "amd64") and rng.random() < 0.3:
                ra = self.special({}, "ra" if self.cpu == "mips" else rng.choice(
                    ("lr", "x30") if "64" in self.cpu else ("lr",)))
            parts.append(".ra: " + ra)
        for _ in range(rng.randrange(4)):
            parts.append("%s: %s" % (self.name(), self.expression()))
        return " ".join(parts) or "%s: %s" % (self.name(), self.expression())

    def win(self):
        rng = self.rng
        if rng.random() < 0.5:
            return rng.choice((
                "$T0 $ebp = $eip $T0 4 + ^ = $ebp $T0 ^ = $esp $T0 8 + =",
                "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + =",
                "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + = $ebp $T0 %d - ^ =" % (
                    4 * rng.randrange(5)),
                "$T1 .raSearch 4 - = $T0 $T1 8 @ = $eip $T1 4 + ^ = $esp $T1 8 + = $ebx $T1 ^ =",
                "$eip .raSearch ^ = $esp .raSearch 4 + = $ebp .cbParams ="))
        tokens = ["$T0", "$eip", "$esp", "$ebp", "$ebx", ".raSearch", ".cbLocals", ".cbSavedRegs",
                  ".undef", "4", "8", "-4", "+", "-", "*", "/", "%", "@", "^", "=", "="]
        return " ".join(rng.choices(tokens, k=rng.randrange(1, 25)))

    def symbols(self):
        rng, at = self.rng, 0x100
        lines = ["MODULE Linux x86 %08X%024d1 app" % (GUID, 0), "FILE 0 a.c", "FILE 7 b.c",
                 "INLINE_ORIGIN 0 inner", "INLINE_ORIGIN 1 outer"]
        while at < SIZE:
            size = rng.randrange(0x10, 0x600)
            if rng.random() < 0.8:
                lines.append("FUNC %x %x %x f%x" % (at, size, 4 * rng.randrange(4), at))
                if rng.random() < 0.5:
                    a = at + rng.randrange(size)
                    lines.append("INLINE 0 %d 0 %d %x %x" % (rng.randrange(90), rng.randrange(3), a,
                                                             rng.randrange(1, size)))
                    if rng.random() < 0.5:
                        lines.append("INLINE 1 %d 7 0 %x %x" % (rng.randrange(90), a,
                                                                rng.randrange(1, size)))
                for a in range(at, at + size, rng.randrange(8, 0x100)):
                    lines.append("%x %x %d %d" % (a, 8, rng.randrange(1, 900), rng.choice((0, 7, 9))))
            elif rng.random() < 0.5:
                lines.append("PUBLIC %x %x p%x" % (at, 4 * rng.randrange(4), at))
            if rng.random() < 0.75:
                lines.append("STACK CFI INIT %x %x %s" % (at, size, self.rules(True)))
                for a in sorted(rng.sample(range(at, at + size), rng.randrange(3))):
                    lines.append("STACK CFI %x %s" % (a, self.rules(False)))
            if self.cpu == "x86" and rng.random() < 0.6:
                head = "%x %x 0 0 %x %x %x %x" % (at, size, *[4 * rng.randrange(6) for _ in range(4)])
                if rng.random() < 0.7:
                    lines.append("STACK WIN 4 %s 1 %s" % (head, self.win()))
                else:
                    lines.append("STACK WIN 0 %s 0 %d" % (head, rng.randrange(2)))
            at += size + rng.choice((0, 0, rng.randrange(0x200)))
        return "\n".join(lines) + "\n"

    def context(self, dump):
        raw = bytearray(self.size)
        flags, width, where = self.flags
        raw[where:where + width] = flags.to_bytes(width, "little")
        values = {name: self.value() for name in self.registers}
        values[PC.get(self.cpu, "pc")] = self.code()
        values[SP.get(self.cpu, "sp")] = STACK + self.word * self.rng.randrange(8)
        values[FP.get(self.cpu, "x29")] = self.stack() if self.rng.random() < 0.8 else self.value()
        for name, (place, width) in self.registers.items():
            raw[place:place + width] = values[name].to_bytes(width, "little")
        return dump.put(bytes(raw))

    def dump(self, platform):
        dump = Dump("<", self.arch, platform)
        words = []
        for i in range(WORDS):
            # Chains of frame pointers, and words of all kinds.
            chained = self.rng.random() < 0.3 and i + 3 < WORDS
            words.append(STACK + self.word * self.rng.randrange(i + 1, WORDS) if chained
                         else self.value())
        stack = dump.put(b"".join(w.to_bytes(self.word, "little") for w in words))
        threads = [dump.thread(i, STACK, stack, self.context(dump)) for i in range(1, 5)]
        dump.list(THREADS, threads)
        dump.list(MEMORY, [dump.pack("QII", STACK, *stack)])
        dump.list(MODULES, [dump.module(BASE, SIZE, dump.text("/bin/app"), dump.cv_pdb(GUID, 1, "app")),
                            dump.module(0x500000, 0x1000, dump.text("other"))])
        dump.list_ext(UNLOADED, 12, [dump.pack("QIIII", 0, 0x2000, 0, 1, dump.text("gone"))], 24)
        if self.rng.random() < 0.5:
            dump.stream(EXCEPTION, dump.exception(2, 11, self.value(), self.context(dump)))
        return dump.bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", choices=sorted(CPUS))
    parser.add_argument("--keep", type=pathlib.Path, help="directory for the rounds that differ")
    parser.add_argument("--texts", action="store_true", help="compare the texts, too")
    parser.add_argument("--salvage", default=os.environ.get("SALVAGE_BIN") or "salvage")
    parser.add_argument("--peer", default=os.environ.get("MINIDUMP_STACKWALK")
                        or shutil.which("minidump-stackwalk"))
    args = parser.parse_args()
    if not args.peer:
        print("skipped: no minidump-stackwalk on PATH or in $MINIDUMP_STACKWALK")
        return 0
    rng = random.Random(args.seed)
    fields, first, different, frames = collections.Counter(), {}, 0, collections.Counter()
    for number in range(args.count):
        cpu = args.cpu or rng.choice([c for c in CPUS if "arm64" not in c])
        maker = Maker(rng, cpu)
        platform = rng.choice(list(PLATFORMS))
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            symbols = work / "symbols" / "app" / ("%08X%024d1" % (GUID, 0))
            symbols.mkdir(parents=True)
            (symbols / "app.sym").write_text(maker.symbols())
            (work / "made.dmp").write_bytes(maker.dump(PLATFORMS[platform]))
            args.symbols = [work / "symbols"]
            tally = compare.Tally()
            compare.compare_dump(tally, args, work / "made.dmp", str(work / "cache"))
            frames[cpu] += tally.all["frames.trust"]
            differences = tally.unexplained()
            different += bool(differences)
            if differences and args.keep:
                shutil.copytree(work, args.keep / ("%d-%s-%s" % (number, cpu, platform)))
        for field, where, ours, theirs in differences:
            fields[field] += 1
            first.setdefault(field, (number, cpu, platform, where, ours, theirs))
    print("%d dumps, %d differ; frames: %s" % (args.count, different, dict(frames)))
    for field, n in fields.most_common():
        number, cpu, platform, where, ours, theirs = first[field]
        print("%6d  %s (first: %d, %s on %s, %s)\n  ours:   %s\n  theirs: %s" % (
            n, field, number, cpu, platform, where, json.dumps(ours)[:300],
            json.dumps(theirs)[:300]))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
