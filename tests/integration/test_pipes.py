"""The pipes and the endpoints that explore equal a naive reading: in memory, flushed, compacted, restarted."""
import calendar
import json
import random
import statistics
import time
from decimal import Decimal

import oracle
import pytest
import requests
from test_oracle import exact, make_records, states


@pytest.fixture(scope="module")
def corpus():
    records = make_records(3000, 7)
    rng = random.Random(8)
    for r in records:
        if rng.random() < 0.5:
            r["host"] = f"h{rng.randint(0, 4)}"
        if rng.random() < 0.3:
            r["roles"] = rng.choices(["a", "b", 1], k=rng.randint(0, 3))
        if rng.random() < 0.1:
            r["items"] = [{"sku": rng.choice("xyz"), "n": rng.randint(1, 5)} for _ in range(rng.randint(1, 3))]
    return records, exact(records)


@pytest.fixture
def filled(make_server, corpus):
    server = make_server()
    for at in range(0, len(corpus[0]), 500):
        server.ingest("\n".join(json.dumps(r, ensure_ascii=False) for r in corpus[0][at:at + 500]).encode())
        if at in (500, 1500):
            server.flush()
    return server


def newest_first(records):
    return sorted(records, key=lambda r: (r["timestamp"], r["seq"]), reverse=True)


def counted(rows, *fields):
    """The answer of count() by these fields, in the oracle's keys."""
    return {tuple(oracle.key_of(r[f]) for f in fields): r["count"] for r in exact(rows)}


def test_extract(filled, corpus):
    _, records = corpus
    pattern, regex = r"(?<word>[a-z]+)_(?<num>[0-9]+|[a-z]+)", r"(?P<word>[a-z]+)_(?P<num>[0-9]+|[a-z]+)"
    made = oracle.extract(records, regex, "message")
    ips = oracle.extract(records, r"(?P<ip>10\.0\.0\.1)(?P<rest>.*)", "message")
    levels = oracle.extract(records, r"(?P<level>^[A-Z])", "level")
    for state in states(filled):
        rows = filled.query(f"* | extract /{pattern}/ from message | stats count() by word, num")
        assert counted(rows, "word", "num") == oracle.count_by(made, "word", "num"), state
        rows = filled.query(f"level:ERROR | extract \"{pattern}\" | where num:7 service:pay | sort seq | fields seq, word")
        assert rows == [{"seq": r["seq"], "word": "user"} for r in made
                        if r["level"] == "ERROR" and r.get("num") == "7" and r.get("service") == "pay"], state
        rows = filled.query('* | grok message "%{IP:ip}%{GREEDYDATA:rest}" | where ip:* | fields seq, ip, rest')
        assert sorted((r["seq"], r["ip"], r["rest"]) for r in rows) == \
            [(r["seq"], r["ip"], r["rest"]) for r in ips if "ip" in r], state
        # A field that is there gives way where the pattern fits, and only there.
        rows = filled.query("* | extract /(?<level>^[A-Z])/ from level | values level")
        assert counted(rows, "level") == oracle.count_by(levels, "level"), state
        whole = filled.query("seq:<40 | extract /(?<level>^[A-Z])/ from level | limit 100")
        want = {r["seq"]: r for r in levels[:40]}
        for row in exact(whole):
            for name in ("_time", "_id", "_stream"):
                del row[name]
            assert row == want[row["seq"]], state


def test_unnest(filled, corpus):
    _, records = corpus
    tags, both = oracle.unnest(records, "tags"), oracle.unnest(oracle.unnest(records, "tags"), "roles")
    items = oracle.unnest(records, "items")
    for state in states(filled):
        rows = filled.query("tags:* | unnest tags | fields seq, tags")
        key = lambda r: (r["seq"], str(r.get("tags")))
        assert sorted(map(key, exact(rows))) == sorted(key(r) for r in tags if "tags" in r), state
        rows = filled.query("* | unnest tags | unnest roles | stats count() by tags, roles")
        assert counted(rows, "tags", "roles") == oracle.count_by(both, "tags", "roles"), state
        rows = filled.query("* | unnest items | stats sum(items.n) as n, count() by items.sku")
        got = {r["items.sku"]: (r["n"], r["count"]) for r in rows}
        want = {}
        for r in items:
            item = r.get("items", {})
            n, count = want.get(item.get("sku"), (None, 0))
            want[item.get("sku")] = ((n or 0) + item["n"] if "n" in item else n, count + 1)
        assert got == want, state
        rows = filled.query("* | unnest tags | limit 200 | fields seq, tags")
        order = [(r["seq"], r.get("tags")) for r in oracle.unnest(newest_first(records), "tags")][:200]
        assert [(r["seq"], r.get("tags")) for r in exact(rows)] == order, state


