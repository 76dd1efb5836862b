#!/usr/bin/python3
"""Writes the Breakpad symbol file of an ELF file: FUNC, lines, INLINE, PUBLIC, STACK CFI.

Small and slow, for test data only, and independent of what the project itself reads and writes.
Needs python3-pyelftools and c++filt.

usage: elf2sym.py [--debug FILE] [--only HEX,HEX...] --store DIR ELF
  --debug FILE   where DWARF and symbols are, if they are split off
  --only  LIST   keep only what covers these addresses (relative to the module)
"""
import argparse
import bisect
import functools
import os
import pathlib
import re
import subprocess

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

CPUS = {"EM_X86_64": "x86_64"}
REGISTERS = ("$rax $rdx $rcx $rbx $rsi $rdi $rbp $rsp $r8 $r9 $r10 $r11 $r12 $r13 $r14 $r15 "
             "$rip").split()
RETURN_ADDRESS = 16
CLONE = re.compile(r"((\.(cold|constprop|llvm|localalias|lto_priv|isra|part|str)(\.[0-9]+)?)"
                   r"|( ?\[clone[^\]]*\] ?))+$")


def without_return_type(name):
    """c++filt prints the return type of template functions; symbol files leave it out."""
    if name.startswith(("vtable ", "typeinfo ", "guard ", "virtual ", "non-virtual ")):
        return name
    depth, start, at = 0, 0, 0
    while at < len(name):
        if name.startswith("operator", at):
            break
        c = name[at]
        if c in "<{[":
            depth += 1
        elif c in ">}]":
            depth -= 1
        elif c == "(" and depth == 0:
            if not name.startswith("(anonymous", at):
                break
            at = name.index(")", at)
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
        elif c == " " and depth == 0:
            start = at + 1
        at += 1
    return name[start:]


@functools.lru_cache(maxsize=None)
def demangle(name):
    name = CLONE.sub("", name)
    if not name.startswith("_Z"):
        return name
    out = subprocess.run(["c++filt", name], capture_output=True, text=True, check=True)
    return without_return_type(out.stdout.rstrip("\n"))


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class Unit:
    """A compilation unit: its file table and its rows."""

    def __init__(self, dwarf, cu):
        self.cu = cu
        self.top = cu.get_top_DIE()
        self.dir = text(self.top.attributes["DW_AT_comp_dir"].value)
        self.program = dwarf.line_program_for_CU(cu)
        self.v5 = self.program.header["version"] >= 5

    def path(self, index):
        header = self.program.header
        entry = header["file_entry"][index if self.v5 else index - 1]
        dirs = [text(d) for d in header["include_directory"]]
        if self.v5:
            folder = dirs[entry.dir_index]
        else:
            folder = dirs[entry.dir_index - 1] if entry.dir_index else self.dir
        name = text(entry.name)
        if name.startswith("/"):
            return os.path.normpath(name)
        path = os.path.join(folder, name)
        if not path.startswith("/") and folder != self.dir and not folder.startswith("./"):
            path = os.path.join(self.dir, path)
        return os.path.normpath(path)

    def rows(self):
        """(start, end, file, line) of the line program."""
        last = None
        for entry in self.program.get_entries():
            state = entry.state
            if state is None:
                continue
            if last is not None and not last.end_sequence and state.address > last.address:
                yield last.address, state.address, last.file, last.line
            last = state


