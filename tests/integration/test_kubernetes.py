"""deploy/aurora, scripts/deploy.sh and the runbooks' kubectl lines against a real API server, with its controllers and scheduler.
Only where KUBERNETES names a folder of them (parts/kubernetes.py): they take minutes to build."""
import pathlib
import re
import shlex
import subprocess

import pytest

from aurora import Collector, SlowLog
from conftest import ROOT, WEIR
from parts.kubernetes import Kubernetes, programs  # noqa: F401
from parts.rds import Rds

# As operators have them in their runbooks, to the letter; POD is a processor's.
LINES = """
kubectl get pods -n aurora-logs
kubectl get pods -n aurora-logs -l app=processor
kubectl describe pod -n aurora-logs POD
kubectl delete pod -n aurora-logs POD
kubectl scale deployment processor -n aurora-logs --replicas=0
kubectl scale deployment processor -n aurora-logs --replicas=2
kubectl get svc openobserve-service -n aurora-logs
kubectl get endpoints openobserve-service -n aurora-logs
kubectl rollout restart deployment openobserve -n aurora-logs
kubectl set env deployment/processor -n aurora-logs BATCH_SIZE=500
kubectl set env deployment/processor -n aurora-logs MAX_CONCURRENCY=3
kubectl rollout restart deployment processor -n aurora-logs
kubectl rollout status deployment processor -n aurora-logs
kubectl scale deployment processor -n aurora-logs --replicas=5
kubectl set env deployment/discovery -n aurora-logs DISCOVERY_BATCH_SIZE=50
kubectl set env deployment/discovery -n aurora-logs RDS_API_RATE_LIMIT=5
kubectl set env deployment/processor -n aurora-logs CIRCUIT_BREAKER_MAX_FAILURES=10
kubectl set env deployment/processor -n aurora-logs CIRCUIT_BREAKER_TIMEOUT_SEC=60
kubectl scale deployment discovery processor -n aurora-logs --replicas=0
kubectl rollout history deployment processor -n aurora-logs
kubectl rollout undo deployment processor -n aurora-logs
kubectl rollout undo deployment processor -n aurora-logs --to-revision=2
kubectl scale deployment discovery -n aurora-logs --replicas=1
kubectl scale deployment processor -n aurora-logs --replicas=1
kubectl rollout status deployment processor -n aurora-logs
kubectl exec -n aurora-logs kafka-0 -- echo there
"""


@pytest.fixture(scope="module")
def cluster(programs, tmp_path_factory):  # noqa: F811
    tmp = tmp_path_factory.mktemp("k8s")
    with Rds() as rds:
        rds.add("db-1", tmp / "db-1")
        SlowLog(tmp / "db-1", "one").write(1)
        Collector(tmp, rds, None).once("discover")
    k = Kubernetes(programs, {"PATH": f"{pathlib.Path(WEIR).parent}:/usr/bin:/bin", "WEIR_AURORA_STATE": f"sqlite:{tmp}/state.db"})
    try:
        k.start()
        for name in ("weir-data", "kafka-data"):  # disks for the claims
            path = k.write("pv.yaml", {
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {"capacity": {"storage": "500Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/" + name}}})
            k.kubectl("apply", "-f", path)
        yield k
    finally:
        k.remove()


def deploy(cluster, *args, code=0):
    r = subprocess.run([ROOT / "scripts/deploy.sh", *args], capture_output=True, text=True, env=cluster.env(), timeout=600)
    assert r.returncode == code, (r.stdout, r.stderr)
    return r.stdout + r.stderr


def replicas(cluster, name, field="{.spec.replicas}"):
    return cluster.kubectl("get", "deployment", name, "-n", "aurora-logs", "-o", f"jsonpath={field}").stdout


def test_it_is_deployed_watched_rolled_back_and_stopped(cluster):
    assert "usage:" in deploy(cluster, "poc", code=2) and "start, stop, status" in deploy(cluster, "poc", "dance", code=2)
    out = deploy(cluster, "poc", "start")
    assert 'deployment "processor" successfully rolled out' in out and "Warning" not in out
    out = deploy(cluster, "poc", "status")
    assert re.search(r"^kafka-0 +1/1 +Running", out, re.M) and len(re.findall(r"^processor-\S+ +1/1 +Running", out, re.M)) == 2
    assert re.search(r"^files discovered +1$", out, re.M)  # of weir aurora status, in a processor's pod
    out = deploy(cluster, "poc", "start")  # again: nothing changes
    assert "deployment.apps/processor unchanged" in out and "deployment.apps/discovery unchanged" in out
    image = "{.spec.template.spec.containers[0].image}"
    before = replicas(cluster, "processor", image)
    for part in "discovery", "processor":
        cluster.kubectl("set", "image", f"deployment/{part}", f"{part}=weir:next", "-n", "aurora-logs")
    cluster.kubectl("rollout", "status", "deployment", "processor", "-n", "aurora-logs", "--timeout=120s")
    assert replicas(cluster, "processor", image) == "weir:next"
    deploy(cluster, "poc", "rollback")
    assert [replicas(cluster, part, image) for part in ("discovery", "processor")] == [before, before]
    deploy(cluster, "poc", "stop")
    assert [replicas(cluster, part) for part in ("discovery", "processor")] == ["0", "0"]
    deploy(cluster, "poc", "start")
    assert int(replicas(cluster, "processor")) > 0


def test_the_runbooks_lines_as_they_are_written(cluster):
    deploy(cluster, "poc", "start")
    for line in LINES.strip().splitlines():
        if "POD" in line:
            pod = cluster.kubectl("get", "pods", "-n", "aurora-logs", "-l", "app=processor", "-o", "name").stdout.split()[0]
            line = line.replace("POD", shlex.quote(pod.removeprefix("pod/")))
        r = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, env=cluster.env(), timeout=120)
        assert r.returncode == 0 and r.stdout.strip(), (line, r.stdout, r.stderr)
    env = cluster.kubectl("set", "env", "deployment/discovery", "--list", "-n", "aurora-logs").stdout
    assert "RDS_API_RATE_LIMIT=5" in env
    addresses = "{.subsets[*].addresses[*].ip}"
    cluster.wait("the store's address", lambda: cluster.kubectl("get", "endpoints", "openobserve-service", "-n", "aurora-logs", "-o",
                                                                f"jsonpath={addresses}").stdout)
