"""The JSON API of the symbols server: who may ask what, every parameter, every error text."""
import hashlib
import time

import pytest
import requests
from people import admin, person, token
from symbols import archive, sym, upload

NO_LOGIN = {"error": "This requires an Auth-Token to authenticate the request"}


def an_id():
    an_id.n += 1
    return hashlib.md5(str((an_id.n, time.time())).encode()).hexdigest().upper() + "1"


an_id.n = 0


def api(stack, path, key=None, method="GET", **kw):
    headers = {"Auth-Token": key} if key else {}
    headers.update(kw.pop("headers", {}))
    return requests.request(method, stack.url + path, headers=headers, timeout=30,
                            allow_redirects=False, **kw)


@pytest.fixture
def auditor(stack):
    return token(stack, "auditor@example.com", "view_all_uploads")


@pytest.fixture
def sent(stack):
    """An upload of two files by a new user: its id, its keys, the user, the user's token."""
    user = f"ci{an_id()[:8].lower()}@example.com"
    key = token(stack, user, "upload_symbols")
    first, second = an_id(), an_id()
    names = [f"mod.pdb/{first}/mod.sym", f"libmod.so/{second}/libmod.so.sym"]
    r = upload(stack, archive({names[0]: sym("mod.pdb", first), names[1]: sym("libmod.so", second),
                               "build-symbols.txt": b"x"}), token=key)
    assert r.status_code == 201, r.text
    return r.json()["upload"]["id"], names, user, key


# ---- who may ask ----

@pytest.mark.parametrize("path", ["/api/stats/", "/api/tokens/", "/api/uploads/",
                                  "/api/uploads/upload/1", "/api/uploads/files/",
                                  "/api/uploads/files/file/1"])
def test_login_is_needed(stack, path):
    r = api(stack, path)
    assert (r.status_code, r.json()) == (403, NO_LOGIN)


@pytest.mark.parametrize("method,path", [("DELETE", "/api/tokens/token/1"),
                                         ("POST", "/api/tokens/token/1/extend"),
                                         ("POST", "/api/tokens/")])
def test_login_is_needed_to_change(stack, method, path):
    r = api(stack, path, method=method)
    assert (r.status_code, r.json()) == (403, NO_LOGIN)


def test_permissions_are_needed(stack):
    key = token(stack, "nobody@example.com", "view_pii")
    for path in ("/api/tokens/", "/api/uploads/files/"):
        r = api(stack, path, key)
        assert (r.status_code, r.json()) == (403, {"error": "Forbidden"}), path
    assert api(stack, "/api/tokens/", key, "POST", data={}).json() == {"error": "Forbidden"}


@pytest.mark.parametrize("path", ["/api/stats/", "/api/uploads/", "/api/uploads/files/",
                                  "/api/uploads/upload/1", "/api/_auth/"])
def test_methods(stack, path):
    r = api(stack, path, method="POST")
    assert r.status_code == 405
    assert r.json() == {"error": f"Method Not Allowed (POST): {path}"}
    assert "GET" in r.headers["Allow"]


def test_no_such_path(stack, auditor):
    for path in ("/api/uploads/nothing", "/api/uploads/upload/1/2", "/api/tokens/x"):
        assert api(stack, path, auditor).status_code == 404, path


@pytest.mark.parametrize("path", ["/api/uploads", "/api/stats", "/api/_auth",
                                  "/api/uploads/files"])
def test_both_forms_without_redirect(stack, auditor, path):
    assert api(stack, path, auditor).status_code == 200
    assert api(stack, path + "/", auditor).status_code == 200


# ---- /api/_auth/ ----

def test_auth_anonymous(stack):
    doc = api(stack, "/api/_auth/").json()
    assert doc == {"user": None, "sign_in_url": stack.url + "/signin"}


def test_auth_signed_in(stack):
    doc = person(stack, "uma", "Uploaders").get("/api/_auth/").json()
    user = doc["user"]
    assert (user["email"], user["is_active"], user["is_superuser"]) == ("uma", True, False)
    assert {(p["codename"], p["name"]) for p in user["permissions"]} == {
        ("upload.upload_symbols", "Upload Symbols Files"),
        ("upload.upload_try_symbols", "Upload Try Symbols Files")}
    assert all(isinstance(p["id"], int) for p in user["permissions"])
    assert doc["sign_out_url"] == stack.url + "/signout"
    assert len(doc["csrf_token"]) == 64


