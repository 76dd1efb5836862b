"""`salvage dump-syms`: what it writes, checked against readelf, addr2line and the source; every way
in which debug information is stored; input that is damaged or made to harm."""
import os
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

from symtext import Sym, evaluate

TOP = pathlib.Path(__file__).resolve().parents[2]
SALVAGE = os.environ.get("SALVAGE_BIN", str(TOP / "build" / "stage" / "bin" / "salvage"))

C_SOURCE = r"""
#include <stdlib.h>
static inline __attribute__((always_inline)) int half(int x)
{
    if (x < 0)
        abort();
    return x / 2;
}
static inline __attribute__((always_inline)) int quarter(int x)
{
    return half(half(x) + rand());
}
__attribute__((noinline)) int work(int *v, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += quarter(v[i]);
    return sum;
}
static __attribute__((noinline)) int unlikely(int x)
{
    return rand() % x;
}
int main(int argc, char **argv)
{
    int v[3] = { argc, 2, 3 };
    (void)argv;
    return work(v, argc) + unlikely(argc);
}
"""

CPP_SOURCE = r"""
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>
namespace shop {
namespace {
struct Item {
    int price;
    std::string name;
};
template <typename T> T total(const std::vector<T> &v)
{
    T sum{};
    for (const T &x : v)
        sum += x;
    return sum;
}
}
class Basket {
  public:
    virtual ~Basket() = default;
    virtual int sum() const
    {
        std::vector<int> prices;
        for (const Item &i : items)
            prices.push_back(i.price);
        return total(prices);
    }
    void add(const std::string &name, int price)
    {
        if (price < 0)
            throw std::invalid_argument(name);
        items.push_back({ price, name });
        std::sort(items.begin(), items.end(),
                  [](const Item &a, const Item &b) { return a.price < b.price; });
    }

  private:
    std::vector<Item> items;
};
}
int main(int argc, char **argv)
{
    shop::Basket b;
    for (int i = 0; i < argc; i++)
        b.add(argv[i], i);
    return b.sum();
}
"""


