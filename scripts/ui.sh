#!/usr/bin/env bash
# The search page: `ui.sh build` checks, tests and builds ui/ into ui/dist/index.html, which is committed and is all that
# the program needs; `ui.sh check` does the same elsewhere and fails where what is committed is not what ui/ gives.
set -euo pipefail
cd "$(dirname "$0")/../ui"

if [ ! -e node_modules/.ready ] || [ package-lock.json -nt node_modules/.ready ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch node_modules/.ready
fi
npm run --silent check
npm test --silent >node_modules/.tests 2>&1 || { cat node_modules/.tests; exit 1; }

case "${1:-build}" in
build)
    npm run --silent build -- --logLevel warn
    echo "ui/dist/index.html: $(wc -c <dist/index.html) bytes, $(gzip -c dist/index.html | wc -c) compressed"
    ;;
check)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    npm run --silent build -- --logLevel warn --outDir "$fresh" --emptyOutDir
    cmp dist/index.html "$fresh/index.html" || { echo "ui/dist/index.html is old: run make ui and commit it" >&2; exit 1; }
    ;;
*) echo "usage: $0 build|check" >&2; exit 2 ;;
esac
