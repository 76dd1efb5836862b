"""Microsoft's symbol stores: requests as WinDbg, Visual Studio and dotnet-symbol send them."""
import http.client
import random
import subprocess

import cab
import pytest
import requests
from elf import Program, have
from symbols import archive, new_id, raw_get, upload

WINDBG = {"User-Agent": "Microsoft-Symbol-Server/10.0.10036.206"}


def put(stack, members):
    answer = upload(stack, archive(members))
    assert answer.status_code == 201, answer.text


def cabinet(folder, name, data, *options):
    """A CAB with one file, as symstore /compress makes them."""
    if not have("gcab"):
        pytest.skip("SKIPPED LOUDLY: gcab is not installed (apt-get install gcab)")
    (folder / name).write_bytes(data)
    out = folder / "out.cab"
    out.unlink(missing_ok=True)
    subprocess.run(["gcab", "-c", *options, "-n", out, name], cwd=folder, check=True)
    assert out.read_bytes()[:4] == b"MSCF"
    return out.read_bytes()


def pdb(n=50000):
    return b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0" + bytes(i * 7 & 0xff for i in range(n))


def follow(stack, path):
    """What WinDbg gets: it follows redirects."""
    r = raw_get(stack, path, WINDBG)
    return raw_get(stack, r.getheader("Location"), WINDBG) if r.status == 302 else r


def test_windbg_exchange(stack, tmp_path):
    """Section 11, request by request: plain form first, then packed, then a pointer."""
    debug_id = new_id()
    packed = cabinet(tmp_path, "xul.pdb", pdb(), "-z")
    assert raw_get(stack, "/symbols/index2.txt", WINDBG).status == 404
    assert raw_get(stack, "/symbols/pingme.txt", WINDBG).status == 200
    base = f"/symbols/xul.pdb/{debug_id}"
    for leaf in ("xul.pdb", "xul.pd_", "file.ptr"):
        r = raw_get(stack, f"{base}/{leaf}", WINDBG)
        assert (r.status, r.getheader("Cache-Control")) == (404, "max-age=60")
    put(stack, {f"xul.pdb/{debug_id}/xul.pd_": packed})
    r = follow(stack, f"{base}/xul.pd_")
    assert (r.status, r.body) == (200, packed)
    assert r.getheader("Content-Type") == "application/octet-stream"
    r = raw_get(stack, f"{base}/file.ptr", WINDBG)
    assert (r.status, r.body) == (404, b"Symbol Not Found (and ignored)")


@pytest.mark.parametrize("options", [["-z"], []])
@pytest.mark.parametrize("name,packed_name", [("xul.pdb", "xul.pd_"), ("xul.dll", "xul.dl_"),
                                              ("firefox.exe", "firefox.ex_")])
def test_plain_form_of_a_cabinet(stack, tmp_path, name, packed_name, options):
    """Stored as a CAB, asked for plain: unpacked while it is sent."""
    debug_id, data = new_id(), pdb(300_000)
    put(stack, {f"{name}/{debug_id}/{packed_name}": cabinet(tmp_path, name, data, *options)})
    path = f"/symbols/{name}/{debug_id}/{name}"
    r = raw_get(stack, path, WINDBG)
    assert (r.status, r.body, r.getheader("Content-Length")) == (200, data, str(len(data)))
    head = raw_get(stack, path, WINDBG, method="HEAD")
    assert (head.status, head.getheader("Content-Length")) == (200, str(len(data)))
    tag = {"If-None-Match": r.getheader("ETag")}
    assert raw_get(stack, path, {**WINDBG, **tag}).status == 304


V, A, U = cab.VERBATIM, cab.ALIGNED, cab.UNCOMPRESSED
MIXED = [(U, 40001), (V, 50000), (V, 1000), (U, 7), (A, 20000), (U, 2000), (V, 0)]


def functions(n=6000):
    rand = random.Random(n)
    return b"".join(b"FUNC %x %x 0 name_%d\n" % (rand.getrandbits(20), rand.getrandbits(8), i % 97)
                    for i in range(n))


@pytest.mark.parametrize("blocks", [[(V, 0)], [(A, 0)], [(U, 0)], MIXED],
                         ids=["verbatim", "aligned", "uncompressed", "mixed"])
