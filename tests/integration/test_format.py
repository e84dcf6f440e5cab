"""docs/format.md is complete: tests/format_reader.py, written from it alone, reads what this build writes; and segments of
every encoding, written by earlier builds (tests/golden/segments, with the hash of what cat printed), are read by both.

`python tests/integration/test_format.py NAME` writes such a segment by this build."""
import datetime
import hashlib
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import pytest
import xxhash

from conftest import ROOT, WEIR, Server
from test_patterns import make_text

sys.path.insert(0, str(ROOT / "tests"))
import format_reader  # noqa: E402

GOLDEN = ROOT / "tests" / "golden" / "segments"
FORMS = ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S,123", "%d/%b/%Y:%H:%M:%S +0200", "%a, %d %b %Y %H:%M:%S GMT",
         "%Y/%m/%d %H:%M:%S", "%b %d %H:%M:%S", "%Y-%m-%dT%H:%M:%S-0330", "%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d"]


def record(rng, i):
    """Columns for every encoding, every lane, every kind of slot."""
    at = datetime.datetime(2025, 2, 15, 12) + datetime.timedelta(seconds=i * 7, microseconds=i * 1013 % 1000000)
    user, process = f"user-{rng.choice('abcd')}{rng.randint(10, 99)}", rng.randint(1000, 60000)
    path = "C:\\Program Files\\" + rng.choice(["One", "Two"]) + f"\\svc{rng.randint(1, 40)}.exe"
    r = {"timestamp": at.isoformat() + "Z", "seq": i, "const": "always the same", "level": rng.choice(["INFO", "WARN", "ERROR"]),
         "message": make_text(rng, i), "trace": f"{rng.getrandbits(128):032x}", "uuid": f"{rng.getrandbits(64):016X}-AB",
         "user": user, "process": process, "image": path, "key": f"order-{rng.randint(1, 99999)}", "padded": f"{i:06d}",
         "number": f"{rng.randint(0, 99999)}.{rng.randint(0, 99):02d}", "align": f"{rng.randint(1, 99999):>7}",
         "clock": at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}", "other": f"{rng.randint(0, 23):02d}:00:{i % 60:02d}",
         "free": "".join(rng.choices("abcdefgh ijklmnopqrst\n\"\\é", k=rng.randint(0, 40))),
         "event": f"Process Create:\nUtcTime: {at}\nProcessId: {process}\nImage: {path}\nUser: {user}\nHashes: {rng.getrandbits(64):016x}\n"
                  "Description: a text that is the same in every event of this kind, and long enough to be worth it",
         "price": float(f"{rng.randint(0, 999)}.{rng.randint(10, 99)}"), "share": rng.random(), "whole": float(rng.randint(0, 9)) * 1e17,
         "big": 2 ** 70 + i, "ok": rng.random() < 0.5, "nil": None, "empty": {}, "list": [i % 3, "x", {"y": rng.randint(0, 9)}],
         "steps": i // 50, "temp": rng.randint(-40, 40), "hex": "0x" + format(rng.getrandbits(32), "08x")}
    r["stamp"] = (datetime.datetime(2024, 3, 1) + datetime.timedelta(seconds=i * 3 + rng.randint(0, 2))).isoformat() + "Z"
    took = rng.randint(0, 9)
    r["collection"] = f"pause {at.timestamp():.3f}: part {at.timestamp() + took / 1000:.3f} of it, {rng.randint(0, 99)} left"
    for k, form in enumerate(FORMS):
        r[f"time{k}"] = at.strftime(form)
    r["epoch"] = str(int(at.timestamp() * 1000))
    if i % 5 == 0:
        r["nested"] = {"a.b": {"c": i}, "": "no name", "a": {"b": f"v{i % 4}"}, "sep\x1f\x1e": i}
    if i % 11 == 0:
        r["log_id"] = f"id-{i}"
    if i % 301 == 0:
        r[f"rare{i}"] = i
        r["timestamp"] = "no time"
    return json.dumps(r, ensure_ascii=False)


