#!/bin/bash
# The rules of the house: who may include whom.
#  - nothing under lib/ includes an httpd header
#  - a room of lib/ includes only itself and rooms before it in the list
#  - modules reach lib/ only through its public headers, and no module includes another's
cd "$(dirname "$0")/../.." || exit 1
rooms="base db store minidump symbols upstream upload books dumpsyms symbolicate unwind analysis signature crash process queue search ping hint triage reprocess export jobs render admin"
bad=0

complain() {
    echo "rooms: $*"
    bad=1
}

includes() { # FILE: the quoted and bracketed names it includes
    sed -n 's/^#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' "$1"
}

rank() {
    local i=0 r
    for r in $rooms; do
        i=$((i + 1))
        [ "$r" != "$1" ] || echo $i
    done
}

for file in $(git ls-files 'lib/*.c' 'lib/*.h' 'lib/*.cc'); do
    room=$(echo "$file" | cut -d/ -f2)
    own=$(rank "$room")
    for name in $(includes "$file"); do
        case $name in
        httpd.h | http_*.h | ap_*.h | util_*.h | mod_*.h | scoreboard.h | common/*)
            complain "$file includes $name: the library knows no request" ;;
        */*)
            other=$(rank "${name%%/*}")
            if [ -n "$other" ] && [ "$other" -gt "$own" ]; then
                complain "$file includes $name, a room below its own"
            fi ;;
        esac
    done
done

for file in $(git ls-files 'modules/*.c' 'modules/*.h'); do
    module=$(echo "$file" | cut -d/ -f2)
    for name in $(includes "$file"); do
        case $name in
        *_private.h)
            [ -e "modules/$module/$(basename "$name")" ] ||
                complain "$file includes $name: private to a room" ;;
        esac
        first=${name%%/*}
        if [ "$first" != "$name" ] && [ -d "modules/$first" ] && [ "$first" != common ] &&
            [ "$first" != "$module" ] && [ ! -d "lib/$first" ]; then
            complain "$file includes $name: another module's"
        fi
    done
done
exit $bad
