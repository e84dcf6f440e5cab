"""Dashboards ask for metrics that there are; manifests are what Kubernetes takes, as far as can be told without one."""
import json
import pathlib
import re
import subprocess

import requests
import yaml

from aurora import Collector, SlowLog, wait_for
from conftest import WEIR
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
        text = requests.get(f"http://127.0.0.1:{c.port}/metrics", timeout=5).text
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
