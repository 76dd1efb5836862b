"""Alerts: what they tell and when, twice, late, killed, by whom, and how it arrives."""
import datetime
import email
import email.policy
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
import requests
from people import admin, person
from search_loader import SearchLoader, crash_id

HOOK = "find-alerts"
HOUR = 3600


def now():
    return datetime.datetime.now(datetime.timezone.utc)


@pytest.fixture
def hook(stack):
    """A web hook that is configured; nobody sends to it unless a test does."""
    stack.query("insert into outbox_destination (kind, name) values (2, %s) "
                "on conflict (kind, name) do update set active = true", HOOK)
    yield HOOK
    stack.query("delete from saved_search where name like 'al-%%'")
    stack.query("delete from outbox where kind = 2 and destination = %s", HOOK)
    stack.query("delete from outbox_parcel where kind = 2 and destination = %s", HOOK)
    stack.query("delete from outbox_destination where kind = 2 and name = %s", HOOK)


class Alerts:
    """One person's alerts on a product of their own."""

    def __init__(self, stack, name, *groups):
        self.stack, self.product = stack, f"FindAlert{os.urandom(4).hex()}"
        self.who = person(stack, name, *groups)
        self.loader = SearchLoader(stack)
        self.crashes(1, age=90 * 24 * HOUR)                 # so that the product is known

    def csrf(self):
        return re.search(r'name="csrf" value="([^"]*)"', self.who.get("/search/").text).group(1)

    def save(self, query=None, name=None):
        name = name or "al-" + os.urandom(4).hex()
        r = self.who.request("POST", "/search/saved/", data={
            "csrf": self.csrf(), "name": name, "query": query or f"product={self.product}"})
        assert r.status_code == 303, r.text
        rows = self.stack.query("select key from saved_search where name = %s", name)
        return rows[0][0]

    def make(self, kind="count", threshold="3", key=None, **more):
        fields = {"csrf": self.csrf(), "search": key or self.save(), "name": f"al {kind}",
                  "kind": kind, "threshold": threshold, "minimum": "5", "span": "2",
                  "span_unit": "3600", "quiet": "1", "quiet_unit": "3600", "way": "hook",
                  "hook": HOOK, **more}
        r = self.who.request("POST", "/alerts/", data=fields)
        assert r.status_code == 303, re.findall(r'role="alert">.*', r.text) or r.text
        return int(re.search(r"/alerts/(\d+)/$", r.headers["Location"]).group(1))

    def crashes(self, n, age=60, signature="s", **more):
        """n crashes of each age."""
        documents = []
        for each in age if isinstance(age, list) else [age]:
            at = now() - datetime.timedelta(seconds=each)
            documents += [{"uuid": crash_id(at), "date_processed": at.isoformat(), "version": "1",
                           "product": self.product, "signature": signature, **more}
                          for _ in range(n)]
        self.loader.index(documents)

    def run(self):
        return self.stack.salvage("alerts", "run").stdout

    def told(self, alert):
        """Bodies, the oldest first; each is in the outbox as it is."""
        rows = self.stack.query("select id, body, state, test from alert_event where alert = %s "
                                "order by id", alert)
        for id_, body, state, _ in rows:
            sent = self.stack.query("select body from outbox where subject = %s", f"alert-{id_}")
            assert sent == [(body,)] and state == 1 and body["event"] == id_
        return [row[1] for row in rows]

    def later(self, alert, seconds):
        """As if everything it did had been so long ago."""
        self.stack.query("update alert set last_alarm = last_alarm - %s * interval '1 s' "
                         "where id = %s", seconds, alert)


@pytest.fixture
def alerts(stack, hook):
    return Alerts(stack, "alert-anna")


# ---- kinds ----

