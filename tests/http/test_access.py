"""Who comes in, with which rights, and what the others are told: sign-in, groups of claims, the closed
site, tokens of Crash Stats, error pages, the frame."""
import json
import re

import pytest
import requests
from people import Person, admin, person, token

SETENVIF = "LoadModule setenvif_module /usr/lib/apache2/modules/mod_setenvif.so\n"
# What mod_auth_openidc leaves in the environment of a request, from a header of the test's
CLAIMS = SETENVIF + """SetEnvIf X-Test-Groups "^(.*)$" OIDC_CLAIM_groups=$1
CrashGroupsFrom "%{reqenv:OIDC_CLAIM_groups}"
"""
HTML = {"Accept": "text/html"}


def groups_of(stack, name):
    rows = stack.query("select g.name from groups g join group_member m on m.group_id = g.id "
                       "join users u on u.id = m.user_id where u.name = %s order by 1", name)
    return [x for x, in rows]


def rights(who, claim=None):
    """Codenames that /profile/ says Yes! to."""
    r = who.get("/profile/", headers=dict(HTML, **({"X-Test-Groups": claim} if claim else {})))
    assert r.status_code == 200
    rows = re.findall(r'<td class="mono">([\w.]+)</td><td><span class="tag (\w+)">', r.text)
    assert len(rows) > 8
    return {name for name, kind in rows if kind == "ok"}


# ---- groups of the sign-in ----

def test_groups_follow_the_claim_exactly(stack):
    who = person(stack, "claire@example.org", "Uploaders")
    stack.httpd_conf(CLAIMS + 'CrashGroupMap crash-readers Hackers\nCrashGroupMap "crash admins" '
                     'Administrators\nCrashGroupsExact on\n')
    assert rights(who, "staff, crash-readers ,Hackers Plus") == {
        "crashstats.view_pii", "crashstats.view_rawdump", "crashstats.run_long_queries",
        "crashstats.reprocess_crashes"}
    assert groups_of(stack, "claire@example.org") == ["Hackers"]       # and out of Uploaders
    made = token(stack, "claire@example.org", "view_pii")
    assert "auth.admin" in rights(who, "crash admins")
    assert rights(who) == set()                                         # no claim: nothing is kept
    assert groups_of(stack, "claire@example.org") == []
    held = stack.query("select permissions from api_token where prefix = %s", made[:8])
    assert held == [(0,)]
    stack.salvage("grant", "add", "claire@example.org", "Hackers")      # the claim is stronger
    assert rights(who) == set()
    log = stack.query("select actor, action, detail from audit_log where target = %s order by id",
                      "claire@example.org")
    assert ("sign-in", "group.join", "Hackers") in log
    assert ("sign-in", "group.leave", "Administrators") in log


def test_groups_of_the_claim_come_on_top(stack):
    who = person(stack, "carl", "Uploaders")
    stack.httpd_conf(CLAIMS)                            # values are names of groups, letter case aside
    assert "crashstats.view_pii" in rights(who, "hackers,Nobody Knows")
    assert groups_of(stack, "carl") == ["Hackers", "Uploaders"]
    rights(who)
    assert groups_of(stack, "carl") == ["Hackers", "Uploaders"]


def test_values_of_ldap(stack):
    """DNs hold commas: another separator."""
    who = person(stack, "dora")
    stack.httpd_conf(SETENVIF + 'SetEnvIf X-Test-Groups "^(.*)$" AUTHENTICATE_MEMBEROF=$1\n'
                     'CrashGroupsFrom "%{reqenv:AUTHENTICATE_MEMBEROF}" ";"\n'
                     'CrashGroupMap "cn=crash,ou=groups,dc=example" Hackers\n')
    assert "crashstats.view_pii" in rights(who, "cn=x,dc=example; cn=crash,ou=groups,dc=example")


@pytest.mark.parametrize("line,says", [('CrashGroupsFrom "%{nonsense:x}"', "CrashGroupsFrom"),
                                       ('CrashGroupsFrom x ",,"', "one character"),
                                       ("CrashGroupMap x", "CrashGroupMap"),
                                       ("CrashLoginOnly maybe", "CrashLoginOnly")])
def test_mistakes_in_directives(stack, line, says):
    good, text = stack.judge_conf(line)
    assert not good and says in text


