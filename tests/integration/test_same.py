"""Answers do not depend on how records happen to lie in blocks."""
import json
import random
import shutil
from fractions import Fraction

import requests


def remove(server):
    assert server.stop() == 0
    shutil.rmtree(server.data)


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