def test_count(alerts):
    id_ = alerts.make("count", "3")
    alerts.crashes(2)
    alerts.crashes(5, age=3 * HOUR)                         # before the two hours
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(1, signature="t")
    alerts.run()
    body, = alerts.told(id_)
    assert (body["type"], body["version"], body["test"]) == ("salvage.alert", 1, False)
    assert body["value"] == 3 and body["threshold"] == 3 and body["span"]["seconds"] == 2 * HOUR
    assert body["alert"]["condition"] == "3 crashes within 2 hours" and body["alert"]["id"] == id_
    assert body["signatures"] == [{"signature": "s", "count": 2}, {"signature": "t", "count": 1}]
    alerts.run()                                            # quiet
    assert len(alerts.told(id_)) == 1
    alerts.later(id_, HOUR)
    alerts.run()                                            # still true
    assert len(alerts.told(id_)) == 2


def test_rate(alerts):
    id_ = alerts.make("rate", "2.5")
    alerts.crashes(4)
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(1)
    alerts.run()
    assert [b["value"] for b in alerts.told(id_)] == [2.5]


def test_nth(alerts, stack):
    alerts.crashes(7, age=HOUR)                             # before it was made: do not count
    id_ = alerts.make("nth", "3")
    stack.query("update alert set mark = now() - interval '10 min' where id = %s", id_)
    values = []
    for n in (2, 1, 1, 5, 0):                               # 2, 3!, 4, 9!, 9
        if n:
            alerts.crashes(n, age=60)
        alerts.run()
        alerts.later(id_, HOUR)
        values.append([b["value"] for b in alerts.told(id_)])
    assert values == [[], [3], [3], [3, 9], [3, 9]]


def test_nth_counts_on_when_the_mark_moves(alerts, stack):
    """What is older than a day is counted once, for good."""
    id_ = alerts.make("nth", "4")
    stack.query("update alert set mark = now() - interval '3 days' where id = %s", id_)
    alerts.crashes(3, age=36 * HOUR)
    alerts.run()
    assert alerts.told(id_) == []
    mark, counted = stack.query("select mark, counted from alert where id = %s", id_)[0]
    assert counted == 3 and datetime.timedelta(hours=23) < now() - mark < datetime.timedelta(hours=25)
    alerts.run()
    assert stack.query("select counted from alert where id = %s", id_) == [(3,)]
    alerts.crashes(1)
    alerts.run()
    assert [b["value"] for b in alerts.told(id_)] == [4]


def test_new_signature(alerts):
    alerts.crashes(2, signature="known")
    alerts.crashes(1, age=20 * 24 * HOUR, signature="of last month")
    id_ = alerts.make("new", "2")
    alerts.run()                                            # learns
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(2, signature="of last month")
    alerts.crashes(1, signature="seldom")
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(2, signature="fresh")
    alerts.run()
    body, = alerts.told(id_)
    assert body["signatures"] == [{"signature": "fresh", "count": 2}] and body["value"] == 1
    alerts.crashes(1, signature="seldom")                   # comes up while it is quiet
    alerts.crashes(3, signature="another")
    alerts.run()
    assert len(alerts.told(id_)) == 1
    alerts.later(id_, HOUR)
    alerts.run()
    assert alerts.told(id_)[1]["signatures"] == [{"signature": "another", "count": 3},
                                                 {"signature": "seldom", "count": 2}]
    alerts.later(id_, HOUR)
    alerts.run()
    assert len(alerts.told(id_)) == 2                       # each once


def test_spike(alerts, stack):
    id_ = alerts.make("spike", "3", minimum="5")
    alerts.crashes(2, age=[day * 24 * HOUR + 60 for day in range(1, 15)])
    alerts.crashes(6)                                       # 3 times, not more
    alerts.run()
    assert alerts.told(id_) == []
    assert stack.query("select value, usual from alert where id = %s", id_) == [(6, 2)]
    alerts.crashes(1)
    alerts.run()
    body, = alerts.told(id_)
    assert body["value"] == 7 and body["usual"] == 2


def test_spike_without_history(alerts):
    id_ = alerts.make("spike", "3", minimum="5")
    alerts.crashes(4)
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(1)
    alerts.run()
    assert [b["usual"] for b in alerts.told(id_)] == [0]


