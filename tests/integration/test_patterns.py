"""Patterns are exact: held against a plain reading of the rules by which a text is cut, in memory, flushed, compacted and
restarted."""
import collections
import json
import random
import re

import pytest
import requests
from test_oracle import states

MARK = rb"[.:\-/\\@+%]"
WORD = rb"[0-9A-Za-z_\x80-\xff]"
TOKEN = re.compile(WORD + rb"+(?:" + MARK + rb"{1,2}" + WORD + rb"+)*")
NUMBER = re.compile(rb"([0-9]+(?:\.[0-9]+)?)([A-Za-z_\x80-\xff]{0,4})\Z")
NAME = re.compile(rb"([A-Za-z_\x80-\xff]+)[0-9]+\Z")
CLOCK = re.compile(rb" [0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?")


def tells(letters):
    return re.search(rb"[^A-Fa-f]", letters) is not None


def pattern(text):
    """Every token with a digit, and every path, as <*>."""
    s, out, at, last = text.encode("utf-8", "surrogatepass"), b"", 0, 0
    if b"\x1a" in s:
        return text
    while token := TOKEN.search(s, at):
        start, end = token.span()
        at, word = end, token[0]
        digit, steps = re.search(rb"[0-9]", word), len(re.findall(rb"[/\\]", word))
        if not digit and steps < 2:
            continue
        number, name = NUMBER.match(word), NAME.match(word)
        if digit and number and (not number[2] or tells(number[2])):
            end = start + len(number[1])
            spaces = start - last - len(s[last:start].rstrip(b" "))
            start -= spaces - 1 if spaces >= 2 else 0
        elif digit and name and tells(name[1]):
            start += len(name[1])
        elif digit and re.fullmatch(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}", word) and (clock := CLOCK.match(s, end)):
            end = at = clock.end()
        out += s[last:start] + b"<*>"
        last = end
    return (out + s[last:]).decode("utf-8", "surrogatepass")


def make_text(rng, i):
    address = ".".join(str(rng.randint(0, 255)) for _ in range(4))
    return rng.choice([
        lambda: f"Payment failed: timeout connecting to stripe after {rng.randint(1, 9999)} ms",
        lambda: f"Accepted password for {rng.choice(['root', 'admin', 'web'])} from {address} port {rng.randint(1024, 65535)} ssh2",
        lambda: f"request req_{rng.getrandbits(64):016x} took {rng.random() * 100:.2f}ms",
        lambda: f"trace {rng.getrandbits(128):032x} span {rng.getrandbits(64):016x}",
        lambda: f"2025-02-15 12:{i % 60:02d}:{i % 59:02d},{i % 1000:03d} GC pause {rng.randint(1, 900):>6} of {rng.randint(1, 9)}",
        lambda: f"GET /api/v1/users/{rng.randint(1, 50)}/cart 200",
        lambda: f"GET /api/v1/users/{rng.choice(['me', 'all'])}/cart/of 404",
        lambda: f"eth{rng.randint(0, 9)}: link {rng.choice(['up', 'down'])}",
        lambda: "heartbeat",
        lambda: f"worker-{i % 7} on host-{i % 5}: läuft, {rng.randint(0, 99)}% déjà {rng.choice('aé')}{i % 3}",
        lambda: f"C:\\Windows\\System32\\svc{i % 9}.exe exited 0x{rng.getrandbits(32):08x}",
        lambda: f"odd \x1a {rng.randint(0, 3)} byte",
        lambda: f"java.lang.Error: {rng.randint(0, 99)}\n\tat com.example.Foo.run(Foo.java:{rng.randint(1, 3)})",
        lambda: " ".join(rng.choices(["a", "b1", "c", "7", "0.5", "--", "x/y/z", "::"], k=rng.randint(0, 5)))])()


@pytest.fixture(scope="module")
def corpus():
    rng, records = random.Random(5), []
    for i in range(9000):
        r = {"seq": i, "timestamp": f"2025-02-15T{i // 400:02d}:{i % 60:02d}:{rng.randint(0, 59):02d}.{i % 1000:03d}Z",
             "level": rng.choices(["INFO", "WARN", "ERROR"], [8, 2, 1])[0], "service": rng.choice(["pay", "cart", "db"])}
        if rng.random() < 0.97:
            r["message"] = rng.choices([make_text(rng, i), rng.randint(-5, 5), 2.5, True, None], [96, 1, 1, 1, 1])[0]
        if i >= 8000 and rng.random() < 0.01:
            r["message"] = f"never seen before {i}"
        records.append(r)
    return records


