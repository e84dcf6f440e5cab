"""Every query equals a naive scan over the same records: in memory, flushed, compacted, restarted."""
import json
import random
import statistics
from collections import Counter, defaultdict
from decimal import Decimal

import oracle
import pytest

WORDS = ["timeout", "connection", "Error", "payment", "user_7", "café", "ÜBER", "10.0.0.1", "a-b", "x", "GET",
         "/api/v1", "42", "foo_bar", "stripe", "retry", "日本", "OK", "4.50", "it's"]
SERVICES = ["pay", "cart", "search", "auth-api"]


def make_records(n, seed):
    rng = random.Random(seed)
    records = []
    for i in range(n):
        r = {"seq": i, "timestamp": f"2025-02-15T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{i % 60:02d}.{i % 1000:03d}Z"}
        r["level"] = rng.choices(["INFO", "WARN", "ERROR", "debug"], [70, 15, 10, 5])[0]
        if rng.random() < 0.9:
            r["service"] = rng.choice(SERVICES)
        r["message"] = rng.choice([" ", ", ", ": "]).join(rng.choices(WORDS, k=rng.randint(1, 7)))
        if rng.random() < 0.8:
            r["latency"] = rng.choice([rng.randint(-5, 5000), round(rng.random() * 100, 2), str(rng.randint(0, 500)), True, None])
        if rng.random() < 0.5:
            r["http"] = {"status": rng.choice([200, 404, 500]), "path": "/" + rng.choice(WORDS), "ok": rng.random() < 0.5}
        if rng.random() < 0.2:
            r["http.status"] = rng.choice([200, 201])
        if rng.random() < 0.3:
            r["tags"] = rng.sample(["red", "green", "blue", 7, 8.5, "dark red"], rng.randint(0, 3))
        if rng.random() < 0.3:
            r["id"] = "%032x" % rng.getrandbits(128)
        if rng.random() < 0.3:
            r["req"] = "req_%016x" % rng.getrandbits(64)
        if rng.random() < 0.02:
            r[f"rare_{rng.randint(0, 50)}"] = rng.choice([1, "one", 1.5, [1, 2], {}])
        records.append(r)
    return records


def random_leaf(rng, records):
    fields = ["message", "level", "service", "latency", "http.status", "http.path", "tags", "id", "req", "http.ok", "seq",
              "nothing", f"rare_{rng.randint(0, 50)}"]
    field = rng.choice(fields)
    sample = rng.choice(records)
    kind = rng.random()
    if kind < 0.3:
        return ("term", rng.choice([None, "message", field]), rng.choice(WORDS + ["red", "error", "timeou", "200", "true", "7"]))
    if kind < 0.45:
        words = sample["message"]
        at = rng.randrange(len(words))
        text = words[at:at + rng.randint(1, 14)].strip() or "x"
        return ("phrase", rng.choice([None, "message"]), text)
    if kind < 0.55:
        return ("prefix", rng.choice(["message", field]), rng.choice(["ti", "Conn", "req_1", "caf", "2", "au", "r"]))
    if kind < 0.63:
        return ("wild", rng.choice(["message", field]), rng.choice(["*nnect*", "t?meout", "*r", "2?0", "*_*", "p*t", "?ed"]))
    if kind < 0.7:
        return ("regex", rng.choice(["message", "id", "req", "http.path"]),
                rng.choice(["time.ut", "^x", "[0-9]{2}", "^[0-9a-f]{32}$", "foo|bar", "(?i)error", "日", "\\d+\\.\\d+"]))
    if kind < 0.78:
        value = rng.choice([sample.get("service", "pay"), "ERROR", "200", "4.50", sample.get("id", "x"), "true", "error"])
        return ("equal", field, str(value))
    if kind < 0.92:
        return ("range", rng.choice(["latency", "http.status", "seq", field]), rng.choice([">", ">=", "<", "<="]),
                rng.choice(["0", "100", "404", "50.25", "-1", str(rng.randint(0, len(records)))]))
    return ("exists", field)


