#!/usr/bin/python3
"""Keeps of a symbol file what concerns a few addresses: test data need not hold a whole C library.

usage: trim_sym.py HEX,HEX... < IN > OUT

Kept: functions, public symbols and unwinding records that cover an address, with the files and
inline origins they use.
"""
import sys


def covers(addresses, start, size):
    return any(start <= a < start + size for a in addresses)


def number(field):
    return int(field, 16)


def main():
    wanted = sorted(number(a) for a in sys.argv[1].split(","))
    head, files, origins, kept, used_files, used_origins = [], {}, {}, [], set(), set()
    take = False
    publics = []
    for line in sys.stdin:
        field = line.rstrip("\n").split(" ")
        kind = field[0]
        plain = [f for f in field[1:4] if f != "m"] if kind in ("FUNC", "PUBLIC") else []
        if kind in ("MODULE", "INFO"):
            head.append(line)
        elif kind == "FILE":
            files[field[1]] = line
        elif kind == "INLINE_ORIGIN":
            origins[field[1]] = line
        elif kind == "PUBLIC":
            take = False
            publics.append((number(plain[0]), line))
        elif kind == "FUNC":
            take = covers(wanted, number(plain[0]), number(plain[1]))
        elif line.startswith("STACK CFI INIT"):
            take = covers(wanted, number(field[3]), number(field[4]))
        elif kind == "INLINE" and take:
            used_files.add(field[3])
            used_origins.add(field[4])
        elif kind != "STACK" and take:
            used_files.add(field[3])
        if take:
            kept.append(line)
    funcs = [(number(f[1]), number(f[2])) for f in
             (line.replace("FUNC m ", "FUNC ").split(" ") for line in kept
              if line.startswith("FUNC"))]
    names = set()
    for address in wanted:
        if not any(start <= address < start + size for start, size in funcs):
            names |= {max((p for p in publics if p[0] <= address), default=None)} - {None}
    out = head + [line for n, line in files.items() if n in used_files]
    out += [line for n, line in origins.items() if n in used_origins]
    out += [line for line in kept if not line.startswith("STACK")]
    out += [line for _, line in sorted(names)]
    sys.stdout.writelines(out + [line for line in kept if line.startswith("STACK")])


if __name__ == "__main__":
    main()
