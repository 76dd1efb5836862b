"""Downloads against httpd's own handler of static files: the same bytes, the same server, in turn."""
import gzip
import pathlib
import random
import shutil
import statistics
import sys

import requests

from figures import TOP, alternate, figure, skipped, wrk

sys.path.insert(0, str(TOP / "tests" / "lib"))
from symbols import archive, upload  # noqa: E402  (the path is set above)

SECONDS = 1
# Rounds go on until the ratio is known to a hundredth, so a load spike costs time, not the figure.
ROUNDS_MIN, ROUNDS_MAX, KNOWN_TO = 9, 25, 0.012
ID = "0123456789ABCDEF0123456789ABCDE%X1"


def text(size):
    """Lines of a .sym that pack to roughly half their size, as digits do."""
    rand = random.Random(size)
    head = f"MODULE Linux x86_64 {ID % 0} bench.so\n"
    return (head + "".join(f"{rand.getrandbits(200):x}\n" for _ in range(size // 50))).encode()


def stored(stack, number, size):
    """Uploads a .sym; the path of the file itself, and its stored bytes."""
    key = f"bench.so/{ID % number}/bench.so.sym"
    answer = upload(stack, archive({key: text(size)}), timeout=600)
    answer.raise_for_status()
    path = f"/symbols/v1/{key}"
    got = requests.get(stack.url + path, headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60)
    body = got.raw.read(decode_content=False)
    assert got.status_code == 200 and gzip.decompress(body) == text(size)
    return path, body


def rate(url, connections, lua):
    return lambda: wrk(url, connections, SECONDS, lua)[0]


def against(theirs, ours):
    """Pairs of neighbours in time, either first in turn: the ratio, and what theirs were.

    What else the machine does hits both of a pair alike; of the pairs the median counts.
    """
    pairs = []
    theirs(), ours()  # the first of each fills caches
    while len(pairs) < ROUNDS_MAX:
        t, o = [side[0] for side in alternate(1, theirs, ours)] if len(pairs) % 2 else \
            [side[0] for side in reversed(alternate(1, ours, theirs))]
        pairs.append((o / t, t))
        ratios = [p[0] for p in pairs]
        middle = statistics.median(ratios)
        # Standard error of a median, from the deviations' median: outliers do not count in it.
        spread = statistics.median(abs(x - middle) for x in ratios) * 1.858
        if len(pairs) >= ROUNDS_MIN and spread / len(pairs) ** 0.5 <= KNOWN_TO:
            break
    return middle, statistics.median(p[1] for p in pairs), len(pairs)


def compare(stack, scratch, name, number, size, connections):
    path, body = stored(stack, number, size)
    static = pathlib.Path(stack.prefix) / "share/salvage/htdocs/bench.bin"
    static.write_bytes(body)
    static.chmod(0o644)
    lua = scratch / "gzip.lua"
    lua.write_text('wrk.headers["Accept-Encoding"] = "gzip"\n')
    try:
        ratio, base, rounds = against(
            rate(f"{stack.url}/static/bench.bin", connections, lua),
            rate(stack.url + path, connections, lua))
    finally:
        static.unlink()
    figure(name, ratio * base, base, ">=0.95", "/s",
           f"{len(body)} stored bytes, keep-alive, {rounds} rounds; against a static file with "
           "fewer headers (bytes/s: the same ratio)")


def downloads(stack, scratch):
    if not shutil.which("wrk"):
        return skipped("download_small", "wrk is not installed (apt-get install wrk)")
    compare(stack, scratch, "download_small", 1, 4000, 16)
    compare(stack, scratch, "download_middle", 2, 200_000, 16)
    compare(stack, scratch, "download_large", 3, 40_000_000, 8)
    key = f"none.so/{ID % 15}/none.so.sym"
    misses = max(wrk(f"{stack.url}/symbols/{key}", 16, SECONDS)[0] for _ in range(2))
    figure("download_miss", misses, 5000, ">=1", "/s",
           "symbols that are not there; against 5,000/s")
    redirects = max(wrk(f"{stack.url}/symbols/bench.so/{ID % 1}/bench.so.sym", 16, SECONDS)[0]
                    for _ in range(2))
    figure("download_redirect", redirects, 5000, ">=1", "/s", "the redirect; against 5,000/s")


BENCHES = [downloads]
