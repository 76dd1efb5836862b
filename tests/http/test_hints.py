"""Hints: what the daemon finds of broken hardware or of a fix reaches the client with its next
report, or who asks by the crash id; and nobody else. Crashes are our own, with bits flipped."""
import json
import pathlib
import re
import struct
import uuid

import pytest
import requests

DUMPS = pathlib.Path(__file__).parent.parent / "data" / "crashes"
R15 = 0xF0
FIREFOX = {"User-Agent": "crashreporter/1.0.0"}


def broken(name, code=None, flags=None, address=None, r15=None):
    """A dump with another exception; registers are of its context."""
    data = bytearray((DUMPS / f"{name}.dmp").read_bytes())
    _, _, count, rva = struct.unpack_from("<IIII", data)
    for i in range(count):
        kind, _, at = struct.unpack_from("<III", data, rva + 12 * i)
        if kind == 6:
            for offset, form, value in ((8, "<I", code), (12, "<I", flags), (24, "<Q", address)):
                if value is not None:
                    struct.pack_into(form, data, at + offset, value)
            context = struct.unpack_from("<I", data, at + 164)[0]
            if r15 is not None:
                struct.pack_into("<Q", data, context + R15, r15)
    return bytes(data)


def flipped():
    """The C++ crasher's null pointer with a bit set that makes it no address at all."""
    return broken("crasher_cpp", flags=0x80, address=0, r15=1 << 60)


@pytest.fixture(scope="module")
def hinting(instance, top):
    """httpd and the daemon with hints."""
    instance.upload_symbols(top / "tests" / "data" / "symbols")
    conf = pathlib.Path(instance.conf)
    plain = conf.read_text()
    conf.write_text(plain + "\nhints on\nhint-places 3\n"
                    "hint-text-hardware Try a memory test = now.\n")
    instance.stop("salvaged")
    instance.start("salvaged")
    instance.shared_conf('<Location "/submit">\nCrashHints on\n</Location>\n')
    yield instance
    conf.write_text(plain)
    instance.stop("salvaged")
    instance.start("salvaged")
    instance.shared_conf("")


class Client:
    def __init__(self, hinting, **annotations):
        self.stack = hinting
        self.annotations = {"ProductName": "Hinted", "Version": "1.0",
                            "TelemetryClientId": str(uuid.uuid4()), "SubmittedFrom": "Client",
                            **annotations}
        self.annotations = {k: v for k, v in self.annotations.items() if v is not None}

    def send(self, dump=None, headers=None):
        """A crash; its id and the hint of the reply."""
        parts = {name: (None, value) for name, value in self.annotations.items()}
        data = dump or (DUMPS / "crasher.dmp").read_bytes()
        parts["upload_file_minidump"] = ("dump.dmp", data, "application/octet-stream")
        r = requests.post(self.stack.url + "/submit", files=parts, timeout=60,
                          headers=FIREFOX if headers is None else headers)
        assert r.status_code == 200
        self.body = r.text
        lines = r.text.splitlines()
        assert re.fullmatch("CrashID=bp-[0-9a-f-]{36}", lines[0])
        hints = [x[5:] for x in lines[1:] if x.startswith("Hint=")]
        assert len(lines) == 1 + len(hints) <= 2 and r.text.endswith("\n")
        return lines[0][11:], hints[0] if hints else None

    def crash(self, dump=None, headers=None):
        """Sends, waits until it is processed and its hint noted; the id and the reply's hint."""
        sent = self.send(dump, headers)
        self.stack.wait_processed(sent[0])
        for _ in range(200):
            if self.stack.query("select 1 from hint_fault where crash_id = %s union all "
                                "select 1 from hint_crash where crash_id = %s", *sent[:1] * 2):
                return sent
            self.stack.query("select pg_sleep(0.02)")
        raise AssertionError(f"nothing was noted of {sent[0]}")

    def poll(self, crash_id):
        return requests.get(f"{self.stack.url}/submit/hint/{crash_id}", timeout=30)


def rested(stack):
    """The period since the last hint is over."""
    stack.query("update hint_client set told = told - interval '8 days'")


def test_a_flipped_bit(stack, hinting):
    """With the next report, once; again only after the period."""
    client = Client(hinting)
    first, hint = client.crash(flipped())
    assert hint is None
    assert stack.processed(first)["possible_bit_flips_max_confidence"] >= 75
    assert client.crash(flipped())[1] == "Try a memory test   now."
    assert client.crash()[1] is None                # told, though another is known by now
    rested(stack)
    assert client.send()[1] == "Try a memory test   now."
    rested(stack)
    assert client.send()[1] is None                 # nothing new
    other = Client(hinting)
    assert other.send()[1] is None