def test_auth_first_sign_in_makes_an_account_without_rights(stack):
    doc = person(stack, "newcomer").get("/api/_auth/").json()
    assert doc["user"]["permissions"] == []
    assert stack.query("select count(*) from users where name = 'newcomer'") == [(1,)]


def test_auth_superuser(stack):
    user = admin(stack).get("/api/_auth/").json()["user"]
    assert user["is_superuser"]
    assert "upload.view_all_uploads" in {p["codename"] for p in user["permissions"]}


def test_auth_of_a_token_is_its_permissions(stack):
    key = token(stack, "admin", "view_all_uploads")
    user = api(stack, "/api/_auth/", key).json()["user"]
    assert not user["is_superuser"]
    assert [p["codename"] for p in user["permissions"]] == ["upload.view_all_uploads"]


def test_wrong_password_and_inactive(stack):
    r = requests.get(stack.url + "/api/_auth/", auth=("uma", "wrong"), timeout=30)
    assert r.status_code == 401
    stack.error_log.expect("AH01617")
    gone = person(stack, "gone", "Uploaders")
    stack.salvage("grant", "deactivate", "gone")
    r = gone.get("/api/uploads/")
    assert (r.status_code, r.json()) == (403, {"error": "The account gone is not active"})


# ---- /api/stats/ ----

def test_stats(stack, sent, auditor):
    _, _, _, key = sent
    doc = api(stack, "/api/stats/", key).json()["stats"]["uploads"]
    assert doc["all_uploads"] is False
    assert doc["today"]["count"] == doc["last_30_days"]["count"] == 1
    assert doc["today"]["total_size"] > 0 and doc["yesterday"] == {"count": 0, "total_size": 0}
    every = api(stack, "/api/stats/", auditor).json()["stats"]["uploads"]
    assert every["all_uploads"] is True
    assert every["today"]["count"] == stack.query(
        "select count(*) from symbol_upload where created_at >= date_trunc('day', now())")[0][0]


# ---- /api/uploads/ ----

def test_uploads_of_others_are_not_listed(stack, sent):
    upload_id, names, user, key = sent
    doc = api(stack, "/api/uploads/", key).json()
    assert doc["can_view_all"] is False and doc["batch_size"] == 20 and doc["has_next"] is False
    assert doc["order_by"] == {"sort": "created_at", "reverse": True}
    assert doc["total"] == 1_000_000
    (row,) = doc["uploads"]
    assert row["id"] == upload_id and row["user"] == {"email": user}
    assert row["files_count"] == 2 and row["files_incomplete_count"] == 0
    assert row["try_symbols"] is False and row["skipped_keys"] == []
    assert row["ignored_keys"] == ["build-symbols.txt"]
    assert row["filename"].endswith(".zip") and row["size"] > 0
    assert row["download_url"] is None and row["redirect_urls"] == []
    assert row["created_at"].endswith("Z") and row["completed_at"].endswith("Z")


def test_uploads_filters(stack, sent, auditor):
    upload_id, _, user, _ = sent
    size = stack.query("select archive_size from symbol_upload where id = %s", upload_id)[0][0]

    def found(**params):
        r = api(stack, "/api/uploads/", auditor, params={"user": user, **params})
        assert r.status_code == 200, r.text
        return [u["id"] for u in r.json()["uploads"]], r.json()["total"]

    assert found() == ([upload_id], 1)
    assert found(user=user[2:9].upper()) == ([upload_id], 1)
    assert upload_id not in found(user="!" + user)[0]
    assert found(size=f"={size}") == ([upload_id], 1)
    assert found(size=f">{size}") == ([], 0)
    assert found(size=f">=1b,<= {size}b") == ([upload_id], 1)
    assert found(created_at="today") == ([upload_id], 1)
    assert found(created_at="yesterday") == ([], 0)
    assert found(completed_at="null") == ([], 0)
    assert found(completed_at=">=today, <2999-01-01") == ([upload_id], 1)
    assert found(user="100%_nobody") == ([], 0)


