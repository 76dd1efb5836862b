"""The daemon's signature lists: read again on HUP, and kept as they are if the new ones are bad."""
import os
import pathlib
import signal

import pytest
from daemon import wait_until

DUMP = pathlib.Path(__file__).parent.parent / "data" / "crashes" / "crasher_cpp.dmp"


@pytest.fixture
def lists(stack, top):
    """A copy of the shipped lists that the daemon uses; the old configuration comes back."""
    where = stack.dir / "reload-lists"
    where.mkdir()
    for path in (top / "conf" / "siglists").glob("*.txt"):
        (where / path.name).write_bytes(path.read_bytes())
    conf = pathlib.Path(stack.conf)
    text = conf.read_text()
    kept = [line for line in text.splitlines() if line.split()[:1] != ["siglists"]]
    conf.write_text("\n".join(kept) + f"\nsiglists {where}\n")
    yield where
    conf.write_text(text)
    reload(stack)


def reload(stack):
    before = set(stack.children("salvaged"))
    os.kill(stack.pid("salvaged"), signal.SIGHUP)
    assert wait_until(lambda: len(before) == len(set(stack.children("salvaged")) - before))


def signature(stack):
    crash_id = stack.submit({"ProductName": "Demo", "Version": "1.0"}, DUMP)
    return stack.wait_processed(crash_id)["signature"]


def test_lists_are_read_again(stack, lists):
    reload(stack)
    first = signature(stack)
    frames = first.split(" | ")
    with open(lists / "prefix_signature_re.txt", "a", encoding="utf-8") as f:
        f.write(frames[-1].replace("*", "\\*") + "$\n")
    reload(stack)
    longer = signature(stack)
    assert longer.startswith(first + " | "), "the frame that ended the walk is a prefix now"

    with open(lists / "prefix_signature_re.txt", "a", encoding="utf-8") as f:
        f.write("bad(\n")
    stack.error_log.expect("SAL5043")
    before = set(stack.children("salvaged"))
    os.kill(stack.pid("salvaged"), signal.SIGHUP)
    log = stack.dir / "logs"
    assert wait_until(lambda: any("SAL5043" in p.read_text(errors="replace") and
                                  "Regex error" in p.read_text(errors="replace")
                                  for p in log.glob("*salvaged*")))
    assert set(stack.children("salvaged")) == before, "a bad list stops no worker"
    assert signature(stack) == longer, "the lists in use stay"
