#!/usr/bin/env python3
"""Line coverage of src/ after the tests of a build with --coverage ran: per folder, the files with
the lowest share, and in total. What a killed process ran is not seen (fault_undo.c). `make coverage` runs the
unit and the integration tests first; api/ and cmd/ are the latter's business.

usage: coverage.py BUILD [--files N] [--under PERCENT]
  --files N         list the N files with the lowest share (default 15)
  --under PERCENT   exit 1 when the total is lower
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

BATCH = 64


def read_gcov(data_files, root):
    """The report of gcov for some .gcno files, with the .gcda beside them: {source: {line: times run}}."""
    with tempfile.TemporaryDirectory() as work:
        answer = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, data_files)], cwd=work,
                                capture_output=True, check=True, text=True)
    for text in answer.stdout.splitlines():
        report = json.loads(text)
        for file in report["files"]:
            path = pathlib.Path(report["current_working_directory"], file["file"]).resolve()
            if path.is_relative_to(root):
                yield str(path.relative_to(root)), {l["line_number"]: l["count"] for l in file["lines"]}


def measure(build, root):
    """Lines run and lines there are, by file: a header's lines count once, run if any unit ran them."""
    if not any(build.rglob("*.gcda")):
        sys.exit(f"{build}: no .gcda files; build with WEIR_COVERAGE and run the tests first")
    data_files = sorted(build.rglob("*.gcno"))  # also of what never ran
    lines = collections.defaultdict(collections.Counter)
    for at in range(0, len(data_files), BATCH):
        for name, counts in read_gcov(data_files[at:at + BATCH], root):
            lines[name].update(counts)
    return {name: (sum(1 for n in counts.values() if n), len(counts)) for name, counts in lines.items()}


def percent(run, of):
    return 100.0 * run / of if of else 100.0


def show(name, run, of):
    print(f"{percent(run, of):6.1f} %  {run:6d} of {of:6d}  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--files", type=int, default=15)
    parser.add_argument("--under", type=float, default=0)
    options = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent / "src"
    files = measure(options.build.resolve(), root)
    folders = collections.defaultdict(lambda: [0, 0])
    for name, (run, of) in files.items():
        for key in (name.split("/")[0] + "/", "total"):
            folders[key][0] += run
            folders[key][1] += of
    total = folders.pop("total")
    for name in sorted(folders):
        show(name, *folders[name])
    print("\nlowest:")
    for name in sorted(files, key=lambda name: percent(*files[name]))[:options.files]:
        show(name, *files[name])
    print()
    show("total", *total)
    if percent(*total) < options.under:
        sys.exit(f"less than {options.under} %")


if __name__ == "__main__":
    main()
