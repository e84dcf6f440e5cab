#!/usr/bin/env python3
"""Checks the layers of src/: a folder includes only from itself and from those above it, and memory
comes from core/mem.h: malloc and its kin are called in src/core alone.

usage: check_includes.py [ROOT]            exit 1 with one line a finding
       check_includes.py --self-test       proves that a violation is found
"""
import pathlib
import re
import sys
import tempfile

ORDER = ("core net record filter wire aws catalog auth cache bus objects queue transform store "
         "query alert pipeline input output aurora api cmd").split()
RANK = {name: rank for rank, name in enumerate(ORDER)}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
RAW_MEMORY = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|"
                        r"vasprintf|free)\s*\(")
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    """What is no code becomes empty, with its line breaks kept for the line numbers."""
    return "\n" * match.group(0).count("\n")


def check_include(folder, target):
    parts = target.split("/")
    if len(parts) == 1:
        return f'"{target}" names no folder: write "{folder}/{target}"'
    if parts[0] not in RANK:
        return f'"{target}" is in no folder of the list'
    if RANK[parts[0]] > RANK[folder]:
        return f'"{target}" is below {folder}/'
    return None


def check_file(root, path):
    folder = path.relative_to(root / "src").parts[0]
    if folder not in RANK:
        yield 1, f"folder src/{folder} is not in the list of scripts/check_includes.py"
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        wrong = match and check_include(folder, match.group(1))
        if wrong:
            yield number, wrong
    if folder == "core":
        return
    for number, line in enumerate(NOT_CODE.sub(blank, text).splitlines(), 1):
        for match in RAW_MEMORY.finditer(line):
            yield number, f"{match.group(1)}() outside src/core: use core/mem.h"


def check(root):
    root = pathlib.Path(root)
    files = [p for p in sorted((root / "src").rglob("*")) if p.suffix in (".c", ".h", ".cc", ".hh")]
    return [f"{path.relative_to(root)}:{number}: {text}"
            for path in files for number, text in check_file(root, path)], len(files)


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder) / "src"
        (src / "record").mkdir(parents=True)
        (src / "odd").mkdir()
        (src / "odd" / "x.c").write_text("int x;\n")
        (src / "record" / "good.c").write_text(
            '#include "core/mem.h"\n#include "record/a.h"\n/* malloc(1) */ // free(p)\n'
            'const char *s = "free(p)"; void f(void) { mem_free(0); x->free(0); }\n')
        (src / "record" / "bad.c").write_text(
            '#include "store/store.h"\n#include "a.h"\n#include "nowhere/a.h"\n'
            '/* two\nlines */\nvoid *f(void) { free(0); return malloc (3); }\n')
        found = [line.split(": ")[0] for line in check(folder)[0]]
        wanted = ["src/odd/x.c:1"] + [f"src/record/bad.c:{n}" for n in (1, 2, 3, 6, 6)]
        assert sorted(found) == sorted(wanted), found
    print("self-test passed")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    findings, files = check(sys.argv[1] if len(sys.argv) > 1 else ".")
    if not files:
        sys.exit("no sources found: wrong folder?")
    print("\n".join(findings) or f"{files} files checked")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
