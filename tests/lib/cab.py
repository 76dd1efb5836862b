"""A writer of CAB files with LZX, of which no free tool makes any: for tests of who unpacks them.

After Microsoft's description of the format ([MS-PATCH] LZX, [MS-CAB]). It writes blocks of all three
kinds (verbatim, aligned, uncompressed) with trees that are complete but not the best, and matches.
"""
import struct

FRAME = 32768
WINDOW_BITS, SLOTS = 15, 30
VERBATIM, ALIGNED, UNCOMPRESSED = 1, 2, 3
NONE, QUANTUM, LZX = 0, 0x1472, 3 | WINDOW_BITS << 8

EXTRA = [0, 0] + [i // 2 for i in range(SLOTS - 2)]
BASE = [sum(1 << e for e in EXTRA[:i]) for i in range(SLOTS)]

# Lengths of complete codes: the fractions of each add up to one.
PRETREE = [4] * 12 + [5] * 8
MAIN = [9] * 256 + [8] * 16 + [9] * 224
LENGTHS = [7] * 7 + [8] * 242
OFFSETS = [3] * 8


def codes(lengths):
    """Canonical codes: by length, then by symbol."""
    found, code, last = {}, 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths) if n):
        code <<= length - last
        found[symbol], last = (code, length), length
        code += 1
    return found


class Bits:
    """Most significant bit first, in little-endian words of 16."""

    def __init__(self):
        self.out, self.word, self.room = bytearray(), 0, 16

    def put(self, value, count):
        for i in reversed(range(count)):
            self.room -= 1
            self.word |= (value >> i & 1) << self.room
            if self.room == 0:
                self.out += struct.pack("<H", self.word)
                self.word, self.room = 0, 16

    def align(self):
        if self.room < 16:
            self.put(0, self.room)

    def raw(self, data):
        self.out += data


class Lzx:
    def __init__(self, data):
        self.data, self.bits, self.frames = data, Bits(), []
        self.recent = [1, 1, 1]
        self.main, self.length = [0] * len(MAIN), [0] * len(LENGTHS)
        self.bits.put(0, 1)                 # no translation of x86 calls

    def end_of_frame(self):
        self.bits.align()
        self.frames.append(bytes(self.bits.out))
        self.bits.out.clear()

    def put_lengths(self, old, new):
        """Of a part of a tree, as differences to the last block's; long runs of zeros as such."""
        tree = codes(PRETREE)
        for n in PRETREE:
            self.bits.put(n, 4)
        at = 0
        while at < len(new):
            zeros = next((i for i, n in enumerate(new[at:at + 51]) if n), len(new[at:at + 51]))
            if zeros >= 20:
                self.bits.put(*tree[18])
                self.bits.put(zeros - 20, 5)
                at += zeros
            else:
                self.bits.put(*tree[(old[at] - new[at]) % 17])
                at += 1

    def put_trees(self):
        self.put_lengths(self.main[:256], MAIN[:256])
        self.put_lengths(self.main[256:], MAIN[256:])
        self.put_lengths(self.length, LENGTHS)
        self.main, self.length = MAIN, LENGTHS

    def put_match(self, kind, offset, length):
        if offset in self.recent:
            slot = self.recent.index(offset)
            self.recent[0], self.recent[slot] = self.recent[slot], self.recent[0]
            footer = 0
        else:
            slot = max(i for i in range(3, SLOTS) if BASE[i] <= offset + 2)
            footer = offset + 2 - BASE[slot]
            self.recent = [offset] + self.recent[:2]
        head = min(length - 2, 7)
        self.bits.put(*self.code_main[256 + 8 * slot + head])
        if head == 7:
            self.bits.put(*self.code_length[length - 9])
        extra = EXTRA[slot] if slot > 2 else 0
        if kind == ALIGNED and extra >= 3:
            self.bits.put(footer >> 3, extra - 3)
            self.bits.put(*self.code_offset[footer & 7])
        else:
            self.bits.put(footer, extra)

    def find(self, seen, at, end):
        """The last place of these four bytes, and how far they agree; within a frame."""
        before = seen.get(self.data[at:at + 4], -1)
        if before < 0 or at - before > (1 << WINDOW_BITS) - 3 or at + 4 > end:
            return 0, 0
        n = 4
        while n < 257 and at + n < end and self.data[before + n] == self.data[at + n]:
            n += 1
        return at - before, n

    def packed(self, kind, at, size):
        self.code_main, self.code_length = codes(MAIN), codes(LENGTHS)
        self.code_offset = codes(OFFSETS)
        if kind == ALIGNED:
            for n in OFFSETS:
                self.bits.put(n, 3)
        self.put_trees()
        seen = {self.data[i:i + 4]: i for i in range(max(0, at - FRAME), at)}
        end = at + size
        while at < end:
            stop = min(end, at - at % FRAME + FRAME)
            offset, length = self.find(seen, at, stop)
            if length:
                self.put_match(kind, offset, length)
            else:
                length = 1
                self.bits.put(*self.code_main[self.data[at]])
            for i in range(at, at + length):
                seen[self.data[i:i + 4]] = i
            at += length
            if at % FRAME == 0 and at < len(self.data):
                self.end_of_frame()

    def plain(self, at, size):
        self.bits.put(0, self.bits.room)    # one to sixteen bits
        self.bits.raw(struct.pack("<3I", *self.recent))
        end = at + size
        while at < end:
            stop = min(end, at - at % FRAME + FRAME)
            self.bits.raw(self.data[at:stop])
            at = stop
            if at == end and size % 2:
                self.bits.raw(b"\0")
            if at % FRAME == 0 and at < len(self.data):
                self.end_of_frame()

    def write(self, blocks):
        """Data as blocks [(kind, size), ...]; the last one takes the rest. Frames are returned."""
        at = 0
        for i, (kind, size) in enumerate(blocks):
            size = size if i < len(blocks) - 1 else len(self.data) - at
            self.bits.put(kind, 3)
            self.bits.put(size, 24)
            if kind == UNCOMPRESSED:
                self.plain(at, size)
            else:
                self.packed(kind, at, size)
            at += size
        self.end_of_frame()
        return self.frames


def checksum(data, seed=0):
    """Of a data block: words of four bytes, a shorter rest with its bytes turned round."""
    whole = len(data) & ~3
    for word in struct.unpack(f"<{whole // 4}I", data[:whole]):
        seed ^= word
    return seed ^ int.from_bytes(data[whole:], "big")


def cab(name, data, frames, method):
    """A cabinet of one file; frames are its packed pieces of 32768 bytes each."""
    entry = struct.pack("<IIHHHH", len(data), 0, 0, 0x21, 0, 0x20) + name.encode() + b"\0"
    start, body = 36 + 8 + len(entry), b""
    for i, frame in enumerate(frames):
        sizes = struct.pack("<HH", len(frame), min(FRAME, len(data) - i * FRAME))
        body += struct.pack("<I", checksum(sizes, checksum(frame))) + sizes + frame
    head = struct.pack("<4s5I2B5H", b"MSCF", 0, start + len(body), 0, 44, 0, 3, 1, 1, 1, 0, 7, 0)
    return head + struct.pack("<IHH", start, len(frames), method) + entry + body


def lzx_cab(name, data, blocks):
    return cab(name, data, Lzx(data).write(blocks), LZX)
