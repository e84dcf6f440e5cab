"""The data sets: where they come from, how they become NDJSON, what their queries must answer.

Sources stand in ../shared/data beside the repository (or where BENCH_DATA says), compressed; prepared files and what was found out about
them (sizes under zstd, true answers) are kept in .cache/bench. Without that folder the set `app` is still there:
`weir produce` writes records of the same kind, and the true answers are counted from whatever was written."""
import dataclasses
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = pathlib.Path(os.environ.get("BENCH_DATA") or ROOT.parent / "shared" / "data")
CACHE = ROOT / ".cache" / "bench"
APP_RECORDS = 1_000_000
QUICK_RECORDS = 100_000


@dataclasses.dataclass
class Source:
    file: str          # in SHARED; "" for the generated one
    text: bool = False # a line a record, becomes {"message": line}
    time: str = ""     # the field of a record's time, for peers that must be told
    group: str = ""    # fields that say which program wrote it, for peers that want streams
    message: str = "message"


SOURCES = {
    "app": Source("", time="timestamp", group="service"),
    "k8s": Source("k8s_trainticket_fluentbit.ndjson", time="@timestamp", group="kubernetes.pod_name",
                  message="log"),
    "windows": Source("windows_events_fifth.ndjson", time="@timestamp", group="Hostname", message="Message"),
    "spark": Source("spark_eventlog_third.ndjson", time="Timestamp", message="Event"),
    "zeek": Source("zeek_json.ndjson", time="ts", group="_path", message="_path"),
    "cloudtrail": Source("aws_cloudtrail.ndjson", time="eventTime", group="eventSource", message="eventName"),
    "nginx": Source("nginxplus_elastic.ndjson", time="@timestamp"),
    "jvm": Source("jvm_gc.log", text=True),
    "bsd": Source("bsd_dmesg.log", text=True),
    "mariadb": Source("mariadb_slow_sysbench.log", text=True),
    "pgbouncer": Source("pgbouncer.log", text=True),
    "cassandra": Source("cassandra_dse.log", text=True),
    "apache": Source("elastic_apache_access.log", text=True),
}
DEFAULT_SETS = ["app", "k8s", "windows", "spark", "zeek", "jvm", "bsd", "mariadb", "pgbouncer"]
QUICK_SETS = ["app", "pgbouncer"]


@dataclasses.dataclass
class DataSet:
    name: str
    source: Source
    path: pathlib.Path
    raw: int
    records: int


def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare(name, limit=None, weir=None):
    """The set as one NDJSON file of at most `limit` records; None where its source is absent."""
    source = SOURCES[name]
    CACHE.mkdir(parents=True, exist_ok=True)
    records = limit or APP_RECORDS
    path = CACHE / (f"{name}-{records}.ndjson" if name == "app" or limit else f"{name}.ndjson")
    if not path.exists():
        part = path.with_suffix(".part")
        if name == "app":
            write_app(part, records, weir)
        elif not write_source(part, source, limit):
            return None
        part.rename(path)
    return DataSet(name, source, path, path.stat().st_size, count_lines(path))


def write_app(path, records, weir):
    maker = SHARED / "make_app_records.py"
    if maker.exists():
        command = [sys.executable, str(maker), str(records)]
    else:
        say(f"{maker} is absent: `weir produce` writes the set app instead; its figures compare only with "
            "others made the same way")
        command = [str(weir), "produce", "--count", str(records), "--seed", "7", "--start",
                   "2025-02-15T12:00:00Z"]
    say(f"writing {records:,} application records")
    with open(path, "wb") as out:
        subprocess.run(command, stdout=out, check=True)


def write_source(path, source, limit):
    compressed = SHARED / (source.file + ".zst")
    if not compressed.exists():
        say(f"{compressed} is absent: set passed over")
        return False
    say(f"preparing {source.file}")
    zstd = subprocess.Popen(["zstd", "-dc", "--long=27", str(compressed)], stdout=subprocess.PIPE)
    written = 0
    with open(path, "wb") as out:
        for line in zstd.stdout:
            line = line.rstrip(b"\r\n")
            if not line:
                continue
            if source.text:
                line = json.dumps({"message": line.decode("utf-8", "replace")}, ensure_ascii=False).encode()
            out.write(line + b"\n")
            written += 1
            if written == limit:
                break
    zstd.stdout.close()
    zstd.wait()
    return True


def count_lines(path):
    total = 0
    with open(path, "rb") as f:
        while block := f.read(1 << 22):
            total += block.count(b"\n")
    return total


def bodies(path, size):
    """(offset, length) of bodies of about `size` bytes, cut behind line ends."""
    spans, at, end = [], 0, path.stat().st_size
    with open(path, "rb") as f:
        while at < end:
            stop = min(at + size, end)
            if stop < end:
                f.seek(stop)
                f.readline()
                stop = f.tell()
            spans.append((at, stop - at))
            at = stop
    return spans


# ---- what was found out once about a file, by name and size ----

class Notes:
    def __init__(self, path=CACHE / "notes.json"):
        self.path = path
        self.notes = json.loads(path.read_text()) if path.exists() else {}

    def get(self, data, what, make):
        key = f"{data.path.name}:{data.raw}:{what}"
        if key not in self.notes:
            self.notes[key] = make()
            self.path.write_text(json.dumps(self.notes, indent=1, sort_keys=True))
        return self.notes[key]


def zstd_run(data, level):
    """(bytes, CPU seconds) of `zstd -LEVEL` with one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    zstd = subprocess.Popen(["zstd", f"-{level}", "-T1", "-q", "-c", str(data.path)], stdout=subprocess.PIPE)
    size = 0
    while block := zstd.stdout.read(1 << 20):
        size += len(block)
    if zstd.wait():
        raise RuntimeError("zstd failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return size, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def zstd_sizes(data, levels, notes):
    """Bytes under each level; slow levels are run once a file and remembered."""
    sizes = {}
    for level in levels:
        def make(level=level):
            say(f"{data.name}: zstd -{level} (once)")
            return zstd_run(data, level)[0]
        sizes[level] = notes.get(data, f"zstd-{level}", make)
    return sizes


def records_of(data):
    started = time.monotonic()
    with open(data.path, "rb") as f:
        for line in f:
            yield json.loads(line)
    say(f"{data.name}: true answers counted in {time.monotonic() - started:.1f} s (once)")
