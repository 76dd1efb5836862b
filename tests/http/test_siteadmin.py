"""/siteadmin/: who may come there, and what the tables' lists and forms do."""
import re

import pytest
from people import admin, person, token

HTML = {"Accept": "text/html"}
PEOPLE = ["users", "groups", "tokens", "policy-exceptions", "protected-data-users", "protected-access",
          "audit-log"]
TABLES = ["status-messages", "products", "product-versions", "active-versions", "platforms",
          "graphics-devices", "signatures", "bug-associations", "missing-processed", "cron-jobs", "cron-log"]
MORE = ["sitestatus", "supersearch-status"]


@pytest.fixture
def boss(stack):
    return admin(stack)


def page(who, path):
    return who.get("/siteadmin/" + path, headers=HTML)


def change(who, path, **data):
    text = page(who, path.split("/")[0] + "/").text
    csrf = re.search(r'name="csrf" value="(\w+)"', text or "")
    csrf = csrf.group(1) if csrf else who.csrf()
    return who.request("POST", "/siteadmin/" + path, headers=HTML, data=dict(data, csrf=csrf))


def row_id(stack, sql, *args):
    return str(stack.query(sql, *args)[0][0])


def test_who_may(stack, boss):
    staff, plain = person(stack, "stef", "Staff"), person(stack, "pit")
    for name in PEOPLE + TABLES + MORE:
        assert page(boss, name + "/").status_code == 200, name
        assert page(plain, name + "/").status_code == 302, name
        assert page(staff, name + "/").status_code == (200 if name in TABLES else 302), name
        assert boss.request("GET", f"/siteadmin/{name}").status_code in (301, 404)
    assert change(staff, "users/edit/", name="x", active="t").status_code == 403
    assert change(plain, "status-messages/edit/", severity="info", message="x").status_code == 403
    assert page(boss, "nothing/").status_code == 404
    assert "Users" not in re.sub(r"(?s)<header.*?</header>", "", page(staff, "").text)
    for name in PEOPLE + TABLES:
        assert page(boss, name + "/?q=%25%27zz&page=7").status_code == 200


def test_users(stack, boss):
    stack.query("delete from users where name like 'nina@%%' returning 1")
    assert change(boss, "users/edit/", name="nina@example.org", active="t",
                  groups=["Hackers", "Uploaders"]).status_code == 303
    uid = row_id(stack, "select id from users where name = 'nina@example.org'")
    key = token(stack, "nina@example.org", "view_pii", "view_rawdump")
    form = page(boss, f"users/edit/?id={uid}").text
    assert 'value="Hackers" checked' in form and 'value="Staff">' in form
    r = change(boss, "users/edit/", name="NINA@example.org", active="t")
    assert r.status_code == 400 and "already" in r.text
    assert change(boss, "users/edit/", name="a,b", active="t").status_code == 400
    assert change(boss, "users/edit/", id=uid, active="t", groups=["Uploaders"]).status_code == 303
    # what the group gave is taken from the tokens
    assert stack.query("select permissions from api_token where prefix = %s", key[:8]) == [(0,)]
    assert change(boss, "users/edit/", id=uid, groups=["Uploaders"]).status_code == 303
    assert stack.query("select active from users where id = %s", uid) == [(False,)]
    assert change(boss, "users/delete/", id=uid).status_code == 303
    assert stack.query("select count(*) from api_token where prefix = %s", key[:8]) == [(0,)]
    assert change(boss, "users/delete/", id=uid).status_code == 404
    actions = [a for a, in stack.query("select action from audit_log where target in (%s, %s) and "
                                       "actor = %s", "nina@example.org", uid, boss.name)]
    assert {"site.users.add", "site.users.change", "site.users.delete", "group.join",
            "group.leave"} <= set(actions)


def test_nobody_shuts_themselves_out(stack, boss):
    uid = row_id(stack, "select id from users where name = %s", boss.name)
    for data in ({"groups": ["Hackers"], "active": "t"}, {"groups": ["Administrators"]}):
        r = change(boss, "users/edit/", id=uid, **data)
        assert r.status_code == 400 and "themselves" in r.text


