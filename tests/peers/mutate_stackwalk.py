#!/usr/bin/python3
"""Compares `salvage stackwalk` with minidump-stackwalk on damaged and made-up variants of dumps.

usage: mutate_stackwalk.py [--count N] [--seed N] [--code | --stacks] [--symbols DIR]... DUMP...

Every round takes a dump, changes some of its bytes and compares both documents. --code changes the
instruction at the crash and the registers, so that the analysis of instructions is compared;
--stacks changes words of the stacks, pc, sp and fp, to plausible values, so that unwinding is. The
differences are counted by field; the first of each field is shown with the file that shows it.
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

import compare_stackwalk as compare


def change_bytes(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 8, 16))):
        at = rng.randrange(len(data))
        size = rng.choice((1, 1, 2, 4, 8))
        value = rng.choice((rng.randbytes(size), b"\0" * size, b"\xff" * size,
                            bytes(data[at:at + size])[::-1]))
        data[at:at + size] = value[:len(data[at:at + size])]
    return bytes(data)


def streams(data):
    count, directory = struct.unpack_from("<II", data, 8)
    for i in range(count):
        yield struct.unpack_from("<III", data, directory + 12 * i)


def change_code(data, rng):
    """New bytes at the crashing rip, other registers in the exception's context (amd64)."""
    data = bytearray(data)
    found = {kind: rva for kind, _, rva in streams(data)}
    context = struct.unpack_from("<II", data, found[6] + 160)[1]
    rip = struct.unpack_from("<Q", data, context + 248)[0]
    for i in range(struct.unpack_from("<I", data, found[5])[0]):
        base, size, rva = struct.unpack_from("<QII", data, found[5] + 4 + 16 * i)
        if base <= rip < base + size:
            at = rva + rip - base
            length = min(15, base + size - rip)
            data[at:at + length] = rng.randbytes(length)
            if rng.random() < 0.6:
                common = rng.choice((b"\x8b", b"\x89", b"\x48\x8b", b"\x48\x89", b"\xff", b"\x48\xff",
                                     b"\x0f\x10", b"\xc7", b"\x48\x03", b"\xf7", b"\x50", b"\x58",
                                     b"\xc3", b"\xe8", b"\x75", b"\x0f\x28", b"\xa4", b"\x48\x8d"))
                data[at:at + len(common)] = common
    for i in range(17):
        value = rng.choice((0, 0x45, rng.randrange(1 << 48), rng.randrange(1 << 64),
                            0xe5e5e5e5e5e5e5e5, None))
        if value is not None and i != 16:
            struct.pack_into("<Q", data, context + 120 + 8 * i, value)
    code, flags, address = rng.choice(((11, 1, 0x45), (11, 0x80, 0), (8, 1, rip),
                                       (0xc0000005, 0, 2 ** 64 - 1), (0xc0000096, 0, rip)))
    struct.pack_into("<II", data, found[6] + 8, code, flags)
    struct.pack_into("<Q", data, found[6] + 24, address)
    struct.pack_into("<IIQQ", data, found[6] + 32, 2, 0, rng.choice((0, 1, 8)), address)
    return bytes(data)


# Offsets of pc, sp and fp in the contexts, by architecture.
CONTEXT_REGISTERS = {0: (184, 196, 180), 5: (64, 56, 48), 9: (248, 152, 160), 12: (264, 256, 240)}


def change_stacks(data, rng):
    data = bytearray(data)
    found = {kind: (size, rva) for kind, size, rva in streams(data)}
    arch = struct.unpack_from("<H", data, found[7][1])[0]
    word = 4 if arch in (0, 5) else 8
    modules = [struct.unpack_from("<QI", data, found[4][1] + 4 + 108 * i)
               for i in range(struct.unpack_from("<I", data, found[4][1])[0])]
    size, rva = found[3]
    count = struct.unpack_from("<I", data, rva)[0]
    threads = rva + (8 if size == 8 + 48 * count else 4)

    def put(at, value):
        data[at:at + word] = value.to_bytes(8, "little")[:word]

    def code():
        base, length = rng.choice(modules)
        return base + rng.randrange(length)

    for i in range(count):
        base, length, stack, size, context = struct.unpack_from("<QIIII", data,
                                                                threads + 48 * i + 24)
        if length < word or not size:
            continue
        for _ in range(rng.randrange(6)):
            put(stack + rng.randrange(length // word) * word,
                rng.choice((base + rng.randrange(length) & ~(word - 1), code(), 0,
                            rng.randrange(1 << 8 * word))))
        contexts = [context]
        if i == 0 and 6 in found:
            contexts.append(struct.unpack_from("<I", data, found[6][1] + 164)[0])
        values = (code(), base + rng.randrange(length) & ~(word - 1),
                  base + rng.randrange(length) & ~(word - 1))
        for offset, value in zip(CONTEXT_REGISTERS[arch], values):
            if rng.random() < 0.4:
                for at in contexts:
                    put(at + offset, value)
    return bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--code", action="store_true")
    parser.add_argument("--stacks", action="store_true")
    parser.add_argument("--texts", action="store_true", help="compare the texts, too")
    parser.add_argument("--keep", type=pathlib.Path, help="directory for the variants that differ")
    parser.add_argument("--salvage", default=os.environ.get("SALVAGE_BIN") or "salvage")
    parser.add_argument("--peer", default=os.environ.get("MINIDUMP_STACKWALK")
                        or shutil.which("minidump-stackwalk"))
    parser.add_argument("--symbols", action="append", type=pathlib.Path)
    parser.add_argument("dumps", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    if not args.peer:
        print("skipped: no minidump-stackwalk on PATH or in $MINIDUMP_STACKWALK")
        return 0
    rng = random.Random(args.seed)
    change = change_code if args.code else change_stacks if args.stacks else change_bytes
    fields, first = collections.Counter(), {}
    different = 0
    with tempfile.TemporaryDirectory() as work:
        variant = pathlib.Path(work) / "variant.dmp"
        for number in range(args.count):
            seed = rng.choice(args.dumps)
            data = change(seed.read_bytes(), rng)
            variant.write_bytes(data)
            tally = compare.Tally()
            compare.compare_dump(tally, args, variant, work + "/cache")
            differences = tally.unexplained()
            different += bool(differences)
            for field, where, ours, theirs in differences:
                fields[field] += 1
                if field not in first:
                    first[field] = (seed.name, number, where, ours, theirs)
                    if args.keep:
                        args.keep.mkdir(exist_ok=True)
                        (args.keep / ("%d-%s" % (number, seed.name))).write_bytes(data)
    print("%d variants, %d differ" % (args.count, different))
    for field, n in fields.most_common():
        seed, number, where, ours, theirs = first[field]
        print("%6d  %s (first: variant %d of %s, %s)\n  ours:   %s\n  theirs: %s" % (
            n, field, number, seed, where, json.dumps(ours)[:300], json.dumps(theirs)[:300]))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