@pytest.mark.parametrize("params,field,text", [
    ({"sort": "x"}, "sort", "Invalid sort 'x'"),
    ({"page": "x"}, "page", "Not a number 'x'"),
    ({"size": "x"}, "size", "'x' is not a valid size"),
    ({"size": ">10xb"}, "size", "'10xb' is not a valid size"),
    ({"created_at": "x"}, "created_at", "Unable to parse 'x'"),
    ({"completed_at": ">x"}, "completed_at", "Unable to parse 'x'"),
])
def test_uploads_errors(stack, auditor, params, field, text):
    r = api(stack, "/api/uploads/", auditor, params=params)
    assert (r.status_code, r.json()) == (400, {"errors": {field: [text]}})


def test_uploads_errors_together(stack, auditor):
    r = api(stack, "/api/uploads/", auditor, params={"size": "x", "page": "y"})
    assert r.json()["errors"].keys() == {"size", "page"}


def test_uploads_pages_and_order(stack, auditor):
    who = f"pager{an_id()[:6]}"
    with stack.conn() as c, c.cursor() as cur:
        cur.execute("insert into symbol_upload (user_name, archive_name, archive_size, "
                    "archive_sha256, unpacked_size, is_try, members, stored, created_at) "
                    "select %s, 'x.zip', (n * 7) %% 45, '', 0, false, 0, 0, now() - n * interval "
                    "'1 minute' from generate_series(1, 45) n", (who,))

    def page(**params):
        return api(stack, "/api/uploads/", auditor, params={"user": who, **params}).json()

    ids = []
    for n in (1, 2, 3):
        doc = page(page=n)
        assert doc["has_next"] is (n < 3) and doc["total"] == 45
        ids += [u["id"] for u in doc["uploads"]]
    assert len(set(ids)) == 45
    times = [u["created_at"] for u in page()["uploads"]]
    assert times == sorted(times, reverse=True)
    assert page(page=-5)["uploads"] == page(page=1)["uploads"]
    assert page(page=1000)["uploads"] == []
    up = [u["size"] for u in page(sort="size")["uploads"]]
    assert up == sorted(up) and up[0] == 0
    down = [u["size"] for u in page(sort="size", reverse="true")["uploads"]]
    assert down == sorted(down, reverse=True) and down[0] == 44
    assert page(sort="size", reverse="true")["order_by"] == {"sort": "size", "reverse": True}
    stack.query("delete from symbol_upload where user_name = %s returning 1", who)


# ---- /api/uploads/upload/ID ----

def test_upload_one(stack, sent, auditor):
    upload_id, names, user, key = sent
    for who in (key, auditor):
        doc = api(stack, f"/api/uploads/upload/{upload_id}", who).json()["upload"]
        assert doc["id"] == upload_id and doc["user"] == {"email": user}
        assert {f["key"] for f in doc["file_uploads"]} == set(names)
        for f in doc["file_uploads"]:
            assert f["compressed"] is True and f["update"] is False and f["size"] > 0
            assert f["bucket_name"] == "regular" and f["completed_at"] and f["created_at"]
        assert doc["related"] == []


def test_upload_related(stack):
    user = f"twice{an_id()[:6]}@example.com"
    key, one = token(stack, user, "upload_symbols"), an_id()
    zipped = archive({f"re.pdb/{one}/re.sym": sym("re.pdb", one)})
    first, second = (upload(stack, zipped, token=key).json()["upload"] for _ in range(2))
    assert second["skipped_keys"] == [f"re.pdb/{one}/re.sym"]
    doc = api(stack, f"/api/uploads/upload/{second['id']}", key).json()["upload"]
    assert [u["id"] for u in doc["related"]] == [first["id"]]
    assert stack.query("select renewed_at is not null from symbol_file where debug_id = %s",
                       one) == [(True,)]


def test_upload_of_somebody_else(stack, sent):
    other = token(stack, "other@example.com", "upload_symbols")
    r = api(stack, f"/api/uploads/upload/{sent[0]}", other)
    assert (r.status_code, r.json()) == (403,
                                         {"error": "Insufficient access to view this upload"})


