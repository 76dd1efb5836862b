"""The services: memory when idle, crashes accepted."""
import pathlib
import random
import shutil
import subprocess
import time

from figures import BENCH, TOP, figure, pss_kib, skipped, tree, wrk


def idle_footprint(stack, _scratch):
    """Proportional set size of all processes, after a crash was processed and quiet returned."""
    stack.sample_id
    time.sleep(5)
    by_server = {}
    for server in ("httpd", "salvaged", "postgres"):
        by_server[server] = sum(pss_kib(p) for p in tree(stack.pid(server))) / 1024
    total = sum(by_server.values())
    parts = ", ".join(f"{k} {v:.1f}" for k, v in by_server.items())
    figure("idle_pss", total, 150, "<=1", "MiB", f"httpd + salvaged + PostgreSQL idle ({parts})")


def crash_body(path, size):
    boundary = "----------benchboundary0123456789"
    random.seed(1)
    parts = []
    for i in range(40):
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="Note{i}"\r\n\r\n'
                     f'{random.random()} of the run\r\n')
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="ProductName"\r\n\r\n'
                 f'Bench\r\n--{boundary}\r\nContent-Disposition: form-data; '
                 f'name="upload_file_minidump"; filename="x.dmp"\r\n'
                 f'Content-Type: application/octet-stream\r\n\r\n')
    path.write_bytes("".join(parts).encode() + random.randbytes(size)
                     + f"\r\n--{boundary}--\r\n".encode())
    return {"BENCH_BODY": str(path), "BENCH_BOUNDARY": boundary}


def acceptance(stack, scratch):
    """Crashes a second through httpd, against overwriting a file and fdatasync, 16 at once."""
    if not shutil.which("wrk"):
        return skipped("accept", "wrk is not installed (apt-get install wrk)")
    stack.stop("salvaged")  # it would compete for the two
    for label, size, goal in (("20k", 20_000, ">=0.126"), ("400k", 400_000, ">=0.24")):
        env = crash_body(scratch / "body", size)
        limit = float(subprocess.run([BENCH / "bench_fsync", stack.store, str(size), "16", "3"],
                                     capture_output=True, text=True, check=True).stdout)
        rate, p50, p99, bad = wrk(stack.url + "/submit", 16, 4, TOP / "tests/bench/post.lua", env)
        if bad:
            raise RuntimeError(f"{bad} crashes were not accepted")
        figure(f"accept_{label}", rate, limit, goal, "/s",
               f"16 clients, p50 {p50:.1f} ms, p99 {p99:.1f} ms; against write + fdatasync")
    shutil.rmtree(stack.store / "pending")
    (stack.store / "pending").mkdir()
    shutil.chown(stack.store / "pending", stack.store.owner(), stack.store.group())
    stack.query("truncate crash_job")
    stack.start("salvaged")


BENCHES = [idle_footprint, acceptance]
