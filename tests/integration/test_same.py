"""Answers do not depend on how records happen to lie in blocks: random questions over random records are answered alike
in memory, flushed, merged, after kill -9, and by a second server that got the same records in other bodies and blocks.

WEIR_SAME_SECONDS goes on with new seeds for so long; WEIR_SAME_SEED is the first."""
import json
import os
import random
import re
import shutil
import time
from fractions import Fraction

import requests

SECONDS = float(os.environ.get("WEIR_SAME_SECONDS", "0"))
SEED = int(os.environ.get("WEIR_SAME_SEED", "1"))

NUMBERS = ["0", "0.00", "-0", "-0.0", "0e0", "1", "1.0", "1.00", "1e0", "1E0", "10e-1", "1000", "1e3", "1E3", "1000.0",
           "0.1", "0.10", "1e-1", "0.2", "0.3", "0.7", "-0.1", "-0.10", "2.5", "2.50", "25e-1", "42", "-7", "1e15",
           "5e-324", "1e-7", "1e22", "1e300", "1.7e308", "-1.7e308", "1e400", "-1e400", "9007199254740993",
           "9007199254740992", "9007199254740992.0", "9007199254740993.0", "9.007199254740993e15", "9223372036854775807",
           "-9223372036854775808", "9223372036854775808", "123456789012345678901234567890", "0.123456789012345671",
           "0.123456789012345672", "0.1234567890123456781", "0.30000000000000004", "3.141592653589793238462643383279"]
TEXTS = ["", " ", "a", "A", "error", "Error timeout", "timeout connecting to db after 17 ms", "user 7 logged in",
         "timeout connecting to db after 9 ms", "user 12 logged in", "é", "É中文 text", "\u2028\U0001f600", "1", "1.0", "0.10",
         "1e3", "-0", "true", "null", "10.0.0.1", "deadbeef", "2025-02-15T12:00:00.123Z", "x" * 300, "k=v a=b", "tab\tnew\nline",
         "quote\"back\\slash", "\u0000nul", "zażółć"]
KEYS = ["a.b", "n", "d", "msg", "level", "service", "host", "tags", "x.y.z", "a.c", "m", "é", "", "w", "k0"]
FIELDS = KEYS + ["message", "_time", "_stream", "a", "x.y", "nothing", "obj.k", "obj.u7"]