def test_inactive_people_count_as_nobody(stack):
    who = person(stack, "ida", "Hackers")
    key = token(stack, "ida", "view_pii")
    assert "crashstats.view_pii" in rights(who)
    stack.query("update users set active = false where name = 'ida' returning 1")
    r = who.get("/profile/", headers=HTML)
    assert r.status_code == 302 and "/login/" in r.headers["Location"]
    r = requests.get(stack.url + "/api/NoOp/", headers={"Auth-Token": key}, timeout=30)
    assert r.status_code == 403 and r.text.endswith("\n")
    assert r.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert r.json() == {"error": "User of API token not active"}


def test_faults_of_tokens(stack):
    for sent, text in (("0" * 64, "API Token not matched"), ("x", "API Token not matched")):
        for path in ("/", "/search/", "/api/NoOp/"):
            r = requests.get(stack.url + path, headers={"Auth-Token": sent}, timeout=30)
            assert (r.status_code, r.json()) == (403, {"error": text}), path
    key = token(stack, "tina", "view_pii")
    stack.query("update api_token set expires = now() - interval '1 s' where prefix = %s returning 1",
                key[:8])
    r = requests.get(stack.url + "/api/NoOp/", headers={"Auth-Token": key}, timeout=30)
    assert (r.status_code, r.json()) == (403, {"error": "API Token found but expired"})
    assert requests.get(stack.url + "/api/", headers={"Auth-Token": ""}, timeout=30).status_code == 200


# ---- the closed site ----

def test_closed_site(stack):
    who, key = person(stack, "lena"), token(stack, "lena", "view_pii")
    stack.query("insert into status_message (severity, message) values ('info', 'inner-secret') "
                "returning 1")
    stack.query("insert into product (name) values ('InnerProduct') on conflict do nothing returning 1")
    stack.httpd_conf("CrashLoginOnly on\n")
    try:
        for path in ("/", "/search/?product=x&a=%2F", "/api/", "/uploads/", "/symbolicate/", "/nowhere",
                     "/uploads/help/", "/siteadmin/"):
            r = requests.get(stack.url + path, headers=HTML, timeout=30, allow_redirects=False)
            assert r.status_code == 302, path
            to = r.headers["Location"].replace(stack.url, "")
            assert to == "/login/?next=" + requests.utils.quote(path, safe=""), path
        for path in ("/api/NoOp/", "/api/SuperSearchFields/", "/symbols/a.pdb/1/a.sym",
                     "/missingsymbols.csv", "/buildid/00/debuginfo"):
            r = requests.get(stack.url + path, timeout=30)
            assert r.status_code == 401 and "error" in r.json(), path
            assert "Basic" not in r.headers["WWW-Authenticate"]
        r = requests.post(stack.url + "/symbolicate/v5", json={}, timeout=30)
        assert r.status_code == 401
        r = requests.get(stack.url + "/login/?next=%2Fsearch%2F", headers=HTML, timeout=30)
        assert r.status_code == 200 and "Login Required" in r.text
        assert "inner-secret" not in r.text and "InnerProduct" not in r.text
        assert "/signin?next=%2Fsearch%2F" in r.text
        # what stays open
        assert stack.submit({"ProductName": "Closed", "Version": "1"}, b"MDMP" + b"\0" * 60)
        for path in ("/__lbheartbeat__", "/__version__", "/static/salvage.css", "/robots.txt",
                     "/monitoring/cron/", "/__heartbeat__"):
            assert requests.get(stack.url + path, timeout=30).status_code == 200, path
        # who has signed in, and programs with a token
        assert who.get("/", headers=HTML).status_code == 200
        assert requests.get(stack.url + "/api/SuperSearchFields/", headers={"Auth-Token": key},
                            timeout=30).status_code == 200
        r = requests.get(stack.url + "/symbols/a.pdb/1/a.sym", headers={"Auth-Token": key}, timeout=30)
        assert r.status_code == 404
        stack.query("update users set active = false where name = 'lena' returning 1")
        assert who.get("/api/NoOp/").status_code == 403
    finally:
        stack.query("delete from status_message where message = 'inner-secret' returning 1")
        stack.query("delete from product where name = 'InnerProduct' returning 1")


# ---- pages that need something ----

