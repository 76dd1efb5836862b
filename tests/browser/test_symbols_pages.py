"""Pages of the symbols server in a real Chromium: signing in, lists, one upload, one file, tokens.

$SALVAGE_SHOTS names a folder that gets pictures of the pages, wide and narrow, light and dark.
"""
import hashlib
import os
import pathlib
import time

import pytest
import requests
from people import admin, person, token
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from symbols import archive, sym, upload
from test_report_page import chromium, complaints, resize  # noqa: F401  (a fixture, helpers)


def an_id():
    an_id.n += 1
    return hashlib.md5(str((an_id.n, time.time())).encode()).hexdigest().upper() + "1"


an_id.n = 0
PAGES = ["/uploads/", "/uploads/files/", "/uploads/missing/", "/uploads/statistics/",
         "/uploads/upload/", "/tokens/", "/uploads/help/"]


@pytest.fixture
def sent(stack):
    """An upload with a stored, a skipped and an ignored file: its id and keys."""
    key = token(stack, "ci-northlight", "upload_symbols")
    one, two = an_id(), an_id()
    first = {f"northlight.pdb/{one}/northlight.sym": sym("northlight.pdb", one, lines=400)}
    both = {**first, f"libnlscene.so/{two}/libnlscene.so.sym": sym("libnlscene.so", two),
            "build-symbols.txt": b"list"}
    assert upload(stack, archive(first), token=key).status_code == 201
    r = upload(stack, archive(both), token=key, field="northlight-4.4.0a1-win64.symbols.zip")
    for _ in range(3):
        requests.get(f"{stack.url}/symbols/{next(iter(first))}", timeout=20)
        requests.get(f"{stack.url}/symbols/rdrhook64.pdb/{an_id()}/rdrhook64.sym", timeout=20,
                     params={"code_file": "rdrhook64.dll", "code_id": "5F3A10001a000"})
    return r.json()["upload"]["id"], list(both)[:2]


def sign_in(browser, stack, who):
    """As a person would: the place to sign in asks for a name and a password."""
    host = stack.url.removeprefix("http://")
    browser.get(f"http://{who.name}:{who.password}@{host}/signin?next=/uploads/")
    browser.get(stack.url + "/uploads/")    # with a name in the address the first page has none
    assert browser.current_url.endswith("/uploads/")
    assert who.name in browser.find_element(By.CSS_SELECTOR, "header .menu").text


def text(browser, selector="main"):
    """Of the page that is there: one that a click has just sent for may come in between."""
    wait = WebDriverWait(browser, 20, ignored_exceptions=[StaleElementReferenceException])
    return wait.until(lambda b: (b.find_element(By.CSS_SELECTOR, selector).text,))[0]


def no_fault(browser):
    return [x for x in complaints(browser) if "status of 40" not in x["message"]]


def test_anonymous_people_are_asked_to_sign_in(stack, chromium):
    browser = chromium()
    for path in ("/uploads/", "/uploads/upload/1", "/uploads/statistics/", "/tokens/"):
        browser.get(stack.url + path)
        assert "Sign in" in text(browser, "h1"), path
        link = browser.find_element(By.CSS_SELECTOR, ".hero a.main").get_attribute("href")
        assert link.startswith(stack.url + "/signin?next=%2F")
    for path in ("/uploads/missing/", "/uploads/help/"):
        browser.get(stack.url + path)
        assert "Sign in" not in text(browser, "h1"), path


