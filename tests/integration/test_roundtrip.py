"""What goes in comes out: arbitrary JSON, value by value, in memory, flushed and compacted, after a restart."""
import json
import random
import string

import requests

ADDED = {"_time", "_stream", "_id"}


def random_string(rng):
    kind = rng.random()
    if kind < 0.5:
        return "".join(rng.choices(string.ascii_letters + "  0123456789-_.:/", k=rng.randint(0, 30)))
    if kind < 0.7:
        return "".join(chr(rng.choice([9, 10, 13, 0, 1, 31, 34, 92, 0x7f, 0xe9, 0x4e2d, 0x1f600, 0x200b]))
                       for _ in range(rng.randint(0, 8)))
    if kind < 0.8:
        return rng.choice(["", " ", "null", "true", "1", "1.0", "-0", "2025-02-15T12:00:00.123Z",
                           "2025-02-30T12:00:00Z", "deadbeef", "DEADBEEF", "00ff00ff", "10.0.0.1"])
    return "%016x" % rng.getrandbits(64)


def random_number(rng):
    return rng.choice([
        str(rng.randint(-100, 100)), str(rng.getrandbits(63)), "-" + str(rng.getrandbits(63)), "-0", "0", "1e3",
        "1E3", "1.50", "-0.0", "0.1", "1e-7", "1.5e+300", "123456789012345678901234567890",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808", "3.141592653589793238462643383279",
        f"{rng.random():.6f}", f"{rng.randint(0, 10**6)}.{rng.randint(0, 99):02d}", "1e400", "0e0", "5e-324"])


def random_value(rng, depth=0):
    kind = rng.random()
    if depth < 4 and kind < 0.15:
        return random_object(rng, depth + 1)
    if depth < 4 and kind < 0.25:
        return "[" + ",".join(random_value(rng, depth + 1) for _ in range(rng.randint(0, 4))) + "]"
    if kind < 0.32:
        return "null"
    if kind < 0.4:
        return rng.choice(["true", "false"])
    if kind < 0.6:
        return random_number(rng)
    return json.dumps(random_string(rng), ensure_ascii=rng.random() < 0.5)


KEYS = ["a", "b", "a.b", "c", "msg", "level", "", " ", "é", "x.y.z", "time", "with \"quote\"", "a\\b", "\x1f", "\x1e",
        "k0", "k1", "k2", "k3", "k4", "_private", "service"]


def random_object(rng, depth=0):
    members = []
    for _ in range(rng.randint(0, 7)):
        key = rng.choice(KEYS) if rng.random() < 0.9 else random_string(rng)
        members.append(json.dumps(key, ensure_ascii=rng.random() < 0.5) + ":" + random_value(rng, depth))
    return "{" + ",".join(members) + "}"


class Pairs(list):
    """An object as its list of members: order and repeated keys count."""


def strict(text):
    """Parsed so that order, duplicates, and the text of numbers are kept."""
    return json.loads(text, object_pairs_hook=Pairs, parse_int=lambda s: ("n", s), parse_float=lambda s: ("n", s))


def without_added(pairs, own):
    return Pairs((k, v) for k, v in pairs if k not in ADDED or k in own)


def check(server, expected):
    r = requests.post(server.url + "/api/v1/logs/query", params={"q": "", "stream": "trip"}, timeout=120)
    assert r.status_code == 200, r.text
    got = {}
    for line in r.content.split(b"\n"):
        if not line:
            continue
        row = strict(line)
        number = next(v for k, v in row if k == "seq")[1]
        assert number not in got, f"record {number} is there twice"
        got[number] = row
    assert len(got) == len(expected)
    for number, text in expected.items():
        want = strict(text)
        own = {k for k, _ in want}
        assert without_added(got[number], own) == want, (text, got[number])


def test_round_trip(make_server):
    rng = random.Random(20250215)
    server = make_server()
    expected = {}
    for batch in range(12):
        lines = []
        for i in range(250):
            number = f"{batch * 1000 + i}"
            body = random_object(rng)
            text = '{"seq":' + number + ("," + body[1:] if body != "{}" else "}")
            expected[number] = text
            lines.append(text)
        answer = server.ingest("\n".join(lines).encode(), stream="trip")
        assert answer["accepted"] == 250, answer
        if batch == 3:
            check(server, expected)
            server.flush()
        if batch in (5, 7, 9):
            server.flush()
            check(server, expected)
    check(server, expected)
    server.compact()
    check(server, expected)
    server.stop()
    server.start()
    check(server, expected)


