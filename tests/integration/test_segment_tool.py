"""weir segment on real files: inspect's bytes add up; what cat brings out of a damaged file is true, and what it says is lost
is what is missing."""
import collections
import json
import random
import re
import subprocess

import pytest
from conftest import WEIR
from test_patterns import make_text

BLOCK_ROWS = 1500


@pytest.fixture(scope="module")
def segment(tmp_path_factory):
    """A compacted segment of several streams and blocks: templates, dictionaries, hex ids, rare columns."""
    from conftest import Server
    rng, rows = random.Random(12), []
    server = Server(tmp_path_factory.mktemp("segment") / "data", ["--set", f"store.block_rows={BLOCK_ROWS}"]).start()
    try:
        for part in range(6):
            for stream in ("a", "b"):
                body = []
                for i in range(800):
                    r = {"timestamp": f"2025-02-15T{part:02d}:{i // 60:02d}:{i % 60:02d}Z", "n": len(rows),
                         "message": make_text(rng, i), "trace": f"{rng.getrandbits(128):032x}",
                         "level": rng.choice(["INFO", "ERROR"]), "took": rng.randint(0, 10 ** 6),
                         "line": f"worker {i % 5} is idle", "share": rng.random()}
                    if i % 97 == 0:
                        r["rare"] = {"x": [i]}
                    rows.append(json.dumps(r, separators=(",", ":"), ensure_ascii=False))
                    body.append(rows[-1])
                server.ingest("\n".join(body).encode(), stream=stream)
            server.flush()
        server.compact()
    finally:
        server.stop()
    files = sorted((server.data / "segments").glob("*.seg"), key=lambda p: p.stat().st_size)
    return files[-1], rows


def tool(*args):
    return subprocess.run([WEIR, "segment", *map(str, args)], capture_output=True, timeout=60)


def test_inspect_adds_up(segment):
    path, rows = segment
    about = json.loads(tool("inspect", "--json", path).stdout)
    assert sum(s["rows"] for s in about["sections"]) == len(rows)
    messages = 0
    for s in about["sections"]:
        assert 0.7 * s["bytes"] < sum(c["bytes"] + c["filter_bytes"] for c in s["columns"]) < s["bytes"]
        assert s["bytes"] <= about["bytes"] and s["blocks"] > 2
        for c in s["columns"]:
            t = c.get("templates")
            assert bool(t) == ("template" in c["chunks"]), c["name"]
            if not t:
                continue
            messages += c["name"] == "message"
            if set(c["chunks"]) == {"template"}:
                assert sum(x["texts"] for x in t["list"]) == c["values"]
            for x in t["list"]:
                assert len(x["slots"]) == x["pattern"].count("<*>")
                assert all(slot["values"] == x["texts"] and slot["held_as"] for slot in x["slots"])
                assert sum(slot["bytes"] for slot in x["slots"]) <= x["bytes"]
            told = sum(x["bytes"] for x in t["list"]) + t["codes_bytes"] + t["shared_words_bytes"] + t["directory_bytes"]
            assert 0.8 * c["bytes"] < told <= c["bytes"] + 100, c["name"]
    assert messages == 2
    some, all_of = (tool("inspect", *more, path).stdout.decode() for more in ((), ("--templates",)))
    assert "<*>" in some and "--templates shows them" in some
    assert "--templates shows them" not in all_of and len(all_of.splitlines()) > len(some.splitlines())


def test_inspect_of_a_damaged_chunk(segment, tmp_path):
    path, _ = segment
    data = bytearray(path.read_bytes())
    for at in range(200, len(data) // 3, 300):
        data[at] ^= 0x40
    (tmp_path / "bad").write_bytes(data)
    r = tool("inspect", tmp_path / "bad")
    assert r.returncode == 0 and b"cannot be read" in r.stdout and b"columns" in r.stdout
    assert json.loads(tool("inspect", "--json", tmp_path / "bad").stdout)["sections"]


def check_cat(data, path, rows):
    """What came out, each a record that went in and none twice; and what was said on standard error."""
    path.write_bytes(data)
    r = tool("cat", path)
    assert r.returncode in (0, 1, 2), r
    found = collections.Counter(r.stdout.decode().splitlines())
    assert not found - collections.Counter(rows), "a record that is none"
    said = r.stderr.decode()
    assert (r.returncode == 0) == (said == "") and (r.returncode or len(found) == len(rows)), said
    return sum(found.values()), said, r.returncode


def test_whole(segment, tmp_path):
    path, rows = segment
    assert check_cat(path.read_bytes(), tmp_path / "same", rows) == (len(rows), "", 0)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits(segment, tmp_path, seed):
    """One bad bit costs at most the block it is in; in a tail, its section; in the footer, nothing."""
    path, rows = segment
    whole = path.read_bytes()
    rng = random.Random(seed)
    places = [rng.randrange(len(whole)) for _ in range(30)] + [len(whole) - 1 - rng.randrange(400) for _ in range(10)]
    for at in places:
        data = bytearray(whole)
        data[at] ^= 1 << rng.randrange(8)
        n, said, code = check_cat(data, tmp_path / "bad", rows)
        lost = sum(int(m) for m in re.findall(r"(\d+) rows lost", said))
        if "without its footer" in said:
            assert n == len(rows), (at, said)
        elif code != 0 or lost:
            assert n + lost == len(rows), (at, said)
            assert lost <= BLOCK_ROWS or "tail" in said or lost == len(rows) // 2, (at, said)


def test_cut_short(segment, tmp_path):
    """Every section that is there with its tail comes out."""
    path, rows = segment
    whole = path.read_bytes()
    about = json.loads(tool("inspect", "--json", path).stdout)
    ends = sorted(m.start() for m in re.finditer(b"WEIRTAIL", whole))
    assert len(ends) == len(about["sections"]) == 2
    rng, seen = random.Random(9), set()
    for length in [0, 1, 39, 40, ends[0], ends[1] - 1, len(whole) - 1] + [rng.randrange(len(whole)) for _ in range(15)]:
        n, said, code = check_cat(whole[:length], tmp_path / "short", rows)
        assert code != 0 and said, length
        assert n in (0, len(rows) // 2, len(rows)), (length, n)
        if length >= ends[1]:
            assert n >= len(rows) // 2, (length, said)
        seen.add(n)
    assert seen == {0, len(rows) // 2, len(rows)}


def test_a_hole_in_the_middle(segment, tmp_path):
    path, rows = segment
    whole = path.read_bytes()
    for start in range(1000, len(whole) - 8000, len(whole) // 12):
        data = whole[:start] + bytes(4096) + whole[start + 4096:]
        n, said, code = check_cat(data, tmp_path / "hole", rows)
        assert code == 1 and "lost" in said or "without its footer" in said, said
        assert n > 0
