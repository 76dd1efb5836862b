"""Minidumps of the tests' own making, in either byte order. Shares no code with the library; knows
the format as docs/minidump.md has it, and checks nothing, so that tests can lie."""
import struct

AMD64, X86, ARM64 = 9, 0, 12
LINUX, WINDOWS = 0x8201, 2
THREADS, MODULES, MEMORY, EXCEPTION, SYSTEM, MEMORY64, HANDLES = 3, 4, 5, 6, 7, 9, 12
UNLOADED, MISC, MEMORY_INFO, THREAD_INFO, THREAD_NAMES = 14, 15, 16, 17, 24
CRASHPAD, BREAKPAD = 0x43500001, 0x47670001


class Dump:
    """Pieces of a file by the place they get, and the streams that are made of them."""

    def __init__(self, order="<", arch=AMD64, platform=LINUX):
        self.order = order
        self.body = bytearray()
        self.streams = []
        self.directory_room = 12 * 40
        self.stream(SYSTEM, self.pack("HHHBBIIIIIHH", arch, 6, 0x0503, 1, 0, 6, 1, 7, platform, 0,
                                      0, 0)
                    + (b"GenuineIntel" if arch == X86 else b"").ljust(24, b"\0"))

    def pack(self, form, *values):
        return struct.pack(self.order + form, *values)

    def here(self):
        return 32 + self.directory_room + len(self.body)

    def put(self, data):
        """(size, rva) of the bytes."""
        at = self.here()
        self.body += data
        return len(data), at

    def text(self, text):
        """rva of a UTF-16 string."""
        data = text.encode("utf-16-le" if self.order == "<" else "utf-16-be")
        return self.put(self.pack("I", len(data)) + data + b"\0\0")[1]

    def utf8(self, text):
        data = text.encode("utf-8")
        return self.put(self.pack("I", len(data)) + data + b"\0")[1]

    def stream(self, kind, data):
        size, at = self.put(data)
        self.streams.append((kind, size, at))
        return at

    def list(self, kind, entries, count=None):
        return self.stream(kind, self.pack("I", len(entries) if count is None else count)
                           + b"".join(entries))

    def list_ext(self, kind, header, entries, size, count=None):
        n = len(entries) if count is None else count
        if kind == HANDLES:
            head = self.pack("IIII", header, size, n, 0)
        else:
            head = self.pack("IIQ" if header == 16 else "III", header, size, n)
        return self.stream(kind, head + b"".join(entries))

    def thread(self, number, start, stack, context):
        """stack and context: (size, rva)."""
        return self.pack("IIIIQQIIII", number, 0, 0, 0, 0, start, *stack, *context)

    def module(self, base, size, name, cv=(0, 0)):
        return self.pack("QIIII", base, size, 0, 0x5000, name) + bytes(52) + self.pack(
            "II", *cv) + bytes(24)

    def exception(self, thread, code, address, context):
        return self.pack("IIIIQQII", thread, 0, code, 1, 0, address, 0, 0) + bytes(120) + self.pack(
            "II", *context)

    def cv_pdb(self, guid, age, name):
        return self.put(self.pack("IIHH", 0x53445352, guid, 0, 0) + bytes(8)
                        + self.pack("I", age) + name.encode() + b"\0")

    def amd64(self, rip, rsp, rbp, **more):
        context = bytearray(1232)
        struct.pack_into(self.order + "I", context, 48, 0x10000f)
        places = {"rax": 120, "rcx": 128, "rdx": 136, "rbx": 144, "rsp": 152, "rbp": 160,
                  "rsi": 168, "rdi": 176, "rip": 248}
        for register, value in dict(more, rip=rip, rsp=rsp, rbp=rbp).items():
            struct.pack_into(self.order + "Q", context, places[register], value)
        return self.put(bytes(context))

    def x86(self, eip, esp, ebp):
        context = bytearray(716)
        struct.pack_into(self.order + "I", context, 0, 0x1000f)
        for place, value in ((184, eip), (196, esp), (180, ebp)):
            struct.pack_into(self.order + "I", context, place, value)
        return self.put(bytes(context))

    def bytes(self, claimed=None):
        head = self.pack("IIIIIIQ", 0x504d444d, 0xa793,
                         len(self.streams) if claimed is None else claimed, 32, 0, 0x65000000, 0)
        directory = b"".join(self.pack("III", *s) for s in self.streams)
        assert len(directory) <= self.directory_room
        return head + directory.ljust(self.directory_room, b"\0") + bytes(self.body)