def test_bad_bytes_come_back(server):
    server.ingest(b'{"seq":1,"m":"a\xff\xfeb"}\n{"seq":2,"m":"\\ud800x"}', stream="trip")
    rows = {r["seq"]: r["m"] for r in server.query("", stream="trip")}
    assert rows == {1: "a\ufffd\ufffdb", 2: rows[2]}
    assert rows[2].endswith("x") and "\ufffd" in rows[2]
    assert len(server.query("m:x", stream="trip")) == 1


def small_body(rng):
    make = rng.choice([lambda: "{}", lambda: '{"%s":%s}' % (rng.choice("ab"), random_value(rng)), lambda: random_object(rng)])
    return [make() for _ in range(rng.choice([1, 1, 1, 2, 3, 20]))]


def sorted_records(lines):
    return sorted(json.dumps(without_added(strict(line), ())) for line in lines)


def test_small_bodies(make_server):
    """Frames of a record or two: without fields, without a column that the block's others have, of one value."""
    rng = random.Random(20261130)
    server = make_server()
    for turn in range(12):
        stream, expected = f"small{turn}", []
        for _ in range(rng.randint(2, 40)):
            body = small_body(rng)
            assert server.ingest("\n".join(body).encode(), stream=stream)["accepted"] == len(body)
            expected += body
            if rng.random() < 0.1:
                rng.choice([server.flush, server.compact])()
        for step in (server.flush, server.compact):
            step()
            r = requests.post(server.url + "/api/v1/logs/query", params={"q": "", "stream": stream}, timeout=120)
            assert sorted_records(filter(None, r.content.split(b"\n"))) == sorted_records(expected)


def test_equal_numbers_are_written_alike(server):
    """Which of 1, 1.0 and "1" is shown does not depend on which came first, or in which block they are."""
    spelled = ["0.1000", "-0.0", "1.0", '"1"', "0.10", "0", "1", "0.1", "-0"]
    for turn, order in enumerate((spelled, spelled[::-1])):
        stream = f"equal{turn}"
        for i, n in enumerate(order):
            server.ingest('{"k":1,"n":%s,"zero":%s}' % (n, n if n.strip("-") in ("0", "0.0") else "0"), stream=stream)
            if i % 3 == 1:
                server.flush()
        for step in (lambda: None, server.flush, server.compact):
            step()
            r = requests.post(server.url + "/api/v1/logs/query", timeout=60, params={
                "q": "* | stats values(n) as v, max(n) as m, min(zero) as z by k", "stream": stream})
            assert '0.1,1,1.0,"1"]' in r.text and r.text.count('"m":1,') == 1 and r.text.count('"z":0') == 1 and "0.10" not in r.text, (order, r.text)


def test_wide_and_deep(server):
    wide = {f"field_{i}": i for i in range(12000)}
    deep = json.loads('{"a":' * 100 + "1" + "}" * 100)
    many = [{f"k{i}_{j}": j for j in range(3)} for i in range(5000)]
    records = [wide, deep, *many]
    for i, r in enumerate(records):
        r["seq"] = i
    server.ingest("\n".join(json.dumps(r) for r in records), stream="trip")
    for step in (lambda: None, server.flush, server.compact):
        step()
        rows = {r["seq"]: {k: v for k, v in r.items() if k not in ADDED} for r in server.query("", stream="trip")}
        assert rows == {i: r for i, r in enumerate(records)}
        assert [r["seq"] for r in server.query("field_11999:11999 | fields seq", stream="trip")] == [0]
        assert [r["seq"] for r in server.query("k4999_2:2 | fields seq", stream="trip")] == [5001]


def test_export_of_full_blocks(make_server, weir):
    """What rows are decoded into is given back as they go out: blocks of any size in little memory."""
    server = make_server(args=["--set", "query.memory=96MiB"])
    body = weir("produce", "--count", "120000", "--quiet").stdout
    for at in (0, 60000):
        server.ingest(b"\n".join(body.splitlines()[at:at + 60000]))
    server.flush()
    server.compact()
    rows = server.query("", meta=1)
    assert rows[-1]["_meta"]["complete"] and rows[-1]["_meta"]["memory_peak"] < 48 << 20
    ids = lambda records: sorted(r["metadata"]["request_id"] for r in records)
    assert ids(rows[:-1]) == ids(map(json.loads, body.splitlines()))