def random_tree(rng, records, depth=0):
    kind = rng.random()
    if depth >= 3 or kind < 0.45:
        return random_leaf(rng, records)
    if kind < 0.65:
        return ("and", random_tree(rng, records, depth + 1), random_tree(rng, records, depth + 1))
    if kind < 0.85:
        return ("or", random_tree(rng, records, depth + 1), random_tree(rng, records, depth + 1))
    return ("not", random_tree(rng, records, depth + 1))


def exact(records):
    return [json.loads(json.dumps(r, ensure_ascii=False), parse_float=Decimal) for r in records]


@pytest.fixture(scope="module")
def corpus():
    records = make_records(6000, 1)
    return records, exact(records)


@pytest.fixture
def filled(make_server, corpus):
    server = make_server()
    records, _ = corpus
    for at in range(0, len(records), 1000):
        server.ingest("\n".join(json.dumps(r, ensure_ascii=False) for r in records[at:at + 1000]).encode())
        if at in (1000, 3000):
            server.flush()
    return server


def states(server):
    yield "memory and segments"
    server.flush()
    yield "flushed"
    server.compact()
    yield "compacted"
    server.stop()
    server.start()
    yield "restarted"


def test_filters(filled, corpus):
    _, records = corpus
    rng = random.Random(99)
    trees = [random_tree(rng, records) for _ in range(150)]
    trees += [random_leaf(rng, records) for _ in range(150)]
    expected = [[r["seq"] for r in records if oracle.match(t, r)] for t in trees]
    for state in states(filled):
        for tree, want in zip(trees, expected):
            q = oracle.write(tree)
            got = sorted(r["seq"] for r in filled.query(q + " | fields seq"))
            assert got == want, (state, q, set(got) ^ set(want))


def test_search_pages(filled, corpus):
    _, records = corpus
    order = sorted(records, key=lambda r: (r["timestamp"], r["seq"]), reverse=True)
    tree = ("term", "message", "timeout")
    want = [r["seq"] for r in order if oracle.match(tree, r)]
    for state in states(filled):
        answer = filled.search("message:timeout", limit=50, offset=20)
        assert answer["total_hits"] == len(want), state
        assert [r["seq"] for r in answer["logs"]] == want[20:70], state
        got, cursor = [], None
        while True:
            page = filled.search("message:timeout", limit=97, total="false", **({"cursor": cursor} if cursor else {}))
            got += [r["seq"] for r in page["logs"]]
            cursor = page.get("next_cursor")
            if not cursor:
                break
        assert got == want, state
        assert len({r["log_id"] for r in page["logs"]}) == len(page["logs"])


def number_of(v):
    if isinstance(v, bool):
        return None
    if isinstance(v, (int, float, Decimal)):
        return float(v)
    if isinstance(v, str):
        n = oracle.as_number(v)
        return None if n is None else float(n)
    return None


def test_stats(filled, corpus):
    _, records = corpus
    groups = defaultdict(list)
    for r in records:
        groups[r.get("service")].append(r)
    for state in states(filled):
        rows = filled.query("* | stats count(), count(id) as ids, sum(latency) as sum, avg(latency) as avg, "
                            "min(latency) as min, max(latency) as max, p50(latency) as p50, p99(latency) as p99, "
                            "distinct(message) as kinds, first(seq) as first, last(seq) as last by service")
        assert {r["service"] for r in rows} == set(groups), state
        for row in rows:
            rs = groups[row["service"]]
            assert row["count"] == len(rs)
            assert row["ids"] == sum("id" in r for r in rs)
            numbers = sorted(n for n in (number_of(r.get("latency")) for r in rs) if n is not None)
            assert abs(row["sum"] - sum(numbers)) < 1e-6 * abs(sum(numbers)) + 1e-6
            assert abs(row["avg"] - statistics.mean(numbers)) < 1e-6 * abs(row["avg"]) + 1e-9
            assert (float(row["min"]), float(row["max"])) == (numbers[0], numbers[-1])
            for key, phi in (("p50", 0.5), ("p99", 0.99)):
                rank = sum(n <= row[key] for n in numbers) / len(numbers)
                below = sum(n < row[key] for n in numbers) / len(numbers)
                assert below - 0.01 <= phi <= rank + 0.01
            distinct = len({r["message"] for r in rs})
            assert abs(row["kinds"] - distinct) <= 0.02 * distinct
            order = sorted(rs, key=lambda r: (r["timestamp"], r["seq"]))
            assert (row["first"], row["last"]) == (order[0]["seq"], order[-1]["seq"])