def test_upload_and_file(stack, chromium, sent):
    upload_id, keys = sent
    browser = chromium()
    sign_in(browser, stack, admin(stack))
    browser.find_element(By.CSS_SELECTOR, f'a[href="/uploads/upload/{upload_id}"]').click()
    assert f"Upload {upload_id}" in text(browser, "h1")
    assert keys[0] in text(browser) and "build-symbols.txt" in text(browser)  # skipped, ignored
    rows = browser.find_elements(By.CSS_SELECTOR, "#files tbody tr")
    assert len(rows) == 1 and "libnlscene.so" in rows[0].text
    rows[0].find_element(By.TAG_NAME, "a").click()
    assert "libnlscene.so.sym" in text(browser, "h1")
    head = text(browser, "#head").splitlines()
    assert head[0] == f"MODULE windows x86_64 {keys[1].split('/')[1]} libnlscene.so"
    assert head[1] == "INFO GENERATOR test 1.0" and any(x.startswith("FUNC 1000") for x in head)
    assert no_fault(browser) == []


def test_filters(stack, chromium, sent):
    upload_id, keys = sent
    browser = chromium()
    sign_in(browser, stack, admin(stack))
    browser.get(stack.url + "/uploads/files/")
    browser.find_element(By.ID, "f-k").send_keys(keys[1].split("/")[1].lower() + "\n")
    assert len(browser.find_elements(By.CSS_SELECTOR, "table.data tbody tr")) == 1
    assert "1 found" in text(browser)
    browser.find_element(By.LINK_TEXT, "Try").click()
    assert "No file matches" in text(browser) and "upload_type=try" in browser.current_url
    browser.get(stack.url + "/uploads/?size=x")
    assert "'x' is not a valid size" in text(browser, ".note")
    browser.get(stack.url + "/uploads/?user=nobody")
    assert "No upload matches" in text(browser)
    assert no_fault(browser) == []


def test_tokens(stack, chromium):
    stack.query("delete from api_token using users u where u.id = user_id and u.name = 'mara' "
                "returning 1")
    browser = chromium()
    sign_in(browser, stack, person(stack, "mara", "Uploaders", "Token Users"))
    browser.get(stack.url + "/tokens/")
    browser.find_element(By.ID, "tk-n").send_keys("weekly script")
    for label in browser.find_elements(By.CSS_SELECTOR, "label.check"):
        if "Upload" in label.text:
            label.click()
    browser.find_element(By.CSS_SELECTOR, "form[action='/tokens/'] button").click()
    assert "Invalid combination of permissions" in text(browser, ".note")
    browser.get(stack.url + "/tokens/")
    browser.find_element(By.ID, "tk-n").send_keys("weekly script")
    browser.find_element(By.XPATH, "//label[contains(., 'Upload Symbols Files')]").click()
    Select(browser.find_element(By.ID, "tk-e")).select_by_visible_text("1 week")
    browser.find_element(By.CSS_SELECTOR, "form[action='/tokens/'] button").click()
    made = text(browser, "#newtok")
    assert len(made) == 64 and "shown this once" in text(browser, ".note")
    r = requests.get(stack.url + "/api/_auth/", headers={"Auth-Token": made}, timeout=20)
    assert r.json()["user"]["email"] == "mara"
    browser.get(stack.url + "/tokens/")
    assert made not in browser.page_source and made[:6] in text(browser, "table")
    before = text(browser, "table td[data-l=expires]")
    browser.find_element(By.XPATH, "//button[contains(., 'Extend')]").click()
    WebDriverWait(browser, 20).until(
        lambda b: int(text(b, "table td[data-l=expires]")[:4]) == int(before[:4]) + 1)
    browser.find_element(By.XPATH, "//button[contains(., 'Delete')]").click()
    WebDriverWait(browser, 20).until(lambda b: "No tokens here" in text(b))
    assert no_fault(browser) == []


