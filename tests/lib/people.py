"""People who sign in to a private instance with Basic authentication, and what they may."""
import subprocess

import requests


class Person:
    """A signed-in person; requests carry their credentials and, for changes, the form token."""

    def __init__(self, stack, name, password="secret"):
        self.stack, self.name, self.password = stack, name, password

    def request(self, method, path, **kw):
        return requests.request(method, self.stack.url + path, auth=(self.name, self.password),
                                timeout=30, allow_redirects=False, **kw)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def csrf(self):
        return self.get("/api/_auth/").json()["csrf_token"]

    def change(self, method, path, data=None):
        return self.request(method, path, data=data, headers={"X-CSRFToken": self.csrf()})


def person(stack, name, *groups):
    """Makes a person with a password and puts them into groups."""
    people = stack.dir / "people"
    if not any(line.startswith(name + ":") for line in people.read_text().splitlines()):
        coded = subprocess.run(["openssl", "passwd", "-apr1", "secret"], capture_output=True,
                               text=True, check=True).stdout
        with people.open("a") as f:
            f.write(f"{name}:{coded}")
    if groups:
        stack.salvage("grant", "add", name, *groups)
    return Person(stack, name)


def admin(stack):
    return Person(stack, stack.env["SALVAGE_ADMIN_USER"], stack.env["SALVAGE_ADMIN_PASSWORD"])


def token(stack, name, *permissions):
    """The text of a new token of this user."""
    args = [x for p in permissions for x in ("--permission", p)]
    return stack.salvage("token", "create", name, *args).stdout.strip()
