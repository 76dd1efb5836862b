"""Processed documents made by hand, for pages: stored in the place of what the processor wrote.

    crash_id = documents.store(stack, top, {"product": "Mine", ...})

submits a crash, waits for it, and puts the members into its stored document (None removes one).
`full` makes a document in which every field of the field list has a value; texts are
"value-<path>-x", so that a page tells where each came from.
"""
import csv
import json
import subprocess

DUMP = "tests/data/crashes/crasher_cpp.dmp"


def path_of(stack, crash_id):
    return stack.store / stack.query("select blob from processed_crash where crash_id = %s",
                                     crash_id)[0][0]


def read(stack, crash_id):
    packed = path_of(stack, crash_id).read_bytes()
    return json.loads(subprocess.run(["zstd", "-dqc"], input=packed, capture_output=True,
                                     check=True).stdout)


def write(stack, crash_id, doc):
    text = json.dumps(doc).encode()
    packed = subprocess.run(["zstd", "-qc", f"--stream-size={len(text)}"], input=text,
                            capture_output=True, check=True).stdout
    path_of(stack, crash_id).write_bytes(packed)


def store(stack, top, members, annotations=None):
    crash_id = stack.submit({"ProductName": "Documents", "Version": "1.0", **(annotations or {})},
                            top / DUMP)
    stack.wait_processed(crash_id)
    doc = read(stack, crash_id)
    doc.update(members)
    write(stack, crash_id, {k: v for k, v in doc.items() if v is not None})
    return crash_id


def fields(top):
    """{path: (types, permission)} of the field list."""
    out = {}
    with open(top / "conf/schema/processed_crash.tsv", encoding="utf-8") as f:
        for row in csv.reader((x for x in f if not x.startswith("#")), delimiter="\t",
                              quoting=csv.QUOTE_NONE):
            if len(row) >= 3:
                out[row[0]] = (row[1], row[2])
    return out


def full(top):
    """({field: value}, names of protected fields) of the plain fields at the top of the list."""
    values, locked = {}, set()
    for path, (types, permission) in fields(top).items():
        if any(c in path for c in ".[@"):
            continue
        if permission == "protected":
            locked.add(path)
        kind = types.rstrip("?").split("|")[0]
        if kind == "string":
            values[path] = f"value-{path}-x"
        elif kind == "boolean":
            values[path] = True
        elif kind in ("integer", "number"):
            values[path] = 4711
    return values, locked