def test_arrays_by_each_scalar(filled, corpus):
    _, records = corpus
    for state in states(filled):
        for fields in (["tags"], ["service", "tags"], ["tags", "roles"], ["roles", "level", "tags"]):
            rows = filled.query(f"* | stats count() by {', '.join(fields)}")
            assert counted(rows, *fields) == oracle.count_by(records, *fields), (state, fields)
        assert filled.query('tags:="dark red" | stats count()') == \
            [{"count": sum("dark red" in r.get("tags", []) for r in records)}], state
        assert filled.query("tags:7 | stats count()")[0]["count"] == sum(7 in r.get("tags", []) for r in records)
        rows = exact(filled.query("* | stats values(tags) as v"))
        assert {oracle.key_of(v) for v in rows[0]["v"]} == \
            {oracle.key_of(t) for r in records for t in r.get("tags", [])}, state


def test_dedup(filled, corpus):
    _, records = corpus
    order = newest_first(records)
    for state in states(filled):
        for query, want in [
                ("dedup service", oracle.dedup(order, ["service"])),
                ("dedup 3 level host", oracle.dedup(order, ["level", "host"], 3)),
                ("dedup host keepempty=true", oracle.dedup(order, ["host"], keep_empty=True)),
                ("dedup latency", oracle.dedup(order, ["latency"])),
                ("dedup 2 message | limit 50 offset 5", oracle.dedup(order, ["message"], 2)[5:55]),
                ("dedup tags", oracle.dedup(order, ["tags"])),
                ("sort seq | dedup level", oracle.dedup(records, ["level"])),
                ("dedup level sortby -seq", oracle.dedup(records[::-1], ["level"]))]:
            rows = filled.query(f"* | {query} | fields seq")
            assert [r["seq"] for r in rows] == [r["seq"] for r in want], (state, query)
        rows = filled.query("* | dedup service | stats sum(seq) as n")
        assert rows == [{"n": sum(r["seq"] for r in oracle.dedup(order, ["service"]))}], state


def test_rare_and_values(filled, corpus):
    _, records = corpus
    text = lambda k: k[1].encode()
    hosts = sorted(oracle.count_by(records, "message").items(), key=lambda i: (i[1], text(i[0][0])))[:25]
    tags = {k: n for k, n in oracle.count_by(records, "tags").items() if k != (None,)}
    for state in states(filled):
        rows = filled.query("* | rare 25 message")
        assert [(r["message"], r["count"]) for r in rows] == [(k[0][1], n) for k, n in hosts], state
        assert counted(filled.query("* | values tags"), "tags") == tags, state
        for _ in range(2):  # what is kept of the first answers the second
            for field in ("level", "service", "message", "seq", "latency", "host", "http.status"):
                rows = filled.query(f"* | stats count() by {field}")
                if field != "http.status":
                    assert counted(rows, field) == oracle.count_by(records, field), (state, field)
                assert sum(r["count"] for r in rows) == len(records)
                some = [r for r in records if r.get(field) is not None]
                if field != "http.status":
                    rows = filled.query(f"{field}:* | stats count() by {field}")
                    assert counted(rows, field) == oracle.count_by(some, field), (state, field)
            assert filled.query("* | stats count()") == [{"count": len(records)}], state
            assert filled.query("* | stats count() by bin(7d) | stats sum(count) as n") == [{"n": len(records)}], state
        rows = filled.query("* | values tags limit 2")
        assert [r["count"] for r in rows] == sorted(tags.values(), reverse=True)[:2], state