def test_login_page(stack):
    plain = person(stack, "paula")
    r = requests.get(stack.url + "/siteadmin/users/?q=%22x", headers=HTML, timeout=30,
                     allow_redirects=False)
    assert r.status_code == 302
    r = requests.get(stack.url + r.headers["Location"].replace(stack.url, ""), headers=HTML, timeout=30)
    assert "Login Required" in r.text and "Administer This Installation" in r.text
    r = plain.get("/siteadmin/", headers=HTML)
    page = plain.get(r.headers["Location"].replace(stack.url, ""), headers=HTML).text
    assert "Insufficient Privileges" in page and "Staff" in page
    assert plain.get("/siteadmin/").status_code == 403                  # a program


@pytest.mark.parametrize("old", ["/your-crashes/", "/permissions/"])
def test_older_addresses_of_the_profile(stack, old):
    r = requests.get(stack.url + old, timeout=30, allow_redirects=False)
    assert r.status_code == 301 and r.headers["Location"].endswith("/profile/")


# ---- tokens ----

def csrf_of(text):
    return re.search(r'name="csrf" value="(\w+)"', text).group(1)


def test_tokens_of_crashstats(stack):
    who, other = person(stack, "toby", "Hackers"), person(stack, "tess")
    page = who.get("/api/tokens/", headers=HTML)
    assert page.status_code == 200 and page.headers["Cache-Control"] == "private, no-store"
    csrf = csrf_of(page.text)
    ids = dict(re.findall(r'name="permissions" value="(\d+)"> <span>([^<]+)', page.text))
    ids = {v: k for k, v in ids.items()}
    assert "View Raw Dumps" in ids and "Upload Symbols Files" not in ids
    assert "Run Custom Queries in Super Search" not in ids              # Hackers do not hold it

    def make(who=who, **data):
        return who.request("POST", "/api/tokens/", headers=HTML, data=data)
    r = make(csrfmiddlewaretoken=csrf, notes="script", permissions=ids["View Raw Dumps"])
    assert r.status_code == 201
    text = re.search(r'id="newtok">(\w+)', r.text).group(1)
    row = stack.query("select id, round(extract(epoch from expires - created) / 86400)::int, permissions from api_token "
                      "where prefix = %s", text[:8])[0]
    assert row[1:] == (90, 8)
    r = requests.get(stack.url + "/api/RawCrash/?crash_id=x&format=raw", timeout=30,
                     headers={"Auth-Token": text})
    assert r.status_code == 400                                         # and not 403: it may
    assert make(csrf=csrf, notes="n").status_code == 201                # rights of everybody
    r = make(csrf=csrf, permissions="1", notes="x")
    assert r.status_code == 403 and "You do not have this permission" in r.text
    assert make(csrf=csrf, notes="é" * 2000).status_code == 201
    r = make(csrf=csrf, notes="é" * 2001)
    assert r.status_code == 400 and "Text too long" in r.text
    assert make(notes="forged").status_code == 403
    # their own alone
    theirs = csrf_of(other.get("/api/tokens/", headers=HTML).text)
    for whose in (other, admin(stack)):
        secret = csrf_of(whose.get("/api/tokens/", headers=HTML).text) if whose is not other else theirs
        r = whose.request("POST", f"/api/tokens/delete/{row[0]}/", headers=HTML, data={"csrf": secret})
        assert r.status_code == 404
    assert who.get(f"/api/tokens/delete/{row[0]}/").status_code == 405
    r = who.request("POST", f"/api/tokens/delete/{row[0]}/", headers=dict(HTML, **{"X-CSRFToken": csrf}))
    assert r.status_code == 303 and r.headers["Location"].endswith("/api/tokens/")
    r = requests.get(stack.url + "/api/NoOp/", timeout=30, headers={"Auth-Token": text})
    assert r.status_code == 403
    r = requests.get(stack.url + "/api/tokens/", headers=HTML, timeout=30, allow_redirects=False)
    assert r.status_code == 302 and "/login/?next=" in r.headers["Location"]


def test_a_token_makes_no_token(stack):
    key = token(stack, "toby2", "view_pii")
    r = requests.post(stack.url + "/api/tokens/", data={"notes": "x"}, timeout=30,
                      headers=dict(HTML, **{"Auth-Token": key}))
    assert r.status_code == 403


# ---- errors ----

