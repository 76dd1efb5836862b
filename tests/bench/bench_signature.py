"""Signatures: against Socorro's own Python code over the reference vectors, and by length.

The peer is Socorro's folder socorro/signature with glom, outside this repository: SOCORRO_DIR is
the folder that holds `socorro`, SOCORRO_PYTHON an interpreter that has glom (docs/benchmarks.md).
Both sides report processor time, for one thread, JSON already parsed.
"""
import os
import subprocess

from figures import BENCH, SHARED, TOP, alternate, figure, skipped

LENGTHS = (100, 1_000, 10_000, 100_000, 1_000_000)
PEER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from socorro.signature.generator import SignatureGenerator
generator = SignatureGenerator()
vectors = [json.loads(line) for line in open(sys.argv[2])]
start = time.process_time()
equal = sum(generator.generate(v["crash_data"]).signature == v["expected"]["signature"]
            for v in vectors)
print(len(vectors), equal, (time.process_time() - start) / len(vectors) * 1e6)
"""


def numbers(command):
    out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True)
    return [float(x) for x in out.stdout.split()]


def vectors(_stack, _scratch):
    """Signatures a second of processor time, over all vectors."""
    name = "signature_vectors"
    file = SHARED / "data/signature/vectors.jsonl"
    lists = SHARED / "data/siglists-socorro"
    peer = os.environ.get("SOCORRO_DIR")
    if not file.exists():
        return skipped(name, f"{file} is not there")
    if not peer:
        return skipped(name, "SOCORRO_DIR does not name Socorro's sources")
    python = os.environ.get("SOCORRO_PYTHON", "python3")
    ours, theirs = alternate(
        3, lambda: numbers([BENCH / "bench_signature", "vectors", lists, file]),
        lambda: numbers([python, "-c", PEER, peer, file]))
    if any(run[0] != run[1] for run in ours + theirs):
        raise RuntimeError(f"signatures differ: {ours} {theirs}")
    us, peer_us = min(run[2] for run in ours), min(run[2] for run in theirs)
    return figure(name, 1e6 / us, 1e6 / peer_us, ">=100", "/s",
                  f"{us:.1f} us against {peer_us:.0f} us a signature, {ours[0][0]:.0f} vectors; "
                  "against Socorro's Python")


def scale(_stack, _scratch):
    """Ten times the symbol must not cost much more than ten times the time."""
    times = [numbers([BENCH / "bench_signature", "scale", TOP / "conf/siglists", length])[0]
             for length in LENGTHS]
    table = ", ".join(f"{n}: {us:.0f} us" for n, us in zip(LENGTHS, times))
    figure("signature_scale", times[-1] / times[-2], 10, "<=1.3", "x",
           f"1,000,000 characters against ten times 100,000; by length {table}")


BENCHES = [vectors, scale]
