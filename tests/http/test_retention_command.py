"""salvage retention: pins are kept as the job of retention reads them."""
import uuid


def crash_id():
    return str(uuid.uuid4())[:-7] + "0261122"


def test_pin_list_unpin(stack):
    one, two = crash_id(), crash_id()
    stack.salvage("retention", "pin", one, "bp-" + two, "--why", "evidence")
    assert sorted(stack.query("select crash_id, why from crash_pin where crash_id in (%s, %s)",
                              one, two)) == sorted([(one, "evidence"), (two, "evidence")])
    stack.salvage("retention", "pin", one, "--why", "law")
    lines = stack.salvage("retention", "list", one).stdout.splitlines()
    assert lines[0] == "crash\tpinned\tby\twhy" and len(lines) == 2
    assert lines[1].split("\t")[0] == one and lines[1].split("\t")[3] == "law"
    assert two in stack.salvage("retention").stdout
    stack.salvage("retention", "unpin", one, two)
    assert not stack.query("select 1 from crash_pin where crash_id in (%s, %s)", one, two)
    done = stack.salvage("retention", "unpin", one, check=False)
    assert done.returncode == 1 and f"{one} is not pinned" in done.stderr


def test_wrong_usage(stack):
    for args in (["pin"], ["unpin"], ["keep", crash_id()], ["pin", "no-crash"],
                 ["list", crash_id(), crash_id()]):
        done = stack.salvage("retention", *args, check=False)
        assert done.returncode == 2 and "usage" in done.stderr, args