def ask(stack, path, method="GET", **headers):
    return requests.request(method, stack.url + path, headers=headers, timeout=30, allow_redirects=False)


@pytest.mark.parametrize("path,method,status", [
    ("/nowhere/", "GET", 404), ("/static/nowhere.css", "GET", 404), ("/search/", "PUT", 405),
    ("/search/", "DELETE", 405), ("/report/index/xyz", "GET", 404), ("/status/x", "GET", 404),
    ("/search/?page=x", "GET", 400)])
def test_errors_in_the_form_of_who_asks(stack, path, method, status):
    r = ask(stack, path, method, **HTML)
    assert r.status_code == status and "<main" in r.text and "<h1>" in r.text
    assert "Content-Security-Policy" in r.headers
    r = ask(stack, path, method, Accept="text/html", **{"X-Requested-With": "XMLHttpRequest"})
    assert r.status_code == status
    if path != "/search/?page=x":                       # the search shows its form again
        assert re.fullmatch(r"<ul><li>[^<]+</li></ul>", r.text.strip()), r.text[:200]


def test_errors_for_programs(stack):
    r = ask(stack, "/static/nowhere")
    assert (r.status_code, r.text) == (404, "404 Not Found\n")
    r = ask(stack, "/api/Nowhere/?a=1")
    assert r.status_code == 404 and "error" in r.json()
    r = ask(stack, "/" + "a" * 9000)
    assert r.status_code == 414
    r = ask(stack, "/", **{"X-Big": "x" * 9000})
    assert r.status_code in (400, 431)
    assert ask(stack, "/error/").status_code == 404


def test_an_error_of_the_server(stack):
    stack.error_log.expect("SAL4062")
    r = admin(stack).get("/siteadmin/crash-me-now/", headers=HTML)
    assert r.status_code == 500 and "Something broke here" in r.text and "Administration" in r.text
    assert person(stack, "paula").get("/siteadmin/crash-me-now/").status_code == 403


# ---- the frame ----

def test_messages_on_every_page(stack):
    stack.query("insert into status_message (severity, message, created, enabled) values "
                "('critical', 'older & <b>', now() - interval '1 h', true), "
                "('warning', 'newer bug #12', now(), true), ('info', 'hidden-message', now(), false) returning 1")
    try:
        for path in ("/", "/search/", "/api/", "/nowhere", "/uploads/help/", "/profile/"):
            text = ask(stack, path, **HTML).text if path != "/profile/" else admin(stack).get(path).text
            assert text.index("newer bug #12") < text.index("older &amp; &lt;b&gt;"), path
            assert "hidden-message" not in text
    finally:
        stack.query("delete from status_message where message like 'older%%' or message like 'newer%%' "
                    "or message = 'hidden-message' returning 1")


def test_menus(stack):
    stack.query("insert into product (name, description) values ('Menued', 'desktop') returning 1")
    stack.query("insert into active_version values ('Menued', 1, '4.2.1', 99), ('Menued', 2, '4.1', 60) "
                "returning 1")
    try:
        text = ask(stack, "/topcrashers/?product=Menued&version=4.2.1", **HTML).text
        crumbs = re.search(r'<nav class="crumbs.*?</nav>', text, re.S).group()
        assert "<summary" in crumbs and ">Menued<" in crumbs and "4.1" in crumbs
        assert re.search(r'href="/search/\?product=Menued&amp;version=4.2.1"', crumbs)
        assert 'aria-current="true"' in crumbs
    finally:
        stack.query("delete from active_version where product = 'Menued' returning 1")
        stack.query("delete from product where name = 'Menued' returning 1")


def test_account_menu(stack):
    assert "/siteadmin/" in admin(stack).get("/", headers=HTML).text
    assert "/siteadmin/" in person(stack, "stan", "Staff").get("/", headers=HTML).text
    assert "/siteadmin/" not in person(stack, "paula").get("/", headers=HTML).text
    assert "/siteadmin/" not in ask(stack, "/", **HTML).text


def test_the_queue_for_everybody_and_its_errors_for_staff(stack):
    plain, staff = ask(stack, "/status/", **HTML), person(stack, "stan", "Staff").get("/status/")
    assert plain.status_code == staff.status_code == 200
    assert "History" not in plain.text and "History" in staff.text
    assert json.loads(ask(stack, "/monitoring/cron/").text)["status"]
