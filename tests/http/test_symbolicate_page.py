"""The page that tries symbolication: a form, what came of it, what it refuses."""
import html
import json
import re

import pytest
import requests
from symbols import new_id, put

SYM = """MODULE windows x86_64 {id} paged.pdb
INFO CODE_ID 60533C886EFD000 paged.dll
FILE 0 a.cpp
FILE 1 b.h
INLINE_ORIGIN 0 small<int>
FUNC 1000 100 0 large
INLINE 0 10 0 0 1010 10
1000 10 7 0
1010 10 30 1
1020 e0 8 0
"""


@pytest.fixture
def module(stack):
    ident = new_id()
    put(stack, "paged.pdb", ident, "paged.sym", SYM.format(id=ident).encode())
    return {"module": "paged.pdb", "id": ident}


def get(stack, params=None, **kwargs):
    return requests.get(stack.url + "/symbolicate/", params=params, timeout=30, **kwargs)


def rows(text):
    body = re.search("<tbody>(.*?)</tbody>", text, re.S)
    return [[html.unescape(re.sub("<[^>]*>", "", cell)).strip()
             for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall("<tr>(.*?)</tr>", body[1], re.S)] if body else []


def test_form(stack):
    r = get(stack)
    assert r.status_code == 200 and r.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "script-src 'self'" in r.headers["Content-Security-Policy"]
    assert '<form class="body stack-y" action="/symbolicate/">' in r.text
    assert stack.url + "/symbolicate/v5" in r.text and not rows(r.text)
    head = requests.head(stack.url + "/symbolicate/", timeout=30)
    assert (head.status_code, head.text) == (200, "")
    assert get(stack, headers={"If-None-Match": r.headers["ETag"]}).status_code == 304
    # it is a page and no more
    for method in ("POST", "PUT", "DELETE"):
        r = requests.request(method, stack.url + "/symbolicate/", timeout=30)
        assert (r.status_code, r.text) == (404, '{"title": "404 Not Found"}'), method


def test_answer(stack, module):
    r = get(stack, {**module, "offsets": "1012, 0X1020\n0xfff"})
    assert r.status_code == 200
    assert rows(r.text) == [["0x1012", "paged.dll", "small<int> inlined", "b.h:30"],
                            ["0x1012", "paged.dll", "large + 0x12", "a.cpp:10"],
                            ["0x1020", "paged.dll", "large + 0x20", "a.cpp:8"],
                            ["0xfff", "paged.dll", "no symbol", ""]]
    sent = html.unescape(re.search(r"curl -d '(.*?)' ", r.text)[1]).replace("&quot;", '"')
    assert json.loads(sent) == {"jobs": [{
        "memoryMap": [["paged.pdb", module["id"]]], "stacks": [[[0, 0x1012], [0, 0x1020],
                                                                [0, 0xfff]]]}]}
    again = requests.post(stack.url + "/symbolicate/v5", data=sent, timeout=30).json()
    assert again["results"][0]["stacks"][0][1]["function"] == "large"
    shown = html.unescape(re.search(r'id="syans"[^>]*>(.*?)</pre>', r.text, re.S)[1])
    frames = json.loads(shown)["results"][0]["stacks"][0]
    assert frames[0]["function_size"] == frames[1]["function_size"] == "0x100"  # ours
    assert frames == again["results"][0]["stacks"][0]


def test_what_is_not_there(stack, module):
    r = get(stack, {"module": "absent.so", "id": "A" * 33, "offsets": "10"})
    assert r.status_code == 200 and "not_found" in r.text
    r = get(stack, {**module, "id": "<b>", "offsets": "10"})
    assert r.status_code == 200 and "bad_name" in r.text and "<b>" not in r.text


def test_refusals(stack, module):
    for offsets in ("", "xyz", "10 10g", "ffffffffffffffff0", "8000000000000000",
                    " ".join(["10"] * 101)):
        r = get(stack, {**module, "offsets": offsets})
        assert r.status_code == 400 and "Not done." in r.text and not rows(r.text), offsets
    r = requests.get(stack.url + "/symbolicate/?module=%ff&id=A&offsets=10", timeout=30)
    assert r.status_code == 200 and "bad_name" in r.text
    r = get(stack, {**module, "offsets": " ".join(["10"] * 100)})
    assert r.status_code == 200 and len(rows(r.text)) == 100


def test_hostile_names(stack):
    """Neither the page nor the command that it offers takes text for more than text."""
    r = get(stack, {"module": "a'; touch /tmp/x; '<script>\"", "id": "\" onfocus=\"x", "offsets": "1"})
    assert "<script>" not in r.text and '" onfocus="x' not in r.text
    command = html.unescape(re.search(r'id="syreq"[^>]*>(.*?)</pre>', r.text, re.S)[1])
    assert command.count("'") == 2
    assert json.loads(command.split("'")[1])["jobs"][0]["memoryMap"][0][0].startswith("a'; touch")
