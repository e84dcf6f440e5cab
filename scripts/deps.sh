#!/usr/bin/env bash
# Installs what is missing from Debian packages: `deps.sh build` (compile and run), `deps.sh test` (also what
# the tests need), `deps.sh dev` (also fuzzing, formatting, linting). Does nothing where all is there.
set -euo pipefail

build="gcc g++ make cmake ninja-build pkg-config libmicrohttpd-dev libcurl4-openssl-dev
  libsimdjson-dev libjansson-dev libzstd-dev liblz4-dev zlib1g-dev libpcre2-dev libutf8proc-dev
  libsqlite3-dev libyaml-dev libxxhash-dev curl"
test="$build libcmocka-dev python3 python3-venv python3-pip zstd git"
dev="$test clang clang-format clang-tidy lld libclang-rt-14-dev ripgrep linux-perf"

case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
dev) want=$dev ;;
*) echo "usage: $0 build|test|dev" >&2; exit 2 ;;
esac

missing=()
for package in $want; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "install these Debian packages as root: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