def test_lzx(stack, blocks):
    """As `symstore /compress` and makecab pack: blocks of all kinds, across the frames."""
    debug_id, data = new_id(), functions()
    packed = cab.lzx_cab("x.pdb", data, blocks)
    put(stack, {f"x.pdb/{debug_id}/x.pd_": packed})
    r = raw_get(stack, f"/symbols/x.pdb/{debug_id}/x.pdb", WINDBG)
    assert (r.status, r.body, r.getheader("Content-Length")) == (200, data, str(len(data)))
    assert follow(stack, f"/symbols/x.pdb/{debug_id}/x.pd_").body == packed


def test_damaged_lzx(stack):
    """A wrong checksum, and a tree that is none under a right one."""
    debug_id, data = new_id(), functions()
    packed = bytearray(cab.lzx_cab("c.pdb", data, [(V, 0)]))
    packed[-100] ^= 1
    frames = cab.Lzx(data).write([(V, 0)])
    frames[0] = frames[0][:4] + bytes(len(frames[0]) - 4)
    put(stack, {f"c.pdb/{debug_id}/c.pd_": bytes(packed),
                f"t.pdb/{debug_id}/t.pd_": cab.cab("t.pdb", data, frames, cab.LZX)})
    stack.error_log.expect("SAL2021")
    for name in ("c", "t"):
        try:
            r = raw_get(stack, f"/symbols/{name}.pdb/{debug_id}/{name}.pdb", WINDBG)
            assert r.status == 502
        except http.client.IncompleteRead:
            assert name == "c"          # its last frame is the broken one


def test_quantum_is_refused(stack):
    """Not unpacked, and no damage either: the client asks for the packed form next."""
    debug_id = new_id()
    packed = cab.cab("q.pdb", bytes(999), [random.Random(2).randbytes(500)], cab.QUANTUM)
    put(stack, {f"q.pdb/{debug_id}/q.pd_": packed})
    assert raw_get(stack, f"/symbols/q.pdb/{debug_id}/q.pdb", WINDBG).status == 404
    assert follow(stack, f"/symbols/q.pdb/{debug_id}/q.pd_").body == packed


def test_packed_form_only_if_stored_so(stack):
    debug_id = new_id()
    put(stack, {f"a.pdb/{debug_id}/a.pdb": pdb(), f"b.pdb/{debug_id}/b.pd_": b"no cabinet"})
    assert follow(stack, f"/symbols/a.pdb/{debug_id}/a.pdb").body == pdb()
    assert raw_get(stack, f"/symbols/a.pdb/{debug_id}/a.pd_").status == 404
    assert raw_get(stack, f"/symbols/b.pdb/{debug_id}/b.pdb").status == 404
    assert follow(stack, f"/symbols/b.pdb/{debug_id}/b.pd_").body == b"no cabinet"


@pytest.mark.parametrize("data", [pdb(200_000), random.Random(1).randbytes(2_000_000)],
                         ids=["small", "large"])
