# shellcheck shell=bash disable=SC2034 # sourced: the lists are used there
# What ./quickstart and ./check share: packages, where to work, the build. Sourced by bash.
#
# Everything is built out of tree. The servers run as unprivileged users, so the work root must be
# reachable for them: it is the checkout, or, where a parent such as /root is closed to others, a
# folder under /var/lib.

BUILD_PACKAGES="apache2-bin apache2-dev autoconf automake build-essential libapr1-dev
    libaprutil1-dbd-pgsql libaprutil1-dev libcurl4-openssl-dev libdw-dev libelf-dev libiberty-dev
    libisal-dev libjansson-dev libkainjow-mustache-dev liblzma-dev libpcre2-dev libpq-dev libseccomp-dev libssl-dev
    libmspack-dev libtool libxxhash-dev libzip-dev libzstd-dev libzydis-dev pkg-config postgresql
    postgresql-contrib util-linux zlib1g-dev curl"
TEST_PACKAGES="binutils-aarch64-linux-gnu binutils-mips-linux-gnu chromium chromium-driver
    clang-format-14 debuginfod dwz e2fsprogs fuse3 gcab gdb libcmocka-dev libfuse3-dev python3-jsonschema python3-psycopg2 python3-pytest python3-pytest-xdist
    python3-requests python3-selenium python3-swift shellcheck strace universal-ctags unzip wrk xfsprogs
    xz-utils zstd"

# die TEXT: one line, exit 1
die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# need_packages LOG NAME...: installs what is missing, and nothing else
need_packages() {
    local log=$1 missing="" name
    shift
    for name in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^ii' ||
            missing="$missing $name"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        die "packages are missing and there is no sudo; as root: apt-get install$missing"
    echo "installing packages:$missing"
    keep_system_cluster_away start
    # shellcheck disable=SC2086 # a list of names
    if ! { as_root apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
            --no-install-recommends $missing; } >"$log" 2>&1; then
        keep_system_cluster_away end
        die "packages could not be installed, see $log"
    fi
    keep_system_cluster_away end
}

# Debian makes and starts a cluster when PostgreSQL is first installed; we want only our own.
keep_system_cluster_away() {
    local file=/etc/postgresql-common/createcluster.d/salvage-quickstart.conf
    if [ "$1" = start ]; then
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return 0
        as_root mkdir -p "$(dirname "$file")"
        echo "create_main_cluster = false" | as_root tee "$file" >/dev/null
    elif [ -e "$file" ]; then
        as_root rm -f "$file"
    fi
}

# work_root CHECKOUT: prints the folder that holds build/ and run/
work_root() {
    local top=$1 id
    if [ "$(id -u)" != 0 ] || setpriv --reuid=nobody --regid=nogroup --clear-groups \
        test -x "$top" 2>/dev/null; then
        echo "$top"
        return
    fi
    id=$(printf %s "$top" | cksum | cut -d' ' -f1)
    mkdir -p "/var/lib/salvage-quickstart/$id"
    echo "/var/lib/salvage-quickstart/$id"
}

# build_tree CHECKOUT BUILD LOG [configure options]: configure once, build, install to BUILD/stage
build_tree() {
    local top=$1 build=$2 log=$3
    shift 3
    mkdir -p "$build"
    (
        set -e
        if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
            cd "$top"
            autoreconf -i
        fi
        cd "$build"
        if [ ! -e Makefile ] || [ "$(cat configured-with 2>/dev/null)" != "$*" ]; then
            "$top/configure" --prefix="$build/stage" --with-module-dir="$build/stage/libexec" "$@"
            echo "$*" >configured-with
        fi
        make -j"$(nproc)"
        make install
    ) >"$log" 2>&1 || {
        grep -m5 -E '(error|Error|\*\*\*)' "$log" >&2
        die "the build failed, see $log"
    }
}
