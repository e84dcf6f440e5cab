#!/usr/bin/env python3
"""A slow query log read to records: `weir aurora parse`, which also writes them as JSON, beside Fluent Bit (the binary that
FLUENT_BIT names) with a multiline parser for the entries, a regular expression for their fields, and no output. They take
turns on one file; MB of log by second of CPU, the median of the rounds.

  FLUENT_BIT=/usr/bin/fluent-bit "$(scripts/python.sh)" bench/mysql.py [FILE] [ROUNDS]

Without a FILE (one with a "# Time:" line an entry) it is 100 MB of `weir produce`'s entries."""
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

import data as sets
from aurora import rings

MB = 100
PARSERS = r"""
[MULTILINE_PARSER]
    name          slow
    type          regex
    flush_timeout 1000
    rule          "start_state" "/^# Time: /"     "cont"
    rule          "cont"        "/^(?!# Time: )/" "cont"

[PARSER]
    name   slow_fields
    format regex
    regex  ^# Time: (?<time>[^\n]+)\n# User@Host: (?<role>[^\[]*)\[(?<user>[^\]]*)\] @ (?<host>\S*) \[(?<ip>[^\]]*)\]\s+Id:\s+(?<id>\d+)\n# Query_time: (?<query_time>[\d.]+)\s+Lock_time: (?<lock_time>[\d.]+)\s+Rows_sent: (?<rows_sent>\d+)\s+Rows_examined: (?<rows_examined>\d+)[^\n]*\n(?:use (?<db>[^;\n]+);\n)?SET timestamp=(?<timestamp>\d+);\n(?<statement>(?m:.*))
    types  id:integer query_time:float lock_time:float rows_sent:integer rows_examined:integer
    time_key    time
    time_format %Y-%m-%dT%H:%M:%S.%L
    time_keep   on
"""


def cpu(command, **more):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, timeout=1200, **more)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fluent_bit(binary, folder, file, output):
    (folder / "parsers.conf").write_text(PARSERS)
    (folder / "main.conf").write_text(f"""
[SERVICE]
    parsers_file {folder}/parsers.conf
    flush        1
    log_level    error
[INPUT]
    name             tail
    path             {file}
    read_from_head   on
    exit_on_eof      on
    multiline.parser slow
    buffer_max_size  8M
[FILTER]
    name     parser
    match    *
    key_name log
    parser   slow_fields
[OUTPUT]
    match *
    {output}
""")
    return cpu([binary, "-c", folder / "main.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check(binary, folder, entries):
    """Both read as many records, with all fields, or the comparison means nothing."""
    few = folder / "few.log"
    few.write_bytes(b"".join(entries))
    fluent_bit(binary, folder, few, f"name file\n    path {folder}\n    file few.out\n    format plain")
    theirs = [json.loads(line) for line in (folder / "few.out").read_text().splitlines()]
    run = subprocess.run([sets.ROOT / "build/release/weir", "aurora", "parse", few], capture_output=True, check=True)
    ours = [json.loads(line) for line in run.stdout.splitlines()]
    same = ("query_time", "lock_time", "rows_sent", "rows_examined", "user")
    wrong = [(a, b) for a, b in zip(ours, theirs) if any(a[k] != b.get(k) for k in same)]
    if len(ours) != len(entries) or len(theirs) < len(entries) - 1 or wrong:  # the last one stays in Fluent Bit at its end
        raise RuntimeError(f"{len(entries)} entries: {len(ours)} of ours, {len(theirs)} of theirs, other fields: {wrong[:1]}")


def main():
    weir, binary = sets.ROOT / "build/release/weir", os.environ.get("FLUENT_BIT")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        ring = rings(str(weir))[0]
        file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else folder / "slow.log"
        if file.parent == folder:
            file.write_bytes(ring.data * (MB * 1000000 // len(ring.data) + 1))
        ways = {"weir aurora parse": lambda: cpu([weir, "aurora", "parse", file], stdout=subprocess.DEVNULL)}
        if binary:
            check(binary, folder, [ring.data[a:b] for a, b in zip([0] + ring.ends, ring.ends[:2000])])
            ways["Fluent Bit"] = lambda: fluent_bit(binary, folder, file, "name null")
        spent = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                spent[name].append(way())
        mb = file.stat().st_size / 1e6
        ours = statistics.median(spent["weir aurora parse"])
        for name, times in spent.items():
            t = statistics.median(times)
            print(f"{name:20} {mb / t:8.1f} MB/s of CPU  {t / ours:6.1f} times the CPU")


if __name__ == "__main__":
    sys.exit(main())
