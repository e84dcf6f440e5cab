#!/usr/bin/env bash
# Installs what is missing from Debian packages: `deps.sh build` (compile and run), `deps.sh test` (also what
# the tests need), `deps.sh ui` (build the page), `deps.sh dev` (all of these; fuzzing, formatting, linting),
# `deps.sh arm64` (compile for arm64 and run the tests in an emulator). Does nothing where all is there.
set -euo pipefail

build="gcc g++ make cmake ninja-build pkg-config libmicrohttpd-dev libcurl4-openssl-dev
  libsimdjson-dev libjansson-dev libzstd-dev liblz4-dev zlib1g-dev libpcre2-dev libutf8proc-dev
  libsqlite3-dev libyaml-dev libxxhash-dev libssl-dev libprotobuf-c-dev protobuf-c-compiler libsnappy-dev
  libbz2-dev liblzma-dev librdkafka-dev libexpat1-dev libhiredis-dev libsystemd-dev libnghttp2-dev
  libpq-dev curl"
test="$build libcmocka-dev python3 python3-venv python3-pip zstd git openssl rsyslog rsyslog-gnutls rsyslog-elasticsearch
  ripgrep tmux zsh fish mariadb-server postgresql pgbouncer redis-server systemd-journal-remote
  chromium fonts-dejavu-core default-jdk-headless maven golang-go"
ui="nodejs npm"
dev="$test $ui clang clang-format clang-tidy lld libclang-rt-14-dev linux-perf"
loaded="libmariadb3" # when it is needed, and with no header of it: mariadb-server brings it
arm64="$test gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user mmdebstrap"

case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
ui) want=$ui ;;
dev) want=$dev ;;
arm64) want=$arm64 ;;
*) echo "usage: $0 build|test|ui|dev|arm64" >&2; exit 2 ;;
esac

install_missing() {
    local missing=() as_root=() package
    for package in $want; do
        # Node from elsewhere brings its own npm and does not go together with Debian's.
        [[ $package =~ ^(nodejs|npm)$ ]] && command -v npm >/dev/null && continue
        # Any Java and Go do for what scripts/parts.sh installs.
        [[ $package = default-jdk-headless ]] && command -v java >/dev/null && continue
        [[ $package = maven ]] && command -v mvn >/dev/null && continue
        [[ $package = golang-go ]] && command -v go >/dev/null && continue
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "install these Debian packages as root: ${missing[*]}" >&2; exit 1; }
        as_root=(sudo)
    fi
    echo "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The same libraries of arm64, unpacked and not installed: some development packages cannot be there for two
# machines at once (libsimdjson-dev). Only /lib and /usr: the emulator takes what the root has before the host's.
unpack_arm64() {
    local root=.cache/arm64-root libraries
    libraries=$(printf '%s\n' $test | grep -e '-dev$' | paste -sd,),$loaded
    [ "$(cat "$root/packages" 2>/dev/null)" = "$libraries" ] && return
    echo "unpacking the libraries of arm64"
    rm -rf "$root" "$root.part"
    mkdir -p "$root.part"
    mmdebstrap --quiet --architectures=arm64 --variant=extract --include="$libraries" \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" - | tar -x -C "$root.part" ./lib ./usr
    echo "$libraries" >"$root.part/packages"
    mv "$root.part" "$root"
}

cd "$(dirname "$0")/.."
install_missing
[ "${1:-build}" != arm64 ] || unpack_arm64
