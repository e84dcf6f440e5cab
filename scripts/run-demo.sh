#!/usr/bin/env bash
# make run: the server with demo records flowing in. Ctrl-C ends both.
set -euo pipefail
weir=$1 data=$2 listen=$3
"$weir" server --data "$data" --listen "$listen" &
server=$!
producer=
trap 'kill $producer $server 2>/dev/null || true; wait $server 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
for _ in $(seq 600); do
    curl -fsS "http://$listen/readyz" >/dev/null 2>&1 && break
    kill -0 "$server" 2>/dev/null || { wait "$server"; exit $?; }
    sleep 0.1
done
"$weir" produce --url "http://$listen" --stream demo --rate 100 &
producer=$!
printf '\n  Weir is running. Open  http://%s/\n  Demo records flow into the stream "demo". Ctrl-C stops it.\n\n' "$listen"
wait "$server"
