"""Signatures: against Socorro's own Python code over the reference vectors, and by length.

The peer is Socorro's folder socorro/signature with glom, outside this repository: SOCORRO_DIR is
the folder that holds `socorro`, SOCORRO_PYTHON an interpreter that has glom (docs/benchmarks.md).
Both sides report processor time, for one thread: crash data that is an object in memory to a
result with notes, debug lines and proto signature; and, apart from that, JSON text to JSON text.
Nothing is kept from one signature to the next.
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
data = [v["crash_data"] for v in vectors]
wants = [v["expected"]["signature"] for v in vectors]
def texts(text, want):
    result = generator.generate(json.loads(text))
    answer = {"signature": result.signature, "notes": result.notes,
              "proto_signature": result.extra.get("proto_signature", "")}
    return answer["signature"] == want and bool(json.dumps(answer))
inputs = [json.dumps(d, separators=(",", ":")) for d in data]
start = time.process_time()
if sys.argv[3] == "texts":
    equal = sum(texts(text, want) for text, want in zip(inputs, wants))
else:
    equal = sum(generator.generate(d).signature == want for d, want in zip(data, wants))
print(len(vectors), equal, (time.process_time() - start) / len(vectors) * 1e6)
"""


def numbers(command):
    out = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True)
    return [float(x) for x in out.stdout.split()]


def against_peer(name, what, goal, note):
    file = SHARED / "data/signature/vectors.jsonl"
    lists = SHARED / "data/siglists-socorro"
    peer = os.environ.get("SOCORRO_DIR")
    if not file.exists():
        return skipped(name, f"{file} is not there")
    if not peer:
        return skipped(name, "SOCORRO_DIR does not name Socorro's sources")
    python = os.environ.get("SOCORRO_PYTHON", "python3")
    ours, theirs = alternate(
        5, lambda: numbers([BENCH / "bench_signature", what, lists, file, 100]),
        lambda: numbers([python, "-c", PEER, peer, file, what]))
    if any(run[0] != run[1] for run in ours + theirs):
        raise RuntimeError(f"signatures differ: {ours} {theirs}")
    us, peer_us = min(run[2] for run in ours), min(run[2] for run in theirs)
    return figure(name, 1e6 / us, 1e6 / peer_us, goal, "/s",
                  f"{us:.2f} us against {peer_us:.0f} us a signature, {ours[0][0]:.0f} vectors, "
                  f"{note}; against Socorro's Python")


def vectors(_stack, _scratch):
    """Signatures a second of processor time, over all vectors."""
    return against_peer("signature_vectors", "vectors", ">=100", "objects in memory")


def texts(_stack, _scratch):
    """The same, with reading and writing JSON."""
    return against_peer("signature_texts", "texts", ">=10", "JSON text in, JSON text out")


def scale(_stack, _scratch):
    """Ten times the symbol must not cost much more than ten times the time."""
    times = [numbers([BENCH / "bench_signature", "scale", TOP / "conf/siglists", length])[0]
             for length in LENGTHS]
    table = ", ".join(f"{n}: {us:.0f} us" for n, us in zip(LENGTHS, times))
    figure("signature_scale", times[-1] / times[-2], 10, "<=1.3", "x",
           f"1,000,000 characters against ten times 100,000; by length {table}")


BENCHES = [vectors, texts, scale]
