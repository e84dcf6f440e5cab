#!/usr/bin/env python3
"""Every setting of src/core/conf_table.c is read by the program: its name stands in a call of conf_string, conf_int,
conf_bool, conf_bytes, conf_duration_ns or conf_list_item somewhere under src/; or of tree_get, where it is a
tree. A setting that nobody reads is a lie to whoever sets it. And what is read is in the table: a slip would end the process.

usage: check_settings.py [ROOT] | --self-test"""
import pathlib
import re
import sys

NAMED = re.compile(r'^    \{"([a-z0-9_.]+)", CONF_', re.M)
TREE = re.compile(r'^    \{"([a-z0-9_.]+)", CONF_TREE', re.M)
GET = re.compile(r'\btree_get\(\s*[^,"]+,\s*"([a-z0-9_.]+)"')
READ = re.compile(r'\bconf_(?:string|int|bool|bytes|duration_ns|list_item)\(\s*[^,"]+,\s*"([a-z0-9_.]+)"')


def problems(table, sources):
    """table: text of conf_table.c; sources: texts of the other files."""
    named, read = NAMED.findall(table), {name for text in sources for name in READ.findall(text)}
    read |= set(TREE.findall(table)) & {name for text in sources for name in GET.findall(text)}
    if not named:
        return ["no settings found: has the form of the table changed?"]
    return [f"{name}: nobody reads this setting" for name in named if name not in read] + \
        [f"{name}: read, but not in the table" for name in sorted(read - set(named))]


def self_test():
    table = '    {"a.b", CONF_INT, "1",\n    {"a.c", CONF_BYTES,\n'
    assert problems(table, ['x = conf_int(s->conf, "a.b");', 'conf_bytes(c,\n   "a.c")']) == []
    assert problems(table, ['conf_int(c, "a.b"); /* "a.c" */']) == ["a.c: nobody reads this setting"]
    assert problems(table, ['conf_int(c, "a.b") conf_int(c, "a.c") conf_string(c, "a.d")']) == \
        ["a.d: read, but not in the table"]
    assert problems('    {"t", CONF_TREE,\n', ['tree_get(x, "t") tree_get(x, "u")']) == []
    assert problems('    {"t", CONF_TREE,\n', ['conf_tree("t")']) == ["t: nobody reads this setting"]
    assert problems("", []) != []


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    table = root / "src/core/conf_table.c"
    found = problems(table.read_text(), [p.read_text() for p in sorted((root / "src").rglob("*.c")) if p != table])
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
