#!/usr/bin/python3
"""A real S3 server that verifies signatures: Swift's account, container, object and proxy server
(with s3api) in one process, on a folder whose file system has user.* attributes.

s3swift.py DIR [PORT]: prints `READY port=N pid=P` and runs until SIGTERM. Keys: KEYS below.
DIR/fault = "STATUS COUNT [METHOD]" lets the next COUNT requests fail; status 0 drops connections.
"""
import logging
import os
import signal
import socket as plain_socket
import sys
import time

import eventlet
eventlet.patcher.monkey_patch(all=False, socket=True, select=True, thread=True)
from eventlet import wsgi  # noqa: E402  (after the patch)
from eventlet.green import socket  # noqa: E402

KEYS = {"TESTKEY": "testsecret", "OTHERKEY": "othersecret"}     # each owns one account
FILTERS = "fault catch_errors gatekeeper cache listing_formats s3api tempauth copy slo dlo"
DEFAULT = """[DEFAULT]
swift_dir = {base}/etc
devices = {base}/srv
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
log_address = {base}/none
log_custom_handlers = __main__.log_to_stderr
[pipeline:main]
pipeline = {pipeline}
"""
BACKEND = DEFAULT + "[app:{kind}]\nuse = egg:swift#{kind}\n"
PROXY = DEFAULT + """[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_upload_part_num = 10000
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
[filter:tempauth]
paste.filter_factory = __main__:auth_factory
[filter:cache]
paste.filter_factory = __main__:cache_factory
[filter:fault]
paste.filter_factory = __main__:fault_factory
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n"
              for name in ("catch_errors", "gatekeeper", "listing_formats", "copy", "dlo"))
BASE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""


def log_to_stderr(conf, name, to_console, route, fmt, logger, adapted):
    logger.addHandler(logging.StreamHandler())


def auth_factory(global_conf, **conf):
    from swift.common.middleware.tempauth import TempAuth

    def make(app):
        auth = TempAuth(app, dict(global_conf, **conf))
        for key, secret in KEYS.items():    # an account's name must not contain the key
            auth.users[key] = {"key": secret, "url": "http://x/v1/AUTH_" + key.lower(),
                               "groups": [".admin"]}
        return auth
    return make


class Cache:
    """The part of a memcache client that Swift calls."""

    def __init__(self):
        self.data = {}

    def get(self, key, **_):
        value, end = self.data.get(key, (None, 0))
        return value if not end or end > time.time() else None

    def set(self, key, value, serialize=True, **options):
        lasts = options.get("time", 0)
        self.data[key] = (value, lasts and time.time() + lasts)

    def delete(self, key, **_):
        self.data.pop(key, None)

    def incr(self, key, delta=1, **options):
        self.set(key, (self.get(key) or 0) + delta, **options)
        return self.get(key)


def cache_factory(global_conf, **conf):
    cache = Cache()
    return lambda app: lambda env, start: app(dict(env, **{"swift.cache": cache}), start)


def fault_factory(global_conf, **conf):
    path = BASE + "/fault"

    def make(app):
        def call(env, start):
            try:
                with open(path, encoding="ascii") as f:
                    status, count, *method = f.read().split()
            except (OSError, ValueError):
                return app(env, start)
            if int(count) < 1 or (method and method[0] != env["REQUEST_METHOD"]):
                return app(env, start)
            with open(path, "w", encoding="ascii") as f:
                f.write(" ".join([status, str(int(count) - 1)] + method))
            if status == "0":
                env["eventlet.input"].get_socket().shutdown(plain_socket.SHUT_RDWR)
                return [b""]
            body = b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>"
            start(status + " Injected", [("Content-Type", "application/xml"),
                                         ("Content-Length", str(len(body)))])
            return [body]
        return call
    return make


def listener(port):
    made = socket.socket()
    made.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_REUSEADDR, 1)
    made.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
    made.bind(("127.0.0.1", port))
    made.listen(512)
    return made


def write(name, text):
    with open(f"{BASE}/etc/{name}", "w", encoding="ascii") as f:
        f.write(text)


def main():
    os.makedirs(BASE + "/etc", exist_ok=True)
    os.makedirs(BASE + "/srv/d1", exist_ok=True)
    write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = tests\n"
                        "[storage-policy:0]\nname = one\ndefault = yes\n")
    from swift.common import utils
    utils.SWIFT_CONF_FILE = BASE + "/etc/swift.conf"    # before anything else of Swift
    utils.validate_configuration()
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.ring import RingBuilder
    from swift.common.wsgi import RestrictedGreenPool, loadapp
    sockets = {}
    for kind in ("account", "container", "object", "proxy"):
        proxy = kind == "proxy"
        sockets[kind] = listener(int(sys.argv[2]) if proxy and len(sys.argv) > 2 else 0)
        write(kind + "-server.conf",
              (PROXY if proxy else BACKEND).format(
                  base=BASE, kind=kind, pipeline=FILTERS + " proxy-server" if proxy else kind))
        if not proxy:
            ring = RingBuilder(4, 1, 0)
            port = sockets[kind].getsockname()[1]
            ring.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "d1",
                          "meta": "", "ip": "127.0.0.1", "port": port,
                          "replication_ip": "127.0.0.1", "replication_port": port})
            ring.rebalance()
            ring.get_ring().save(f"{BASE}/etc/{kind}.ring.gz")
    for kind, sock in sockets.items():
        app = loadapp(f"{BASE}/etc/{kind}-server.conf", global_conf={"log_name": kind})
        eventlet.spawn(wsgi.server, sock, app, utils.NullLogger(), protocol=SwiftHttpProtocol,
                       custom_pool=RestrictedGreenPool(1024), socket_timeout=60,
                       capitalize_response_headers=False)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"READY port={sockets['proxy'].getsockname()[1]} pid={os.getpid()}", flush=True)
    while True:
        eventlet.sleep(3600)


if __name__ == "__main__":
    main()
