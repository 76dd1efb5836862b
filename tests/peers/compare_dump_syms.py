#!/usr/bin/python3
"""Compares `salvage dump-syms` with rust-minidump's dump_syms, by meaning, record by record.

usage: compare_dump_syms.py [--verbose] [--salvage FILE] [--peer FILE] ELF[,DEBUGFILE]...

The peer is --peer, $DUMP_SYMS or dump_syms on PATH; without one nothing is compared, which is said
and is no failure. Of a file whose debug information is elsewhere, name both; of an ELF file alone
the debug file that its build id names is used for both.

Lines and inlined calls are compared at every address where one of the two has a boundary: the chain
of functions, files and lines there. Unwinding is compared likewise: the rules in force. A line a
topic: how many were compared, how many were equal, how many differ for a reason of
docs/dump-syms.md. Exit code 1 if others differ.
"""
import argparse
import bisect
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile


class Sym:
    """A parsed symbol file."""

    def __init__(self, text):
        self.header, self.files, self.origins = [], {}, {}
        self.funcs, self.publics, self.cfi = {}, {}, {}
        self.lines, self.inlines = {}, {}
        for line in text.split("\n"):
            if line:
                self.record(line)

    def record(self, line):
        kind, _, rest = line.partition(" ")
        if kind == "FILE":
            number, _, name = rest.partition(" ")
            self.files[number] = name
        elif kind == "INLINE_ORIGIN":
            number, _, name = rest.partition(" ")
            self.origins[number] = name
        elif kind == "FUNC":
            many, fields = self.many(rest, 3)
            self.at = int(fields[0], 16)
            self.funcs[self.at] = (int(fields[1], 16), fields[3] if len(fields) > 3 else "", many)
            self.lines[self.at], self.inlines[self.at] = [], []
        elif kind == "PUBLIC":
            many, fields = self.many(rest, 2)
            self.publics[int(fields[0], 16)] = (fields[2] if len(fields) > 2 else "", many)
        elif kind == "INLINE":
            self.inline(rest.split())
        elif kind == "STACK":
            self.stack(line.split(" ", 2)[2])
        elif kind in ("MODULE", "INFO"):
            self.header.append(line)
        else:
            at, size, number, file = line.split()
            self.lines[self.at].append((int(at, 16), int(size, 16), int(number), self.files[file]))

    @staticmethod
    def many(rest, count):
        many = rest.startswith("m ")
        return many, (rest[2:] if many else rest).split(" ", count)

    def inline(self, f):
        site = (int(f[0]), self.origins[f[3]], self.files[f[2]], int(f[1]))
        for i in range(4, len(f), 2):
            self.inlines[self.at].append((int(f[i], 16), int(f[i + 1], 16), site))

    def stack(self, rest):
        if rest.startswith("INIT "):
            _, at, size, rules = (rest + " ").split(" ", 3)
            self.fde = int(at, 16)
            # the first of two at one address counts
            if self.fde in self.cfi:
                self.fde = None
                return
            self.cfi[self.fde] = (int(size, 16), [(self.fde, rules.strip())])
        elif self.fde is not None:
            at, _, rules = rest.partition(" ")
            self.cfi[self.fde][1].append((int(at, 16), rules.strip()))


def rules_of(text):
    """{register: expression} of a rule list."""
    return dict(re.findall(r"(\S+): ((?:(?!\S+: ).)*?)(?= \S+: |$)", text))


def rows(entry):
    """[(address, rules in force)] of an entry."""
    out, now = [], {}
    for at, text in sorted(entry[1], key=lambda r: r[0]):
        now = {**now, **rules_of(text)}
        out.append((at, now))
    return out


class Tally:
    def __init__(self):
        self.all, self.same = collections.Counter(), collections.Counter()
        self.why = collections.defaultdict(collections.Counter)
        self.first = collections.defaultdict(list)

    def count(self, topic, where, ours, theirs, reason=None):
        self.all[topic] += 1
        if ours == theirs:
            self.same[topic] += 1
            return
        self.why[topic][reason or "unexplained"] += 1
        self.first[(topic, reason or "unexplained")].append((where, ours, theirs))

    def show(self, verbose):
        for topic, n in self.all.items():
            reasons = "".join(", %d %s" % (c, r) for r, c in self.why[topic].most_common())
            print("%-10s %8d of %8d equal%s" % (topic, self.same[topic], n, reasons))
        for (topic, reason), found in self.first.items():
            for where, ours, theirs in found[: None if verbose else 3 if reason != "unexplained"
                                             else 10]:
                print("  %s, %s, %s\n    ours:   %s\n    theirs: %s" % (topic, reason, where, ours,
                                                                     theirs))

    def unexplained(self):
        return sum(w["unexplained"] for w in self.why.values())


# ---- code: what stands at an address ----

def breaks(sym, at):
    for start, size, *_ in sym.lines[at]:
        yield start
        yield start + size
    for start, size, _ in sym.inlines[at]:
        yield start
        yield start + size


