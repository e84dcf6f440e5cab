"""weir grep: beside ripgrep where both mean the same, and against itself with every line decoded."""
import bz2
import fcntl
import gzip
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import time

import conftest
import pytest
import zstandard

RG = shutil.which("rg")
WORDS = ["timeout", "Timeout", "kernel:", "connection", "reset", "by", "peer", "ERROR", "warn", "id=17", "id=170",
         "größer", "naïve", "KELVIN", "[main]", "GET", "/api/v1/items", "x" * 40, "\u212aelvin", "\u0130d", "東京", "\t"]


def grep(*args, cwd, input=None, env=None):
    return subprocess.run([conftest.WEIR, "grep", *args], cwd=cwd, input=input, capture_output=True, timeout=60,
                          env=dict(os.environ, **(env or {})))


def make_corpus(folder):
    """Lines longer and shorter than what is read at a time, odd ends, bytes that are no UTF-8."""
    rng = random.Random(7)
    big = []
    for i in range(30000):
        big.append(" ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 12))) + f" n{i}")
    big[777] = "long " + "y" * 700_000 + " timeout end"
    big[20000] = "long " + "z" * 300_000
    (folder / "big.log").write_text("\n".join(big) + "\n")
    (folder / "crlf.log").write_bytes(b"one timeout\r\n\r\ntwo\r\ntimeout three")
    (folder / "empty.log").write_bytes(b"")
    (folder / "bytes.log").write_bytes(b"caf\xe9 timeout\n\xff\xfe\nplain timeout\n")
    (folder / "newlines.log").write_bytes(b"\n\n\ntimeout\n\n")
    return ["big.log", "crlf.log", "empty.log", "bytes.log", "newlines.log"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grep")
    return folder, make_corpus(folder)


PAIRS = [
    (["timeout"], ["-iw", "timeout"]), (["-n", "timeout"], ["-niw", "timeout"]),
    (["/Timeout/"], ["Timeout"]), (["-c", "/id=17/"], ["-c", "id=17"]),
    (["-c", "id=17"], ["-ciw", "id=17"]), (["-l", "reset"], ["-liw", "reset"]),
    (["-v", "/e/"], ["-v", "e"]), (["-vn", "timeout"], ["-vniw", "timeout"]),
    (["-C2", "/n777$/"], ["-C2", "n777$"]), (["-n", "-A3", "/n99\\d\\d$/"], ["-n", "-A3", "n99\\d\\d$"]),
    (["-nB4", "/n2\\d\\d\\d\\d$/"], ["-nB4", "n2\\d\\d\\d\\d$"]), (["-B1", "-A2", "-m3", "/reset/"],
                                                             ["-B1", "-A2", "-m3", "reset"]),
    (["-C70000", "/n20001$/"], ["-C70000", "n20001$"]), (["-o", "/n7+1/"], ["-o", "n7+1"]),
    (["-no", "--with-filename", "/id=\\d+/"], ["-no", "-H", "id=\\d+"]),
    (["-F", "[main] GET"], ["-F", "[main] GET"]), (["-Fi", "KERNEL: ERROR"], ["-Fi", "KERNEL: ERROR"]),
    (["--heading", "-n", "-H", "-m9", "/reset/"], ["--heading", "-n", "-H", "-m9", "reset"]),
    (["-I", "-n", "/größer 東/"], ["-I", "-n", "größer 東"]), (["nothing_of_this_kind"], ["nothing_of_this_kind"]),
    (["-q", "timeout"], ["-q", "timeout"]), (["-0", "-l", "timeout"], ["-0", "-liw", "timeout"]),
    (["/n29999$/ OR /n0$/"], ["n29999$|n0$"]), (["-c", "connection reset"], None),
]


@pytest.mark.skipif(not RG, reason="ripgrep is not installed")
@pytest.mark.parametrize("ours,theirs", [p for p in PAIRS if p[1]], ids=lambda a: " ".join(a))
def test_like_ripgrep(corpus, ours, theirs):
    folder, files = corpus
    for names in ([files[0]], files):
        a = grep(*ours, *names, cwd=folder)
        b = subprocess.run([RG, "-j1", "-a", *theirs, *names], cwd=folder, capture_output=True, timeout=60)
        # CRLF: ripgrep's $ stands before \n alone; the corpus has no such pattern on that file.
        assert (a.returncode, a.stderr) == (b.returncode, b""), (ours, names)
        # U+212A and U+0130 fold to ASCII letters in both.
        assert a.stdout == b.stdout, (ours, names)
    a = grep(*ours, "-", cwd=folder, input=(folder / "big.log").read_bytes())
    b = subprocess.run([RG, "-a", *theirs, "-"], cwd=folder, input=(folder / "big.log").read_bytes(),
                       capture_output=True, timeout=60)
    assert a.returncode == b.returncode
    if not {"-l", "-H", "--with-filename"} & set(ours) and "-l" not in "".join(ours):
        assert a.stdout == b.stdout


@pytest.mark.skipif(not RG, reason="ripgrep is not installed")
@pytest.mark.parametrize("args,theirs", [(["/reset/"], ["reset"]), (["-C1", "/n7777$/"], ["-C1", "n7777$"]),
                                         (["/timeout/"], ["timeout"])])
def test_events_like_ripgrep(corpus, args, theirs):
    folder, files = corpus

    def events(output):
        seen = []
        for line in output.splitlines():
            e = json.loads(line)
            stats = e["data"].get("stats")
            if stats:
                del stats["elapsed"]
                del stats["bytes_printed"]
            e["data"].pop("elapsed_total", None)
            if e["type"] != "summary":
                seen.append(e)
            else:
                seen.append({k: stats[k] for k in ("searches_with_match", "matched_lines", "matches")})
        return seen
    a = grep("--json", *args, *files, cwd=folder)
    b = subprocess.run([RG, "-j1", "-a", "--json", *theirs, *files], cwd=folder, capture_output=True, timeout=60)
    assert events(a.stdout) == events(b.stdout)


def test_forms_of_compression(corpus, tmp_path):
    folder, files = corpus
    data = (folder / "big.log").read_bytes()
    want = grep("-n", "timeout", "big.log", cwd=folder).stdout
    assert want.count(b"\n") > 1000
    half = len(data) // 2
    halves = data[:half], data[half:]
    (tmp_path / "a.gz").write_bytes(b"".join(map(gzip.compress, halves)))
    (tmp_path / "a.zst").write_bytes(b"".join(map(zstandard.ZstdCompressor().compress, halves)))
    (tmp_path / "a.bz2").write_bytes(b"".join(map(bz2.compress, halves)))
    (tmp_path / "a.xz").write_bytes(b"".join(map(lzma.compress, halves)))
    for name in ("a.gz", "a.zst", "a.bz2", "a.xz"):
        r = grep("-n", "timeout", name, cwd=tmp_path)
        assert (r.returncode, r.stdout) == (0, want), (name, r.stderr)
        assert grep("-n", "timeout", cwd=tmp_path, input=(tmp_path / name).read_bytes()).stdout == want
        whole = (tmp_path / name).read_bytes()
        (tmp_path / "cut").write_bytes(whole[:-20])
        r = grep("-c", "timeout", "cut", cwd=tmp_path)
        assert r.returncode == 2 and re.search(b"cut off|damaged", r.stderr), (name, r)
        assert r.stdout, "what was whole is searched"
    # Several at once keep the order of the command line.
    names = ["a.xz", "a.bz2", "a.zst", "a.gz"] * 3
    r = grep("-c", "timeout", *names, cwd=tmp_path)
    assert [line.split(b":")[0].decode() for line in r.stdout.splitlines()] == names


RECORDS = [
    {"level": "ERROR", "message": "payment failed", "latency_ms": 500, "tags": ["a/b", "c"]},
    {"level": "info", "message": "pa\u0079ment ok", "latency_ms": 20.5, "user": {"name": "Zoë"}},
    {"level": "warn", "msg": "line\nbreak \"quoted\" back\\slash", "latency_ms": 1e3, "ok": True},
    {"message": "500", "n": None, "deep": {"er": {"message": "timeout"}}},
]


def json_lines():
    rng = random.Random(3)
    lines = []
    for i in range(4000):
        r = dict(rng.choice(RECORDS), i=i)
        text = json.dumps(r, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.3:  # escapes where none are needed
            text = text.replace("payment", "p\\u0061yment").replace("timeout", "time\\u006fut")
        if rng.random() < 0.1:
            text = text.replace(": 500", ": 5e2")
        if rng.random() < 0.1:
            text = "E1121 10:00:00.000001 1 main.go:7] klog line, payment\\u0020of " + str(i)
        if rng.random() < 0.05:
            text = "{not json timeout " + str(i)
        lines.append(text)
    return "\n".join(lines) + "\n"


QUERIES = ["payment", "level:ERROR", "error", "level:error payment", "payment -failed", "latency_ms:500", "500", "20.5",
           "latency_ms:>100", "\"a/b\"", "zoë", "\"line break\"", "quoted", "back", "msg:/back.slash/", "/pay.*ok/",
           "message:pay*", "*ment", "t?meout", "level:=\"info\"", "user.name:*", "deep.er.message:timeout", "ok:true",
           "(payment OR timeout) -level:info", "NOT payment", "i:[10 TO 20]", "level:E* OR klog", "info",
           "i:17", "message:=\"500\"", "tags:c", "5e2", "not_there", "fatal"]


@pytest.mark.parametrize("query", QUERIES)
def test_looking_at_bytes_first_misses_nothing(tmp_path, query):
    (tmp_path / "mixed.log").write_text(json_lines())
    quick = grep("-n", query, "mixed.log", cwd=tmp_path)
    slow = grep("-n", f"({query}) OR no_such_field:[1 TO 2]", "mixed.log", cwd=tmp_path)
    assert quick.stdout == slow.stdout and quick.returncode == slow.returncode
    count = grep("-c", query, "mixed.log", cwd=tmp_path).stdout
    others = grep("-vc", query, "mixed.log", cwd=tmp_path).stdout
    assert int(count or 0) + int(others or 0) == 4000


def test_same_answer_as_the_server(server, weir, tmp_path):
    (tmp_path / "mixed.log").write_text(json_lines())
    lines = [line for line in json_lines().splitlines() if line.startswith("{\"")]
    (tmp_path / "good.ndjson").write_text("\n".join(lines) + "\n")
    server.ingest("\n".join(lines))
    for query in QUERIES:
        mine = int(grep("-c", query, "good.ndjson", cwd=tmp_path).stdout or 0)
        assert mine == server.search(query, limit=0)["total_hits"], query


def test_segments(server, tmp_path):
    server.ingest("".join('{"i":%d,"level":"%s"}\n' % (i, "ERROR" if i % 7 == 0 else "INFO") for i in range(700)), stream="a")
    server.ingest("plain ERROR text\nmore\n", "text/plain", stream="b")
    server.flush()
    folder = server.data / "segments"
    r = grep("-r", "level:ERROR", str(folder), cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    rows = [json.loads(line.split(b":", 1)[1]) for line in r.stdout.splitlines()]
    assert sorted(x["i"] for x in rows if "i" in x) == list(range(0, 700, 7))
    assert [x["message"] for x in rows if "message" in x] == ["plain ERROR text"]
    assert all("_time" in x and x["_stream"] in "ab" for x in rows)
    assert grep("-rc", "-I", "*", str(folder), cwd=tmp_path).stdout == b"702\n"
    r = grep("-r", "* | stats count() by _stream | sort _stream", str(folder), cwd=tmp_path)
    assert [json.loads(x) for x in r.stdout.splitlines()] == [{"_stream": "a", "count": 700}, {"_stream": "b", "count": 2}]


def test_pipes(tmp_path):
    (tmp_path / "a.ndjson").write_text("".join('{"i":%d,"g":"%s"}\n' % (i, "xyz"[i % 3]) for i in range(30000)))
    (tmp_path / "b.log").write_text("2025-02-15T12:00:00Z ERROR one\n2025-02-15 13:00:00,5 INFO two\n")

    def rows(query, *files):
        r = grep(query, *files, cwd=tmp_path)
        assert r.returncode == 0, r.stderr
        return [json.loads(x) for x in r.stdout.splitlines()]
    got = rows("i:>=10 | stats count() as n by g | sort g", "a.ndjson")
    assert [x["n"] for x in got] == [9996, 9997, 9997]
    assert [x["i"] for x in rows("* | limit 3 | fields i", "a.ndjson")] == [0, 1, 2]
    assert [x["i"] for x in rows("* | sort -i | limit 2 | fields i", "a.ndjson")] == [29999, 29998]
    got = rows("level:* | fields _time, level, message, _stream", "b.log")
    assert got[0] == {"message": "2025-02-15T12:00:00Z ERROR one", "level": "ERROR", "_time": "2025-02-15T12:00:00Z",
                      "_stream": "b.log"}
    assert got[1]["_time"] == "2025-02-15T13:00:00.500Z"
    assert grep("* | where no:1 | fields i", "a.ndjson", cwd=tmp_path).returncode == 1


def test_folders(tmp_path):
    (tmp_path / "logs/deep").mkdir(parents=True)
    (tmp_path / "logs/a.log").write_text("timeout a\n")
    (tmp_path / "logs/deep/b.log").write_text("timeout b\n")
    (tmp_path / "logs/.hidden.log").write_text("timeout hidden\n")
    (tmp_path / "logs/bin.dat").write_bytes(b"timeout\0\1\2\n")
    os.symlink("a.log", tmp_path / "logs/link.log")
    r = grep("-r", "timeout", "logs", cwd=tmp_path)
    assert r.stdout == b"logs/a.log:timeout a\nlogs/deep/b.log:timeout b\n" and r.returncode == 0
    assert b".hidden.log" in grep("-r", "--hidden", "timeout", "logs", cwd=tmp_path).stdout
    assert grep("-rl", "timeout", cwd=tmp_path).stdout == b"./logs/a.log\n./logs/deep/b.log\n"
    assert grep("timeout", "logs/bin.dat", cwd=tmp_path).stdout == b"timeout\0\1\2\n", "what is named is searched"
    r = grep("timeout", "logs", cwd=tmp_path)
    assert r.returncode == 2 and b"-r" in r.stderr


def test_status_and_errors(tmp_path):
    (tmp_path / "a.log").write_text("one\n")
    r = grep("one", "a.log", "gone.log", cwd=tmp_path)
    assert r.returncode == 2 and r.stdout == b"a.log:one\n" and b"gone.log: No such file" in r.stderr
    r = grep("-s", "one", "a.log", "gone.log", cwd=tmp_path)
    assert r.returncode == 2 and r.stderr == b""
    assert grep("-q", "one", "a.log", "gone.log", cwd=tmp_path).returncode == 0
    r = grep("(one", "a.log", cwd=tmp_path)
    assert r.returncode == 2 and b"^" in r.stderr and r.stdout == b""
    assert grep("--color", "pink", "x", "a.log", cwd=tmp_path).returncode == 2
    r = grep("-C", "x", "one", "a.log", cwd=tmp_path)
    assert r.returncode == 2 and b"--context x" in r.stderr
    r = grep("-nZ", "one", "a.log", cwd=tmp_path)
    assert r.returncode == 2 and b"no option -Z" in r.stderr
    assert grep("* | sort", "a.log", cwd=tmp_path).returncode == 2


def test_a_reader_that_leaves_ends_it(tmp_path):
    (tmp_path / "a.log").write_text("line\n" * 3_000_000)
    p = subprocess.Popen([conftest.WEIR, "grep", "line", "a.log"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert p.stdout.read(10) == b"line\nline\n"
    p.stdout.close()
    assert p.wait(20) is not None


def test_a_pipe_is_live():
    p = subprocess.Popen([conftest.WEIR, "grep", "-n", "error"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    fcntl.fcntl(p.stdout, fcntl.F_SETFL, os.O_NONBLOCK)

    def wait_for(text):
        got, until = b"", time.monotonic() + 60
        while text not in got and time.monotonic() < until:
            got += p.stdout.read() or b""
            time.sleep(0.01)
        assert text in got
    p.stdin.write(b"an error\nfine\nan err")
    p.stdin.flush()
    wait_for(b"1:an error\n")
    p.stdin.write(b"or too\n")
    p.stdin.flush()
    wait_for(b"3:an error too\n")
    p.stdin.close()
    assert p.wait(20) == 0


def test_file_that_shrinks(tmp_path):
    """Large files are mapped: what a rotation by copytruncate takes away is told of, and ends nothing."""
    path = tmp_path / "app.log"
    line = b"timeout " + b"x" * 120 + b"\n"
    path.write_bytes(line * ((48 << 20) // len(line)))
    with subprocess.Popen([conftest.WEIR, "grep", "timeout", str(path)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        got = process.stdout.read(1 << 16)
        os.truncate(path, 1 << 20)
        got += process.stdout.read()
        said = process.stderr.read()
    assert process.returncode == 2, said
    assert b"app.log was cut short" in said
    whole = got.split(b"\n")[:-1]
    assert len(whole) >= (1 << 20) // len(line) and all(row == line[:-1] for row in whole[:1000])
