"""Crashes of a made-up product for the signature report, all different enough to count by.

`main` is a signature with 120 crashes of the last 20 days and 30 of the 28 before; `rare` has one,
`others` have 80 together. Values go round with the number, so what is expected can be counted in
plain Python over `documents`.
"""
import datetime
import uuid

from search_loader import SearchLoader

PRODUCT = "Signature Works"
CANARY = "\"'><script>canary()</script><img src=x onerror=canary()>{{{x}}}"
MAIN = "sigworks::Cache::Evict | sigworks::Cache::Trim"
RARE = "sigworks::Rare " + CANARY
OTHERS = ["sigworks::Draw", "sigworks::Load"]

STACKS = ["sigworks::Cache::Evict | sigworks::Cache::Trim | sigworks::Loop::Run | main",
          "sigworks::Cache::Evict | sigworks::Cache::Trim | sigworks::Idle::Run | main",
          "sigworks::Cache::Evict | sigworks::Cache::Trim | unknown.so@0x1234"]
VERSIONS = ["1.0", "1.0", "1.0", "1.1b2", "1.1b2", "2.0"]
SYSTEMS = [("Windows NT", "Windows 10"), ("Windows NT", "Windows 10"), ("Linux", "Linux"),
           ("Mac OS X", "macOS 14")]
UPTIMES = [5, 59, 60, 299, 300, 899, 900, 3599, 3600, 100000]


def midnight():
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def crash_id(i, signature, when):
    """The same at each loading: the crashes take their own place."""
    made = uuid.uuid5(uuid.NAMESPACE_OID, f"{i} {signature} {when}")
    return f"{str(made)[:-7]}0{when:%y%m%d}"


def document(i, signature, when, **more):
    name, pretty = SYSTEMS[i % len(SYSTEMS)]
    doc = {
        "uuid": crash_id(i, signature, when), "date_processed": when.isoformat(), "product": PRODUCT,
        "signature": signature, "version": VERSIONS[i % len(VERSIONS)],
        "release_channel": "beta" if "b" in VERSIONS[i % len(VERSIONS)] else "release",
        "os_name": name, "os_pretty_version": pretty, "cpu_arch": "amd64" if i % 5 else "arm64",
        "process_type": "parent" if i % 10 else "plugin", "uptime": UPTIMES[i % len(UPTIMES)],
        "install_time": 1700000000 + i % 25, "build": 20261001000000 + i % 3,
        "reason": "SIGSEGV / SEGV_MAPERR" if i % 3 else "EXCEPTION_ACCESS_VIOLATION_READ",
        "address": "0x0000000000000018" if i % 4 else "0xe5e5e5e5e5e5e5e5",
        "proto_signature": STACKS[0] if i % 8 < 5 else STACKS[1] if i % 8 < 7 else STACKS[2],
        "startup_crash": i % 12 == 0,
        "adapter_vendor_id": "0x10de" if i % 2 else "0x1002",
        "adapter_device_id": "0x1c03" if i % 2 else "0x67df",
    }
    if i % 30 == 7:
        doc.update(android_cpu_abi="arm64-v8a", android_manufacturer="Google",
                   android_model="Pixel 8", android_version="34")
    if i % 20 == 3:
        doc.update(user_comments=f"comment {i} {CANARY}", useragent_locale="de-DE")
    doc.update(more)
    return doc


class SignatureData:
    def __init__(self, stack):
        day = datetime.timedelta(days=1)
        base = midnight() + datetime.timedelta(seconds=1)
        self.main = [document(i, MAIN, base - (i % 20) * day) for i in range(120)]
        self.before = [document(i, MAIN, base - (30 + i % 20) * day) for i in range(30)]
        self.rare = [document(0, RARE, base, version=CANARY, reason=CANARY, os_pretty_version=CANARY,
                              proto_signature=f"{CANARY} | main", adapter_vendor_id=CANARY,
                              android_cpu_abi=CANARY, user_comments=CANARY, build=None)]
        self.others = [document(i, OTHERS[i % 2], base - (i % 15) * day) for i in range(80)]
        self.documents = self.main + self.before + self.rare + self.others
        SearchLoader(stack).index(self.documents)