@pytest.mark.parametrize("what", ["999999999", "0", "x", "99999999999999999999999"])
def test_upload_unknown(stack, auditor, what):
    r = api(stack, f"/api/uploads/upload/{what}", auditor)
    assert (r.status_code, r.json()) == (404, {"error": "No Upload matches the given query."})


# ---- /api/uploads/files/ ----

def test_files(stack, sent, auditor):
    upload_id, names, user, _ = sent
    doc = api(stack, "/api/uploads/files/", auditor).json()
    assert doc["batch_size"] == 40 and doc["total"] == 1_000_000
    mine = {f["key"]: f for f in doc["files"]}
    assert set(names) <= set(mine)
    f = mine[names[0]]
    assert f["upload"]["id"] == upload_id and f["upload"]["user"] == {"email": user}
    assert f["upload"]["upload_type"] == "regular" and f["upload"]["try_symbols"] is False
    assert f["upload"]["created_at"]
    assert {"id", "update", "compressed", "size", "bucket_name", "completed_at",
            "created_at"} <= set(f)


def test_files_filters(stack, sent, auditor):
    _, names, _, _ = sent
    debug_id = names[0].split("/")[1]

    def found(**params):
        r = api(stack, "/api/uploads/files/", auditor, params={"key": debug_id, **params})
        assert r.status_code == 200, r.text
        return len(r.json()["files"]), r.json()["total"]

    assert found() == (1, 1)
    assert found(key=f"{debug_id.lower()[5:20]}, MOD.sym") == (1, 1)
    assert found(key=f"{debug_id},nothing") == (0, 0)
    assert found(key="%") == (0, 0)
    assert found(bucket_name="regular") == (1, 1)
    assert found(bucket_name="!regular") == (0, 0)
    assert found(bucket_name="other") == (0, 0)
    assert found(bucket_name="!other") == (1, 1)
    assert found(upload_type="try") == (0, 0)
    assert found(upload_type="regular") == (1, 1)
    assert found(size=">0") == (1, 1)
    assert found(size=">1gb") == (0, 0)
    assert found(created_at="today") == (1, 1)
    assert found(completed_at="incomplete") == (0, 0)


@pytest.mark.parametrize("params,field,text", [
    ({"page": "1.5"}, "page", "Not a number '1.5'"),
    ({"size": "=x"}, "size", "'x' is not a valid size"),
    ({"created_at": "32 Jan 2026"}, "created_at", "Unable to parse '32 Jan 2026'"),
    ({"upload_type": "x"}, "upload_type",
     "Select a valid choice. x is not one of the available choices."),
])
def test_files_errors(stack, auditor, params, field, text):
    r = api(stack, "/api/uploads/files/", auditor, params=params)
    assert (r.status_code, r.json()) == (400, {"errors": {field: [text]}})


def test_try_files_are_shown_without_their_folder(stack, auditor):
    key, one = token(stack, "try@example.com", "upload_try_symbols"), an_id()
    name = f"tri.pdb/{one}/tri.sym"
    assert upload(stack, archive({name: sym("tri.pdb", one)}), token=key).status_code == 201
    doc = api(stack, "/api/uploads/files/", auditor, params={"key": one}).json()
    (f,) = doc["files"]
    assert f["key"] == name and f["bucket_name"] == "try"
    assert f["upload"]["upload_type"] == "try"
    one_file = api(stack, f"/api/uploads/files/file/{f['id']}", auditor).json()["file"]
    assert one_file["url"] == f"/symbols/try/{name}"
    assert requests.get(stack.url + one_file["url"], timeout=30).status_code == 200


# ---- /api/uploads/files/file/ID ----

def test_file_one(stack, sent, auditor):
    upload_id, names, user, key = sent
    file_id = stack.query("select id from symbol_file where upload_id = %s and leaf = 'mod.sym'",
                          upload_id)[0][0]
    for who in (key, auditor):
        doc = api(stack, f"/api/uploads/files/file/{file_id}", who).json()["file"]
        assert doc["key"] == names[0] and doc["url"] == "/symbols/" + names[0]
        assert doc["debug_filename"] == "mod.pdb" and doc["debug_id"] == names[0].split("/")[1]
        assert {"code_file", "code_id", "generator"} <= set(doc)
        assert doc["upload"]["id"] == upload_id
    r = api(stack, f"/api/uploads/files/file/{file_id}",
            token(stack, "other@example.com", "upload_symbols"))
    assert (r.status_code, r.json()) == (403, {"error": "Insufficient access to view this file"})