@pytest.mark.parametrize("code,flags,reason", [(7, 4, "SIGBUS / BUS_MCEERR_AR"),
                                               (7, 5, "SIGBUS / BUS_MCEERR_AO")])
def test_a_machine_check(stack, hinting, code, flags, reason):
    client = Client(hinting)
    first, _ = client.crash(broken("crasher", code, flags))
    assert stack.processed(first)["reason"] == reason
    assert client.send()[1]


def test_an_ordinary_crash_tells_nothing(stack, hinting):
    client = Client(hinting)
    first, _ = client.crash()
    assert client.send()[1] is None
    r = client.poll(first)
    assert (r.status_code, r.text) == (204, "")


def test_unrelated_places(stack, hinting):
    """Three signatures in three modules; the same crash three times is no sign."""
    same = Client(hinting)
    for _ in range(3):
        same.crash()
    assert same.send()[1] is None
    client = Client(hinting)
    ids = [client.crash((DUMPS / f"{n}.dmp").read_bytes())[0]
           for n in ("crasher", "crasher_cpp", "crasher_abort")]
    hint = client.send()[1]
    assert hint and "unrelated" in hint
    for crash_id in ids:                            # of the client, not of these crashes
        assert client.poll(crash_id).status_code == 204
    old = Client(hinting)
    for n in ("crasher", "crasher_cpp"):
        old.crash((DUMPS / f"{n}.dmp").read_bytes())
    stack.query("update hint_fault set at = at - interval '15 days'")
    old.crash((DUMPS / "crasher_abort.dmp").read_bytes())
    assert old.send()[1] is None                    # the others are too long ago


def test_fixed(stack, hinting):
    client = Client(hinting, ProductName="Fixable")
    first, _ = client.crash()
    signature = stack.processed(first)["signature"]
    assert client.poll(first).status_code == 204
    stack.salvage("hint", "fixed", "add", signature, "1.0.1", "-p", "Fixable")
    second, hint = client.crash()
    assert hint is None
    assert client.send()[1] == "This crash is fixed in version 1.0.1."
    third, _ = Client(hinting, ProductName="Fixable", TelemetryClientId=None).crash()
    assert client.poll(third).text == "Hint=This crash is fixed in version 1.0.1.\n"
    newer = Client(hinting, ProductName="Fixable", Version="1.0.1")
    assert newer.poll(newer.crash()[0]).status_code == 204
    elsewhere = Client(hinting)
    assert elsewhere.poll(elsewhere.crash()[0]).status_code == 204
    out = stack.salvage("hint", "fixed", "list").stdout.splitlines()
    assert out == ["product\tsignature\tversion\ttext", f"Fixable\t{signature}\t1.0.1\t"]
    stack.salvage("hint", "fixed", "add", signature, "1.0.1", "-p", "Fixable", "-t",
                  "Get {version}\nor = newer")
    texted = Client(hinting, ProductName="Fixable")
    assert texted.poll(texted.crash()[0]).text == "Hint=Get 1.0.1 or   newer\n"
    stack.salvage("hint", "fixed", "remove", signature, "-p", "Fixable")
    gone = Client(hinting, ProductName="Fixable")
    assert gone.poll(gone.crash()[0]).status_code == 204
    assert stack.salvage("hint", "fixed", "remove", signature, check=False).returncode == 1
    for args in ([], ["fixed"], ["fixed", "add", "x"], ["fixed", "list", "x"], ["x", "y"]):
        assert stack.salvage("hint", *args, check=False).returncode == 2


def test_polling(stack, hinting):
    """The crash id is the key; asking again answers again; a client is told once a period."""
    client = Client(hinting)
    first, _ = client.crash(flipped())
    for crash_id in (first, "bp-" + first, first):
        r = client.poll(crash_id)
        assert (r.status_code, r.text) == (200, "Hint=Try a memory test   now.\n")
        assert r.headers["Cache-Control"] == "no-store"
    assert client.send()[1] is None                 # told already
    second, _ = client.crash(flipped())
    assert client.poll(second).status_code == 204   # not twice a period
    unknown = ("0" if first[0] != "0" else "1") + first[1:]
    r = client.poll(unknown)
    assert (r.status_code, r.text) == (204, "")
    for bad in ("x", first[:-1], first + "0", first.upper() + "-"):
        assert client.poll(bad).status_code == 400
    r = requests.post(f"{stack.url}/submit/hint/{first}", timeout=30)
    assert r.status_code == 405 and "GET" in r.headers["Allow"]
    assert requests.get(f"{stack.url}/submit/hint/{first}/x", timeout=30).status_code == 404