@pytest.fixture
def filled(make_server, corpus):
    server = make_server()
    for at in range(0, len(corpus), 1500):
        server.ingest("\n".join(map(json.dumps, corpus[at:at + 1500])).encode())
        if at in (1500, 4500):
            server.flush()
    return server


def pattern_of(record):
    value = record.get("message")
    return None if value is None else pattern(value if isinstance(value, str) else json.dumps(value))


def grouped(records, *fields):
    groups = collections.defaultdict(list)
    for r in records:
        groups[(pattern_of(r), *(r.get(f) for f in fields))].append(r)
    return groups


def check(rows, records, *fields, examples=1):
    groups = grouped(records, *fields)
    assert {(r["pattern"], *(r[f] for f in fields)): r["count"] for r in rows} == {k: len(v) for k, v in groups.items()}
    assert [r["count"] for r in rows] == sorted((len(v) for v in groups.values()), reverse=True)
    assert sum(r["count"] for r in rows) == len(records)
    time = lambda t: t.rstrip("0Z").rstrip(".")
    for row in rows:
        of = groups[(row["pattern"], *(row[f] for f in fields))]
        times = sorted(r["timestamp"] for r in of)
        assert (time(row["first_seen"]), time(row["last_seen"])) == (time(times[0]), time(times[-1])), row
        values = [r.get("message") for r in of if r.get("message") is not None]
        assert all(e in values for e in row["examples"]), row
        assert len(row["examples"]) <= examples and bool(row["examples"]) == bool(values), row


def test_counts_are_exact(filled, corpus):
    ids = {}
    for state in states(filled):
        for _ in range(2):  # what is kept of the first answers the second
            rows = filled.query("* | patterns")
            check(rows, corpus)
        for row in rows:
            assert ids.setdefault(row["pattern"], row["id"]) == row["id"], (state, "an id that changes")
        assert len(set(ids.values())) == len(ids)
        check(filled.query("* | patterns examples=3"), corpus, examples=3)
        check(filled.query("* | patterns by service, level"), corpus, "service", "level")
        check(filled.query("level:ERROR | patterns"), [r for r in corpus if r["level"] == "ERROR"])
        part = dict(zip(("from", "to"), ("2025-02-15T03:10:00Z", "2025-02-15T17:40:00Z")))
        check(filled.query("* | patterns", **part),
              [r for r in corpus if part["from"][:-1] <= r["timestamp"] < part["to"][:-1]])
        rows = filled.query("* | patterns service limit=2")
        assert [r["pattern"] for r in rows] == [s for s, _ in collections.Counter(
            sorted(r["service"] for r in corpus)).most_common(2)], state
        rows = filled.query("service:pay | stats count() by pattern(message), level | where level = WARN")
        want = grouped([r for r in corpus if r["service"] == "pay" and r["level"] == "WARN"])
        assert {r["pattern"]: r["count"] for r in rows} == {k[0]: len(v) for k, v in want.items()}, state


def test_the_query_of_a_pattern_finds_its_rows(filled, corpus):
    want = grouped(corpus, "level")
    seqs = {k: [r["seq"] for r in v] for k, v in want.items()}
    like = grouped(corpus)
    for state in states(filled):
        for row in filled.query("* | patterns by level"):
            found = sorted(r["seq"] for r in filled.query(row["query"] + " | fields seq"))
            assert found == seqs[row["pattern"], row["level"]], (state, row)
        for (p,), of in random.Random(3).sample(sorted(like.items(), key=lambda i: i[0][0] or ""), 12):
            if p is None:
                continue
            for text in (p, of[0]["message"]):
                q = f"message:pattern({json.dumps(text if isinstance(text, str) else json.dumps(text), ensure_ascii=False)})"
                if "\x1a" in q or "\\u001a" in q:
                    continue
                assert filled.query(q + " | stats count()") == [{"count": len(of)}], (state, q)
                assert filled.query(f"NOT {q} | stats count()") == [{"count": len(corpus) - len(of)}], (state, q)