def index(sym, at):
    """For lookups: lines by address; ranges of inlined calls by depth and address."""
    lines = sorted(sym.lines[at])
    depth = collections.defaultdict(list)
    for start, size, site in sym.inlines[at]:
        depth[site[0]].append((start, size, site))
    return lines, {d: sorted(v) for d, v in depth.items()}


def covering(ranges, address):
    i = bisect.bisect_right(ranges, address, key=lambda r: r[0]) - 1
    return ranges[i] if i >= 0 and address < ranges[i][0] + ranges[i][1] else None


def chain(where, address):
    """Innermost location and the calls around it, as a reader sees them."""
    lines, depth = where
    line = covering(lines, address)
    calls, d = [], 0
    while d in depth:
        site = covering(depth[d], address)
        if not site:
            break
        calls.append(site[2][1:])
        d += 1
    return line and line[2:], tuple(calls)


# ---- reasons: each has a paragraph in docs/dump-syms.md ----

def without_parameters(name):
    """Up to the last parenthesis that opens at the outer level."""
    depth = 0
    for i in range(len(name) - 1, -1, -1):
        depth += (name[i] == ")") - (name[i] == "(")
        if name[i] == "(" and depth == 0:
            return name[:i]
    return name


def plain(name):
    """Without template arguments and parameters: what demanglers agree on."""
    thunk = re.match(r"\{virtual override thunk\(\{.*?\}, (.*)\)\}$", name)
    name = re.sub(r"^(non-)?virtual thunk to ", "", thunk[1] if thunk else name)
    name = re.sub(r"operator(<<|>>|<=|>=|->|<|>|\(\))", "operator", name)
    depth, out = 0, ""
    for c in name.replace("(anonymous namespace)", "{anonymous}"):
        depth += (c in "<(") - (c in ">)")
        out += c if depth == 0 and c not in "<>()" else ""
    out = re.sub(r"^std::(?!basic_)(\w+)::(~?)\1$", r"std::basic_\1::\2basic_\1", out)
    return out.split("::")[-1]


def why_name(a, b):
    if not a or not b:
        return None
    if b == "<name omitted>":
        return "DWZ"
    if b.startswith("_Z") and not a.startswith("_Z"):
        return "not-demangled"
    if a.startswith("_Z") and not b.startswith("_Z"):
        return "not-demangled-by-us"
    if a.endswith("::" + b):
        return "qualified"
    if without_parameters(a) == without_parameters(b):
        return "parameters"
    if 'operator"" ' in a and 'operator ""' in b:
        return "demangler"
    if plain(a).strip(" *") == plain(b).strip(" *") and "(" in a:
        return "demangler"
    return None


def why_lines(a, b):
    if a[0] is None and a[1] and b == (a[1][-1][:0:-1], a[1][:-1]):
        return "no-line"
    if a[0] != b[0] or [c[1:] for c in a[1]] != [c[1:] for c in b[1]]:
        return None
    reasons = {why_name(x[0], y[0]) for x, y in zip(a[1], b[1]) if x[0] != y[0]}
    return None if None in reasons else "+".join(sorted(reasons))


def why_section(a, b):
    """The peer names a section after the file that it read last, and forgets the load address."""
    x, y = (re.match(r"<(\S+) ELF section in ", name or "") for name in (a, b))
    if (x and not b) or (y and not a):
        return "section-address"
    return "section-file" if x and y and x[1] == y[1] else None


def why_rule(name, a, b):
    if name == ".ra" and a == "0" and b is None:
        return "no-caller"
    if a == name and b is None:
        return "expression"
    if a == name:
        return "restored"
    if b is not None and a is None and re.match(r"\$?(xmm|ymm|st|mm|v|f|s)\d+$", name):
        return "unnamed"
    if b is None and a and re.fullmatch(r"\$\w+( -?\d+ \+)? \^", a):
        return "expression"
    simple = a and re.fullmatch(r"\S+ -?\d+ \+( \^)?|\S+", a)
    return "expression" if a == ".undef" or (a and not simple) else None


def why_rules(a, b):
    reasons = {why_rule(k, a.get(k), b.get(k)) for k in set(a) | set(b) if a.get(k) != b.get(k)}
    if "expression" in reasons:
        reasons = {"expression"} if b == {} or None in reasons else reasons
    return None if None in reasons else "+".join(sorted(reasons))


def places(found):
    """Files (their last part, as the paths are spelled in many ways) and lines, innermost first."""
    if not found or not found[0]:
        return None
    line, calls = found
    at = [(line[1], line[0]), *((c[1], c[2]) for c in reversed(calls))]
    return [(os.path.basename(file), int(number)) for file, number in at]


def judge(t, elf, odd):
    """Lines that differ for no other reason: whom does addr2line, a third reader, agree with?"""
    heads = subprocess.run(["readelf", "-lW", elf], capture_output=True, text=True, check=False)
    load = min((int(x, 16) for x in re.findall(r"LOAD +0x\w+ 0x(\w+)", heads.stdout)), default=0)
    asked = "".join("0x%x\n" % (load + address) for address, _, _ in odd)
    answer = subprocess.run(["addr2line", "-a", "-i", "-e", elf], input=asked, capture_output=True,
                            text=True, check=False).stdout if odd else ""
    chains = []
    for line in answer.split("\n"):
        if re.fullmatch(r"0x[0-9a-f]+", line):
            chains.append([])
        elif line and chains:
            file, _, number = line.split(" (discriminator")[0].rpartition(":")
            chains[-1].append((os.path.basename(file), int(number) if number.isdigit() else 0))
    for (address, p, q), said in zip(odd, chains + [None] * len(odd)):
        mine, other = places(p), places(q)  # addr2line may not find all calls: those it finds count
        good = said and mine and mine[:len(said)] == said and (other or [])[:len(said)] != said
        t.count("lines", hex(address), p, q, "rows" if good else None)


