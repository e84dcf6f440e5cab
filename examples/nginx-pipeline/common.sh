# What the scripts share: where things are, and which of them run. Sourced.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=${RUN:-$HERE/run}                          # logs, process ids, data
[ ! -f "$RUN/settings" ] || source "$RUN/settings" # of the last ./start; what the environment names goes before
# Not in PATH, it may have been built in this clone.
[ -n "${WEIR:-}" ] || WEIR=$(command -v weir || echo "$HERE/../../build/release/weir")
[[ $WEIR != */* ]] || WEIR=$(realpath -m "$WEIR")
WEB=${WEB:-127.0.0.1:8000}
FORWARD=${FORWARD:-127.0.0.1:24224}
STORE=${STORE:-127.0.0.1:5080}                 # Weir's own store, which answers OpenSearch's and Loki's calls
KAFKA=${KAFKA:-127.0.0.1:9092}
OPENSEARCH=${OPENSEARCH:-$STORE}
LOKI=${LOKI:-$STORE}
COMPONENTS="store collector processor logs web"

pid_of() { cat "$RUN/$1.pid" 2>/dev/null || true; }
# A process that has ended may still be listed where nobody waits for it.
is_alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
runs() { local pid; pid=$(pid_of "$1"); [ -n "$pid" ] && is_alive "$pid"; }
is_wanted() { [[ " ${WITHOUT:-} " != *" $1 "* ]]; }
needs_store() { [ "$OPENSEARCH" = "$STORE" ] || [ "$LOKI" = "$STORE" ]; }

# run NAME COMMAND...: in the background, its output in run/log/NAME.log
run() {
    local name=$1
    shift
    if runs "$name"; then
        echo "$name runs already"
        return
    fi
    "$@" >>"$RUN/log/$name.log" 2>&1 &
    echo $! >"$RUN/$name.pid"
    echo "$name started"
}

broker_answers() { local host=${KAFKA%%,*}; (exec 3<>"/dev/tcp/${host%:*}/${host##*:}") 2>/dev/null; }

# The file with @WORDS@ replaced.
fill() {
    sed -e "s|@FORWARD@|$FORWARD|g" -e "s|@KAFKA@|$KAFKA|g" -e "s|@OPENSEARCH@|$OPENSEARCH|g" -e "s|@LOKI@|$LOKI|g" \
        -e "s|@HERE@|$HERE|g" -e "s|@INPUT@|$(logs_input)|g" "$HERE/$1" >"$RUN/$1"
}

# Containers' logs where Docker keeps them, else the files that `run` writes.
logs_input() {
    if [ -n "${DOCKER_LOGS:-}" ]; then
        echo "inputs: ['docker://$DOCKER_LOGS']"
    else
        echo "files: ['$RUN/log/<service>.log']"
    fi
}

# documents: how many the index has; nothing where the server does not answer
documents() {
    curl -sS -m 5 -X POST "http://$OPENSEARCH/nginx-logs/_refresh" >/dev/null 2>&1 || true
    curl -sS -m 5 "http://$OPENSEARCH/nginx-logs/_count" 2>/dev/null | sed -n 's/.*"count":\([0-9]*\).*/\1/p'
}

# agent_field NAME ROUTE FIELD: a number of the agent's status
agent_field() {
    "$WEIR" agent status --json --data "$RUN/$1" 2>/dev/null |
        sed -n "s/.*\"route\":\"$2\"[^}]*\"$3\":\([0-9]*\).*/\1/p"
}
