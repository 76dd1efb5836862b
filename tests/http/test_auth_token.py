"""mod_auth_crash_token: who may upload, the texts and the order of refusals."""
import socket
import urllib.parse

import pytest
import requests
from symbols import archive, counts, stored, sym, upload, ID

ARCHIVE = archive({f"auth.pdb/{ID}/auth.sym": sym("auth.pdb")})


def make_token(stack, user, *permissions, expires="1d"):
    args = [a for p in permissions for a in ("--permission", p)]
    return stack.salvage("token", "create", user, *args, "--expires", expires).stdout.strip()


def refused(stack, answer, status, text, content_type="application/json"):
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == content_type
    assert answer.json() == {"error": text}


@pytest.fixture
def untouched(stack):
    """Neither the disk nor the tables change."""
    before = stored(stack), counts(stack)
    yield
    assert (stored(stack), counts(stack)) == before


def test_no_token(stack, untouched):
    answer = upload(stack, ARCHIVE, token="")
    refused(stack, answer, 403, "This requires an Auth-Token to authenticate the request")
    assert "Auth-Token" not in answer.headers.get("Vary", "")


@pytest.mark.parametrize("token", ["0" * 64, "nonsense", "' or 1=1 --", "0" * 10000 + "-label"])
def test_unknown_token(stack, untouched, token):
    refused(stack, upload(stack, ARCHIVE, token=token[:6000]), 403, "API Token not matched")


def test_unknown_token_with_large_body(stack, untouched):
    """The whole body is read first: the client sees the answer, not a broken pipe."""
    noise = bytes(range(256)) * 40000
    refused(stack, upload(stack, noise, token="f" * 64), 403, "API Token not matched")


def test_unknown_token_asks_before_sending(stack, untouched):
    """A client with Expect: 100-continue gets the refusal without a "continue"."""
    url = urllib.parse.urlparse(stack.url)
    with socket.create_connection((url.hostname, url.port), timeout=20) as s:
        s.sendall((f"POST /upload/ HTTP/1.1\r\nHost: {url.netloc}\r\nAuth-Token: {'e' * 64}\r\n"
                   "Content-Type: multipart/form-data; boundary=x\r\n"
                   "Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n").encode())
        head = s.recv(4096)
    assert head.startswith(b"HTTP/1.1 403 ")


def test_expired_token(stack, untouched):
    token = make_token(stack, "expired@example.com", "upload_symbols")
    stack.query("update api_token set expires = now() - interval '1 second' where user_id = "
                "(select id from users where name = 'expired@example.com')")
    refused(stack, upload(stack, ARCHIVE, token=token), 403, "API Token found but expired")


def test_inactive_user(stack, untouched):
    token = make_token(stack, "gone@example.com", "upload_symbols")
    stack.query("update users set active = false where name = 'gone@example.com'")
    refused(stack, upload(stack, ARCHIVE, token=token), 403,
            "API Token matched but user not active")


def test_method_comes_before_the_missing_token(stack, untouched):
    answer = requests.get(stack.url + "/upload/", timeout=20)
    refused(stack, answer, 405, "Method Not Allowed (GET): /upload/")
    assert answer.headers["Allow"] == "POST"


def test_bad_token_comes_before_the_method(stack, untouched):
    answer = requests.get(stack.url + "/upload/", headers={"Auth-Token": "d" * 64}, timeout=20)
    refused(stack, answer, 403, "API Token not matched")


def test_right_is_missing(stack, untouched):
    stack.error_log.expect("AH01630")
    answer = upload(stack, ARCHIVE, token=stack.api_token)
    refused(stack, answer, 403, "Forbidden")
    assert answer.headers["Vary"] == "Auth-Token"


def test_label_and_both_forms_of_the_path(stack):
    for path in ("/upload/", "/upload"):
        answer = upload(stack, ARCHIVE, token=stack.upload_token + "-build-machine-7", path=path)
        assert answer.status_code == 201, answer.text
        assert "Auth-Token" in answer.headers["Vary"]


def test_bad_token_on_an_open_page(stack):
    """Where a token is optional a bad one is still refused, and none is fine."""
    url = stack.url + "/api/ProcessedCrash/?crash_id=00000000-0000-4000-8000-000000261122"
    answer = requests.get(url, headers={"Auth-Token": "c" * 64}, timeout=20)
    refused(stack, answer, 403, "API Token not matched", "application/json; charset=UTF-8")
    assert requests.get(url, timeout=20).status_code != 403


def test_unknown_permission_is_a_configuration_error(stack):
    accepted, said = stack.judge_conf('<Location "/x">\nAuthType CrashToken\n'
                                      'Require crash-permission upload_symbols frobnicate\n'
                                      '</Location>')
    assert not accepted and '"frobnicate" is no permission' in said