def test_groups(stack, boss):
    stack.query("delete from groups where name = 'Testers' returning 1")
    assert change(boss, "groups/edit/", name="Testers", rights=["view_pii", "staff"]).status_code == 303
    gid = row_id(stack, "select id from groups where name = 'Testers' and permissions = 2052")
    person(stack, "gus", "Testers")
    key = token(stack, "gus", "view_pii")

    def held():
        return stack.query("select permissions from api_token where prefix = %s", key[:8])[0][0]
    assert change(boss, "groups/edit/", id=gid, rights=["view_pii"]).status_code == 303
    assert held() == 4
    assert change(boss, "groups/delete/", id=gid).status_code == 303
    assert held() == 0
    assert stack.query("select count(*) from groups where name = 'Testers'") == [(0,)]


def test_tokens(stack, boss):
    key = token(stack, "gus", "view_pii")
    assert key[:8] in page(boss, f"tokens/?q={key[:8]}").text
    tid = row_id(stack, "select id from api_token where prefix = %s", key[:8])
    assert change(boss, "tokens/delete/", id=tid).status_code == 303
    assert stack.query("select revoked is not null from api_token where id = %s", tid) == [(True,)]
    assert change(boss, "tokens/edit/", id=tid, notes="x").status_code == 404


@pytest.mark.parametrize("table,where,first,second,bad", [
    ("status-messages", "status_message where message like 'sa-%%'",
     {"severity": "info", "message": "sa-one", "enabled": "t"},
     {"severity": "critical", "message": "sa-two"},
     [{"severity": "loud", "message": "sa-x"}, {"severity": "info", "message": ""},
      {"severity": "info", "message": "x" * 2001}]),
    ("platforms", "platform where name like 'SA %%'", {"name": "SA OS", "short_name": "sa"},
     {"name": "SA OS 2", "short_name": "sa2"}, [{"name": "", "short_name": "x"},
                                                {"name": "SA", "short_name": "win"}]),
    ("graphics-devices", "graphics_device where vendor_hex = '0x5a5a'",
     {"vendor": "0x5a5a", "adapter": "0x1", "vendor_name": "Sa", "adapter_name": "One"},
     {"vendor": "0x5a5a", "adapter": "0x2", "vendor_name": "Sa", "adapter_name": "Two"},
     [{"vendor": "", "adapter": "1"}]),
    ("products", "product where name like 'Sa %%'",
     {"name": "Sa One", "description": "d", "sort": "5", "featured": "auto, 4.2", "versions": "4.*",
      "bug_links": '[["GitHub", "https://x/%(signature)s"]]'},
     {"name": "Sa Two", "sort": "6", "buildhub": "t"},
     [{"name": "Sa X", "sort": "five"}, {"name": "Sa X", "sort": "1", "bug_links": "[broken"}]),
    ("product-versions", "product_version where product = 'Sa'",
     {"product": "Sa", "channel": "Beta", "version": "1.0b1", "build": "2026", "major": "1"},
     {"product": "Sa", "channel": "release", "version": "1.0", "build": "2027", "major": ""},
     [{"product": "Sa", "version": "1", "major": "one"}, {"product": "", "version": "1"}]),
])
def test_tables(stack, boss, table, where, first, second, bad):
    staff = person(stack, "stef", "Staff")
    stack.query(f"delete from {where} returning 1")

    def count():
        return stack.query(f"select count(*) from {where}")[0][0]
    try:
        assert change(staff, f"{table}/edit/", **first).status_code == 303
        assert count() == 1
        for data in bad:
            r = change(staff, f"{table}/edit/", **data)
            assert r.status_code == 400 and "Not written" in r.text, data
        assert count() == 1
        text = page(staff, f"{table}/?q={list(first.values())[0]}").text
        rid = re.findall(r'href="/siteadmin/[\w-]+/edit/\?id=([^"]+)"', text)
        assert rid
        rid = requests_unquote(rid[-1] if table != "status-messages" else rid[0])
        form = page(staff, f"{table}/edit/?id={rid}")
        assert form.status_code == 200
        for value in first.values():
            assert value in form.text.replace("&quot;", '"') or value == "t" or value == "Beta"
        assert change(staff, f"{table}/edit/", id=rid, **second).status_code == 303
        assert count() == 1
        key = list(second.values())[0 if table != "status-messages" else 1]
        assert key in page(staff, f"{table}/").text
        rid = requests_unquote(re.findall(r'edit/\?id=([^"]+)"', page(staff, f"{table}/?q={key}").text)[0])
        assert change(staff, f"{table}/delete/", id=rid).status_code == 303
        assert count() == 0
        assert change(staff, f"{table}/delete/", id="no such").status_code == 404
        assert change(staff, f"{table}/edit/", id="no such", **second).status_code in (400, 404)
    finally:
        stack.query(f"delete from {where} returning 1")
    log = stack.query("select action from audit_log where actor = 'stef' and action like %s",
                      f"site.{table}.%")
    assert {a for a, in log} == {f"site.{table}.{x}" for x in ("add", "change", "delete")}


