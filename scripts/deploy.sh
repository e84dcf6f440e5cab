#!/usr/bin/env bash
# The Aurora collector in a cluster: deploy.sh ENV start|stop|status|rollback. ENV names an overlay, deploy/aurora-ENV, where
# there is one (else deploy/aurora itself), and the kubectl context, where there is one of that name.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 2 ] || { echo "usage: $0 ENV start|stop|status|rollback" >&2; exit 2; }
overlay=deploy/aurora-$1
[ -d "$overlay" ] || overlay=deploy/aurora
kube=(kubectl)
kubectl config get-contexts "$1" >/dev/null 2>&1 && kube+=(--context "$1")
kube+=(-n aurora-logs)

case $2 in
start)
    "${kube[@]}" apply -k "$overlay"
    for part in statefulset/kafka deployment/openobserve deployment/discovery deployment/processor; do
        "${kube[@]}" rollout status "$part" --timeout=300s
    done
    ;;
stop) "${kube[@]}" scale deployment discovery processor --replicas=0 ;;
status)
    "${kube[@]}" get pods
    "${kube[@]}" exec deploy/processor -- weir aurora status
    ;;
rollback)
    "${kube[@]}" rollout undo deployment discovery
    "${kube[@]}" rollout undo deployment processor
    "${kube[@]}" rollout status deployment processor --timeout=300s
    ;;
*) echo "what is \"$2\"? start, stop, status and rollback there are" >&2; exit 2 ;;
esac
