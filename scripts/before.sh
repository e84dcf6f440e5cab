#!/usr/bin/env bash
# Prints the path of the program as it was one version ago: the commit that tests/before names, built once into .cache/before.
# Where the history does not reach back to it (a shallow clone), it says so and ends with 3.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(cat tests/before)
folder=$PWD/.cache/before
program=$folder/$commit/weir
mkdir -p "$folder/$commit"
exec 9>"$folder/lock"
flock 9
if [ ! -x "$program" ]; then
    git cat-file -e "$commit^{commit}" 2>/dev/null || {
        echo "the history here does not have commit $commit: git fetch --unshallow" >&2
        exit 3
    }
    made=$(mktemp -d "$folder/XXXXXX")
    trap 'rm -rf "$made"' EXIT
    git archive --prefix=src/ "$commit" | tar -x -C "$made"
    # Quickly made rather than quick: it is tested, not measured.
    nice cmake -S "$made/src" -B "$made/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 -DCMAKE_CXX_FLAGS=-O0 >"$folder/log"
    nice cmake --build "$made/build" -j "${JOBS:-$(nproc)}" --target weir >>"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; exit 1; }
    mv "$made/build/weir" "$program"
fi
echo "$program"