def test_file_unknown(stack, auditor):
    r = api(stack, "/api/uploads/files/file/999999999", auditor)
    assert (r.status_code, r.json()) == (404, {"error": "No FileUpload matches the given query."})


# ---- /api/tokens/ ----

@pytest.fixture
def tess(stack):
    """May manage tokens and upload both kinds."""
    stack.query("delete from api_token using users u where u.id = user_id and u.name = 'tess' "
                "returning 1")
    return person(stack, "tess", "Uploaders", "Token Users")


def ids(who):
    return {p["name"]: p["id"] for p in who.get("/api/tokens/").json()["permissions"]}


def test_tokens_life(stack, tess):
    known = ids(tess)
    assert set(known) == {"Upload Symbols Files", "Upload Try Symbols Files",
                          "Manage Your API Tokens"}
    r = tess.change("POST", "/api/tokens/", {
        "permissions": f"{known['Upload Symbols Files']}, {known['Manage Your API Tokens']}",
        "expires": "10", "notes": "for the build"})
    assert r.status_code == 201 and r.json()["ok"] is True
    text = r.json()["token"]["key"]
    doc = tess.get("/api/tokens/").json()
    assert doc["totals"] == {"all": 1, "active": 1, "expired": 0}
    (row,) = doc["tokens"]
    assert row["notes"] == "for the build" and row["is_expired"] is False
    assert {p["name"] for p in row["permissions"]} == {"Upload Symbols Files",
                                                       "Manage Your API Tokens"}
    assert row["key"] == text[:6] + "\u2026" and text not in str(doc)
    assert row["created_at"] < row["expires_at"]
    # it acts
    assert api(stack, "/api/_auth/", text).json()["user"]["email"] == "tess"
    # and makes others, of what it holds
    r = api(stack, "/api/tokens/", text, "POST",
            data={"permissions": known["Upload Symbols Files"], "expires": "1"})
    assert r.status_code == 201
    # extended
    r = tess.change("POST", f"/api/tokens/token/{row['id']}/extend", {"days": "20"})
    assert (r.status_code, r.json()) == (200, {"ok": True, "days": 20})
    r = tess.change("POST", f"/api/tokens/token/{row['id']}/extend")
    assert r.json() == {"ok": True, "days": 365}
    assert stack.query("select extract(day from expires - created)::int from api_token "
                       "where id = %s", row["id"])[0][0] in (394, 395)
    # gone
    r = tess.change("DELETE", f"/api/tokens/token/{row['id']}")
    assert (r.status_code, r.json()) == (200, {"ok": True})
    assert [t["id"] for t in tess.get("/api/tokens/").json()["tokens"]] != [row["id"]]


def test_tokens_hashed(stack, tess):
    r = tess.change("POST", "/api/tokens/", {"permissions": ids(tess)["Upload Symbols Files"],
                                             "expires": "1"})
    text = r.json()["token"]["key"]
    dumped = str(stack.query("select t::text from api_token t"))
    assert text not in dumped and hashlib.sha256(text.encode()).hexdigest() in dumped


def test_tokens_states(stack, tess):
    known = ids(tess)
    for notes in ("old", "new"):
        tess.change("POST", "/api/tokens/", {"permissions": known["Upload Symbols Files"],
                                             "expires": "1", "notes": notes})
    stack.query("update api_token set expires = now() - interval '1 hour' from users u "
                "where u.id = user_id and u.name = 'tess' and notes = 'old' returning 1")

    def notes(state):
        return [t["notes"] for t in tess.get(f"/api/tokens/?state={state}").json()["tokens"]]

    assert notes("") == ["new"] and notes("expired") == ["old"]
    assert notes("all") == ["new", "old"]                   # newest first
    doc = tess.get("/api/tokens/").json()
    assert doc["totals"] == {"all": 2, "active": 1, "expired": 1}
    r = tess.get("/api/tokens/?state=x")
    assert (r.status_code, r.json()) == (400,
                                         {"errors": {"state": ["Unrecognized state value 'x'"]}})