class Maker:
    """Records as text, so that numbers keep their spelling and keys may come twice."""

    def __init__(self, rng, timed):
        self.rng, self.timed, self.pool = rng, timed, []

    def text(self, s):
        return json.dumps(s, ensure_ascii=self.rng.random() < 0.3)

    def scalar(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.45:
            return rng.choice(NUMBERS)
        if kind < 0.6:
            return f"{rng.uniform(-1e3, 1e3):.{rng.randint(0, 17)}f}"
        if kind < 0.65:
            return repr(rng.uniform(-1, 1) * 10 ** rng.randint(-20, 20))
        if kind < 0.7:
            return rng.choice(["true", "false", "null", "{}", "[]"])
        if kind < 0.72:
            return self.text("long " * rng.randint(10, 20000) + str(rng.randint(0, 9)))
        return self.text(rng.choice(TEXTS))

    def value(self, depth):
        kind = self.rng.random()
        if depth < 3 and kind < 0.12:
            return self.object(depth + 1)
        if depth < 3 and kind < 0.22:
            return "[" + ",".join(self.value(depth + 1) for _ in range(self.rng.randint(0, 4))) + "]"
        return self.scalar()

    def member(self, depth):
        rng, value, scalar = self.rng, self.value, self.scalar
        kinds = [
            (10, lambda: '"a.b":' + value(depth)), (8, lambda: '"a":{"b":%s}' % value(depth)),
            (4, lambda: '"a":{"b":%s,"c":%s,"b":%s}' % (value(depth), scalar(), scalar())),
            (4, lambda: '"x":{"y":{"z":%s}}' % scalar()), (2, lambda: '"x.y":{"z":%s}' % scalar()),
            (2, lambda: '"x":{"y.z":%s}' % scalar()), (2, lambda: '"obj":{"k":%s}' % value(depth)),
            (13, lambda: '"n":' + rng.choice(NUMBERS)), (7, lambda: '"d":' + rng.choice(["0.1", "0.2", "0.3", "1.1", "1e-3"])),
            (6, lambda: f'"d":{rng.uniform(0, 100):.{rng.randint(1, 6)}f}'),
            (4, lambda: '"w":' + repr(rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30))),
            (3, lambda: '"service":' + self.text(rng.choice(["pay", "cart", "ship", "", "Pay"]))),
            (4, lambda: '"level":' + rng.choice(['"INFO"', '"ERROR"', '"error"', '"WARN"', "3", "null"])),
            (3, lambda: '"%s":%s' % (rng.choice(["message", "msg", "log"]), self.text(f"{rng.choice(TEXTS)} {rng.randint(0, 99)}"))),
            (3, lambda: '"tags":' + rng.choice(['["a","b"]', '["b"]', '[]', '"a"', '["a",1,1.0]', '[1,[2],{"k":3}]', '[0.1,0.10]'])),
            (25, lambda: self.text(rng.choice(KEYS)) + ":" + value(depth))]
        return rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    def object(self, depth=0):
        return "{" + ",".join(self.member(depth) for _ in range(self.rng.randint(0, 6))) + "}"

    def record(self):
        rng = self.rng
        if self.pool and rng.random() < 0.4:
            return rng.choice(self.pool)
        made = self.object()
        if self.timed or rng.random() < 0.7:
            at = f"2025-02-15T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}.{rng.choice([0, 500, rng.randint(0, 999)]):03d}Z"
            made = f'{{"_time":"{at}"' + ("," + made[1:] if made != "{}" else "}")
        if len(self.pool) < 200:
            self.pool.append(made)
        return made

    def wide(self):
        """Several of these are more names than a block has columns: some of their objects are kept as text."""
        rng = self.rng
        members = ",".join(f'"u{rng.randint(0, 30000)}":{rng.randint(0, 3)}' for _ in range(2500))
        parts = ['"obj":{"u7":%s,%s,"k":%s}' % (self.scalar(), members, self.scalar()), '"obj.u7":' + self.scalar(), '"obj.k":' + self.scalar()]
        rng.shuffle(parts)
        return '{"_time":"2025-02-15T12:00:00Z",' + ",".join(parts) + "}"

    def bodies(self, n):
        """(stream, records), in the order in which they are sent."""
        rng, made = self.rng, []
        while n > 0:
            records = [self.record() for _ in range(rng.choice([1, 1, 3, 20, 100, 300]))]
            if rng.random() < 0.03:
                records[rng.randrange(len(records)):] = [self.wide() for _ in range(rng.randint(1, 6))]
            made.append((rng.choice(["s0", "s1"]), records))
            n -= len(records)
        return made