def test_upload_now(stack, chromium, tmp_path):
    one = an_id()
    zipped = tmp_path / "now.zip"
    zipped.write_bytes(archive({f"now.pdb/{one}/now.sym": sym("now.pdb", one)}))
    browser = chromium(scripts=False)
    sign_in(browser, stack, person(stack, "uma", "Uploaders"))
    browser.get(stack.url + "/uploads/upload/")
    browser.find_element(By.ID, "un-f").send_keys(str(zipped))
    browser.find_element(By.CSS_SELECTOR, "form[enctype] button").click()
    WebDriverWait(browser, 20, ignored_exceptions=[StaleElementReferenceException]).until(
        lambda b: "now.sym" in text(b))
    assert requests.get(f"{stack.url}/symbols/now.pdb/{one}/now.sym", timeout=20).status_code == 200
    assert stack.query("select user_name from symbol_upload u join symbol_file f on "
                       "f.upload_id = u.id where debug_id = %s", one) == [("uma",)]
    browser.get(stack.url + "/uploads/")
    assert "uma" in text(browser)


def test_who_may_not(stack, chromium, sent):
    browser = chromium()
    sign_in(browser, stack, person(stack, "visitor"))
    browser.get(f"{stack.url}/uploads/upload/{sent[0]}")
    assert "Somebody else" in text(browser, "h1")
    browser.get(stack.url + "/uploads/files/")
    assert "View All Symbols Uploads" in text(browser)
    browser.get(stack.url + "/uploads/upload/")
    assert "You may not upload" in text(browser)
    browser.get(stack.url + "/tokens/")
    assert "You may not make tokens" in text(browser)


def test_forged_form(stack):
    who = person(stack, "mara", "Uploaders", "Token Users")
    for headers in ({}, {"Origin": "https://evil.example"}):
        r = who.request("POST", "/tokens/", data={"permissions": "1", "expires": "1"},
                        headers=headers)
        assert r.status_code == 403 and "too old" in r.text


def test_markup_of_strangers_does_nothing(stack, chromium):
    bad = "<script>document.title='owned'</script>"
    stack.query("insert into symbol_upload (user_name, archive_name, archive_size, archive_sha256, "
                "unpacked_size, is_try, members, stored, skipped_keys, ignored_keys, warnings, "
                "created_at) values (%s, %s, 1, '', 1, false, 0, 0, '{}', array[%s], array[%s], "
                "now()) returning id", bad, bad, bad, bad)
    browser = chromium()
    sign_in(browser, stack, admin(stack))
    for path in ("/uploads/", "/uploads/statistics/", "/uploads/?user=" + bad):
        browser.get(stack.url + path)
        assert browser.title != "owned" and no_fault(browser) == []
    stack.query("delete from symbol_upload where user_name = %s returning 1", bad)


@pytest.mark.parametrize("width", [1400, 700, 360, 320])
def test_no_sideways_scrolling(stack, chromium, width, sent):
    upload_id, keys = sent
    file_id = stack.query("select max(id) from symbol_file where upload_id = %s", upload_id)[0][0]
    browser = chromium(width)
    sign_in(browser, stack, admin(stack))
    for path in PAGES + [f"/uploads/upload/{upload_id}", f"/uploads/files/file/{file_id}"]:
        browser.get(stack.url + path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, path
        assert no_fault(browser) == [], path


@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures(stack, chromium, width, dark, sent, tmp_path):
    """Pictures of the pages; SALVAGE_SHOTS names a folder in which they stay."""
    folder = pathlib.Path(os.environ.get("SALVAGE_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    upload_id, _ = sent
    file_id = stack.query("select max(id) from symbol_file where upload_id = %s", upload_id)[0][0]
    who = admin(stack)
    who.change("POST", "/api/tokens/", {"permissions": "1", "expires": "90",
                                        "notes": "northlight ci symbols"})
    browser = chromium(width, dark)
    sign_in(browser, stack, who)
    for path in PAGES + [f"/uploads/upload/{upload_id}", f"/uploads/files/file/{file_id}"]:
        resize(browser, width, 900)
        browser.get(stack.url + path)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        resize(browser, width, min(height, 4000))
        name = path.strip("/").replace("/", "-")
        shot = folder / f"symbols-{name}-{width}-{'dark' if dark else 'light'}.png"
        assert browser.save_screenshot(str(shot)) and shot.stat().st_size > 5000
