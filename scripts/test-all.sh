#!/usr/bin/env bash
# make test: everything CI runs. Each step prints its time; the first failure ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
MACHINE_TESTS='^test_(bitmap|ints|json|needle|predicate|regex|str|words)$'
# Functions of one thread, whose tests are long: TSan has nothing to say of them.
ONE_THREAD='^test_(encoding|grok_systems|refs)$'
scripts/deps.sh dev

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || { printf '== %s FAILED after %d s\n' "$name" $((SECONDS - start)); exit 1; }
    printf '== %s: %d s\n' "$name" $((SECONDS - start))
}
compile() {
    [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >/dev/null
    cmake --build "build/$1" -j "$jobs" | tail -n 3
}
suite() {
    ctest --test-dir "build/$1" --output-on-failure -j "$jobs" "${@:2}" | tail -n 60
}

# Two workers share the machine with brokers, browsers and databases, and many tests have a time by which something must
# have happened. What failed so is told, and run once more alone: what is broken fails again. Only failed tests are: a run
# that broke off (any other status than 1) has not run the rest. Tracebacks are Python's own: pytest's, which parse the
# sources again, have ended a run with an internal error.
integration() {
    local status=0
    "$1" -m pytest -q -n 2 --dist loadgroup --tb=native tests/integration || status=$?
    [ "$status" -eq 1 ] || return "$status"
    printf '\n== what failed beside others, alone\n'
    "$1" -m pytest -q --last-failed --last-failed-no-failures none tests/integration
}

# What tests of updates and rollbacks need; without its commit they are passed over, and say so.
older_build() { scripts/before.sh || [ $? = 3 ]; }

step "release build (gcc)" compile release
step "build (clang)" compile clang
step "sanitizer build" compile asan
step "unit, fault and corpus tests under ASan and UBSan" suite asan
step "libraries of arm64" scripts/deps.sh arm64
step "build (arm64)" compile arm64
step "tests of what has code for the machine, on arm64" suite arm64 -R "$MACHINE_TESTS"
step "page: types, tests, and that the committed one is built from its sources" scripts/ui.sh check
step "python environment" scripts/python.sh
step "the version before" older_build
step "integration tests" integration "$(scripts/python.sh)"
step "thread sanitizer build" compile tsan
step "unit tests under TSan" suite tsan -L unit -E "$ONE_THREAD"
printf '\nall passed in %d s\n' "$SECONDS"