def test_who_may_be_told(stack, hinting):
    """Only those who read lines; never those who keep the body as the id of the report."""
    def told(headers=FIREFOX, **annotations):
        client = Client(hinting, **annotations)
        client.crash(flipped(), headers)
        return client.send(None, headers)[1] is not None
    assert told()
    assert told({"User-Agent": "x"})                                     # SubmittedFrom
    assert told(SubmittedFrom=None)                                      # crashreporter/
    assert not told({"User-Agent": "x"}, SubmittedFrom=None)
    assert not told(guid=str(uuid.uuid4()))
    assert not told({"User-Agent": "Crashpad/0.8.0 libcurl"})
    assert not told(_productName="App")
    assert not told(TelemetryClientId="00000000-0000-0000-0000-000000000000")
    assert not told(TelemetryClientId="c0ffeec0-ffee-c0ff-eec0-ffeec0ffeec0")
    assert told(TelemetryClientId=None, ClientID="{" + str(uuid.uuid4()).upper() + "}")


def test_always_and_styles(stack, hinting):
    stack.httpd_conf('<Location "/submit">\nCrashHints always\nCrashHintClient Install\n'
                     '</Location>\n')
    client = Client(hinting, Install="my-install-0001", SubmittedFrom=None)
    client.crash(flipped(), {"User-Agent": "x"})
    assert client.send(None, {"User-Agent": "x"})[1]
    crashpad = Client(hinting, Install="my-install-0002")
    crashpad.crash(flipped(), {"User-Agent": "Crashpad/0.8.0"})
    assert crashpad.send(None, {"User-Agent": "Crashpad/0.8.0"})[1] is None
    client = Client(hinting, Install="my-install-0003")
    client.crash(flipped())
    stack.httpd_conf('<Location "/submit">\nCrashHints always\nCrashReplyStyle id\n'
                     'CrashHintClient Install\n</Location>\n')
    parts = {n: (None, v) for n, v in client.annotations.items()}
    r = requests.post(stack.url + "/submit", files=parts, headers=FIREFOX, timeout=30)
    assert re.fullmatch("[0-9a-f-]{36}", r.text)


def test_off_is_off(stack, hinting):
    """Without the directive: no line, no poll, and nothing about the client in the raw crash."""
    client = Client(hinting)
    first, _ = client.crash(flipped())
    stack.httpd_conf("")
    plain, hint = client.send()
    assert hint is None and client.poll(first).status_code == 404

    def raw(crash_id):
        return requests.get(stack.url + "/api/RawCrash/", params={"crash_id": crash_id},
                            headers={"Auth-Token": stack.api_token}, timeout=30).json()
    assert "client" not in raw(plain)["metadata"]
    assert re.fullmatch("[0-9a-f]{64}", raw(first)["metadata"]["client"])


def test_nothing_in_the_clear(stack, hinting):
    """The client's id is nowhere: not in the store, not in the database, not in the log."""
    client = Client(hinting)
    name = client.annotations["TelemetryClientId"]
    first, _ = client.crash(flipped())
    client.send()
    client.poll(first)
    assert client.stack.query("select count(*) from hint_fault where client like %s",
                              "%" + name + "%")[0][0] == 0
    document = stack.processed(first)
    assert name not in json.dumps(document)
    for log in (stack.dir / "logs").iterdir():
        assert name not in log.read_text(errors="replace"), log
    public = requests.get(stack.url + "/api/ProcessedCrash/", params={"crash_id": first},
                          timeout=30).json()
    assert "collector_metadata" not in public
    public = requests.get(stack.url + "/api/RawCrash/", params={"crash_id": first},
                          timeout=30).json()
    assert "metadata" not in public or "client" not in public["metadata"]


def test_without_a_database(stack, hinting):
    """A report is taken all the same, without a hint; a poll is told to come again."""
    stack.error_log.expect("SAL1055|dbd|DBD|database|SAL9|SAL1051")
    client = Client(hinting)
    first, _ = client.crash(flipped())
    stack.stop("postgres")
    try:
        assert client.send()[1] is None
        assert client.poll(first).status_code == 503
    finally:
        stack.start("postgres")
