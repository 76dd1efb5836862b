#!/usr/bin/env python3
"""Telemetry documents of Salvage beside those that Socorro's reducers make of the same crashes.

compare_telemetry.py SOCORRO STORE EXPORT

SOCORRO is a checkout (its libsocorrodataschema and libjsonschema; wants PyYAML and jsonschema),
STORE a crash store, EXPORT a folder of telemetry with form=objects or both. For each exported crash
the stored document is reduced by both; each difference is counted by its path, once as the peer
sees the document as it is, and the crashes that the peer refuses are counted by its reason.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import types


def peer(socorro):
    package = types.ModuleType("socorro")       # its own __init__ wants a configured service
    package.__path__ = [str(socorro / "socorro")]
    sys.modules["socorro"] = package
    from socorro.lib import libjsonschema, libsocorrodataschema
    from socorro import schemas
    schema = libsocorrodataschema.get_schema("processed_crash.schema.yaml")
    only_public = libsocorrodataschema.permissions_transform_function(
        permissions_have=["public"], default_permissions=schema["default_permissions"])
    public = libsocorrodataschema.SocorroDataReducer(
        schema=libsocorrodataschema.transform_schema(schema=schema, transform_function=only_public))
    telemetry = libjsonschema.JsonSchemaReducer(
        schema=schemas.get_file_content("telemetry_socorro_crash.json"))
    old_names = {"build": "build_id", "date_processed": "date", "os_name": "platform",
                 "os_pretty_version": "platform_pretty_version", "os_version": "platform_version"}

    def reduce(doc):
        shown = public.traverse(document=doc)
        out = telemetry.traverse(document=shown)
        out.update({new: shown[old] for old, new in old_names.items() if old in shown})
        return out
    return reduce


def differences(ours, theirs, path=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            where = f"{path}.{key}" if path else key
            if key not in ours:
                yield where, "peer only", theirs[key]
            elif key not in theirs:
                yield where, "ours only", ours[key]
            else:
                yield from differences(ours[key], theirs[key], where)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for one, other in zip(ours, theirs):
            yield from differences(one, other, path + "[]")
    elif ours != theirs:
        yield path, "differs", (ours, theirs)


def main():
    reduce = peer(pathlib.Path(sys.argv[1]))
    store, export = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    found, refused, equal, compared = collections.Counter(), collections.Counter(), 0, 0
    example = {}
    for path in sorted(export.glob("v1/crash_report/*/*")):
        if path.suffix:
            continue
        blob = sorted(store.glob(f"processed/{path.parent.name}/*/{path.name}.*"))
        if not blob:
            continue
        doc = json.loads(subprocess.run(["zstd", "-dc", blob[-1]], capture_output=True,
                                        check=True).stdout)
        compared += 1
        try:
            theirs = reduce(doc)
        except Exception as problem:  # pylint: disable=broad-except  # whatever it refuses for
            refused[re.sub(r"\[\d+\]", "[]", str(problem))] += 1
            continue
        all_of_it = list(differences(json.loads(path.read_text()), theirs))
        equal += not all_of_it
        for where, how, value in all_of_it:
            found[where, how] += 1
            example.setdefault((where, how), value)
    print(f"{compared} crashes: {equal} equal, {sum(refused.values())} refused by the peer")
    for reason, n in refused.most_common():
        print(f"  refused {n}: {reason}")
    for (where, how), n in found.most_common():
        print(f"  {where} {how} {n}: {str(example[where, how])[:100]}")


if __name__ == "__main__":
    main()