def test_new_since(filled, corpus):
    first = {}
    for r in corpus:
        first[pattern_of(r)] = min(first.get(pattern_of(r), "9"), r["timestamp"])
    since = "2025-02-15T19:30:00Z"
    new = {p for p, t in first.items() if t >= since[:-1]}
    assert "never seen before <*>" in new
    for state in states(filled):
        rows = filled.query(f'* | patterns new_since="{since}"')
        assert {r["pattern"] for r in rows} == new, state
    # Against a range that begins later, more is new.
    rows = filled.query(f"* | patterns new_since={since}", **{"from": since})
    assert len(rows) > len(new)
    assert filled.query("* | patterns new_since=1h") == []


def test_api(filled, corpus):
    url = filled.url + "/api/v1/logs/patterns"
    for method in (requests.get, requests.post):
        key = "params" if method is requests.get else "data"
        r = method(url, **{key: {"examples": 2, "limit": 1000}})
        assert r.status_code == 200, r.text
        answer = r.json()
        check(answer["patterns"], corpus, examples=2)
        assert answer["total"] == len(corpus) and answer["distinct"] == len(answer["patterns"])
    answer = requests.get(url, params={"q": "level:ERROR", "field": "service", "by": "level", "limit": 2}).json()
    assert [(p["level"], len(p["examples"])) for p in answer["patterns"]] == [("ERROR", 1)] * 2
    assert answer["total"] == sum(r["level"] == "ERROR" for r in corpus) and answer["distinct"] == 3
    answer = requests.get(url, params={"new_since": "2025-02-15T19:30:00Z"}).json()
    assert any(p["pattern"] == "never seen before <*>" for p in answer["patterns"])
    for bad in ({"examples": 11}, {"new_since": "yesterdayish"}, {"q": "* | limit 5"}, {"limit": -1}, {"by": ","}):
        assert requests.get(url, params=bad).status_code == 400, bad


@pytest.mark.parametrize("query, says", [
    ("message:pattern(12)", "16 hexadecimal digits"), ("message:pattern(", "16 hexadecimal digits"),
    ('message:pattern("x"', "never closed"), ("* | patterns examples=11", "at most 10"),
    ("* | patterns new_since=soon", "a time is expected"), ("* | patterns a b", "not understood"),
    ("* | patterns how=1", "no such option"), ("* | stats count() by pattern(", "is expected")])
def test_errors(server, query, says):
    assert says in server.query(query, expect=400)["error"]


def test_command(filled, corpus, weir, tmp_path):
    rows = lambda *args: [json.loads(line) for line in weir("patterns", *args).stdout.splitlines()]
    server = ("--url", filled.url)
    found = rows(*server, "*", "--limit", "0", "-e", "2")
    assert {r["pattern"]: r["count"] for r in found} == {p: len(v) for (p,), v in grouped(corpus).items()}
    assert any(len(r["examples"]) == 2 for r in found)
    assert rows(*server, "--limit", "0", "-e", "2") == found
    found = rows(*server, "level:ERROR", "--by", "service", "-n", "3", "--from", "2025-02-15")
    assert len(found) == 3 and all(r["service"] for r in found)
    shown = weir("patterns", *server, "*", "--new-since", "2025-02-15T19:30:00Z", "-o", "table").stdout.decode()
    assert "never seen before <*>" in shown and "heartbeat" not in shown
    lines = [make_text(random.Random(i), i).replace("\n", " ") for i in range(2000)]
    (tmp_path / "a.log").write_text("\n".join(lines[:1200]) + "\n")
    (tmp_path / "b.log").write_text("\n".join(lines[1200:]) + "\n")
    files = str(tmp_path / "a.log"), str(tmp_path / "b.log")
    found = rows("*", "--limit", "0", *files)
    assert {r["pattern"]: r["count"] for r in found} == dict(collections.Counter(pattern(s) for s in lines if s))
    assert [r["pattern"] for r in rows("heartbeat", *files)] == ["heartbeat"]
    most = next(r for r in found if "<*>" in r["pattern"])
    assert len(weir("grep", "-I", most["query"], *files).stdout.splitlines()) == most["count"]
    assert weir("patterns", "nothing like it", *server, check=False).returncode == 1
    assert weir("patterns", "*", "--from", "-1h", *files, check=False).returncode == 2