def requests_unquote(text):
    import urllib.parse
    return urllib.parse.unquote(text)


def test_bug_associations(stack, boss):
    sig = "sa::sig | " + "x" * 3000 + "' <b>"
    stack.query("delete from bug_association where bug = 5150 returning 1")
    assert change(boss, "bug-associations/edit/", bug="5150", signature=sig).status_code == 303
    r = change(boss, "bug-associations/edit/", bug="5150", signature=sig)
    assert r.status_code == 400 and "already" in r.text
    assert change(boss, "bug-associations/edit/", bug="many", signature="x").status_code == 400
    text = page(boss, "bug-associations/?q=sa::sig").text
    assert "&lt;b&gt;" in text
    rid = re.search(r'name="id" value="(5150:\w+)"', text).group(1)
    assert change(boss, "bug-associations/delete/", id=rid).status_code == 303
    assert stack.query("select count(*) from bug_association where bug = 5150") == [(0,)]


def test_missing_processed_crashes(stack, boss, top):
    crash_id = stack.sample_id
    stack.query("insert into missing_processed_crash (crash_id) values (%s) on conflict do nothing "
                "returning 1", crash_id)
    try:
        assert crash_id in page(boss, "missing-processed/").text
        r = change(boss, "missing-processed/", action="process", id=[crash_id])
        assert r.status_code == 303
        log = stack.query("select actor from audit_log where action = 'site.missing-processed.process' "
                          "and target = %s", crash_id)
        assert log and log[-1] == (boss.name,)
        r = change(boss, "missing-processed/", action="process", id=["' or 1=1"])
        assert r.status_code == 404
        assert change(boss, "missing-processed/", action="format", id=[crash_id]).status_code == 404
    finally:
        stack.query("delete from missing_processed_crash where crash_id = %s returning 1", crash_id)


def test_policy_exceptions_keep_people_in(stack, boss):
    for name in ("in@good.example", "out@bad.example", "kept@bad.example"):
        person(stack, name, "Hackers")
    assert change(boss, "policy-exceptions/edit/", user="kept@bad.example",
                  comment="contract").status_code == 303
    assert change(boss, "policy-exceptions/edit/", user="nobody@x", comment="").status_code == 400
    conf = stack.dir / "audit.conf"
    conf.write_text(open(stack.conf).read() + "\naudit-domains GOOD.example\naudit-domains localhost\n")
    for name in (boss.name,):
        stack.query("insert into policy_exception (user_id) select id from users where name = %s "
                    "on conflict do nothing returning 1", name)
    kept = stack.query("select count(*) from policy_exception")[0][0]
    assert kept >= 2
    stack.salvage("jobs", "run", "auditgroups", "-c", conf, check=False)

    def groups(name):
        return [g for g, in stack.query(
            "select g.name from groups g join group_member m on m.group_id = g.id join users u "
            "on u.id = m.user_id where u.name = %s", name)]
    done = stack.query("select detail from audit_log where actor = 'job auditgroups' and "
                       "target = 'out@bad.example'")
    if not done:
        pytest.skip("SKIPPED LOUDLY: salvage jobs cannot be run with another configuration")
    assert done[-1][0] == "Hackers: not of an allowed domain"
    assert groups("in@good.example") == ["Hackers"] and groups("kept@bad.example") == ["Hackers"]
    assert groups("out@bad.example") == []


def test_site_status_tells_no_secret(stack, boss):
    text = page(boss, "sitestatus/").text
    assert "Schema of the database" in text and "(set, not shown)" in text
    assert stack.env["SALVAGE_DB"] not in text and "socket" not in text
    assert "crash_2" in page(boss, "supersearch-status/").text
