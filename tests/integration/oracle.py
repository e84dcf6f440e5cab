"""A naive reading of the language over plain records, to hold the server against.

Records are Python objects made by json.loads with floats kept as Decimal, so that numbers compare exactly.
A filter is a tree of tuples that can be written as text for the server and judged here:
  ("term", field|None, text) ("phrase", ...) ("prefix", ...) ("wild", field, pattern) ("regex", field, pattern)
  ("equal", field, text) ("range", field, op, value) ("exists", field) ("and", a, b) ("or", a, b) ("not", a)
"""
import re
from decimal import Decimal

WORD = re.compile(r"\w", re.UNICODE)


def leaves(value, path=()):
    """(dotted name, leaf) of every leaf; arrays are leaves."""
    if isinstance(value, dict) and (value or not path):
        for k, v in value.items():
            yield from leaves(v, path + (k,))
    else:
        yield ".".join(path), value


def field_leaves(record, field):
    return [v for name, v in leaves(record) if field is None or name == field]


def is_number(v):
    return isinstance(v, (int, Decimal)) and not isinstance(v, bool)


def text_of(v):
    import json
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, str):
        return v
    if is_number(v):
        return str(v)
    if isinstance(v, list):
        return json.dumps(v, default=float)
    return None


def as_number(text):
    if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text):
        return Decimal(text)
    return None


def is_word(c):
    return bool(WORD.match(c))


def is_ideograph(c):
    return "\u3400" <= c <= "\u9fff"


def edge(a, b):
    """Whether a word ends between two neighbours; an ideograph is a word of its own."""
    return not (is_word(a) and is_word(b)) or is_ideograph(a) or is_ideograph(b)


def occurs(hay, needle, left=True, right=True):
    hay, needle = hay.lower(), needle.lower()
    if not needle:
        return True
    at = hay.find(needle)
    while at >= 0:
        end = at + len(needle)
        ok_left = not left or at == 0 or edge(hay[at - 1], needle[0])
        ok_right = not right or end == len(hay) or edge(needle[-1], hay[end])
        if ok_left and ok_right:
            return True
        at = hay.find(needle, at + 1)
    return False


def wild_regex(pattern):
    out, n = "", len(pattern)
    for i, c in enumerate(pattern):
        out += ".*" if c == "*" else "." if c == "?" else re.escape(c)
    left = "" if pattern[0] in "*?" or not is_word(pattern[0]) else r"(?<!\w)"
    right = "" if pattern[-1] in "*?" or not is_word(pattern[-1]) else r"(?!\w)"
    return re.compile(left + out + right, re.I | re.S)


def match_term(v, text):
    if v is None or isinstance(v, dict):
        return False
    number = as_number(text)
    if isinstance(v, bool):
        return text_of(v) == text.lower()
    if is_number(v):
        return number is not None and v == number
    if isinstance(v, list):
        return occurs(text_of(v), text) or any(is_number(e) and number is not None and e == number for e in v)
    return occurs(v, text)


def match_wild(v, pattern):
    if v is None or isinstance(v, dict):
        return False
    if isinstance(v, bool) or is_number(v):
        return wild_regex(pattern).fullmatch(text_of(v)) is not None
    return wild_regex(pattern).search(text_of(v)) is not None


