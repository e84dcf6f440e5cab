"""Dashboards ask for metrics that there are; manifests are what Kubernetes takes, as far as can be told without one."""
import json
import pathlib
import os
import re
import shutil
import subprocess
import time

import requests
import yaml
from fluent import sender as fluent

from aurora import Collector, SlowLog, wait_for
from conftest import WEIR, free_port
from parts.rds import Rds

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = re.compile(r"\b(?:weir_aurora|process)_[a-z_]+\b")


def made_by_the_program():
    """Every name that a line of the source registers."""
    found = set()
    for path in (ROOT / "src").rglob("*.c"):
        found |= set(re.findall(r'"(process_[a-z_]+)"', path.read_text()))  # a table (core/process.c)
        for kind, name in re.findall(r'metric_(counter|gauge|histogram|gauge_fn)\(\s*"([a-z_]+)"', path.read_text()):
            found |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return found


def test_dashboards_ask_for_real_metrics(tmp_path, make_server):
    real = made_by_the_program()
    asked = set()
    for path in sorted((ROOT / "deploy/grafana").glob("*.json")):
        board = json.loads(path.read_text())
        assert board["uid"] and board["panels"]
        for panel in board["panels"]:
            for target in panel["targets"]:
                names = set(NAME.findall(target["expr"]))
                assert names and names <= real, (path.name, panel["title"], names - real)
                asked |= names
    documented = set(NAME.findall((ROOT / "docs/aurora.md").read_text()))
    assert documented <= real | {n.removesuffix("_bucket") for n in real}, documented - real
    # and those of a collector without Kafka and DynamoDB are there to be scraped
    with Rds() as rds:
        rds.add("db-1", tmp_path / "db-1")
        SlowLog(tmp_path / "db-1", "one").write(3)
        c = Collector(tmp_path, rds, make_server()).start()
        wait_for(lambda: c.metric("weir_aurora_records_total") == 3)
        text = requests.get(f"http://127.0.0.1:{c.port}/metrics", timeout=30).text
        c.stop()
    elsewhere = ("dynamodb", "topic", "group", "messages", "dead_letters", "rotations")
    missing = {n for n in asked if not any(w in n for w in elsewhere) and n + "{" not in text and n + " " not in text}
    assert not missing


def manifests():
    folder = ROOT / "deploy/aurora"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in folder.glob("*.yaml") if p.name != "kustomization.yaml")
    return [d for name in listed for d in yaml.safe_load_all((folder / name).read_text())]


def test_manifests_have_the_runbooks_names_and_run_this_program():
    all_of = {(d["kind"], d["metadata"]["name"]): d for d in manifests()}
    for wanted in (("Namespace", "aurora-logs"), ("Deployment", "discovery"), ("Deployment", "processor"),
                   ("Deployment", "openobserve"), ("Service", "openobserve-service"), ("StatefulSet", "kafka"),
                   ("DaemonSet", "agent"), ("ServiceAccount", "discovery"), ("ServiceAccount", "processor")):
        assert wanted in all_of, wanted
    assert all_of["Service", "openobserve-service"]["spec"]["ports"][0]["port"] == 5080
    for part in ("discovery", "processor"):
        role = all_of["ServiceAccount", part]["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        policy = ROOT / "deploy/aurora/iam" / (role.split("/")[1] + ".json")
        assert json.loads(policy.read_text())["Version"] == "2012-10-17"
        assert all_of["Deployment", part]["spec"]["template"]["metadata"]["labels"]["app"] == part
    assert all_of["DaemonSet", "agent"]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] == 24224
    ours = 0
    for d in all_of.values():
        for c in d.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            assert c["resources"]["limits"]["memory"]
            if c["image"] == "weir":  # every option is one that there is
                r = subprocess.run([WEIR, *c["args"], "--help"], capture_output=True, text=True)
                assert r.returncode == 0, (c["name"], r.stderr)
                ours += 1
    assert ours == 4
    text = (ROOT / "deploy/aurora/kustomization.yaml").read_text()
    for name in re.findall(r"- ([A-Z_]+)=", text):
        assert name in (ROOT / "docs/aurora.md").read_text() or name in ("AWS_REGION", "WEIR_AURORA_STATE"), name
    subprocess.run(["bash", "-n", ROOT / "scripts/deploy.sh"], check=True)


