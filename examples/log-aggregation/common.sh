# What the scripts share: where things are, and which of them run. Sourced.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
RUN=${RUN:-$HERE/run} # the hosts' folders, data, logs, process ids
[ ! -f "$RUN/settings" ] || source "$RUN/settings" # of the last ./start; what the environment names goes before
# Not in PATH, it may have been built in this clone.
[ -n "${WEIR:-}" ] || WEIR=$(command -v weir || echo "$HERE/../../build/release/weir")
[[ $WEIR != */* ]] || WEIR=$(realpath -m "$WEIR")
KAFKA=${KAFKA:-127.0.0.1:9092}
STORE=${STORE:-127.0.0.1:5080}
HOSTS=${HOSTS:-"host-1 host-2 host-3"}
SPOOL=${SPOOL:-1GiB}

pid_of() { cat "$RUN/$1.pid" 2>/dev/null || true; }
# A process that has ended may still be listed where nobody waits for it.
is_alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
runs() { local pid; pid=$(pid_of "$1"); [ -n "$pid" ] && is_alive "$pid"; }

# run NAME COMMAND...: in the background, its output in run/NAME.out
run() {
    local name=$1
    shift
    if runs "$name"; then
        echo "$name runs already"
        return
    fi
    "$@" >>"$RUN/$name.out" 2>&1 &
    echo $! >"$RUN/$name.pid"
    echo "$name started"
}

# fill FILE HOST: the file with @WORDS@ replaced
fill() {
    sed -e "s|@KAFKA@|$KAFKA|g" -e "s|@STORE@|$STORE|g" -e "s|@LOGS@|$RUN/$2/log|g" -e "s|@HOST@|$2|g" \
        -e "s|@SPOOL@|$SPOOL|g" "$HERE/$1" >"$RUN/$2.yaml"
}

start_one() {
    case $1 in
        store) run store "$WEIR" server --data "$RUN/store" --listen "$STORE" ;;
        processor) fill processor.yaml processor && run processor "$WEIR" agent --config "$RUN/processor.yaml" --data "$RUN/processor" ;;
        *) mkdir -p "$RUN/$1/log" && fill agent.yaml "$1" && run "$1" "$WEIR" agent --config "$RUN/$1.yaml" --data "$RUN/$1/agent" ;;
    esac
}

# stop_one NAME [SIGNAL]
stop_one() {
    runs "$1" || return 0
    local pid; pid=$(pid_of "$1")
    kill "-${2:-TERM}" "$pid"
    for _ in $(seq 150); do
        is_alive "$pid" || break
        sleep 0.1
    done
    ! is_alive "$pid" || kill -9 "$pid"
    rm -f "$RUN/$1.pid"
    echo "$1 stopped"
}