class Asker:
    def __init__(self, rng):
        self.rng = rng

    def field(self):
        rng = self.rng
        name = rng.choice(FIELDS[:10]) if rng.random() < 0.7 else rng.choice(FIELDS)
        return name if re.fullmatch(r"[A-Za-z0-9_.]+", name) else json.dumps(name, ensure_ascii=False)

    def literal(self):
        rng = self.rng
        return rng.choice(NUMBERS) if rng.random() < 0.5 else json.dumps(rng.choice(TEXTS[2:]), ensure_ascii=False)

    def filter(self, depth=0):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.35 or depth > 2:
            f, number = self.field(), rng.choice(NUMBERS)
            return rng.choice([
                f"{f}:*", f"{f}:{self.literal()}", f"{f}:={self.literal()}", f"{f}:{rng.choice(['>', '<', '>=', '<='])}{number}",
                rng.choice(["timeout", "user", "error", "1", "0.1", "7", "long", "中", "é*", "time*"]),
                f"{f}:/{rng.choice(['[0-9]+', '^a', 't.*o', '^1'])}/", f"{f}:[{number} TO *]"])
        if kind < 0.55:
            return f"({self.filter(depth + 1)} {rng.choice(['AND', 'OR'])} {self.filter(depth + 1)})"
        return f"NOT {self.filter(depth + 1)}" if kind < 0.63 else "*"

    def function(self):
        rng = self.rng
        name = rng.choice(["count()", "count(F)", "sum(F)", "avg(F)", "min(F)", "max(F)", "p50(F)", "p90(F)", "distinct(F)", "values(F)",
                           "first(F)", "last(F)", "sum(d)", "avg(d)", "sum(n)", "avg(n)", "sum(w)", "max(n)", "min(n)", "values(n)"])
        return name.replace("F", self.field())

    def by(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.15:
            return "bin(1h)"
        if kind < 0.25:
            return f"bin({rng.choice(['n', 'd', 'a.b'])}, {rng.choice(['10', '0.5', '100'])})"
        return f"pattern({rng.choice(['message', 'msg'])})" if kind < 0.3 else self.field()

    def stats(self):
        rng = self.rng
        q = "stats " + ", ".join(f"{self.function()} as f{i}" for i in range(rng.randint(1, 4)))
        n_by = rng.choice([0, 1, 1, 1, 2])
        if n_by:
            q += " by " + ", ".join(self.by() for _ in range(n_by))
        return q + (f" | sort {rng.choice(['', '-'])}f0{rng.choice(['', ' | limit 3'])}" if rng.random() < 0.3 else "")

    def sort(self):
        keys = ", ".join(self.rng.choice(["", "-"]) + self.field() for _ in range(self.rng.randint(1, 2)))
        return f"sort {keys} | limit {self.rng.choice([5, 100])}"

    def pipes(self):
        """Text, and whether the rows come in an order."""
        rng, before = self.rng, ""
        while rng.random() < 0.2:
            before += " | " + rng.choice([f"where {self.filter()}", f"unnest {rng.choice(['tags', 'a.b', 'x.y.z'])}",
                                          f"extract /(?<num>[0-9.]+)/ from {self.field()}", "extract /(?<n>[0-9.]+)/"])
        made, ordered = rng.choices([
            (self.stats, True), (lambda: f"{rng.choice(['top', 'rare'])} {rng.choice([2, 10, 100])} {self.field()}", True),
            (lambda: f"values {self.field()} limit {rng.choice([3, 1000])}", True),
            (lambda: f"timechart span=3h {self.function()} by {self.field()} limit={rng.choice([0, 2, 10])}", True),
            (self.sort, True), (lambda: f"dedup {rng.choice(['', '2 '])}{self.field()}", True),
            (lambda: f"patterns {rng.choice(['', 'msg', 'level', 'n'])}" + rng.choice(["", " by service"]), True),
            (lambda: f"fields {self.field()}, {self.field()}", False), (lambda: "where *", False)],
            [45, 10, 7, 5, 13, 8, 4, 5, 3])[0]
        return f"{before} | {made()}", ordered

    def aggs(self):
        """A body for Elasticsearch's search."""
        rng = self.rng
        metric = {rng.choice(["sum", "avg", "min", "max", "stats", "cardinality", "value_count", "percentiles"]):
                  {"field": rng.choice(["n", "d", "w", "a.b", "m"])}}
        bucket = rng.choice([{"terms": {"field": rng.choice(["service", "level", "n", "a.b", "tags", "host"]), "size": rng.choice([2, 50])}},
                             {"date_histogram": {"field": "@timestamp", "fixed_interval": "3h"}},
                             {"histogram": {"field": "d", "interval": 10}}])
        body = {"size": rng.choice([0, 5]), "aggs": {"b": dict(bucket, aggs={"m": metric}), "m": metric}}
        if rng.random() < 0.5:
            body["sort"] = [{rng.choice(["n", "d", "service", "a.b"]): rng.choice(["asc", "desc"])}]
        if rng.random() < 0.5:
            body["query"] = {"query_string": {"query": self.filter()}}
        return body

    def question(self):
        """(endpoint, parameters, whether lines come in an order)"""
        rng, p = self.rng, {}
        if rng.random() < 0.08:
            return "es", self.aggs(), True
        if rng.random() < 0.25:
            p["stream"] = rng.choice(["s0", "s1"])
        if rng.random() < 0.25:
            p["from"] = f"2025-02-15T{rng.randint(0, 12):02d}:00:00Z"
        if rng.random() < 0.2:
            p["to"] = f"2025-02-15T{rng.randint(12, 23)}:30:00Z"
        if rng.random() < 0.3:
            p["nocache"] = 1
        p["q"] = self.filter()
        endpoint, more = rng.choices([("values", {"field": rng.choice(FIELDS), "limit": rng.choice([5, 1000])}), ("fields", {}), ("histogram", {}),
                                      ("search", {"limit": rng.choice([3, 50])}), ("patterns", {"field": "msg"}), ("query", {})],
                                     [5, 3, 2, 3, 2, 85])[0]
        ordered = True
        if endpoint == "query":
            pipes, ordered = self.pipes()
            p["q"] += pipes
            if "timechart" in pipes:  # not a row for each three hours of years, each with texts as names of its columns
                p = dict({"from": "2025-02-15", "to": "2025-02-16"}, **p)
        return endpoint, dict(p, **more), ordered


ABOUT = {"took_ms", "took"}  # how an answer came to be


def without_about(o):
    if isinstance(o, dict):
        return {k: without_about(v) for k, v in o.items() if k not in ABOUT and not k.startswith(("blocks", "bytes", "rows_", "memory"))}
    return [without_about(v) for v in o] if isinstance(o, list) else o


def ask(server, question, ids):
    try:
        return answer(server, question, ids)
    except requests.exceptions.ChunkedEncodingError as e:  # an error behind the first rows
        return 0, [str(e).encode(), server.log.read_bytes()[-500:]]


def answer(server, question, ids):
    endpoint, p, ordered = question
    if endpoint == "es":
        r = requests.post(server.url + "/s0,s1/_search", json=p, timeout=120)
    else:
        r = requests.post(f"{server.url}/api/v1/logs/{endpoint}", params=p, timeout=120)
    content = r.content
    if endpoint != "query" and r.status_code == 200:
        found = json.loads(content, parse_float=lambda n: "n" + n, parse_int=lambda n: "n" + n)
        content = json.dumps(without_about(found)).encode()
    if not ids:  # another server gives others
        content = re.sub(rb'"(log|)_id": ?"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"|"next_cursor": "[0-9a-f.]+"', b"", content)
    lines = content.split(b"\n")
    return r.status_code, lines if ordered else sorted(lines)


def first_difference(a, b):
    """The two lines around the first byte in which they differ."""
    for x, y in zip(a[1], b[1]):
        if x != y:
            at = next((i for i, (p, q) in enumerate(zip(x, y)) if p != q), min(len(x), len(y)))
            return x[max(0, at - 150):at + 150], y[max(0, at - 150):at + 150]
    return (a[0], len(a[1])), (b[0], len(b[1]))


def compare(first, server, questions, state, ids=True):
    different = []
    for question, want in zip(questions, first):
        got = ask(server, question, ids)
        if got != want:
            different.append((state, question, *first_difference(want, got)))
    assert not different, f"{len(different)} of {len(questions)}: " + "\n".join(map(str, different[:5]))


def send_otherwise(server, bodies, rng):
    """The same records in the same order, in bodies of other sizes."""
    for stream, records in bodies:
        while records:
            n = rng.randint(1, len(records))
            server.ingest("\n".join(records[:n]).encode(), stream=stream)
            records = records[n:]


def restart(server, end):
    end()
    server.start()


def remove(server):
    assert server.stop() == 0
    shutil.rmtree(server.data)


def run(make_server, seed, n_records, n_questions):
    rng = random.Random(seed)
    timed = rng.random() < 0.5
    rows = rng.choice([40, 150, 700, 262144])
    server = make_server(f"same{seed}", args=["--set", f"store.block_rows={rows}"])
    bodies = Maker(rng, timed).bodies(n_records)
    for stream, records in bodies:
        server.ingest("\n".join(records).encode(), stream=stream)
        if rng.random() < 0.1:
            rng.choice([server.flush, server.flush, server.compact])()
    asker = Asker(rng)
    questions = [asker.question() for _ in range(n_questions)]
    first = [ask(server, q, True) for q in questions]
    assert sum(status == 200 for status, _ in first) > n_questions * 0.8
    for state, step in [("killed", lambda: restart(server, server.kill)), ("flushed", server.flush), ("killed again", lambda: restart(server, server.kill)),
                        ("merged", server.compact), ("restarted", lambda: restart(server, server.stop)), ("asked twice", lambda: None)]:
        step()
        compare(first, server, questions, f"seed {seed}, {state}")
    if timed:
        other = make_server(f"other{seed}", args=["--set", f"store.block_rows={rng.choice([60, 500])}"])
        send_otherwise(other, bodies, rng)
        first = [ask(server, q, False) for q in questions]
        for state, step in [("other server", lambda: None), ("other server merged", other.compact)]:
            step()
            compare(first, other, questions, f"seed {seed}, {state}", ids=False)
        remove(other)
    remove(server)


# ---- the rules that this stands on ----

def in_any_state(make_server, lines, expected):
    """Each order and cut into bodies has the same answers: {question: rows}."""
    rng = random.Random(5)
    for turn in range(4):
        server, order = make_server(f"turn{turn}", args=["--set", "store.block_rows=16"]), lines[:]
        rng.shuffle(order)
        while order:
            n = rng.randint(1, 4)
            server.ingest("\n".join(order[:n]).encode())
            order = order[n:]
            if rng.random() < 0.3:
                server.flush()
        for step in (lambda: None, server.flush, server.compact):
            step()
            for q, rows in expected.items():
                r = requests.post(server.url + "/api/v1/logs/query", params={"q": q}, timeout=60)
                assert r.text == rows, (turn, q)
        remove(server)


def test_of_twins_the_first_counts(make_server):
    wide = ",".join(f'"u%d{i}":0' for i in range(2500))  # five of them do not fit a block: their objects are text
    lines = ['{"i":1,"a.b":1,"a":{"b":"no"}}', '{"i":2,"a":{"b":2},"a.b":"no"}', '{"i":3,"a.b":null,"a":{"b":3}}',
             '{"i":4,"a.b":{},"a":{"b":4},"a.b":"no"}', '{"i":5,"a":{"b":5,"b":"no"}}', '{"i":6,"a":{"b":"6","b":0}}',
             '{"i":7,"a":{"b":0.7},"a.b":7,"a":{"b":"no"}}', '{"i":8,"a.b":null}']
    lines += ['{"i":%d,"a":{%s,"b":%d},"a.b":"no"}' % (i, wide.replace("%d", f"{i}_"), i) for i in range(10, 14)]
    lines += ['{"i":%d,"a.b":%d,"a":{%s,"b":"no"}}' % (i, i, wide.replace("%d", f"{i}_")) for i in range(14, 18)]
    values = "1 2 3 4 5 \"6\" 0.7 null".split() + list(map(str, range(10, 18)))
    keys = [1, 2, 3, 4, 5, 6, 7, 8, *range(10, 18)]
    rows = "".join('{"i":%d,"a.b":%s,"count":1}\n' % (k, v) for k, v in zip(keys, values))
    in_any_state(make_server, lines, {
        "* | stats count() by i, a.b": rows, "* | stats sum(a.b) as s, max(a.b) as m": '{"s":129.7,"m":17}\n',
        "a.b:0 | stats values(a.b) as v": '{"v":["6"]}\n', "* | sort -a.b | limit 1 | fields i": '{"i":17}\n'})


def test_sums_are_rounded_once(make_server):
    rng = random.Random(6)
    numbers = [f"{rng.uniform(0, 100):.{rng.randint(1, 9)}f}" for _ in range(60)] + ["1e300", "-1e300", "1e-300", "2.5e17", "1e18"]
    whole = [2 ** 63 - 1] * 3 + [-2 ** 63] * 2 + [-2 ** 62] + [rng.randint(-2 ** 62, 2 ** 62) for _ in range(5)]
    lines = [f'{{"g":{i % 3},"d":{n}}}' for i, n in enumerate(numbers)] + [f'{{"w":{n},"m":{n}}}' for n in whole] + ['{"m":0.5}', '{"huge":1.7e308}',
                                                                                                       '{"huge":1.7e308}', '{"huge":-1.7e308}']
    exact = [sum(Fraction(float(n)) for n in numbers[g::3]) for g in range(3)]
    text = lambda v: str(int(v)) if v == int(v) and abs(v) < 1e15 else json.dumps(v)
    sums = "".join('{"g":%d,"s":%s,"a":%s}\n' % (g, text(float(exact[g])), text(float(exact[g]) / len(numbers[g::3]))) for g in range(3))
    assert abs(sum(whole)) < 2 ** 63
    in_any_state(make_server, lines, {
        "d:* | stats sum(d) as s, avg(d) as a by g": sums, "* | stats sum(w) as w": '{"w":%d}\n' % sum(whole),
        "* | stats sum(m) as m": '{"m":%d}\n' % float(sum(whole) + Fraction(1, 2)), "* | stats sum(huge) as h": '{"h":1.7e+308}\n'})


def test_equal_numbers_have_an_order(make_server):
    """An integer is equal to none but its own double's; of what is equal the plainer is shown, whole numbers exactly."""
    lines = ['{"n":%s}' % n for n in ("9007199254740993", "9007199254740992.0", "9007199254740992", "9007199254740994.0", "0.123456789012345672",
                                      "0.123456789012345671", "-0.0", "0e0", "0", "0.00")]
    in_any_state(make_server, lines, {
        "n:>1 | stats min(n) as low, max(n) as high": '{"low":9007199254740992,"high":9007199254740994.0}\n',
        "n:<1 | stats min(n) as low, max(n) as high": '{"low":0,"high":0.123456789012345671}\n',
        "n:<9007199254740994 | stats max(n) as high": '{"high":9007199254740993}\n'})


def test_an_example_is_the_newest(make_server):
    lines = [f'{{"_time":"2025-02-15T12:{i * 7 % 60:02d}:00Z","msg":"took {i} ms","k":{i % 2}}}' for i in range(60)]
    newest = [next(i for at in range(59, -1, -1) for i in range(60) if i * 7 % 60 == at and i % 2 == k) for k in (0, 1)]
    in_any_state(make_server, lines, {
        "k:* | patterns msg by k | sort k | fields k, examples": "".join('{"k":%d,"examples":["took %d ms"]}\n' % (k, newest[k]) for k in (0, 1)),
        "* | patterns msg | fields examples": '{"examples":["took %d ms"]}\n' % max(newest, key=lambda i: i * 7 % 60)})


def test_a_record_kept_as_text_shows_its_time_once(make_server):
    """Records of more names than a block has columns are kept as text; what is added to rows looks into it."""
    server = make_server()
    made = [{"_time": f"2025-02-15T12:00:0{i}Z", "_id": f"mine{i}", "_stream": None, **{f"u{i}_{k}": 0 for k in range(4000)}} for i in range(6)]
    server.ingest("\n".join(map(json.dumps, made)))
    for step in (lambda: None, server.flush, server.compact):
        step()
        r = requests.post(server.url + "/api/v1/logs/query", params={"q": "*"}, timeout=60)
        rows = [json.loads(line, object_pairs_hook=list) for line in r.text.splitlines()]
        assert sorted(rows) == [list(record.items()) for record in made]
    remove(server)


# ---- at random ----

def test_same_answers(make_server):
    for seed in range(SEED, SEED + 4):
        run(make_server, seed, 500, 150)
    until, seed = time.monotonic() + SECONDS, SEED + 100
    while time.monotonic() < until:
        run(make_server, seed, random.Random(seed).choice([300, 1500, 4000]), 400)
        print(f"seed {seed}: alike", flush=True)
        seed += 1
