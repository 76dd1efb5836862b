"""Rate limits of the API: who shares a count, what is said, when it ends, and that children share."""
import concurrent.futures
import time

import pytest
import requests

from people import person, token

LIMITS = "CrashStatsApiRate 5/min 8/min\n"


@pytest.fixture(autouse=True, scope="module")
def limited(instance):
    """Each client has an address of its own, as behind a proxy that is trusted."""
    instance.shared_conf(LIMITS + "LoadModule remoteip_module /usr/lib/apache2/modules/mod_remoteip.so\n"
                         "RemoteIPHeader X-Client\nRemoteIPInternalProxy 127.0.0.1\n")
    yield
    instance.shared_conf("")


class Client:
    last = 0

    def __init__(self, stack, auth=None, ip=None):
        Client.last += 1
        self.stack, self.ip = stack, ip or f"198.51.100.{Client.last}"
        self.headers = {"Auth-Token": auth} if auth else {}

    def call(self, name="NoOp", method="GET", **headers):
        return requests.request(method, f"{self.stack.url}/api/{name}/", timeout=30,
                                params={"product": "x", "crash_id": "x"},
                                headers={"X-Client": self.ip, **self.headers, **headers})

    def use_up(self, n, name="NoOp", **kw):
        """n calls, begun so that they fall into one window whatever it is."""
        for _ in range(3):
            if all(self.call(name, **kw).status_code != 429 for _ in range(n)) and \
                    self.call(name, **kw).status_code == 429:
                return
            time.sleep(1)         # a window ended in between
            self.ip = Client(self.stack).ip
        raise AssertionError("never limited")


def test_limits_and_words(stack):
    one = Client(stack)
    one.use_up(5)
    r = one.call()
    assert (r.status_code, r.text, r.headers["Content-Type"]) == (
        429, "Too Many Requests", "text/plain")
    assert 1 <= int(r.headers["Retry-After"]) <= 60
    # who reads pages gets one; a script of a page does not
    page = "text/html,application/xhtml+xml,*/*;q=0.8"
    r = one.call(Accept=page)
    assert r.status_code == 429 and "<h1" in r.text and r.headers["Retry-After"]
    assert r.headers["Content-Type"].startswith("text/html")
    r = one.call(Accept=page, **{"X-Requested-With": "XMLHttpRequest"})
    assert (r.status_code, r.text) == (429, "Too Many Requests")
    # every endpoint without a bucket of its own, whatever else would be wrong, but no unknown name
    for name in ("SuperSearch", "RawCrash", "Reprocessing", "SuperSearchUnredacted"):
        assert one.call(name).status_code == 429, name
    assert one.call("NoOp", "POST").status_code == 429
    assert one.call("NoOp", "PUT").status_code == 429
    assert one.call("Nobody").status_code == 404
    assert one.call("NoOp", "OPTIONS").status_code == 200
    assert Client(stack).call().status_code == 200


def test_own_buckets(stack):
    for name, method in (("CrashVerify", "GET"), ("MissingProcessedCrash", "GET"),
                         ("CrashSignature", "POST")):
        one = Client(stack)
        one.use_up(5, name, method=method)
        r = one.call(name, method)
        assert (r.status_code, r.json()) == (429, {"detail": "Request was throttled."}), name
        assert r.headers["Retry-After"] and one.call().status_code == 200


def test_who_is_known_has_a_count_of_their_own(stack):
    one = Client(stack)
    one.use_up(5)
    known = Client(stack, token(stack, "api-limits@example.com", "view_pii"), one.ip)
    assert known.call().status_code == 200
    known.use_up(8)
    assert known.call().status_code == 429
    # the session of another person from the same address counts as the same client
    who = person(stack, "limited")
    r = requests.get(stack.url + "/api/NoOp/?product=x", auth=(who.name, who.password), timeout=30,
                     headers={"X-Client": known.ip})
    assert r.status_code == 429


def test_an_ipv6_host_is_its_network(stack):
    one = Client(stack, ip="2001:db8:1:2::1")
    one.use_up(5)
    net = one.ip.rpartition(":")[0] if "." not in one.ip else None
    if net:
        assert Client(stack, ip=net + ":abcd").call().status_code == 429
        assert Client(stack, ip="2001:db8:1:3::1").call().status_code == 200


def test_children_share_the_counts(stack):
    """Each connection may land in another child; together they let exactly five pass."""
    for _ in range(3):
        one = Client(stack)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            got = list(pool.map(lambda _: one.call(Connection="close").status_code, range(64)))
        assert set(got) <= {200, 429}
        if got.count(200) == 5:
            break                 # else a window ended in between
    assert got.count(200) == 5
    assert len(stack.children("httpd")) > 1


def test_forged_headers_change_nothing(stack):
    one = Client(stack)
    one.use_up(5)
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"):
        assert one.call(**{name: "203.0.113.9"}).status_code == 429, name


def test_the_page_counts_its_calls(stack):
    one = Client(stack)
    one.use_up(5)
    r = requests.get(stack.url + "/api/?call=NoOp&product=x", headers={"X-Client": one.ip},
                     timeout=30)
    assert r.status_code == 200 and "429" in r.text and r.headers["Retry-After"]
    assert "5 requests a minute" in r.text


def test_health_is_never_limited(stack):
    one = Client(stack)
    one.use_up(5)
    for _ in range(3):
        r = requests.get(stack.url + "/__lbheartbeat__", headers={"X-Client": one.ip}, timeout=30)
        assert r.status_code == 200


def test_configuration(stack):
    for good in ("100/min 1000/min", "100 1000", "100/m", "off", "off 10/min"):
        for name in ("CrashStatsApiRate", "CrashStatsSearchRate"):
            assert stack.judge_conf(f"{name} {good}")[0], good
    for bad in ("", "0", "-1", "x", "10/s", "10/min 0", "1 2 3"):
        accepted, words = stack.judge_conf(f"CrashStatsApiRate {bad}")
        assert not accepted and "CrashStatsApiRate" in words, bad
    stack.httpd_conf("CrashStatsApiRate off\n")
    assert all(Client(stack, ip="127.0.0.1").call().status_code == 200 for _ in range(150))
