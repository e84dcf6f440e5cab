#!/usr/bin/env bash
# Runs every fuzz target of a build folder for some seconds; crashes go to tests/fuzz/regression/<target>.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 seconds=$2
failed=0
for target in "$build"/fuzz_*; do
    [ -x "$target" ] && [ -f "$target" ] || continue
    name=$(basename "$target")
    mkdir -p ".cache/fuzz/$name" "tests/fuzz/corpus/$name" "tests/fuzz/regression/$name"
    echo "== $name, $seconds s"
    "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="tests/fuzz/regression/$name/" ".cache/fuzz/$name" "tests/fuzz/corpus/$name" || failed=1
done
exit $failed