class Symbols:
    def __init__(self, elf, debug, only):
        self.elf, self.debug, self.only = elf, debug, only
        self.dwarf = debug.get_dwarf_info()
        self.base = min(s["p_vaddr"] for s in elf.iter_segments() if s["p_type"] == "PT_LOAD")
        self.files, self.origins = {}, {}
        self.functions = {}

    def wanted(self, start, end):
        return not self.only or any(start <= a < end for a in self.only)

    # ---- names ----

    def origin_of(self, die):
        for key in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if key in die.attributes:
                return die.get_DIE_from_attribute(key)
        return None

    def name_of(self, die):
        at = die
        while at is not None:
            for key in ("DW_AT_linkage_name", "DW_AT_MIPS_linkage_name"):
                if key in at.attributes:
                    return demangle(text(at.attributes[key].value))
            at = self.origin_of(at)
        at = die
        while "DW_AT_name" not in at.attributes:
            at = self.origin_of(at)
            if at is None:
                return "<name omitted>"
        names, scope = [text(at.attributes["DW_AT_name"].value)], at.get_parent()
        while scope is not None and scope.tag in ("DW_TAG_namespace", "DW_TAG_structure_type",
                                                  "DW_TAG_class_type"):
            if "DW_AT_name" in scope.attributes:
                names.append(text(scope.attributes["DW_AT_name"].value))
            scope = scope.get_parent()
        return "::".join(reversed(names))

    # ---- code ----

    def ranges_of(self, unit, die):
        attrs = die.attributes
        if "DW_AT_ranges" in attrs:
            lists = self.dwarf.range_lists()
            entries = lists.get_range_list_at_offset(attrs["DW_AT_ranges"].value, unit.cu)
            base = unit.top.attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in unit.top.attributes else 0
            out = []
            for e in entries:
                if type(e).__name__ == "BaseAddressEntry":
                    base = e.base_address
                else:
                    shift = 0 if getattr(e, "is_absolute", False) else base
                    out.append((e.begin_offset + shift, e.end_offset + shift))
            return [r for r in out if r[0] < r[1]]
        if "DW_AT_low_pc" not in attrs or "DW_AT_high_pc" not in attrs:
            return []
        low, high = attrs["DW_AT_low_pc"].value, attrs["DW_AT_high_pc"]
        end = high.value if high.form == "DW_FORM_addr" else low + high.value
        return [(low, end)] if low and low < end else []

    def file_id(self, path):
        return self.files.setdefault(path, len(self.files))

    def origin_id(self, name):
        return self.origins.setdefault(name, len(self.origins))

    def inlines_of(self, unit, die, depth):
        for child in die.iter_children():
            if child.tag == "DW_TAG_inlined_subroutine":
                ranges = self.ranges_of(unit, child)
                if ranges:
                    line = child.attributes["DW_AT_call_line"].value
                    file = unit.path(child.attributes["DW_AT_call_file"].value)
                    yield depth, line, self.file_id(file), self.origin_id(self.name_of(child)), ranges
                    yield from self.inlines_of(unit, child, depth + 1)
            elif child.tag == "DW_TAG_lexical_block":
                yield from self.inlines_of(unit, child, depth)

    def add_unit(self, unit):
        rows = None
        for die in unit.cu.iter_DIEs():
            if die.tag != "DW_TAG_subprogram":
                continue
            for start, end in self.ranges_of(unit, die):
                if start in self.functions or not self.wanted(start - self.base, end - self.base):
                    continue
                rows = rows if rows is not None else sorted(set(unit.rows()))
                self.functions[start] = (end, self.name_of(die), self.lines(unit, rows, start, end),
                                         list(self.inlines_of(unit, die, 0)))

    def lines(self, unit, rows, start, end):
        out = []
        for low, high, file, line in rows:
            low, high = max(low, start), min(high, end)
            if low >= high or not line:
                continue
            file = self.file_id(unit.path(file))
            if out and out[-1][2:] == [line, file] and out[-1][1] == low:
                out[-1][1] = high
            else:
                out.append([low, high, line, file])
        return out

    def units(self):
        if not self.only:
            return list(self.dwarf.iter_CUs())
        aranges, offsets = self.dwarf.get_aranges(), set()
        for address in self.only:
            offset = aranges.cu_offset_at_addr(address + self.base)
            if offset is not None:
                offsets.add(offset)
        return [cu for cu in self.dwarf.iter_CUs() if cu.cu_offset in offsets]

    # ---- records ----

    def publics(self):
        ranges = sorted((s, f[0]) for s, f in self.functions.items())
        seen = set()
        for name in (".symtab", ".dynsym"):
            tables = [f.get_section_by_name(name) for f in (self.debug, self.elf)]
            tables = [t for t in tables if t is not None and t["sh_type"] != "SHT_NOBITS"]
            for symbol in tables[0].iter_symbols() if tables else ():
                at = symbol["st_value"]
                if symbol["st_info"]["type"] != "STT_FUNC" or not at or symbol["st_shndx"] == "SHN_UNDEF":
                    continue
                i = bisect.bisect_right(ranges, (at, 1 << 64)) - 1
                covered = i >= 0 and ranges[i][0] <= at < ranges[i][1]
                wanted = self.wanted(at - self.base, at - self.base + max(1, symbol["st_size"]))
                if not covered and at not in seen and wanted:
                    seen.add(at)
                    yield at - self.base, demangle(symbol.name)

    @staticmethod
    def rule(register, rule):
        name = ".ra" if register == RETURN_ADDRESS else REGISTERS[register]
        if rule.type == "OFFSET":
            return f"{name}: .cfa {rule.arg} + ^"
        if rule.type == "VAL_OFFSET":
            return f"{name}: .cfa {rule.arg} +"
        if rule.type == "SAME_VALUE":
            return f"{name}: {name}"
        if rule.type == "REGISTER":
            return f"{name}: {REGISTERS[rule.arg]}"
        if rule.type == "UNDEFINED" and register == RETURN_ADDRESS:
            return ".ra: 0"  # the outermost frame: a return address of 0 ends the walk
        return None

    def rules(self, row):
        out = {}
        cfa = row["cfa"]
        if cfa.expr is None:
            out[".cfa"] = f".cfa: {REGISTERS[cfa.reg]} {cfa.offset} +"
        else:
            out[".cfa"] = ".cfa: .undef"
        for register, rule in sorted((k, v) for k, v in row.items() if isinstance(k, int)):
            if register < len(REGISTERS):
                made = self.rule(register, rule)
                if made:
                    out[register] = made
        out.setdefault(RETURN_ADDRESS, ".ra: .cfa -8 + ^")
        return out

    def frame_entry(self, fde):
        start, size = fde.header["initial_location"], fde.header["address_range"]
        if not self.wanted(start - self.base, start - self.base + size):
            return
        last = None
        for row in fde.get_decoded().table:
            rules = self.rules(row)
            at = row["pc"] - self.base
            if last is None:
                yield f"STACK CFI INIT {at:x} {size:x} {self.in_order(rules)}"
            else:
                changed = {k: v for k, v in rules.items() if last.get(k) != v}
                if changed:
                    yield f"STACK CFI {at:x} {self.in_order(changed)}"
            last = rules

    @staticmethod
    def in_order(rules):
        keys = [k for k in (".cfa", RETURN_ADDRESS) if k in rules]
        keys += sorted(k for k in rules if k not in keys)
        return " ".join(rules[k] for k in keys)

    def identity(self):
        note = next(n for s in self.elf.iter_segments() if s["p_type"] == "PT_NOTE"
                    for n in s.iter_notes() if n["n_type"] == "NT_GNU_BUILD_ID")
        build_id = note["n_desc"]
        raw = bytes.fromhex(build_id)[:16].ljust(16, b"\0")
        guid = raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]
        return build_id.upper(), guid.hex().upper() + "0"

    def write(self, name):
        build_id, debug_id = self.identity()
        for cu in self.units():
            self.add_unit(Unit(self.dwarf, cu))
        yield f"MODULE Linux {CPUS[self.elf['e_machine']]} {debug_id} {name}"
        yield f"INFO CODE_ID {build_id}"
        for path, number in self.files.items():
            yield f"FILE {number} {path}"
        for origin, number in self.origins.items():
            yield f"INLINE_ORIGIN {number} {origin}"
        for start in sorted(self.functions):
            end, function, lines, inlines = self.functions[start]
            yield f"FUNC {start - self.base:x} {end - start:x} 0 {function}"
            for depth, line, file, origin, ranges in sorted(inlines, key=lambda i: (i[4][0][0], i[0])):
                pairs = " ".join(f"{a - self.base:x} {b - a:x}" for a, b in ranges)
                yield f"INLINE {depth} {line} {file} {origin} {pairs}"
            for low, high, line, file in lines:
                yield f"{low - self.base:x} {high - low:x} {line} {file}"
        for at, public in sorted(self.publics()):
            yield f"PUBLIC {at:x} 0 {public}"
        frames = self.elf.get_dwarf_info(relocate_dwarf_sections=False)
        for entry in frames.EH_CFI_entries():
            if isinstance(entry, FDE):
                yield from self.frame_entry(entry)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("elf")
    args.add_argument("--debug")
    args.add_argument("--only", default="")
    args.add_argument("--store", required=True)
    args = args.parse_args()
    only = [int(x, 16) for x in args.only.split(",") if x]
    name = os.path.basename(args.elf)
    with open(args.elf, "rb") as f, open(args.debug or args.elf, "rb") as g:
        symbols = Symbols(ELFFile(f), ELFFile(g), only)
        lines = list(symbols.write(name))
        folder = pathlib.Path(args.store) / name / symbols.identity()[1]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sym").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
