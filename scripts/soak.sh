#!/usr/bin/env bash
# make soak: what takes too long for every push. SOAK_KILLS: how many times the server is killed (2000);
# SOAK_SHARED: for how many seconds each way to harm several servers is tried (600); SOAK_SAME: for how many random
# questions are asked of records that lie otherwise (600).
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    local start=$SECONDS
    printf '\n== %s\n' "$1"
    "${@:2}" || { printf '== %s FAILED after %d s\n' "$1" $((SECONDS - start)); exit 1; }
    printf '== %s: %d s\n' "$1" $((SECONDS - start))
}
python=$(scripts/python.sh)
step "a month of one record a second" env WEIR_SOAK=1 build/debug/test_month
step "full disk, damage" "$python" -m pytest -q tests/integration/test_disk_full.py \
    tests/integration/test_damage.py
step "${SOAK_KILLS:-2000} kills" env SOAK_KILLS="${SOAK_KILLS:-2000}" \
    "$python" -m pytest -q tests/integration/test_crash.py --timeout 86400
step "several servers, ${SOAK_SHARED:-600} s a test" env WEIR_SHARED_SECONDS="${SOAK_SHARED:-600}" \
    "$python" -m pytest -q tests/integration/test_shared.py --timeout 86400
step "the same answers wherever records lie, ${SOAK_SAME:-600} s" env WEIR_SAME_SECONDS="${SOAK_SAME:-600}" \
    "$python" -m pytest -q tests/integration/test_same.py --timeout 86400
printf '\nsoaked for %d s\n' "$SECONDS"
