"""Uploads against what they cannot avoid: receiving the body, and inflating it once."""
import os
import random
import subprocess
import time
import zipfile
import zlib

from figures import figure, skipped

ROUNDS = 3
DAV = """
LoadModule dav_module "{modules}/mod_dav.so"
LoadModule dav_fs_module "{modules}/mod_dav_fs.so"
DavLockDB {dir}/DavLock
Alias /dav {dir}/dav
<Directory {dir}/dav>
    Require all granted
</Directory>
<Location /dav>
    SetHandler none
    AuthType None
    CrashTokenOptional off
    Dav On
    LimitRequestBody 0
</Location>
"""
HEAD = b'--b\r\nContent-Disposition: form-data; name="s.zip"; filename="s.zip"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"
ID = b"C3B913878AFB017237A4A08B325905C7"


def symbols(rnd, size):
    """Text as symbol files have it: functions, their lines, frame rules."""
    out, at, length = [], 0x1000, 0
    words = ["mozilla", "dom", "Element", "Window", "js", "Frame", "layout", "gfx", "Rect", "Array"]
    while length < size:
        name = "::".join(rnd.choices(words, k=3)) + f"<{rnd.randrange(10**6)}>"
        text = f"FUNC {at:x} {rnd.randrange(16, 4000):x} 0 {name}(int, char const*)\n"
        for _ in range(rnd.randrange(3, 20)):
            step = rnd.randrange(1, 40)
            text += f"{at:x} {step:x} {rnd.randrange(1, 5000)} {rnd.randrange(900)}\n"
            at += step
        text += f"STACK CFI {at:x} .cfa: $rsp {rnd.randrange(8, 200, 8)} + .ra: .cfa -8 + ^\n"
        out.append(text)
        length += len(text)
    return "".join(out)


def make_body(path, plain):
    """A form with a zip of two members, `plain` bytes in all; the zip itself beside it."""
    rnd = random.Random(7)
    some = symbols(rnd, 16 << 20).encode()
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as z:
        for i in range(2):
            info = zipfile.ZipInfo(f"big{i}.so/{ID.decode()}0/big{i}.so.sym")
            info.compress_type = zipfile.ZIP_DEFLATED
            with z.open(info, "w", force_zip64=True) as m:
                m.write(f"MODULE Linux x86_64 {ID.decode()}0 big{i}.so\n".encode())
                for _ in range(0, plain // 2, len(some)):
                    m.write(some)
    with open(path, "wb") as f:
        f.write(HEAD)
        with open(path.with_suffix(".zip"), "rb") as z:
            while data := z.read(1 << 20):
                f.write(data)
        f.write(TAIL)


def inflate_pass(path):
    """One inflation of every member, no checksum: the least that reading the archive can cost."""
    start = time.monotonic()
    with zipfile.ZipFile(path) as z, open(path, "rb") as f:
        for info in z.infolist():
            f.seek(info.header_offset + 26)
            name, extra = int.from_bytes(f.read(2), "little"), int.from_bytes(f.read(2), "little")
            f.seek(name + extra, 1)
            left, inflater = info.compress_size, zlib.decompressobj(-15)
            while left:
                data = f.read(min(left, 65536))
                left -= len(data)
                while data:
                    inflater.decompress(data, 262144)
                    data = inflater.unconsumed_tail
    return time.monotonic() - start


def curl(*args):
    start = time.monotonic()
    out = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:",
                          *map(str, args)], stdout=subprocess.PIPE, text=True, check=True).stdout
    took = time.monotonic() - start
    if out not in ("201", "204"):
        raise RuntimeError(f"{args}: {out}")
    return took


def rename(path, n):
    """Another debug id in every name: what the store does not have yet. Names have no checksum."""
    new = f"{n:032X}".encode()
    with open(path, "r+b") as f:
        data = f.read(1 << 16)
        old = data[data.index(b".so/") + 4:][:32]
        f.seek(0)
        whole = f.read()
        f.seek(0)
        f.write(whole.replace(b"/" + old + b"0/", b"/" + new + b"0/"))


def upload_wall(stack, scratch):
    """An archive in one request, against receiving the same body with mod_dav and inflating it."""
    modules = "/usr/lib/apache2/modules"
    if not os.path.exists(f"{modules}/mod_dav_fs.so"):
        return skipped("upload_wall", "mod_dav is not installed")
    plain = int(os.environ.get("BENCH_UPLOAD_MB", "768")) << 20
    dav = stack.dir / "dav"
    dav.mkdir(exist_ok=True)
    dav.chmod(0o777)
    stack.dir.chmod(0o777)
    body = scratch / "body"
    make_body(body, plain)
    stack.httpd_conf(DAV.format(modules=modules, dir=stack.dir))
    ours, theirs = [], []
    for n in range(ROUNDS):
        rename(body, 0xC0FFEE0000 + n + int(time.time()))
        received = curl("-T", body, stack.url + f"/dav/body{n}")
        inflated = inflate_pass(body.with_suffix(".zip"))
        ours.append(curl("-X", "POST", "-T", body, "-H", f"Auth-Token: {stack.upload_token}", "-H",
                         "Content-Type: multipart/form-data; boundary=b", stack.url + "/upload/"))
        theirs.append(received + inflated)
        (dav / f"body{n}").unlink()
    stack.httpd_conf("")
    figure("upload_wall", min(ours), min(theirs), "<=1.3", "s",
           f"a zip of {body.stat().st_size >> 20} MiB in one request, {plain >> 20} MiB unpacked, "
           "against a PUT of the body to mod_dav and one inflation")


BENCHES = [upload_wall]