def test_conditions_of_the_search_hold(alerts):
    """Its dates and columns do not."""
    key = alerts.save(f"product={alerts.product}&signature=%21%7Ea&signature=%21%7Eb&_neg=and"
                      "&date=%3C2020-01-01&_columns=uptime&_sort=uptime&_range=6m")
    id_ = alerts.make("count", "1", key=key)
    alerts.crashes(1, signature="a")
    alerts.crashes(1, signature="b")
    alerts.run()
    assert alerts.told(id_) == []
    alerts.crashes(1, signature="c")
    alerts.run()
    assert [b["value"] for b in alerts.told(id_)] == [1]


# ---- twice, killed ----

def test_two_runs_at_once_tell_once(alerts, stack):
    ids = [alerts.make("count", "1"), alerts.make("nth", "1"), alerts.make("new", "1")]
    stack.query("update alert set mark = now() - interval '10 min' where id = %s", ids[1])
    alerts.run()
    alerts.crashes(2, signature="x")
    env = dict(os.environ, SALVAGE_CONF=stack.conf)
    runs = [subprocess.Popen([stack.env["SALVAGE_BIN"], "alerts", "run"], env=env,
                             stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [r.wait(60) for r in runs] == [0] * 4
    assert [len(alerts.told(id_)) for id_ in ids] == [1, 1, 1]


def test_killed_before_it_has_told(alerts, stack):
    """The alert's row is held, so the run stops in its transaction; killed there it has told nothing."""
    id_ = alerts.make("count", "1")
    alerts.crashes(1)
    with stack.conn() as c:
        c.autocommit = False
        with c.cursor() as cur:
            cur.execute("select 1 from alert where id = %s for update", (id_,))
            run = subprocess.Popen([stack.env["SALVAGE_BIN"], "alerts", "run"],
                                   env=dict(os.environ, SALVAGE_CONF=stack.conf))
            end = time.monotonic() + 20
            while time.monotonic() < end and not stack.query(
                    "select 1 from pg_stat_activity where wait_event_type = 'Lock' "
                    "and state = 'active'"):
                time.sleep(0.05)
            run.send_signal(signal.SIGKILL)
            run.wait()
        c.rollback()
    assert alerts.told(id_) == []
    alerts.run()
    assert len(alerts.told(id_)) == 1


def test_the_job_runs_it(alerts, stack):
    id_ = alerts.make("count", "1")
    alerts.crashes(1)
    stack.salvage("jobs", "run", "alerts")
    assert len(alerts.told(id_)) == 1
    assert stack.query("select note from cron_log where app_name = 'alerts' order by id desc limit 1")


# ---- rights ----

def test_protected_searches(stack, hook):
    """Asked with the rights that the owner has now; never with conditions left out."""
    mine = Alerts(stack, "alert-carla", "Hackers")
    key = mine.save(f"product={mine.product}&user_comments=%7Eneedle")
    id_ = mine.make("count", "1", key=key)
    mine.crashes(3, user_comments="hay")
    mine.run()
    assert mine.told(id_) == []
    stack.salvage("grant", "remove", "alert-carla", "Hackers")
    mine.crashes(1, user_comments="a needle")
    mine.run()
    assert mine.told(id_) == []
    assert "protected" in stack.query("select error from alert where id = %s", id_)[0][0]
    stack.salvage("grant", "add", "alert-carla", "Hackers")
    mine.run()
    body, = mine.told(id_)
    assert body["value"] == 1 and "needle" not in json.dumps(body)
    stack.query("update users set active = false where name = 'alert-carla'")
    mine.later(id_, HOUR)
    mine.run()
    assert "not active" in stack.query("select error from alert where id = %s", id_)[0][0]
    stack.query("update users set active = true where name = 'alert-carla'")


def test_pages_belong_to_their_owner(alerts, stack):
    id_ = alerts.make("count", "1")
    ben = person(stack, "alert-ben")
    page = alerts.who.get("/alerts/").text
    assert "1 crash within 2 hours" in page and f"/alerts/{id_}/" in page
    assert f"/alerts/{id_}/" not in ben.get("/alerts/").text
    assert ben.get(f"/alerts/{id_}/").status_code == 404
    csrf = re.search(r'name="csrf" value="([^"]*)"', ben.get("/search/").text).group(1)
    for action in ("pause", "test", "delete"):
        r = ben.request("POST", f"/alerts/{id_}/", data={"csrf": csrf, "action": action})
        assert r.status_code == 404, action
    boss = admin(stack)
    assert "alert-anna" in boss.get(f"/alerts/{id_}/").text
    r = requests.get(stack.url + "/alerts/", headers={"Accept": "text/html"}, timeout=30,
                     allow_redirects=False)
    assert r.status_code == 302 and "/login/" in r.headers["Location"]
    assert requests.get(stack.url + "/alerts/", timeout=30).status_code == 403


def test_pause_test_delete(alerts, stack):
    id_ = alerts.make("count", "1")
    alerts.crashes(2)
    csrf = alerts.csrf()

    def act(action, **more):
        return alerts.who.request("POST", f"/alerts/{id_}/",
                                  data={"csrf": csrf, "action": action, **more})

    assert act("pause").status_code == 303
    alerts.run()
    assert alerts.told(id_) == []
    assert act("test").status_code == 303
    body, = alerts.told(id_)
    assert body["test"] is True and body["value"] == 2
    assert act("resume").status_code == 303
    alerts.run()                                            # the test was no alarm
    assert [b["test"] for b in alerts.told(id_)] == [True, False]
    page = alerts.who.get(f"/alerts/{id_}/").text
    assert page.count("<summary>JSON</summary>") == 2 and "handed over" in page
    assert act("explode").status_code == 400
    assert act("delete", csrf="x").status_code == 403
    assert act("delete").status_code == 303
    assert alerts.who.get(f"/alerts/{id_}/").status_code == 404
    assert stack.query("select count(*) from alert_event where alert = %s", id_) == [(0,)]


MISTAKES = [
    ({"name": ""}, "A name has"), ({"kind": "whim"}, "no such kind"),
    ({"threshold": "many"}, "must be a number"), ({"threshold": "0"}, "above 0"),
    ({"threshold": "-1"}, "above 0"), ({"threshold": "nan"}, "above 0"),
    ({"threshold": "1.5"}, "whole number"), ({"kind": "spike", "threshold": "1"}, "more than 1 times"),
    ({"span": "1", "span_unit": "60"}, "5 minutes to 30 days"),
    ({"span": "31", "span_unit": "86400"}, "5 minutes to 30 days"),
    ({"quiet": "0"}, "quiet time"), ({"span": "x"}, "5 minutes to 30 days"),
    ({"search": "0123"}, "no such saved search"), ({"hook": "nowhere"}, "No web hook"),
    ({"way": "mail", "mail": "a@example.com"}, "alert-mail-command")]


def test_mistakes_are_named(alerts):
    good = {"csrf": alerts.csrf(), "search": alerts.save(), "name": "al <i>", "kind": "count",
            "threshold": "3", "minimum": "5", "span": "2", "span_unit": "3600", "quiet": "1",
            "quiet_unit": "3600", "way": "hook", "hook": HOOK}
    for wrong, says in MISTAKES:
        r = alerts.who.request("POST", "/alerts/", data={**good, **wrong})
        assert r.status_code == 400 and says in r.text, wrong
        if "name" not in wrong:                             # what was typed is still there
            assert 'value="al &lt;i&gt;"' in r.text
    assert alerts.who.request("POST", "/alerts/", data={**good, "csrf": ""}).status_code == 403


def test_somebody_elses_search(alerts, stack):
    ben = Alerts(stack, "alert-ben")
    key = ben.save()
    with pytest.raises(AssertionError, match="no such saved search"):
        alerts.make("count", "1", key=key)


# ---- arriving ----

class Receiver(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_web_hook_arrives_signed(alerts, stack, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Receiver.seen.clear()
    secret = tmp_path / "secret"
    secret.write_text("of the hook\n")
    conf = tmp_path / "salvage.conf"
    conf.write_text(pathlib.Path(stack.conf).read_text()
                    + f"\nwebhook {HOOK} http://127.0.0.1:{server.server_port}/ secret-file={secret}\n"
                    "public-url https://crash.example.com/\n")
    id_ = alerts.make("count", "1")
    alerts.crashes(1)
    stack.salvage("alerts", "run", "-c", conf)
    stack.salvage("export", "run", "-c", conf)
    server.shutdown()
    (headers, body), = Receiver.seen
    assert json.loads(body) == alerts.told(id_)[0]
    mac = hmac.new(b"of the hook", body, hashlib.sha256).hexdigest()
    assert headers["X-Salvage-Signature"] == "sha256=" + mac and headers["X-Salvage-Delivery"]
    links = json.loads(body)
    assert links["alert"]["link"] == f"https://crash.example.com/alerts/{id_}/"
    assert re.fullmatch(r"https://crash.example.com/search/saved/[0-9a-f]+/", links["search"]["link"])


MAILER = """#!/bin/sh
n=$(ls "$1" | wc -l)
cat > "$1/$n.tmp" && mv "$1/$n.tmp" "$1/$n.mail"
printf '%s\\n' "$@" > "$1/$n.args"
"""


class Mail:
    """A command that takes mails, and settings that name it."""

    def __init__(self, stack, folder, script=MAILER, more=""):
        self.folder = folder / "mails"
        self.folder.mkdir()
        command = folder / "mailer"
        command.write_text(script)
        command.chmod(0o755)
        self.conf = folder / "salvage.conf"
        self.conf.write_text(pathlib.Path(stack.conf).read_text() + f"\nalert-mail-command {command} "
                             f"{self.folder} -x $(touch\n{more}\n")

    def mails(self):
        files = sorted(self.folder.glob("*.mail"))
        return [email.message_from_bytes(f.read_bytes(), policy=email.policy.default) for f in files]


def mail_alert(alerts, stack, name, address="oncall@example.com", key=None):
    """Pages offer mail where httpd's settings have the command; here the row is made so."""
    id_ = alerts.make("count", "1", key=key)
    stack.query("update alert set way = 1, target = %s, name = %s where id = %s", address, name, id_)
    return id_


def test_mail(alerts, stack, tmp_path):
    mail = Mail(stack, tmp_path, more="alert-mail-from crash@example.com\npublic-url https://c.example")
    name = "Zähler\r\nBcc: evil@example.com\n.\n\nbody" + "x" * 90
    id_ = mail_alert(alerts, stack, name)
    alerts.crashes(1, signature="sig\nBcc: evil@example.com")
    stack.salvage("alerts", "run", "-c", mail.conf)
    stack.salvage("alerts", "run", "-c", mail.conf)
    message, = mail.mails()
    assert message["To"] == "oncall@example.com" and message["Bcc"] is None
    assert message["From"] == "Salvage <crash@example.com>" and message["Auto-Submitted"]
    assert message["Subject"] == ("[Salvage] " + re.sub(r"[\r\n]", " ", name)
                                  + ": 1 crash within 2 hours")
    event = stack.query("select id, state, attempts from alert_event where alert = %s", id_)[0]
    assert event[1:] == (1, 1) and message["Message-ID"] == f"<alert-{event[0]}@example.com>"
    text = message.get_content()
    assert f"https://c.example/alerts/{id_}/" in text and "sig Bcc: evil@example.com" in text
    assert "\nBcc:" not in text and "1 crash within 2 hours" in text
    args = (mail.folder / "0.args").read_text().splitlines()
    assert args[1:] == ["-x", "$(touch"]                    # words, no shell


def test_mail_that_is_refused(alerts, stack, tmp_path):
    stack.error_log.expect("SAL9302")
    mail = Mail(stack, tmp_path, "#!/bin/sh\ncat >/dev/null\necho 'no such mailbox' >&2\nexit 75\n")
    id_ = mail_alert(alerts, stack, "al refused")
    alerts.crashes(1)
    for attempt in range(1, 6):
        stack.salvage("alerts", "run", "-c", mail.conf)
        state, attempts, error = stack.query("select state, attempts, error from alert_event "
                                             "where alert = %s", id_)[0]
        assert attempts == attempt and state == (2 if attempt == 5 else 0)
        assert "status 75: no such mailbox" in error
        stack.salvage("alerts", "run", "-c", mail.conf)     # it has to wait
        assert stack.query("select attempts from alert_event where alert = %s", id_) == [(attempt,)]
        stack.query("update alert_event set run_after = now() where alert = %s", id_)
    stack.salvage("alerts", "run", "-c", mail.conf)
    assert stack.query("select attempts from alert_event where alert = %s", id_) == [(5,)]
    assert "no such mailbox" in alerts.who.get(f"/alerts/{id_}/").text


@pytest.mark.parametrize("script,says", [
    ("#!/bin/sh\nexec 0<&-\nexit 0\n", None),                # does not read its input
    ("#!/bin/sh\nkill -9 $$\n", "signal 9"),
    ("#!/nowhere/at/all\n", "status 127")])
def test_commands_that_behave_badly(alerts, stack, tmp_path, script, says):
    stack.error_log.expect("SAL9302")
    mail = Mail(stack, tmp_path, script)
    id_ = mail_alert(alerts, stack, "al bad")
    alerts.crashes(1, signature="s" * 5000)
    stack.salvage("alerts", "run", "-c", mail.conf)
    state, error = stack.query("select state, error from alert_event where alert = %s", id_)[0]
    assert (state, error) == (1, None) if says is None else state == 0 and says in error


ADDRESSES = ["a b@example.com", "a@example.com\nBcc: x@y.z", "-oQ/tmp@example.com", "a@b@c.de", "a", "@b.c",
             "a@", "a,b@example.com", "a@example.com>", "ä@example.com", "a@-x.com", "a" * 250 + "@b.de"]


def test_addresses_that_are_none(alerts, stack, tmp_path):
    stack.error_log.expect("SAL9302")
    mail = Mail(stack, tmp_path)
    key = alerts.save()
    ids = [mail_alert(alerts, stack, "al address", address, key) for address in ADDRESSES]
    alerts.crashes(1)
    stack.salvage("alerts", "run", "-c", mail.conf)
    assert mail.mails() == []
    for id_, address in zip(ids, ADDRESSES):
        error, = stack.query("select error from alert_event where alert = %s", id_)
        assert "no address" in error[0], address


def test_domains_of_mail(alerts, stack, tmp_path):
    stack.error_log.expect("SAL9302")
    mail = Mail(stack, tmp_path, more="alert-mail-domains example.org, example.net")
    for n, address in enumerate(("a@example.com", "a@EXAMPLE.net", "a@sub.example.org")):
        mail_alert(alerts, stack, f"al {n}", address)
    alerts.crashes(1)
    stack.salvage("alerts", "run", "-c", mail.conf)
    assert [m["To"] for m in mail.mails()] == ["a@EXAMPLE.net"]


# ---- the command ----

def test_command(alerts, stack):
    id_ = alerts.make("count", "2")
    out = stack.salvage("alerts", "list").stdout
    row = [line.split("\t") for line in out.splitlines() if line.split("\t")[0] == str(id_)][0]
    assert row[1:] == ["on", "al count", "alert-anna", row[4], "2 crashes within 2 hours",
                       f"hook {HOOK}", "-", "-"]
    stack.salvage("alerts", "pause", id_)
    assert "\tpaused\tal count" in stack.salvage("alerts", "list").stdout
    stack.salvage("alerts", "resume", id_)
    assert stack.salvage("alerts", "test", id_).stdout == f"told {HOOK}\n"
    shown = stack.salvage("alerts", "show", id_).stdout
    assert "\ttest\t" in shown and "handed over" in shown
    stack.salvage("alerts", "delete", id_)
    assert stack.salvage("alerts", "show", id_, check=False).returncode == 1
    for wrong in ([], ["list", "1"], ["pause"], ["pause", "x"], ["explode", "1"], ["pause", "1", "2"]):
        assert stack.salvage("alerts", *wrong, check=False).returncode == 2, wrong
    for gone in ("pause", "resume", "test", "delete"):
        assert stack.salvage("alerts", gone, "999999", check=False).returncode == 1
    assert "usage" in stack.salvage("alerts", "--help").stdout