def test_bins_top_where_sort(filled, corpus):
    _, records = corpus
    hours = Counter(r["timestamp"][:13] for r in records if r["level"] == "ERROR")
    status = Counter()
    for r in records:
        value = r.get("http", {}).get("status", r.get("http.status"))
        if value is not None:
            status[value] += 1
    messages = Counter(r["message"] for r in records)
    tags = Counter(t for r in records for t in r.get("tags", []))
    slow = sorted((r for r in records if isinstance(r.get("latency"), int) and not isinstance(r["latency"], bool)
                   and r["latency"] > 4000), key=lambda r: (-r["latency"], ))
    for state in states(filled):
        rows = filled.query("level:ERROR | stats count() as n by bin(1h)")
        assert {r["_time"][:13]: r["n"] for r in rows} == dict(hours), state
        rows = filled.query("level:=ERROR | stats count() as n by bin(1h) | where n > 20 | sort -n | limit 3")
        best = sorted((n for n in hours.values() if n > 20), reverse=True)[:3]
        assert [r["n"] for r in rows] == best, state
        rows = filled.query("* | top 5 message")
        assert [r["count"] for r in rows] == [n for _, n in messages.most_common(5)], state
        rows = filled.query("tags:* | stats count() as n by tags")
        got = {r["tags"]: r["n"] for r in rows if r["tags"] is not None}
        assert {k: v for k, v in got.items()} == {(float(k) if isinstance(k, Decimal) else k): v for k, v in tags.items()}, state
        rows = filled.query("latency:>4000 | where latency != x | sort -latency, seq | fields seq, latency | limit 20")
        assert [r["latency"] for r in rows if not isinstance(r["latency"], str)][:5] == [r["latency"] for r in slow][:5]
        rows = filled.query("* | stats values(level) as levels")
        assert rows == [{"levels": sorted({r["level"] for r in records})}], state
        assert len(filled.query("* | limit 7")) == 7
        assert filled.query("nothing:here | stats count()") == [{"count": 0}]
        assert filled.query("* | fields nothing | limit 2") == [{}, {}]


def test_time_bounds(filled, corpus):
    _, records = corpus
    lo, hi = "2025-02-15T06:30:00Z", "2025-02-15T07:00:00Z"
    want = sorted(r["seq"] for r in records if lo <= r["timestamp"] < hi)
    for state in states(filled):
        rows = filled.query("* | fields seq", **{"from": lo, "to": hi})
        assert sorted(r["seq"] for r in rows) == want, state
        rows = filled.query(f"_time:[{lo} TO {hi}}} | fields seq")
        assert sorted(r["seq"] for r in rows) == want, state


def test_parameters(filled, corpus):
    _, records = corpus
    want = sum(r.get("service") == "pay" and r["level"] == "ERROR" for r in records)
    answer = filled.search("", service="pay", level="ERROR", limit=3)
    assert answer["total_hits"] == want
    row = answer["logs"][0]
    assert row["service"] == "pay" and row["level"] == "ERROR" and row["log_id"]
    assert isinstance(answer["took_ms"], (int, float))