def test_every_container_is_bounded_probed_and_reached():
    all_of = manifests()
    pods = [d["spec"]["template"] for d in all_of if "template" in d.get("spec", {})]
    for pod in pods:
        spec = pod["spec"]
        volumes = {v["name"] for v in spec.get("volumes", [])}
        assert spec["nodeSelector"]["kubernetes.io/arch"] == "arm64"
        for c in spec["containers"]:
            assert c["resources"]["requests"]["memory"] and c["resources"]["limits"]["memory"]
            ports = {p["name"] for p in c["ports"]}
            for probe in ("readinessProbe", "livenessProbe"):
                how = c[probe].get("httpGet") or c[probe].get("tcpSocket") or {}
                assert how.get("port") in ports or "exec" in c[probe], (c["name"], probe)
            owned = {v["metadata"]["name"] for d in all_of if d.get("spec", {}).get("template") is pod
                     for v in d["spec"].get("volumeClaimTemplates", [])}
            assert {m["name"] for m in c.get("volumeMounts", [])} <= volumes | owned
    for service in (d for d in all_of if d["kind"] == "Service"):
        behind = [p for p in pods if service["spec"]["selector"].items() <= p["metadata"]["labels"].items()]
        assert len(behind) == 1, service["metadata"]["name"]


def test_kustomize_takes_it():
    """Settings are texts; and where there is a kubectl, its own reading."""
    folder = ROOT / "deploy/aurora"
    settings = yaml.safe_load((folder / "kustomization.yaml").read_text())["configMapGenerator"]
    assert all(isinstance(line, str) for s in settings for line in s["literals"])
    if shutil.which("kubectl"):
        r = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        built = [d for d in yaml.safe_load_all(r.stdout) if d]
        assert len(built) == len(manifests()) + len(settings)


def args_of(kind, name, places):
    """A container's arguments with the places of this test in place of its own."""
    of = next(d for d in manifests() if (d["kind"], d["metadata"]["name"]) == (kind, name))
    args = of["spec"]["template"]["spec"]["containers"][0]["args"]
    for there, here in places.items():
        assert any(there in a for a in args), there
        args = [a.replace(there, here) for a in args]
    return args


def test_agent_and_store_run_as_they_are_told(tmp_path):
    """A record by the forward protocol to the node's port is found in the store."""
    store, forward = free_port(), free_port()
    secret = {"WEIR_ROOT_USER": "admin", "WEIR_ROOT_PASSWORD": "Secret4711word"}
    processes = []
    try:
        for kind, name, places in (
                ("Deployment", "openobserve", {"/data": f"{tmp_path}/data", "0.0.0.0:5080": f"127.0.0.1:{store}"}),
                ("DaemonSet", "agent", {
                    "0.0.0.0:24224": f"127.0.0.1:{forward}", "openobserve-service:5080": f"127.0.0.1:{store}",
                    "/spool": f"{tmp_path}/spool", "kubernetes://": f"kubernetes://{tmp_path}/pods",
                    **{f"$({k})": v for k, v in secret.items()}})):
            with open(tmp_path / f"{name}.log", "w") as log:
                processes.append(subprocess.Popen([WEIR, *args_of(kind, name, places)], env=dict(os.environ, **secret),
                                                  stdout=log, stderr=log))
        logger = fluent.FluentSender("aurora", host="127.0.0.1", port=forward, nanosecond_precision=True)
        wait_for(lambda: logger.emit("slow", {"statement": "SELECT 4711"}) or time.sleep(0.2))

        def found():
            try:
                return requests.get(f"http://127.0.0.1:{store}/api/v1/logs/query", params={"q": "4711"}, timeout=30,
                                    auth=tuple(secret.values())).text.splitlines()
            except requests.ConnectionError:
                return []

        wait_for(found)
        assert json.loads(found()[0])["statement"] == "SELECT 4711"
    finally:
        for p in processes:
            p.terminate()
        for p in processes:
            p.wait(30)