def test_tokens_form_errors(stack, tess):
    known = ids(tess)
    one, other = known["Upload Symbols Files"], known["Upload Try Symbols Files"]
    for data, errors in [
            ({"permissions": one, "expires": "x"}, {"expires": ["Invalid number of days ('x')"]}),
            ({"permissions": one, "expires": "0"}, {"expires": ["Invalid number of days ('0')"]}),
            ({"permissions": f"{one},{other}", "expires": "1"},
             {"permissions": ["Invalid combination of permissions"]}),
            ({"expires": "1"}, {"permissions": ["This field is required."]}),
            ({"permissions": one}, {"expires": ["This field is required."]}),
            ({"permissions": "77", "expires": "1"}, {"permissions": ["Unknown permission '77'"]}),
            ({"permissions": one, "expires": "1", "notes": "n" * 2001},
             {"notes": ["Text too long"]})]:
        r = tess.change("POST", "/api/tokens/", data)
        assert (r.status_code, r.json()) == (400, {"errors": errors}), data
    every = {p["name"]: p["id"] for p in admin(stack).get("/api/tokens/").json()["permissions"]}
    r = tess.change("POST", "/api/tokens/", {"permissions": every["View All Symbols Uploads"],
                                             "expires": "1"})
    assert (r.status_code, r.json()) == (
        403, {"error": "View All Symbols Uploads not a valid permission"})
    assert tess.get("/api/tokens/").json()["totals"]["all"] == 0


def test_tokens_of_others(stack, tess):
    tess.change("POST", "/api/tokens/", {"permissions": ids(tess)["Upload Symbols Files"],
                                         "expires": "1"})
    token_id = tess.get("/api/tokens/").json()["tokens"][0]["id"]
    none = (404, {"error": "No Token matches the given query."})
    thief = person(stack, "thief", "Token Users")
    for method, path in (("DELETE", f"/api/tokens/token/{token_id}"),
                         ("POST", f"/api/tokens/token/{token_id}/extend"),
                         ("DELETE", "/api/tokens/token/999999999")):
        r = thief.change(method, path)
        assert (r.status_code, r.json()) == none, path
    r = tess.change("POST", f"/api/tokens/token/{token_id}/extend", {"days": "x"})
    assert (r.status_code, r.json()) == (
        400, {"errors": {"days": ["Invalid number of days ('x')"]}})
    assert tess.change("GET", f"/api/tokens/token/{token_id}").status_code == 405
    boss = admin(stack)
    assert boss.change("POST", f"/api/tokens/token/{token_id}/extend").status_code == 404
    assert boss.change("DELETE", f"/api/tokens/token/{token_id}").json() == {"ok": True}


def test_forged_forms_are_refused(stack, tess):
    data = {"permissions": ids(tess)["Upload Symbols Files"], "expires": "1"}
    for headers in ({}, {"X-CSRFToken": "0" * 64}, {"Origin": "https://evil.example"},
                    {"Origin": "null"}, {"X-CSRFToken": person(stack, "thief").csrf()}):
        r = tess.request("POST", "/api/tokens/", data=data, headers=headers)
        assert r.status_code == 403 and "CSRF" in r.json()["error"], headers
    assert tess.get("/api/tokens/").json()["totals"]["all"] == 0
    r = tess.request("POST", "/api/tokens/", data=data, headers={"Origin": stack.url})
    assert r.status_code == 201
    r = tess.request("POST", "/api/tokens/", data={**data, "csrf": tess.csrf()})
    assert r.status_code == 201


def test_removed_rights_leave_tokens(stack):
    lost = person(stack, "lost", "Uploaders", "Token Users")
    r = lost.change("POST", "/api/tokens/", {"permissions": ids(lost)["Upload Symbols Files"],
                                             "expires": "1"})
    assert r.status_code == 201
    stack.salvage("grant", "remove", "lost", "Uploaders")
    assert stack.query("select permissions from api_token t join users u on u.id = t.user_id "
                       "where u.name = 'lost'") == [(0,)]