def seconds(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def test_timechart(filled, corpus):
    _, records = corpus
    records = [{**r, "_t": seconds(r["timestamp"])} for r in records]
    errors = [r for r in records if r["level"] == "ERROR"]
    average = lambda rs: statistics.mean(r["seq"] for r in rs) if rs else None
    by_level = oracle.timechart(records, 3600, len, "level")
    by_message = oracle.timechart(records, 7200, len, "message", 5)
    averages = oracle.timechart(records, 7200, average, "service", 2)
    plain = oracle.timechart(errors, 60, len)
    for state in states(filled):
        for query, want in [("* | timechart span=1h count() by level", by_level),
                            ("* | timechart span=2h limit=5 by message", by_message),
                            ("* | timechart span=2h limit=2 avg(seq) by service", averages),
                            ("level:=ERROR | timechart span=1m count() as all", plain)]:
            rows = filled.query(query)
            got = {seconds(r.pop("_time")): r for r in rows}
            assert got.keys() == want.keys(), (state, query)
            for at, row in want.items():
                assert got[at] == pytest.approx(row), (state, query, at)
        rows = filled.query("* | timechart count()", **{"from": "2025-02-15", "to": "2025-02-16"})
        assert sum(r["count"] for r in rows) == len(records) and 48 <= len(rows) <= 100, state


def test_defaults(filled, corpus):
    _, records = corpus
    either = ("or", ("term", None, "stripe"), ("term", None, "timeout"))
    field = ("and", ("term", "message", "stripe"), ("term", "message", "42"))
    count = lambda tree: [{"count": sum(oracle.match(tree, r) for r in records)}]
    q = "stripe timeout | stats count()"
    assert filled.query(q, default_operator="OR") == count(either)
    assert filled.query(q, default_operator="and") == filled.query(q)
    assert filled.query("stripe 42 | stats count()", default_field="message") == count(field)
    assert filled.search("stripe timeout", default_operator="or")["total_hits"] == count(either)[0]["count"]
    assert "AND or OR" in filled.query(q, default_operator="XOR", expect=400)["error"]


# ---- endpoints ----

def ask(server, path, expect=200, **params):
    r = requests.get(f"{server.url}/api/v1/logs/{path}", params=params, timeout=60)
    assert r.status_code == expect, (r.status_code, r.text[:2000])
    return r.json()


TYPES = {"str": "string", "int": "number", "Decimal": "number", "bool": "boolean", "NoneType": "null",
         "dict": "object", "list": "array"}


def naive_fields(records):
    fields = {}
    for r in records:
        values = {}
        for name, v in oracle.leaves(r):
            values.setdefault(name, []).append(v)
        for name, vs in values.items():
            f = fields.setdefault(name, {"count": 0, "types": {}})
            f["count"] += any(v is not None for v in vs)
            for t in {TYPES[type(v).__name__] for v in vs}:
                f["types"][t] = f["types"].get(t, 0) + 1
    return fields


def test_fields(filled, corpus):
    _, records = corpus
    lo, hi = "2025-02-15T06:30:00Z", "2025-02-15T11:00:00Z"
    for state in states(filled):
        for q, params, some in [("", {}, records),
                                ("level:ERROR", {}, [r for r in records if r["level"] == "ERROR"]),
                                ("*", {"from": lo, "to": hi}, [r for r in records if lo <= r["timestamp"] < hi]),
                                ("nothing:here", {}, [])]:
            answer = ask(filled, "fields", q=q, **params)
            assert answer["total"] == len(some), (state, q)
            got = {f["name"]: {"count": f["count"], "types": f["types"]} for f in answer["fields"]}
            assert got == naive_fields(some), (state, q)
            assert answer["distinct"] == len(got)
            counts = [f["count"] for f in answer["fields"]]
            assert counts == sorted(counts, reverse=True)
            assert all(abs(f["share"] - f["count"] / len(some)) < 1e-9 for f in answer["fields"])
        few = ask(filled, "fields", limit=3)
        assert len(few["fields"]) == 3 and few["distinct"] > 3, state


def test_values(filled, corpus):
    _, records = corpus
    for state in states(filled):
        for field in ("service", "tags", "latency", "nothing"):
            some = [r for r in records if r["level"] == "INFO"]
            counts = oracle.count_by(some, field)
            missing = counts.pop((None,), 0)
            answer = ask(filled, "values", q="level:=INFO", field=field, limit=5)
            assert (answer["total"], answer["missing"], answer["distinct"]) == (len(some), missing, len(counts)), (state, field)
            got = [(oracle.key_of(v["value"]), v["count"]) for v in exact(answer["values"])]
            assert [n for _, n in got] == sorted(counts.values(), reverse=True)[:5], (state, field)
            assert all(counts[(k,)] == n for k, n in got), (state, field)
    assert "field" in ask(filled, "values", expect=400)["error"]
    assert "^" in ask(filled, "values", expect=400, field="a", q="(b")["error"]


def test_context(filled, corpus):
    _, records = corpus
    order = newest_first(records)[::-1]
    rng = random.Random(3)
    source = lambda r: (r.get("service"), r.get("host"))
    for state in states(filled):
        for r in rng.sample(records, 6):
            row = filled.query(f"seq:{r['seq']}")[0]
            same = [x["seq"] for x in order if source(x) == source(r)]
            at = same.index(r["seq"])
            answer = ask(filled, "context", id=row["_id"], before=7, after=4)
            assert answer["record"]["seq"] == r["seq"] and answer["record"]["log_id"] == row["_id"], state
            assert [x["seq"] for x in answer["before"]] == same[max(0, at - 7):at], (state, r["seq"])
            assert [x["seq"] for x in answer["after"]] == same[at + 1:at + 5], (state, r["seq"])
            assert answer["same"].get("service") == r.get("service")
            answer = ask(filled, "context", _id=row["_id"], same="", before=3, after=3, q="level:=INFO")
            near = [x["seq"] for x in order if x["level"] == "INFO" or x["seq"] == r["seq"]]
            at = near.index(r["seq"])
            assert [x["seq"] for x in answer["before"]] == near[max(0, at - 3):at], state
            assert [x["seq"] for x in answer["after"]] == near[at + 1:at + 4], state
            assert ask(filled, "context", id=row["_id"], before=0, after=0)["before"] == []
    assert "no record" in ask(filled, "context", expect=404, id="0-fffffff-0")["error"]
    assert "_id" in ask(filled, "context", expect=400)["error"]


def test_histogram(filled, corpus):
    _, records = corpus
    for state in states(filled):
        for buckets in (1, 24, 200):
            answer = ask(filled, "histogram", buckets=buckets, **{"from": "2025-02-15", "to": "2025-02-16"})
            width = answer["bucket_ms"] // 1000
            want = {}
            for r in records:
                at = seconds(r["timestamp"]) // width * width
                want[at] = want.get(at, 0) + 1
            assert {seconds(b["time"]): b["count"] for b in answer["buckets"] if b["count"]} == want, (state, buckets)


def test_records_kept_as_text(make_server):
    """Records past the limits of shapes are kept as JSON text: every pipe reads them all the same."""
    server = make_server()
    records = [{"seq": i, "a": {"b": i % 3}, "tags": ["x", i % 2], "msg": f"id={i} end", **{f"k{i}_{j}": j for j in range(20)}}
               for i in range(700)]
    server.ingest("\n".join(map(json.dumps, records)).encode())
    for state in states(server):
        assert counted(server.query("* | stats count() by a.b"), "a.b") == {(("n", str(i)),): len(records[i::3]) for i in range(3)}
        assert counted(server.query("* | stats count() by tags"), "tags") == oracle.count_by(records, "tags"), state
        rows = server.query('* | extract "id=<id> end" from msg | unnest tags | where tags:x | sort seq | fields id, tags, a')
        assert [(r["id"], r["tags"], r["a"]) for r in rows] == \
            [(str(i), "x", {"b": i % 3}) for i in range(700)], state
        assert [r["seq"] for r in server.query("* | sort -seq | limit 3 | fields seq")] == [699, 698, 697], state
        answer = ask(server, "fields", limit=10000)
        assert answer["distinct"] == len(naive_fields(records)) and len(answer["fields"]) == 10000, state
        got = {f["name"]: f["types"] for f in answer["fields"]}
        assert got["a.b"] == {"number": 700} and got["tags"] == {"array": 700}, state