def test_damaged_cabinet(stack, tmp_path, data):
    """An error while nothing has been sent, a cut connection afterwards; never half a file as whole."""
    debug_id = new_id()
    packed = cabinet(tmp_path, "d.pdb", data, "-z")
    put(stack, {f"d.pdb/{debug_id}/d.pd_": packed[:len(packed) // 2],
                f"e.pdb/{debug_id}/e.pd_": packed[:30]})
    stack.error_log.expect("SAL2021")
    try:
        r = requests.get(f"{stack.url}/symbols/d.pdb/{debug_id}/d.pdb", timeout=20)
        assert r.status_code == 502 or len(r.content) < int(r.headers["Content-Length"])
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        assert len(data) > 1_000_000
    assert raw_get(stack, f"/symbols/e.pdb/{debug_id}/e.pdb").status == 404


def test_visual_studio(stack):
    """Lower-case names and ids, a checksum header that is not looked at."""
    debug_id = new_id()[:32]
    put(stack, {f"My.Library.pdb/{debug_id}FFFFFFFF/My.Library.pdb": pdb()})
    path = f"/symbols/my.library.pdb/{debug_id.lower()}ffffffff/my.library.pdb"
    r = raw_get(stack, path, {"SymbolChecksum": "SHA256:" + "0" * 64})
    assert r.status == 302 and follow(stack, path).body == pdb()
    assert follow(stack, path.replace("ffffffff", "FFFFFFFF")).body == pdb()


@pytest.mark.parametrize("asked", ["0A1B2C3D5E000", "A1B2C3D5E000", "a1b2c3d5e000"])
def test_leading_zero_of_the_time_stamp(stack, asked):
    """perfview 2417: some clients leave it out."""
    put(stack, {"zero.dll/0A1B2C3D5e000/zero.dll": b"MZ program"})
    assert follow(stack, f"/symbols/zero.dll/{asked}/zero.dll").body == b"MZ program"


def test_two_tiers(stack):
    debug_id = new_id()
    put(stack, {f"xul.pdb/{debug_id}/xul.pdb": pdb(), f"a.pdb/{debug_id}/a.pdb": pdb(9)})
    assert raw_get(stack, f"/symbols/xu/xul.pdb/{debug_id}/xul.pdb").status == 404
    stack.httpd_conf("<Location /symbols/>\nSymbolsTwoTier on\n</Location>\n")
    r = raw_get(stack, "/symbols/index2.txt", WINDBG)
    assert (r.status, r.body) == (200, b"")
    assert follow(stack, f"/symbols/xu/xul.pdb/{debug_id}/xul.pdb").body == pdb()
    assert follow(stack, f"/symbols/XU/xul.pdb/{debug_id}/xul.pdb").body == pdb()
    assert follow(stack, f"/symbols/a/a.pdb/{debug_id}/a.pdb").body == pdb(9)
    assert follow(stack, f"/symbols/xul.pdb/{debug_id}/xul.pdb").body == pdb()
    for wrong in ("x/xul.pdb", "xul/xul.pdb", "yu/xul.pdb", "a./a.pdb"):
        assert raw_get(stack, f"/symbols/{wrong}/{debug_id}/xul.pdb").status == 404


@pytest.mark.skipif(not have("gcc", "objcopy", "strip", "readelf"),
                    reason="SKIPPED LOUDLY: no compiler or binutils")
def test_ssqp_keys_of_elf(stack, tmp_path):
    """As dotnet-symbol asks: the build id in the key, names in lower case."""
    lib = Program(tmp_path, "Ssqp" + new_id()[:8], "-shared", "-fPIC")
    put(stack, {f"{lib.name}/{lib.build_id}/{lib.name}": lib.stripped.read_bytes(),
                f"{lib.name}.debug/{lib.build_id}/{lib.name}.debug": lib.debug.read_bytes()})
    low = lib.name.lower()
    for path, data in ((f"{low}/elf-buildid-{lib.build_id}/{low}", lib.stripped),
                       (f"_.debug/elf-buildid-sym-{lib.build_id}/_.debug", lib.debug)):
        assert follow(stack, f"/symbols/{path}").body == data.read_bytes()
    assert raw_get(stack, f"/symbols/{low}/elf-buildid-{'ab' * 20}/{low}").status == 404
    assert raw_get(stack, f"/symbols/{low}/elf-buildid-xyz/{low}").status == 404


def test_ssqp_keys_of_mach_o(stack):
    uuid = new_id()[:32].lower()
    head = (0xfeedfacf).to_bytes(4, "little") + b"\x07\0\0\1\3\0\0\0"
    rest = (1).to_bytes(4, "little") + (24).to_bytes(4, "little") + bytes(8)
    load = b"\x1b\0\0\0\x18\0\0\0" + bytes.fromhex(uuid)
    program = head + (2).to_bytes(4, "little") + rest + load
    dsym = head + (10).to_bytes(4, "little") + rest + load
    put(stack, {f"XUL/{uuid}0/XUL": program, f"XUL.dwarf/{uuid}0/XUL.dwarf": dsym})
    assert follow(stack, f"/symbols/xul/mach-uuid-{uuid}/xul").body == program
    assert follow(stack, f"/symbols/_.dwarf/mach-uuid-sym-{uuid}/_.dwarf").body == dsym