def match_range(v, op, bound):
    if isinstance(v, list):
        return any(match_range(e, op, bound) for e in v if not isinstance(e, list))
    if v is None or isinstance(v, (dict, bool)):
        return False
    number = as_number(bound)
    if is_number(v):
        if number is None:
            return False
        a, b = v, number
    else:
        own = as_number(v)
        if number is not None and own is not None:
            a, b = own, number
        elif number is not None:
            return False
        else:
            a, b = v, bound
    return {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[op]


def match(tree, record):
    kind = tree[0]
    if kind == "all":
        return True
    if kind == "and":
        return match(tree[1], record) and match(tree[2], record)
    if kind == "or":
        return match(tree[1], record) or match(tree[2], record)
    if kind == "not":
        return not match(tree[1], record)
    values = field_leaves(record, tree[1])
    if kind in ("term", "phrase"):
        return any(match_term(v, tree[2]) for v in values)
    if kind == "prefix":
        return any(match_wild(v, tree[2] + "*") for v in values)
    if kind == "wild":
        return any(match_wild(v, tree[2]) for v in values)
    if kind == "regex":
        return any(text_of(v) is not None and not isinstance(v, bool) and re.search(tree[2], text_of(v)) for v in values)
    if kind == "equal":
        number = as_number(tree[2])
        return any((is_number(v) and number is not None and v == number) or
                   (isinstance(v, (str, bool)) and text_of(v) == tree[2]) for v in values)
    if kind == "range":
        return any(match_range(v, tree[2], tree[3]) for v in values)
    if kind == "exists":
        return any(v is not None for v in values)
    raise ValueError(kind)


SPECIAL = set('+-&|!(){}[]^"~*?:\\/<>= ')


def escape(text):
    return "".join("\\" + c if c in SPECIAL else c for c in text)


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(tree):
    """The tree in the server's syntax."""
    kind = tree[0]
    if kind == "all":
        return "*"
    if kind == "and":
        return f"({write(tree[1])} AND {write(tree[2])})"
    if kind == "or":
        return f"({write(tree[1])} OR {write(tree[2])})"
    if kind == "not":
        return f"(NOT {write(tree[1])})"
    field = "" if tree[1] is None else escape(tree[1]) + ":"
    if kind == "term":
        return field + escape(tree[2])
    if kind == "phrase":
        return field + quote(tree[2])
    if kind == "prefix":
        return field + escape(tree[2]) + "*"
    if kind == "wild":
        return field + "".join(c if c in "*?" else escape(c) for c in tree[2])
    if kind == "regex":
        return field + "/" + tree[2].replace("/", "\\/") + "/"
    if kind == "equal":
        return field + "=" + quote(tree[2])
    if kind == "range":
        return field + tree[2] + (tree[3] if as_number(tree[3]) is not None else quote(tree[3]))
    if kind == "exists":
        return field + "*"
    raise ValueError(kind)


# ---- pipes ----

def scalars(value):
    """What a value counts as under `by`: arrays by their top-level scalars, null and {} as nothing."""
    if isinstance(value, list):
        return [v for v in value if v is not None and not isinstance(v, (list, dict))] or [None]
    return [None if isinstance(value, dict) else value]


def key_of(value):
    """Values that are one group: numbers by their text, so that 1, "1" and true are three."""
    return None if value is None else (type(value).__name__ if isinstance(value, (str, bool)) else "n", str(value))


def count_by(records, *fields):
    """{(key, ...): records}, each scalar of an array with each of the others'."""
    import itertools
    from collections import Counter
    counts = Counter()
    for r in records:
        for keys in itertools.product(*(scalars(r.get(f)) for f in fields)):
            counts[tuple(key_of(k) for k in keys)] += 1
    return counts


def extract(records, pattern, field):
    """New records with the named groups that took part; the pattern is Python's."""
    out = []
    for r in records:
        text = text_of(r.get(field))
        found = re.search(pattern, text) if text is not None else None
        out.append({**r, **{k: v for k, v in found.groupdict().items() if v is not None}} if found else r)
    return out


def unnest(records, field):
    out = []
    for r in records:
        value = r.get(field)
        out += [{**r, field: v} for v in value or [None]] if isinstance(value, list) else [r]
    return out


def dedup(records, fields, n=1, keep_empty=False):
    """Of each key the first n, in the order given; arrays are one value."""
    from collections import Counter
    seen, out = Counter(), []
    for r in records:
        key = tuple(text_of(r[f]) if isinstance(r.get(f), list) else key_of(r.get(f)) for f in fields)
        if None in key:
            out += [r] if keep_empty else []
            continue
        seen[key] += 1
        out += [r] if seen[key] <= n else []
    return out


def timechart(records, width, value, by=None, limit=10):
    """{bucket: {series: value(records)}} from the first bucket to the last; times are epoch seconds under _t."""
    series = {}
    for r in records:
        for s in (scalars(r.get(by)) if by else ["all"]):
            series.setdefault("NULL" if s is None else str(s), {}).setdefault(r["_t"] // width * width, []).append(r)
    score = {s: sum(value(rs) or 0 for rs in buckets.values()) for s, buckets in series.items()}
    best = sorted((s for s in series if s != "NULL"), key=lambda s: (-score[s], s))[:limit]
    for s in [s for s in series if s not in best and s != "NULL"]:
        for at, rs in series.pop(s).items():
            series.setdefault("OTHER", {}).setdefault(at, []).extend(rs)
    buckets = [at for b in series.values() for at in b]
    return {at: {s: value(b.get(at, [])) for s, b in series.items()}
            for at in range(min(buckets), max(buckets) + width, width)}