def test_browsers_get_the_page(stack):
    r = api(stack, "/api/tokens/", token(stack, "tess", "manage_tokens"),
            headers={"Accept": "text/html,*/*"})
    assert r.status_code == 200 and r.headers["Content-Type"].startswith("text/html")


# ---- /api/syminfo/ ----

def test_syminfo(stack):
    key, one, code = token(stack, "ci@example.com", "upload_symbols"), an_id(), an_id()[:15]
    text = (f"MODULE windows x86_64 {one} info.pdb\nINFO CODE_ID {code} info.dll\n"
            "INFO GENERATOR mozilla/dump_syms 2.3\nPUBLIC 10 0 f\n").encode()
    name = f"info.pdb/{one}/info.sym"
    assert upload(stack, archive({name: text}), token=key).status_code == 201
    for path in (f"info.dll/{code}", f"INFO.DLL/{code.lower()}", f"info.pdb/{one}",
                 f"info.pdb/{one}?_refresh"):
        r = api(stack, "/api/syminfo/" + path)
        assert r.status_code == 200, path
        assert r.json() == {"debug_id": one, "debug_filename": "info.pdb", "code_file": "info.dll",
                            "code_id": code, "generator": "mozilla/dump_syms 2.3",
                            "url": f"{stack.url}/symbols/{name}"}
        assert r.headers["Access-Control-Allow-Origin"] == "*"
        assert requests.get(r.json()["url"], timeout=30).status_code == 200


def test_syminfo_of_elf_has_a_url_that_works(stack):
    key, one = token(stack, "ci@example.com", "upload_symbols"), an_id()
    text = f"MODULE Linux x86_64 {one} libinfo.so\nINFO CODE_ID {one}AB libinfo.so\n".encode()
    upload(stack, archive({f"libinfo.so/{one}/libinfo.so.sym": text}), token=key)
    url = api(stack, f"/api/syminfo/libinfo.so/{one}AB").json()["url"]
    assert url.endswith("/libinfo.so.sym")
    assert requests.get(url, timeout=30).status_code == 200


def test_syminfo_miss_and_wrong(stack):
    r = api(stack, f"/api/syminfo/no.dll/{an_id()}")
    assert (r.status_code, r.text) == (404, "Code file / id Not Found")
    assert r.headers["Content-Type"].startswith("text/plain")
    assert api(stack, "/api/syminfo/no.dll/xyz").status_code == 404
    assert api(stack, f"/api/syminfo/no.dll/{an_id()}", method="HEAD").status_code == 405
    assert api(stack, f"/api/syminfo/no.dll/{an_id()}", method="POST").status_code == 405


# ---- the database is away ----

def test_database_away(stack):
    key = token(stack, "ci@example.com", "upload_symbols")
    assert api(stack, "/api/uploads/", key).status_code == 200      # the token is remembered
    stack.error_log.expect("SAL2040|SAL2002|AH0|SAL5|SAL90|dbd")
    stack.stop("postgres")
    r = api(stack, "/api/uploads/", key)
    assert r.status_code == 503 and "Retry-After" in r.headers and r.json()["error"]


# ---- deleting ----

@pytest.fixture
def keeper(stack):
    """May delete, and look at all."""
    return token(stack, "keeper@example.com", "manage_symbols", "view_all_uploads")


def there(stack, key):
    return requests.get(f"{stack.url}/symbols/v1/{key}", timeout=30).status_code


def file_id(stack, upload_id, key):
    debug_file = key.split("/")[0]
    return stack.query("select id from symbol_file where upload_id = %s and debug_file = %s",
                       upload_id, debug_file)[0][0]


def test_delete_a_file(stack, sent, keeper):
    upload_id, names, _, _ = sent
    path = f"/api/uploads/files/file/{file_id(stack, upload_id, names[0])}"
    dry = api(stack, path + "?dry_run=1", keeper, "DELETE").json()
    assert (dry["ok"], dry["dry_run"], dry["files"], dry["keys"], dry["freed_size"]) == (
        True, True, 1, [names[0]], 0)
    assert (there(stack, names[0]), dry["stored_size"] > 0, dry["more"]) == (200, True, False)
    done = api(stack, path, keeper, "DELETE").json()
    assert (done["dry_run"], done["files"], done["keys"]) == (False, 1, [names[0]])
    assert done["freed_size"] == done["stored_size"] == dry["stored_size"]
    assert (there(stack, names[0]), there(stack, names[1])) == (404, 200)
    assert stack.query("select action, target, detail from audit_log where actor = %s order by id "
                       "desc limit 1", "keeper@example.com") == [
        ("symbols.delete", path.replace("/api/uploads/files/file/", "file="),
         f"1 files, {dry['stored_size']} bytes")]
    r = api(stack, path, keeper, "DELETE")
    assert (r.status_code, r.json()) == (404, {"error": "No FileUpload matches the given query."})