def run(*args, timeout=60):
    return subprocess.run([SALVAGE, "dump-syms", *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", timeout=timeout, check=False)


def dump(*args):
    done = run(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tool(*args):
    return subprocess.run(list(map(str, args)), stdout=subprocess.PIPE, check=True,
                          encoding="utf-8", errors="replace").stdout


def build(folder, name, *flags, source=C_SOURCE, compiler="gcc"):
    ending = ".cc" if compiler == "g++" else ".c"
    (folder / ("main" + ending)).write_text(source)
    tool(compiler, "-g", "-O2", "-o", folder / name, folder / ("main" + ending), *flags)
    return folder / name


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Folder with `c` and `cpp`."""
    folder = tmp_path_factory.mktemp("programs")
    build(folder, "c")
    build(folder, "cpp", source=CPP_SOURCE, compiler="g++")
    return folder


def body(text):
    """All records but the first line, which has the name, and those that name the file."""
    return [line for line in text.split("\n")[1:] if "ELF section in" not in line]


def build_id(elf):
    return re.search(r"Build ID: ([0-9a-f]+)", tool("readelf", "-n", elf))[1]


def guid(raw):
    raw = raw[:16].ljust(16, b"\0")
    return (raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]).hex().upper() + "0"


# ---- identity ----

def test_header(programs):
    lines = dump(programs / "c").split("\n")
    code_id = build_id(programs / "c")
    assert lines[0] == f"MODULE Linux x86_64 {guid(bytes.fromhex(code_id))} c"
    assert lines[1] == f"INFO CODE_ID {code_id.upper()}"


def test_id_without_build_id_is_made_of_the_code(tmp_path):
    elf = build(tmp_path, "c", "-Wl,--build-id=none")
    tool("objcopy", "-O", "binary", "-j", ".text", elf, tmp_path / "text")
    text = (tmp_path / "text").read_bytes()[:4096]
    folded = bytearray(16)
    for i, byte in enumerate(text):
        folded[i % 16] ^= byte
    lines = dump(elf).split("\n")
    assert lines[0] == f"MODULE Linux x86_64 {guid(bytes(folded))} c"
    assert not lines[1].startswith("INFO")


def test_short_build_id_is_filled_up(tmp_path):
    lines = dump(build(tmp_path, "c", "-Wl,--build-id=0x0102030405")).split("\n")
    assert lines[0].split()[3] == "04030201" + "0005" + "0" * 4 + "0" * 16 + "0"
    assert lines[1] == "INFO CODE_ID 0102030405"


def test_name_is_soname_or_file_or_given(tmp_path):
    elf = build(tmp_path, "lib.so", "-shared", "-fPIC", "-Wl,-soname,libshop.so.2")
    assert dump(elf).split("\n")[0].endswith(" libshop.so.2")
    assert dump("--name", "other", elf).split("\n")[0].endswith(" other")
    assert run("--name", "a/b", elf).returncode == 1
    evil = build(tmp_path, "evil.so", "-shared", "-fPIC", "-Wl,-soname,../../etc/passwd")
    assert dump(evil).split("\n")[0].endswith(" evil.so")


def test_info_lines(programs):
    lines = dump("--info", "VERSION 1.2", "--info", "CHANNEL beta", programs / "c").split("\n")
    assert lines[2:4] == ["INFO VERSION 1.2", "INFO CHANNEL beta"]
    assert run("--info", "a\nFUNC 1 1 0 x", programs / "c").returncode == 1


# ---- functions, lines, inlined calls ----

def addr2line(elf, addresses):
    """{address: [(function, file, line)...]}, innermost first."""
    text = subprocess.run(["addr2line", "-a", "-f", "-i", "-C", "-e", str(elf)], check=True,
                          input="".join(f"{a:x}\n" for a in addresses), stdout=subprocess.PIPE,
                          encoding="utf-8").stdout
    out = {}
    for block in text.split("0x")[1:]:
        lines = block.rstrip("\n").split("\n")
        frames = []
        for name, where in zip(lines[1::2], lines[2::2]):
            file, _, line = where.partition(" ")[0].rpartition(":")
            frames.append((name, os.path.normpath(file), int(line) if line.isdigit() else 0))
        out[int(lines[0], 16)] = frames
    return out


def base_name(name):
    """addr2line leaves parameters off some names."""
    return re.sub(r"\(.*", "", re.sub(r"\(anonymous namespace\)", "{anonymous}", name))


@pytest.mark.parametrize("dwarf", ["-gdwarf-3", "-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("compiler, source", [("gcc", C_SOURCE), ("g++", CPP_SOURCE)])
def test_lines_and_inlined_calls_are_addr2lines(tmp_path, dwarf, compiler, source):
    elf = build(tmp_path, "elf", dwarf, source=source, compiler=compiler)
    sym = Sym(dump(elf))
    addresses = sorted(at for f in sym.funcs.values() for at, *_ in f.lines)
    truth = addr2line(elf, addresses)
    assert len(addresses) > 20 and any(len(sym.frames(a)) > 1 for a in addresses)
    wrong = []
    for at in addresses:
        ours = [(file, line) for _, file, line in sym.frames(at)]
        theirs = [(file, line) for _, file, line in truth[at]]
        if ours != theirs:
            wrong.append((hex(at), ours, theirs))
    # binutils takes the last of several rows at an address with line 0 between them
    assert len(wrong) <= len(addresses) // 50, wrong
    names = {base_name(n) for a in addresses for n, *_ in sym.frames(a)[-1:]}
    assert {"main"} <= names


def test_functions_are_those_of_the_symbol_table(programs):
    sym = Sym(dump(programs / "c"))
    table = {}
    for line in tool("nm", "-S", "--defined-only", programs / "c").split("\n"):
        field = line.split()
        if len(field) == 4 and field[2] in "tT":
            table[int(field[0], 16)] = (int(field[1], 16), field[3])
    for at, f in sym.funcs.items():
        assert f.size == table[at][0]
        assert table[at][1].split(".")[0] == f.name  # without .constprop.0, .part.0, .cold
    assert {f.name for f in sym.funcs.values()} >= {"main", "work", "unlikely"}


def test_cpp_names_have_parameters_and_no_return_type(programs):
    names = {f.name for f in Sym(dump(programs / "cpp")).funcs.values()}
    assert "shop::Basket::sum() const" in names
    assert "shop::Basket::~Basket()" in names
    assert not [n for n in names if n.startswith(("void ", "int ")) or "_ZN" in n]
    templates = [n for n in names if n.startswith("std::vector<")]
    assert templates and all("(" in n for n in templates)


def test_no_inlines_gives_lines_of_whole_functions(programs):
    text = dump("--no-inlines", programs / "c")
    assert "\nINLINE" not in text
    inner = C_SOURCE.split("\n").index("    return x / 2;") + 1
    assert inner in {line for f in Sym(text).funcs.values() if f.name == "work"
                     for _, _, _, line in f.lines}


def test_output_is_the_same_with_any_number_of_threads(programs):
    texts = {dump("--threads", n, programs / "cpp") for n in (1, 2, 7)}
    assert len(texts) == 1


# ---- where debug information is ----

@pytest.fixture(scope="module")
def plain(programs):
    return {name: body(dump(programs / name)) for name in ("c", "cpp")}


@pytest.mark.parametrize("how", ["zlib", "zlib-gnu", "zstd"])
def test_compressed_sections(programs, plain, tmp_path, how):
    if how == "zstd" and "zstd" not in tool("objcopy", "--help"):
        pytest.skip("SKIPPED: this objcopy does not compress with zstd")
    done = subprocess.run(["objcopy", f"--compress-debug-sections={how}", str(programs / "cpp"),
                           str(tmp_path / "cpp")], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip(f"SKIPPED: objcopy cannot: {done.stderr}")
    assert (tmp_path / "cpp").stat().st_size < (programs / "cpp").stat().st_size
    assert body(dump(tmp_path / "cpp")) == plain["cpp"]


def split(folder, elf, debug):
    """elf loses its debug information to debug."""
    debug.parent.mkdir(parents=True, exist_ok=True)
    tool("objcopy", "--only-keep-debug", elf, debug)
    tool("strip", "--strip-debug", "--strip-unneeded", elf)
    return folder


@pytest.fixture
def copy(programs, tmp_path):
    shutil.copy(programs / "c", tmp_path / "c")
    return tmp_path


def test_debug_file_by_option(copy, plain):
    split(copy, copy / "c", copy / "elsewhere" / "x")
    assert body(dump("--debug", copy / "elsewhere" / "x", copy / "c")) == plain["c"]
    assert not [line for line in body(dump(copy / "c")) if line.startswith("FUNC")]


def test_debug_file_by_build_id(copy, plain):
    code_id = build_id(copy / "c")
    split(copy, copy / "c", copy / "dbg" / ".build-id" / code_id[:2] / (code_id[2:] + ".debug"))
    assert body(dump("--debug-dir", copy / "none", "--debug-dir", copy / "dbg", copy / "c")) == \
        plain["c"]


@pytest.mark.parametrize("where", ["c.debug", ".debug/c.debug", "root{}/c.debug"])
def test_debug_file_by_link(copy, plain, where):
    debug = copy / where.format(copy)
    split(copy, copy / "c", debug)
    tool("objcopy", f"--add-gnu-debuglink={debug}", copy / "c")
    args = ["--debug-dir", copy / "root", copy / "c"]
    assert body(dump(*args)) == plain["c"]
    assert not [line for line in body(dump("--no-search", *args)) if line.startswith("FUNC")]
    with open(debug, "ab") as f:  # another checksum
        f.write(b"\0")
    assert not [line for line in body(dump(*args)) if line.startswith("FUNC")]


def test_debug_file_of_another_build_is_refused(programs, copy, tmp_path):
    other = build(tmp_path, "other", "-DOTHER=1", source=C_SOURCE + "\nint other;\n")
    done = run("--debug", other, copy / "c")
    assert done.returncode == 1 and "build ids differ" in done.stderr
    assert done.stdout == ""
    assert run("--debug", copy / "absent", copy / "c").returncode == 1


@pytest.mark.skipif(not shutil.which("dwz"), reason="SKIPPED: dwz is not installed")
def test_dwz(programs, copy, plain):
    other = copy / "other"
    build(copy, "other", "-O3", source=C_SOURCE)
    tool("dwz", "-o", copy / "alone", copy / "c")
    assert body(dump(copy / "alone")) == plain["c"]
    for name in ("c", "other"):
        split(copy, copy / name, copy / (name + ".debug"))
    done = subprocess.run(["dwz", "-m", str(copy / "shared.dwz"), "-M", "shared.dwz",
                           str(copy / "c.debug"), str(copy / "other.debug")], check=False,
                          stderr=subprocess.PIPE, encoding="utf-8")
    if not (copy / "shared.dwz").exists():
        pytest.fail(f"dwz made no shared file: {done.stderr}")
    assert ".gnu_debugaltlink" in tool("readelf", "-S", copy / "c.debug")
    assert body(dump("--debug", copy / "c.debug", copy / "c")) == plain["c"]
    # the shared file is not opened when only named files may be
    done = run("--no-search", "--debug", copy / "c.debug", copy / "c")
    assert done.returncode == 0 and body(done.stdout) != plain["c"]
    assert other.exists()


def test_mini_debug_info(copy):
    if not shutil.which("xz"):
        pytest.skip("SKIPPED: xz is not installed")
    tool("objcopy", "--only-keep-debug", copy / "c", copy / "debug")
    tool("objcopy", "-S", "--keep-symbol=work", "--keep-symbol=unlikely", copy / "debug",
         copy / "mini")
    tool("xz", copy / "mini")
    tool("strip", copy / "c")
    assert "PUBLIC" in dump(copy / "c") and " work\n" not in dump(copy / "c")
    tool("objcopy", "--add-section", f".gnu_debugdata={copy / 'mini.xz'}", copy / "c")
    text = dump(copy / "c")
    assert re.search(r"^PUBLIC [0-9a-f]+ 0 work$", text, re.M)
    assert re.search(r"^PUBLIC [0-9a-f]+ 0 unlikely$", text, re.M)


def test_stripped_library_has_its_exports_and_sections(tmp_path):
    elf = build(tmp_path, "lib.so", "-shared", "-fPIC", "-s")
    sym = Sym(dump(elf))
    exported = {int(line.split()[0], 16): line.split()[2]
                for line in tool("nm", "-D", "--defined-only", elf).split("\n") if " T " in line}
    assert exported and not sym.funcs
    for at, name in exported.items():
        assert sym.publics[at] == name
    for line in tool("readelf", "-SW", elf).split("\n"):
        found = re.match(r" *\[ *\d+\] (\S+) +PROGBITS +([0-9a-f]+) \S+ \S+ \S+ AX", line)
        if found:
            assert int(found[2], 16) in sym.publics
            if int(found[2], 16) not in exported:
                assert sym.publics[int(found[2], 16)] == f"<{found[1]} ELF section in lib.so>"


# ---- unwinding ----

def readelf_rows(elf, section="frames-interp"):
    """{start: (size, [(address, CFA, {register: rule})])} of readelf's own interpretation."""
    out, columns, entry = {}, [], None
    for line in tool("readelf", f"--debug-dump={section}", elf).split("\n"):
        found = re.match(r"[0-9a-f]+ [0-9a-f]+ [0-9a-f]+ FDE .*pc=([0-9a-f]+)\.\.([0-9a-f]+)", line)
        if found:
            start, end = int(found[1], 16), int(found[2], 16)
            entry = out.setdefault(start, (end - start, []))[1]
        elif " CIE " in line:
            entry = None
        elif line.strip().startswith("LOC"):
            columns = line.split()[2:]
        elif entry is not None and re.match(r"[0-9a-f]{16} ", line):
            field = line.split()
            entry.append((int(field[0], 16), field[1], dict(zip(columns, field[2:]))))
    return out


def as_text(cfa, rules):
    """The rules as Breakpad says them; what it cannot say is left out."""
    out = {}
    found = re.fullmatch(r"(r\w+)([+-]\d+)", cfa)
    out[".cfa"] = f"${found[1]} {int(found[2])} +" if found else None
    for register, rule in rules.items():
        found = re.fullmatch(r"c([+-]\d+)", rule)
        name = ".ra" if register == "ra" else "$" + register
        if found:
            out[name] = f".cfa {int(found[1])} + ^"
        elif register == "ra" and rule == "u":
            out[name] = "0"
    return out


@pytest.mark.parametrize("flags", [(), ("-fomit-frame-pointer", "-O3"),
                                   ("-fno-asynchronous-unwind-tables", "-fno-unwind-tables")])
def test_unwinding_is_readelfs(tmp_path, flags):
    elf = build(tmp_path, "elf", *flags)
    sym, truth, compared = Sym(dump(elf)), readelf_rows(elf), 0
    assert truth and set(sym.cfi) == set(truth)
    for start, (size, rows) in truth.items():
        assert sym.cfi[start].size == size
        for at, cfa, rules in rows:
            ours = sym.cfi[start].at(at)
            for name, rule in as_text(cfa, rules).items():
                if rule is not None:
                    assert ours[name] == rule, hex(at)
                    compared += 1
    assert compared > 30


def test_walks_end_where_there_is_no_caller(programs):
    start = int(re.search(r"^([0-9a-f]+) T _start$", tool("nm", programs / "c"), re.M)[1], 16)
    assert Sym(dump(programs / "c")).cfi[start].at(start)[".ra"] == "0"


def test_linkage_table_is_unwound_at_every_byte(tmp_path):
    """Lazy binding: two pushes and a jump a slot; the CFA depends on how far the slot has run."""
    elf = build(tmp_path, "elf", "-Wl,-z,lazy", "-fcf-protection=none")
    sym = Sym(dump(elf))
    plt = int(re.search(r" \.plt +PROGBITS +([0-9a-f]+)", tool("readelf", "-SW", elf))[1], 16)
    for offset in range(16):
        at = plt + 16 + offset
        pushed = 8 if offset >= 11 else 0  # the slot's push has been run
        cfa = evaluate(sym.cfi[plt].at(at)[".cfa"], {"$rsp": 0x1000, "$rip": at}, {})
        assert cfa == 0x1000 + 8 + pushed


def test_signal_frame_of_the_c_library():
    """__restore_rt says with expressions where the kernel put the registers."""
    libc = next((p for p in map(pathlib.Path, ("/lib/x86_64-linux-gnu/libc.so.6",))
                 if p.exists()), None)
    if not libc:
        pytest.skip("SKIPPED: no x86-64 libc")
    entry = next(e for e in Sym(dump("--no-inlines", libc)).cfi.values()
                 if "$rip" not in e.rules[0][1] and "160 + ^" in e.rules[0][1])
    rules = entry.at(entry.start)
    stack = {0x1000 + 8 * i: 0x7000 + i for i in range(32)}
    # ucontext on the stack: flags, link, stack (3), then r8 ... r15, rdi, rsi, rbp, rbx, rdx, rax,
    # rcx, rsp, rip; at entry of the trampoline the return address has been popped
    order = ["$r8", "$r9", "$r10", "$r11", "$r12", "$r13", "$r14", "$r15", "$rdi", "$rsi", "$rbp",
             "$rbx", "$rdx", "$rax", "$rcx", "$rsp", ".ra"]
    cfa = evaluate(rules[".cfa"], {"$rsp": 0x1000}, stack)
    assert cfa == 0x7000 + 5 + order.index("$rsp")
    for i, register in enumerate(order):
        assert evaluate(rules[register], {"$rsp": 0x1000, ".cfa": cfa}, stack) == 0x7000 + 5 + i


def test_no_cfi(programs):
    assert "STACK" not in dump("--no-cfi", programs / "c")
    assert dump("--check-cfi", programs / "c") == dump(programs / "c")


def test_check_cfi_fails_without(tmp_path):
    (tmp_path / "s.S").write_text(".globl _start\n.type _start,@function\n_start: ret\n"
                                  ".size _start, .-_start\n")
    tool("gcc", "-nostdlib", "-static", "-o", tmp_path / "elf", tmp_path / "s.S")
    assert dump(tmp_path / "elf").count("PUBLIC") == 1
    done = run("--check-cfi", "-o", tmp_path / "out", tmp_path / "elf")
    assert done.returncode == 1 and "No CFI data" in done.stderr
    assert not (tmp_path / "out").exists()


# ---- other machines ----

ASM = """
    .text
    .file 1 "/src/add.c"
    .globl add
    .type add, %function
add:
    .cfi_startproc
    .loc 1 10
    {one}
    .cfi_def_cfa_offset 16
    .cfi_offset {ra}, -8
    .loc 1 11
    {one}
    .cfi_restore {ra}
    .cfi_def_cfa_offset 0
    {ret}
    .cfi_endproc
    .size add, .-add
"""


@pytest.mark.parametrize("triplet, cpu, one, ret, ra, name", [
    ("aarch64-linux-gnu", "arm64", "nop", "ret", "30", "x30"),
    ("mips-linux-gnu", "mips", "nop", "jr $31", "31", "$ra"),
])
def test_other_machines(tmp_path, triplet, cpu, one, ret, ra, name):
    if not shutil.which(triplet + "-as"):
        pytest.skip(f"SKIPPED: binutils-{triplet} is not installed")
    (tmp_path / "s.s").write_text(ASM.format(one=one, ret=ret, ra=ra).replace(
        "%function", "@function" if cpu == "mips" else "%function"))
    tool(triplet + "-as", "-g", "-o", tmp_path / "s.o", tmp_path / "s.s")
    tool(triplet + "-ld", "-shared", "--build-id=0x000102030405060708090a0b0c0d0e0f", "-o",
         tmp_path / "s.so", tmp_path / "s.o")
    sym = Sym(dump(tmp_path / "s.so"))
    at = int(re.search(r"^([0-9a-f]+) T add$", tool("nm", tmp_path / "s.so"), re.M)[1], 16)
    low = int(re.search(r"LOAD +0x\S+ (0x[0-9a-f]+)", tool("readelf", "-lW", tmp_path / "s.so"))[1],
              16)
    at -= low
    ids = {"arm64": "03020100050407060809", "mips": "00010203040506070809"}  # the order of bytes
    assert sym.header[0] == f"MODULE Linux {cpu} {ids[cpu].upper()}0A0B0C0D0E0F0 s.so"
    entry = sym.cfi[at]
    sp = {"arm64": "sp", "mips": "$sp"}[cpu]
    assert entry.at(at) == {".cfa": f"{sp} 0 +", ".ra": name}
    assert entry.at(at + 4) == {".cfa": f"{sp} 16 +", ".ra": ".cfa -8 + ^"}
    assert entry.at(at + 8) == {".cfa": f"{sp} 0 +", ".ra": name}


def test_32_bit(tmp_path):
    (tmp_path / "s.c").write_text("int add(int a, int b) { return a + b; }\n")
    done = subprocess.run(["gcc", "-m32", "-g", "-O2", "-nostdlib", "-shared", "-fPIC", "-o",
                           str(tmp_path / "s.so"), str(tmp_path / "s.c")], check=False,
                          stderr=subprocess.PIPE)
    if done.returncode:
        pytest.skip("SKIPPED: gcc -m32 does not work here")
    sym = Sym(dump(tmp_path / "s.so"))
    assert sym.header[0].startswith("MODULE Linux x86 ")
    add = next(f for f in sym.funcs.values() if f.name == "add")
    assert {line for _, _, _, line in add.lines} == {1}
    assert sym.cfi[add.start].at(add.start) == {".cfa": "$esp 4 +", ".ra": ".cfa -4 + ^"}


# ---- the command ----

def test_store(programs, tmp_path):
    done = run("--store", tmp_path / "deep" / "store", programs / "c", programs / "absent",
               programs / "cpp")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "absent" in done.stderr
    paths = done.stdout.split()
    assert len(paths) == 2
    for path, name in zip(paths, ("c", "cpp")):
        assert path.startswith(str(tmp_path / "deep" / "store" / name))
        text = pathlib.Path(path).read_text()
        assert path.endswith(f"/{name}/{text.split()[3]}/{name}.sym")
        assert text == dump(programs / name)
    assert len([f for f in (tmp_path / "deep" / "store").iterdir()]) == 2


def test_symbols_are_found_by_the_walker(programs, tmp_path):
    text = dump(programs / "c")
    (tmp_path / "c.sym").write_text(text)
    info = subprocess.run([SALVAGE, "symcache", "info", str(tmp_path / "c.sym"), "--json"],
                          stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    assert f'"functions": {text.count(chr(10) + "FUNC ")}' in info


def test_output_is_whole_or_not_there(programs, tmp_path):
    assert run("-o", tmp_path / "out", programs / "c").returncode == 0
    assert (tmp_path / "out").read_text() == dump(programs / "c")
    done = run("--limit", "1k", "-o", tmp_path / "small", programs / "c")
    assert done.returncode == 1 and "limit" in done.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    assert dump("--limit", "10M", programs / "c") == dump(programs / "c")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([SALVAGE, "dump-syms", str(programs / "c")], stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("args", [
    [], ["--threads", "0", "c"], ["--threads", "x", "c"], ["--nonsense", "c"], ["c", "cpp"],
    ["-o", "x", "--store", "y", "c"], ["--limit", "none", "c"], ["--no-cfi", "--check-cfi", "c"],
    ["--store", "y", "--debug", "x", "c", "cpp"],
])
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode == 2 and done.stdout == "" and done.stderr


def test_help():
    done = run("--help")
    assert done.returncode == 0 and "--debug-dir" in done.stdout


# ---- what is no ELF file, or a bad one ----

# Memory is that of a process started by a small one: before exec a child counts its parent's.
MEASURE = """
import resource, subprocess, sys, time
started = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, time.monotonic() - started, used.ru_maxrss)
"""


def limited(*args):
    """(exit code, standard error, seconds, KB) of a run; a signal is a negative code."""
    done = subprocess.run(["/usr/bin/python3", "-S", "-E", "-c", MEASURE, SALVAGE, "dump-syms",
                           "--no-search", *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", errors="replace", check=True)
    code, seconds, kilobytes = done.stdout.split()
    return int(code), done.stderr, float(seconds), int(kilobytes)


@pytest.mark.parametrize("content, says", [
    (b"", "not an ELF file"), (b"\x7fELF", "not an ELF file"), (b"MZ" + b"\0" * 1000, "not an ELF"),
    (b"\x7fELF" + b"\xff" * 1000, "not an ELF"),
])
def test_not_elf(tmp_path, content, says):
    (tmp_path / "x").write_bytes(content)
    done = run(tmp_path / "x")
    assert done.returncode == 1 and says in done.stderr and done.stdout == ""


def test_not_a_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", tmp_path / "absent"):
        assert run(path, timeout=5).returncode == 1


def test_wrong_kinds_of_elf(programs, tmp_path):
    tool("gcc", "-g", "-c", "-o", tmp_path / "main.o", programs / "main.c")
    assert "neither a program nor" in run(tmp_path / "main.o").stderr
    data = bytearray((programs / "c").read_bytes())
    data[18:20] = struct.pack("<H", 0x1234)
    (tmp_path / "odd").write_bytes(data)
    assert "machine 4660" in run(tmp_path / "odd").stderr


def test_nothing_to_say(tmp_path):
    (tmp_path / "s.S").write_text(".globl _start\n.data\n_start: .long 0\n")
    tool("gcc", "-nostdlib", "-static", "-s", "-o", tmp_path / "elf", tmp_path / "s.S")
    done = run("-o", tmp_path / "out", tmp_path / "elf")
    assert done.returncode == 1 and "no symbols" in done.stderr
    assert not (tmp_path / "out").exists()


def test_truncated_anywhere(tmp_path):
    elf = build(tmp_path, "c", "-nostartfiles", "-Wl,-e,main")
    data = elf.read_bytes()
    for size in range(0, len(data), 211):
        (tmp_path / "cut").write_bytes(data[:size])
        code, error, _, _ = limited(tmp_path / "cut")
        assert code in (0, 1), (size, code, error)


def section_header(data, name):
    """Offset of a section's header in a 64-bit little-endian file."""
    shoff, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    table, = struct.unpack_from("<Q", data, shoff + names * size + 24)
    for i in range(count):
        at = shoff + i * size
        text = data[table + struct.unpack_from("<I", data, at)[0]:].split(b"\0")[0].decode()
        if text == name:
            return at
    raise KeyError(name)


def harm_huge_section(data):
    at = section_header(data, ".debug_info")
    offset, = struct.unpack_from("<Q", data, at + 24)
    struct.pack_into("<Q", data, at + 8, 0x800)  # SHF_COMPRESSED
    struct.pack_into("<IIQQ", data, offset, 1, 0, 1 << 40, 1)


def harm_no_entry_size(data):
    for name in (".symtab", ".dynsym", ".dynamic"):
        struct.pack_into("<Q", data, section_header(data, name) + 56, 0)


def harm_program_headers(data):
    struct.pack_into("<Q", data, 32, len(data) - 8)
    struct.pack_into("<H", data, 56, 0xffff)


def harm_section_count(data):
    shoff, = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<H", data, 60, 0)
    struct.pack_into("<Q", data, shoff + 32, 1 << 32)


def harm_section_names(data):
    struct.pack_into("<H", data, 62, 0xfffe)


def harm_sections_beyond(data):
    for name in (".symtab", ".strtab", ".debug_line", ".eh_frame"):
        at = section_header(data, name)
        struct.pack_into("<QQ", data, at + 24, len(data) - 100, 1 << 62)


def harm_everything_is_one_section(data):
    for name in (".debug_info", ".debug_abbrev", ".debug_line", ".debug_str", ".eh_frame"):
        struct.pack_into("<QQ", data, section_header(data, name) + 24, 0, len(data))


def harm_strings_do_not_end(data):
    for name in (".strtab", ".shstrtab", ".debug_str", ".dynstr"):
        offset, size = struct.unpack_from("<QQ", data, section_header(data, name) + 24)
        data[offset + size - 1:offset + size] = b"x"


def harm_alt_link(data):
    """A section that names a device as the file to share with."""
    at = section_header(data, ".comment")
    table = section_header(data, ".shstrtab")
    offset, = struct.unpack_from("<Q", data, table + 24)
    end = len(data)
    data += b".gnu_debugaltlink\0"
    struct.pack_into("<Q", data, table + 32, end + 18 - offset)
    struct.pack_into("<I", data, at, end - offset)
    where, = struct.unpack_from("<Q", data, at + 24)
    data[where:where + 14] = b"/dev/zero\0abcd"


HARMS = [v for k, v in sorted(globals().items()) if k.startswith("harm_")]


@pytest.mark.parametrize("harm", HARMS, ids=[h.__name__[5:] for h in HARMS])
def test_harmful_headers(programs, tmp_path, harm):
    data = bytearray((programs / "c").read_bytes())
    harm(data)
    (tmp_path / "x").write_bytes(data)
    code, error, seconds, kilobytes = limited(tmp_path / "x")
    assert code in (0, 1), error
    assert seconds < 2 and kilobytes < 64 * 1024


def frames(instructions, entries=1):
    """.eh_frame of one CIE and entries whose instructions these are."""
    cie = b"\0\0\0\0" + b"\1zR\0" + b"\1\x78\x10" + b"\1\0" + b"\x0c\7\10\x90\1"
    cie += b"\0" * (-len(cie) % 8 + 4)
    out = struct.pack("<I", len(cie)) + cie
    for i in range(entries):
        body_of = struct.pack("<QQ", 0x1000 + 64 * i, 1 << 40) + b"\0" + instructions
        body_of += b"\0" * (-len(body_of) % 8 + 4)
        out += struct.pack("<II", len(body_of) + 4, len(out) + 4) + body_of
    return out


@pytest.mark.parametrize("section", [
    frames(b"\x0a" * 4_000_000),                         # remember, without end
    frames(b"\x0a\x0b" * 2_000_000),                     # remember and restore
    frames(b"\x0e\x10\x41\x0e\x08\x41" * 600_000),       # rows that change
    frames(b"\x0f\xff\xff\xff\xff\x0f"),                 # an expression beyond the file
    frames(b"\x41", 100_000),                            # entries over entries
    b"\xff\xff\xff\xff" * 1000, b"\0\0\0\0" * 1_000_000,
], ids=["remember", "restore", "rows", "expression", "entries", "wide", "empty"])
def test_harmful_call_frames(programs, tmp_path, section):
    shutil.copy(programs / "c", tmp_path / "c")
    (tmp_path / "frames").write_bytes(section)
    tool("objcopy", "--update-section", f".eh_frame={tmp_path / 'frames'}", "--strip-debug",
         "--set-section-flags", ".eh_frame=readonly,data,contents", tmp_path / "c", tmp_path / "x")
    code, error, seconds, kilobytes = limited("--limit", "64M", tmp_path / "x")
    assert code in (0, 1), error
    assert seconds < 2 and kilobytes < 64 * 1024
