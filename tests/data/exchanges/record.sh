#!/bin/bash
# Records the exchanges of senders that can run here: Breakpad's minidump_upload and its libcurl
# form of the Google uploader, and the curl program as Firefox's crash reporter calls it.
#
# usage: record.sh BREAKPAD
# BREAKPAD is a checkout of Breakpad; needs g++ and libcurl's headers. A listener takes each request
# down as it comes and answers 200.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
breakpad=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

g++ -std=c++17 -O1 -I"$breakpad/src" -o "$work/minidump_upload" \
    "$breakpad/src/tools/linux/symupload/minidump_upload.cc" \
    "$breakpad/src/common/linux/http_upload.cc" "$breakpad/src/common/path_helper.cc" -ldl
python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
import make
open(sys.argv[2] + "/crash.dmp", "wb").write(make.DUMP)
open(sys.argv[2] + "/extra.json", "w").write(
    make.json.dumps(dict(make.EXTRA, SubmittedFrom="Client", Throttleable="1")))
' "$here" "$work"

cat >"$work/listen.py" <<'END'
import re
import socket
import sys

with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    conn, _ = server.accept()
    data = b""
    asked = False
    while True:
        top, gap, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", top)
        if gap and not asked and b"100-continue" in top:
            conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            asked = True
        if gap and length and len(body) >= int(length.group(1)):
            break
        data += conn.recv(65536)
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
                 b"CrashID=bp-xx\n")
    conn.close()
open(sys.argv[1], "wb").write(re.sub(rb"127\.0\.0\.1:[0-9]+", b"crash.example.com", data))
END

record() { # NAME COMMAND...: @URL@ in the command is the listener
    local name=$1 port
    shift
    rm -f "$work/port"
    mkfifo "$work/port"
    python3 "$work/listen.py" "$here/$name.http" >"$work/port" &
    local listener=$!
    read -r port <"$work/port"
    "${@//@URL@/http://127.0.0.1:$port}" >/dev/null 2>&1 || true
    wait "$listener"
    rm -f "$work/port"
}

cd "$work"
record breakpad-linux ./minidump_upload -p Demo -v 1.2.3 crash.dmp @URL@/submit
record breakpad-google curl -s -H "User-Agent:" -H "Expect:" --form-string prod=Demo \
    --form-string ver=1.2.3 --form-string "guid=" --form-string ptime=61234 \
    --form-string ctime=70000 --form-string "email=" --form-string "comments_=it froze" \
    -F "upload_file_minidump=@crash.dmp;type=application/octet-stream" @URL@/cr
record firefox-client curl -s --user-agent crashreporter/1.0.0 \
    --form "extra=@extra.json;filename=extra.json;type=application/json" \
    --form "upload_file_minidump=@crash.dmp;type=application/octet-stream" \
    --form "memory_report=@crash.dmp;filename=x.memory.json.gz" @URL@/submit