def test_delete_an_upload(stack, sent, keeper):
    upload_id, names, _, _ = sent
    path = f"/api/uploads/upload/{upload_id}"
    assert api(stack, path + "?dry_run=no", keeper, "DELETE").json()["files"] == 2
    assert [there(stack, n) for n in names] == [404, 404]
    assert api(stack, path, keeper).json()["upload"]["file_uploads"] == []
    assert api(stack, path, keeper, "DELETE").json()["files"] == 0
    r = api(stack, "/api/uploads/upload/999999999", keeper, "DELETE")
    assert (r.status_code, r.json()) == (404, {"error": "No Upload matches the given query."})
    for path in ("/api/uploads/upload/x", "/api/uploads/files/file/", "/api/uploads/upload/0"):
        assert api(stack, path, keeper, "DELETE").status_code == 404, path


def test_delete_a_release(stack, keeper):
    product, keys = f"Product {an_id()[:8]}", []
    for version, is_try in (("1.0", ""), ("1.0", "1"), ("2.0", "")):
        debug_id = an_id()
        keys.append(f"rel.pdb/{debug_id}/rel.sym")
        r = upload(stack, archive({keys[-1]: sym("rel.pdb", debug_id)}),
                   fields={"product": product, "version": version, "try": is_try})
        assert r.status_code == 201, r.text

    def delete(**which):
        r = api(stack, "/api/uploads/files/", keeper, "DELETE", params=which)
        assert r.status_code == 200, r.text
        return r.json()["keys"]

    assert delete(product=product.lower(), dry_run="1") == keys
    assert delete(product=product, version="3.0") == []
    assert delete(product=product, version="1.0", upload_type="regular") == keys[:1]
    assert delete(product=product, key="REL.pdb") == keys[1:]
    assert stack.query("select count(*) from symbol_file where product = %s", product) == [(0,)]


@pytest.mark.parametrize("query,field,text", [
    ("", "product", "One of product, version, channel, build, key is required."),
    ("?upload_type=try", "product", "One of product, version, channel, build, key is required."),
    ("?product=", "product", "One of product, version, channel, build, key is required."),
    ("?product=x&upload_type=odd", "upload_type", "Unrecognized upload_type value 'odd'")])
def test_delete_needs_a_release(stack, keeper, query, field, text):
    r = api(stack, "/api/uploads/files/" + query, keeper, "DELETE")
    assert (r.status_code, r.json()) == (400, {"errors": {field: [text]}})


def test_who_may_delete(stack, sent):
    upload_id, names, user, key = sent
    paths = [f"/api/uploads/upload/{upload_id}", "/api/uploads/files/?key=mod.pdb",
             f"/api/uploads/files/file/{file_id(stack, upload_id, names[0])}"]
    boss = admin(stack)
    for path in paths:
        r = api(stack, path, method="DELETE")
        assert (r.status_code, r.json()) == (403, NO_LOGIN)
        for other in (key, token(stack, "auditor@example.com", "view_all_uploads")):
            r = api(stack, path, other, "DELETE")
            assert (r.status_code, r.json()) == (403, {"error": "Forbidden"})
        for headers in ({}, {"X-CSRFToken": "0" * 64}, {"Origin": "https://evil.example"}):
            r = boss.request("DELETE", path, headers=headers)
            assert r.status_code == 403 and "CSRF" in r.json()["error"], headers
    assert [there(stack, n) for n in names] == [200, 200]
    assert api(stack, "/api/uploads/", key, "DELETE").status_code == 405
    assert boss.change("DELETE", paths[0]).json()["files"] == 2
    assert [there(stack, n) for n in names] == [404, 404]