def compare_code(t, ours, theirs, merged, elf):
    odd = []
    for at in sorted(set(ours.funcs) | set(theirs.funcs)):
        a, b = ours.funcs.get(at), theirs.funcs.get(at)
        t.count("functions", hex(at), a and a[0], b and b[0])
        if not a or not b:
            continue
        t.count("names", hex(at), a[1], b[1], why_name(a[1], b[1]))
        t.count("multiple", hex(at), a[2], b[2], "merged" if merged and b[2] else None)
        x, y = index(ours, at), index(theirs, at)
        for address in sorted({at} | set(breaks(ours, at)) | set(breaks(theirs, at))):
            if at <= address < at + a[0]:
                p, q = chain(x, address), chain(y, address)
                if p != q and not why_lines(p, q):
                    odd.append((address, p, q))
                else:
                    t.count("lines", hex(address), p, q, why_lines(p, q))
    judge(t, elf, odd)


# ---- publics, unwinding ----

def compare_publics(t, ours, theirs, merged):
    for at in sorted(set(ours.publics) | set(theirs.publics)):
        a, b = ours.publics.get(at), theirs.publics.get(at)
        name, peer = a and a[0], b and b[0]
        t.count("publics", hex(at), name, peer, why_section(name, peer) or why_name(name, peer))
        if a and b:
            t.count("public m", hex(at), a[1], b[1], "merged" if merged and b[1] else
                    "twice" if b[1] else None)


def compare_cfi(t, ours, theirs):
    for at in sorted(set(ours.cfi) | set(theirs.cfi)):
        a, b = ours.cfi.get(at), theirs.cfi.get(at)
        t.count("cfi", hex(at), a and a[0], b and b[0],
                None if b else why_rules(rows(a)[0][1], {}))
        if not a or not b:
            continue
        x, y = rows(a), rows(b)
        for address in sorted({r[0] for r in x} | {r[0] for r in y}):
            p = x[bisect.bisect_right(x, address, key=lambda r: r[0]) - 1][1]
            q = y[bisect.bisect_right(y, address, key=lambda r: r[0]) - 1][1]
            t.count("cfi rules", hex(address), p, q, why_rules(p, q))


def compare(t, ours, theirs, merged, elf):
    for a, b in zip(ours.header, [h for h in theirs.header if not h.startswith("INFO GENERATOR")]):
        t.count("header", "header", a, b)
    t.count("files", "files", sorted(set(ours.files.values())), sorted(set(theirs.files.values())))
    compare_code(t, ours, theirs, merged, elf)
    compare_publics(t, ours, theirs, merged)
    compare_cfi(t, ours, theirs)


# ---- running ----

def debug_file(elf):
    notes = subprocess.run(["readelf", "-n", elf], capture_output=True, text=True, check=False)
    found = re.search(r"Build ID: ([0-9a-f]+)", notes.stdout)
    path = "/usr/lib/debug/.build-id/%s/%s.debug" % (found[1][:2], found[1][2:]) if found else ""
    return path if os.path.exists(path) else None


def run(command, out):
    usage = subprocess.run(["/usr/bin/env", "time", "-f", "%e %M"] + command, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if usage.returncode:
        sys.exit("%s: %s" % (command[0], usage.stderr))
    with open(out, encoding="utf-8", errors="replace") as f:
        return Sym(f.read()), usage.stderr.split()[-2:]


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--verbose", action="store_true")
    args.add_argument("--salvage", default="build/salvage")
    args.add_argument("--peer", default=os.environ.get("DUMP_SYMS") or shutil.which("dump_syms"))
    args.add_argument("elf", nargs="+")
    args = args.parse_args()
    if not args.peer or not os.access(args.peer, os.X_OK):
        print("SKIPPED: no dump_syms to compare with (cargo install dump_syms; --peer FILE)")
        return 0
    bad = 0
    for name in args.elf:
        elf, _, debug = name.partition(",")
        debug = debug or debug_file(elf)
        tally = Tally()
        with tempfile.TemporaryDirectory() as scratch:
            out = os.path.join(scratch, "sym")
            ours, a = run([args.salvage, "dump-syms", "-o", out, elf] +
                          (["--debug", debug] if debug else []), out)
            theirs, b = run([args.peer, "--inlines", "-o", out, elf] + ([debug] if debug else []),
                            out)
        print("%s: ours %s s %s KB, theirs %s s %s KB" % (name, *a, *b))
        compare(tally, ours, theirs, bool(debug), debug or elf)
        tally.show(args.verbose)
        bad += tally.unexplained()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
