#!/usr/bin/env python3
"""CPU per megabyte and memory of an agent, from a file to a server that acknowledges, on loopback; beside Fluent Bit
(tail to forward, with acknowledgements) where FLUENT_BIT names its program.

usage: .cache/venv/bin/python bench/agent.py [MEGABYTES [ROUNDS]]      (64 3)

Text is lines of an application; JSON is what `weir produce` makes, which becomes records on the way (Fluent Bit: its
parser json). The agents run in turn, the median of the rounds is told: milliseconds of the agent's own CPU a MB from when
the file appears to when it is idle again and the server has all, and its largest resident size."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from forward import ROOT, conftest, cpu, cpu_when_idle, port, with_inputs


def text_lines(size):
    lines, n = [], 0
    while n < size:
        i = len(lines)
        lines.append(f"2025-02-15 12:{i // 60000 % 60:02d}:{i // 1000 % 60:02d}.{i % 1000:03d} ERROR [payment] "
                     f"timeout req_id={i * 2654435761 % 2**32:08x} latency={i % 5000}ms")
        n += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


def json_lines(size):
    made = subprocess.run([conftest.WEIR, "produce", "--count", str(size // 300), "--seed", "7"], capture_output=True,
                          check=True).stdout.decode()
    return made[:made.rindex("\n", 0, size) + 1]


class Weir:
    stream = "default"

    def __init__(self, scheme):
        self.name, self.scheme = f"weir, {scheme}", scheme
        if scheme == "forward":
            self.stream = "forward"

    def command(self, folder, server, _):
        where = f"127.0.0.1:{server.port if self.scheme == 'http' else port(server, 'forward')}"
        return [conftest.WEIR, "agent", "--file", f"{folder}/*.log", "--data", f"{folder}/agent", "--log-level", "error",
                "--output", f"{self.scheme}://{where}"]


class FluentBit:
    name, stream = "fluent-bit", "forward"

    def command(self, folder, server, kind):
        parsers = folder / "parsers.conf"
        parsers.write_text("[PARSER]\n    Name json\n    Format json\n")
        parser = ["-p", "parser=json"] if kind == "json" else []
        return [os.environ["FLUENT_BIT"], "-q", "-R", str(parsers), "-f", "1", "-i", "tail", "-p", f"path={folder}/*.log", "-p",
                "read_from_head=true", "-p", "refresh_interval=1", *parser, "-o", "forward", "-m", "*", "-p",
                "host=127.0.0.1", "-p", f"port={port(server, 'forward')}", "-p", "require_ack_response=true"]


def largest(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


def measure(agent, kind, text):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "later").write_text(text)
        server = with_inputs(lambda n, args: conftest.Server(folder / n, args).start(), "forward://127.0.0.1:0")
        process = subprocess.Popen(agent.command(folder, server, kind), cwd=ROOT)
        try:
            before = cpu_when_idle(process.pid)
            os.rename(folder / "later", folder / "app.log")
            deadline = time.monotonic() + 120
            while count(server, agent.stream) < text.count("\n"):
                assert time.monotonic() < deadline, (agent.name, count(server, agent.stream), text.count("\n"))
                time.sleep(0.2)
            spent = cpu_when_idle(process.pid) - before
            return spent * 1e3 / (len(text) / 1e6), largest(process.pid)
        finally:
            process.terminate()
            process.wait()
            server.stop()


def count(server, stream):
    rows = server.query("* | stats count() as n", stream=stream)
    return rows[0]["n"] if rows else 0


def main():
    size = int(sys.argv[1] if len(sys.argv) > 1 else 64) * 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    agents = [Weir("http"), Weir("forward")] + ([FluentBit()] if "FLUENT_BIT" in os.environ else [])
    print(f"{'':6} {'bytes a line':>12}  {'agent':15} {'ms CPU a MB':>11} {'MiB':>6}")
    for kind, text in (("text", text_lines(size)), ("json", json_lines(size))):
        found = {agent: [] for agent in agents}
        for _ in range(rounds):
            for agent in agents:
                found[agent].append(measure(agent, kind, text))
        for agent, rows in found.items():
            ms, mib = (statistics.median(column) for column in zip(*rows))
            print(f"{kind:6} {len(text) / text.count(chr(10)):12.0f}  {agent.name:15} {ms:11.2f} {mib:6.1f}")


if __name__ == "__main__":
    main()