def write(server, n):
    rng = random.Random(41)
    lines = [record(rng, i) for i in range(n)]
    for at in range(0, n, 500):
        server.ingest("\n".join(lines[at:at + 500]).encode(), stream="every")
        server.ingest(f'{{"few":{at}}}\nplain'.encode(), stream="few")
        server.flush()


def segments(server):
    return sorted((server.data / "segments").glob("*.seg"))


def cat(path):
    r = subprocess.run([WEIR, "segment", "cat", str(path)], capture_output=True, timeout=60, check=True)
    return r.stdout.decode()


def plain(line):
    """As it can be compared: numbers by value, repeated keys and their order kept."""
    return json.loads(line, object_pairs_hook=lambda pairs: ("object", pairs))


def met():
    """Counts the encodings that the reader meets."""
    seen = {}
    for number, read in dict(format_reader.ENCODINGS).items():
        def counted(c, rows, number=number, read=getattr(read, "plain", read)):
            seen[number] = seen.get(number, 0) + 1
            return read(c, rows)
        counted.plain = getattr(read, "plain", read)
        format_reader.ENCODINGS[number] = counted
    return seen


def documented():
    table = (ROOT / "docs" / "format.md").read_text().partition("| id | encoding | of |")[2].partition("\n\n")[0]
    return {int(n) for n in re.findall(r"^\| (\d+) \| \w+ \|", table, re.M)}


def check_filters(section, block):
    """Every word of a column is in its filter, hardly another one is."""
    checked = 0
    for f in block.fields:
        if not f["filter_length"] or section.columns[f["column"]].lane != format_reader.STR:
            continue
        fuse = block.filter(f)
        texts = b"\n".join(block.column(f["column"])).decode("utf-8", "replace")
        words = {w.lower() for w in re.findall(r"(?<!\w)[A-Za-z]{3,}(?!\w)", texts)}
        assert all(fuse.may_hold(xxhash.xxh3_64_intdigest(w.encode())) for w in words)
        others = [f"no such word {i}" for i in range(1000)]
        assert sum(fuse.may_hold(xxhash.xxh3_64_intdigest(w.encode())) for w in others) < 30
        checked += 1
    return checked


def check(path):
    segment = format_reader.Segment(path.read_bytes())
    lines = list(segment.records())
    assert list(map(plain, lines)) == list(map(plain, cat(path).splitlines()))
    for section in segment.sections:
        for block in section.blocks:
            rows, n = block.origin(), block.about["rows"]
            order = [(t, *o[:2], o[3]) for t, o in zip(block.times, rows)]
            assert order == sorted(order) and len(block.flags() or [0] * n) == n
            assert {o[1] for o in rows} <= set(range(segment.position_min, segment.position_max + 1))
            assert check_filters(section, block) or n < 1024
    return len(lines)


def test_what_is_written(make_server):
    server, seen = make_server(), met()
    write(server, 2500)
    assert sum(map(check, segments(server))) == 2500 + 10
    server.compact()
    assert sum(map(check, segments(server))) == 2500 + 10
    assert set(seen) == documented() == set(format_reader.ENCODINGS)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.seg")), ids=lambda p: p.stem)
def test_golden_segments(path):
    assert hashlib.sha256(cat(path).encode()).hexdigest() == path.with_suffix(".sha256").read_text().strip()
    assert check(path) > 1000
    r = subprocess.run([WEIR, "segment", "verify", str(path)], capture_output=True, timeout=60)
    assert r.returncode == 0, r.stdout


def test_every_encoding_is_in_a_golden_segment():
    seen = met()
    for path in GOLDEN.glob("*.seg"):
        check(path)
    assert set(seen) == documented(), "an encoding without a golden segment: see the top of this file"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as tmp:
        one = Server(pathlib.Path(tmp) / "data").start()
        write(one, 1100)
        one.compact()
        one.stop()
        largest = max(segments(one), key=lambda p: p.stat().st_size)
        (GOLDEN / f"{sys.argv[1]}.seg").write_bytes(largest.read_bytes())
        (GOLDEN / f"{sys.argv[1]}.sha256").write_text(hashlib.sha256(cat(largest).encode()).hexdigest() + "\n")
