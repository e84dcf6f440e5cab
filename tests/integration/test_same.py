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
