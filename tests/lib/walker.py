"""Walks the pages of an instance as one reader: every route of routes.def, then every link found."""
import collections
import html
import html.parser
import re
import urllib.parse

import requests

ROUTE = re.compile(r'^CRASHSTATS_ROUTE\("([^"]*)", (PAGE|UNDER), "([^"]*)", (\w+)\)', re.M)
Route = collections.namedtuple("Route", "path match methods handler")
MODULES_ELSEWHERE = ["/uploads/", "/uploads/files/", "/uploads/missing/", "/uploads/statistics/",
                     "/uploads/upload/", "/uploads/help/", "/tokens/", "/api/tokens/",
                     "/missingsymbols/", "/symbolicate/", "/signin", "/api/_auth/", "/api/uploads/"]
SKIP = re.compile(r"^/(static|signout|signin|siteadmin/crash-me-now|symbols/|upload/)")


def routes(top):
    """Rows of the table that mod_crashstats goes by."""
    return [Route(*x) for x in ROUTE.findall((top / "modules/crashstats/routes.def").read_text())]


class Markup(html.parser.HTMLParser):
    """Links, forms, and what a strict policy forbids."""

    def __init__(self, text):
        super().__init__()
        self.links, self.live, self.forms = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        at = dict(attrs)
        if tag == "a" and at.get("href"):
            self.links.append(at["href"])
        if tag == "form" and (at.get("method") or "").lower() == "post":
            self.forms.append(at.get("action") or "")
        if tag in ("style", "iframe", "object", "embed", "base") or (
                tag == "script" and at.get("src") != "/static/salvage.js") or tag == "canary":
            self.live.append((tag, attrs))
        self.live += [(tag, name, value) for name, value in attrs
                      if name.startswith("on") or name in ("style", "srcdoc")
                      or re.match(r"\s*(javascript|vbscript|data):", value or "", re.I)]


class Walker:
    def __init__(self, stack, auth=None, token=None):
        self.url, self.auth = stack.url, auth
        self.session = requests.Session()
        self.session.headers["Accept"] = "text/html,*/*;q=0.8"
        if token:
            self.session.headers["Auth-Token"] = token
        self.seen = {}      # path with query -> response
        self.posts = set()  # where forms lead to

    def get(self, path, **kw):
        return self.session.get(self.url + path, auth=self.auth, timeout=60, allow_redirects=False,
                                **kw)

    @staticmethod
    def shape(path):
        """Pages that differ only in values are walked three times at most."""
        parts = urllib.parse.urlsplit(path)
        names = sorted({k for k, _ in urllib.parse.parse_qsl(parts.query, True)})
        return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "N", parts.path), tuple(names)

    def walk(self, starts, most=400):
        waiting, shapes = collections.deque(starts), collections.Counter()
        while waiting and len(self.seen) < most:
            path = waiting.popleft().split("#")[0]
            if path in self.seen or SKIP.match(path):
                continue
            shapes[self.shape(path)] += 1
            if shapes[self.shape(path)] > 3 and path not in starts:
                continue
            r = self.seen[path] = self.get(path)
            if "Location" in r.headers:
                waiting.append(r.headers["Location"].replace(self.url, ""))
            if r.headers.get("Content-Type", "").startswith("text/html"):
                found = Markup(r.text)
                self.posts |= {x for x in found.forms if x.startswith("/")}
                for link in found.links:
                    link = link.replace(self.url, "")
                    if link.startswith("?"):
                        link = urllib.parse.urlsplit(path).path + link
                    if link.startswith("/") and not link.startswith("//"):
                        waiting.append(link)
        return self.seen


def everything(r):
    """Body and headers as one text, in the ways in which a value may have been written."""
    text = r.content.decode(errors="replace") + "\n" + "\n".join(
        f"{k}: {v}" for k, v in r.headers.items())
    return "\n".join((text, html.unescape(text), urllib.parse.unquote(text)))
