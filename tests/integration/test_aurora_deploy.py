"""Dashboards ask for metrics that there are; manifests are what Kubernetes takes, as far as can be told without one."""
import json
import pathlib
import re

import requests

from aurora import Collector, SlowLog, wait_for
from parts.rds import Rds

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = re.compile(r"\b(?:weir_aurora|process)_[a-z_]+\b")


def made_by_the_program():
    """Every name that a line of the source registers."""
    found = set()
    for path in (ROOT / "src").rglob("*.c"):
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
