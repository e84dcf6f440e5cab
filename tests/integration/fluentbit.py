"""A real Fluent Bit, where FLUENT_BIT names its program: no registry that the tests use has it."""
import os
import signal
import subprocess

import pytest

PROGRAM = os.environ.get("FLUENT_BIT")
needed = pytest.mark.skipif(not PROGRAM, reason="FLUENT_BIT names no program")


class FluentBit:
    """Reads a file of JSON lines and sends them by one output."""

    def __init__(self, folder, rows, output, *, tag="app.bit", **options):
        self.log = folder / "fluent-bit.log"
        source = folder / "rows.ndjson"
        source.write_text("".join(row + "\n" for row in rows))
        parsers = folder / "parsers.conf"
        parsers.write_text("[PARSER]\n    Name json\n    Format json\n    Time_Key time\n"
                           "    Time_Format %Y-%m-%dT%H:%M:%S.%L\n    Time_Keep Off\n")
        args = [PROGRAM, "-R", str(parsers), "-f", "1", "-i", "tail", "-t", tag, "-p", f"path={source}",
                "-p", "read_from_head=true", "-p", "parser=json", "-o", output, "-m", "*"]
        for name, value in options.items():
            args += ["-p", f"{name.replace('__', '.')}={value}"]
        self.process = subprocess.Popen(args, stdout=open(self.log, "wb"), stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def rows(n):
    """JSON lines with times of their own, numbered."""
    return [f'{{"time":"2025-02-15T12:00:{i % 60:02d}.{i % 1000:03d}","n":{i},"message":"row {i}","nested":{{"a":[1,{i}]}}}}'
            for i in range(n)]
