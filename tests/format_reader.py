"""A reader of segments written from docs/format.md alone: the proof that the document is complete. It shares no code
with Weir and is in no hurry. `python tests/format_reader.py FILE` prints the records as JSON lines."""
import datetime
import json
import struct
import sys

import xxhash
import zstandard

STR, INT, DEC, DBL, NUM, BOOL, NULL, OBJ, ARR, JSON = range(10)
CONST, FRAME, DELTA, RUNS = range(4)
M64 = (1 << 64) - 1


def signed(n):
    n &= M64
    return n - (1 << 64) if n >> 63 else n


class Bytes:
    """A place in bytes that moves on as they are read."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n):
        assert 0 <= n <= len(self.data) - self.at, "the bytes end early"
        self.at += n
        return self.data[self.at - n:self.at]

    def u(self, n):
        return int.from_bytes(self.take(n), "little")

    def i64(self):
        return signed(self.u(8))

    def varint(self):
        v = shift = 0
        while True:
            b = self.u(1)
            v |= (b & 127) << shift
            shift += 7
            if not b & 128:
                return v

    def zigzag(self):
        n = self.varint()
        return n >> 1 ^ -(n & 1)

    def text(self):
        return self.take(self.varint())

    def rest(self):
        return self.take(len(self.data) - self.at)

    def left(self):
        return len(self.data) - self.at


# ---- integers ----

def residues(b, n, planes):
    if planes:
        width = b.u(1)
        columns = [b.take(n) for _ in range(width)]
        return [sum(columns[k][i] << 8 * k for k in range(width)) for i in range(n)]
    width = b.u(1)
    counts = [min(128, n - at) for at in range(0, n, 128)]
    widths = list(b.take(len(counts))) if width == 255 else [width] * len(counts)
    out = []
    for count, w in zip(counts, widths):
        packed = b.u((count * w + 7) // 8)
        out += [packed >> i * w & (1 << w) - 1 for i in range(count)]
    return out


def ints(b, n):
    if n == 0:
        return []
    head = b.u(1)
    kind, planes = head & 15, bool(head & 16)
    if kind == CONST:
        return [b.zigzag()] * n
    if kind == FRAME:
        base, divisor = b.zigzag(), b.varint()
        return [signed(base + r * divisor) for r in residues(b, n, planes)]
    if kind == DELTA:
        value, base, divisor = b.zigzag(), b.zigzag(), b.varint()
        out = [value]
        for r in residues(b, n - 1, planes):
            out.append(signed(out[-1] + base + r * divisor))
        return out
    assert kind == RUNS, f"integers of kind {kind}"
    count = b.varint()
    values, lengths = ints(b, count), ints(b, count)
    out = [v for v, length in zip(values, lengths) for _ in range(length)]
    assert len(out) == n
    return out


# ---- chunks ----

class Chunk:
    def __init__(self, data, summed=False):
        if summed:
            assert xxhash.xxh3_64_intdigest(data[8:]) == int.from_bytes(data[:8], "little"), "checksum of a chunk"
            data = data[8:]
        b = Bytes(data)
        self.encoding, version, self.n = b.u(1), b.u(1), b.varint()
        assert version == 1
        sizes = []
        for _ in range(b.varint()):
            stored = b.varint()
            sizes.append((stored >> 1, b.varint() if stored & 1 else None))
        self.parts = []
        for stored, raw in sizes:
            part = b.take(stored)
            if raw is not None:
                part = zstandard.ZstdDecompressor().decompress(part, max_output_size=raw)
                assert len(part) == raw
            self.parts.append(part)
        assert b.left() == 0

    def part(self, i):
        return Bytes(self.parts[i])


class Rows:
    """What encodings may ask of the rows that have a column's value: their times, their other columns."""

    def __init__(self, times, other=None):
        self.times, self.other = times, other
        self.siblings = []  # chunks of a template's slots so far; None: not of its own


def plain(c, _):
    b = c.part(0)
    page = 1 << b.u(1)
    lengths, pages, out, at, used = ints(b, c.n), [], [], 0, 0
    for i, n in enumerate(lengths):
        if used and n and used + n > page:
            used = 0
        if n and not used:
            pages.append([])
        if n:
            pages[-1].append(n)
        used += n
    assert len(pages) == len(c.parts) - 1, "pages"
    data = Bytes(b"".join(c.parts[1:]))
    for page_lengths, part in zip(pages, c.parts[1:]):
        assert sum(page_lengths) == len(part), "a page"
    return [data.take(n) for n in lengths]


def codes(b, n):
    width = b.u(1)
    return ints(b, n) if width == 0 else [b.u(width) for _ in range(n)]


def dictionary(c, rows):
    b = c.part(0)
    n = b.varint()
    entries = values(Chunk(b.rest()), rows)
    assert len(entries) == n
    return [entries[k] for k in codes(c.part(1), c.n)]


def hexadecimal(c, _):
    b = c.part(0)
    length, upper = b.u(1), b.u(1) & 1
    text, bits, packed = b.take(length), b.take((length + 7) // 8), c.part(1)
    places = [i for i in range(length) if bits[i // 8] >> i % 8 & 1]
    out = []
    for _ in range(c.n):
        digits = packed.take((len(places) + 1) // 2).hex()
        one = bytearray(text)
        for at, digit in zip(places, digits.upper() if upper else digits):
            one[at] = ord(digit)
        out.append(bytes(one))
    return out


def prefix_int(c, _):
    b = c.part(0)
    digits, prefix = b.u(1), b.rest()
    return [prefix + b"%0*d" % (digits, v) for v in ints(c.part(1), c.n)]


def time_text(form, ns):
    kind, digits, sep, frac, zone, _, offset = form
    point = b"%c" % (frac or ord("."))
    if 1 <= kind <= 4:
        unit = 10 ** (9 - 3 * (kind - 1))
        text = b"%s%d" % (b"-" if ns < 0 else b"", abs(ns) // unit)
        part = abs(ns) % unit * 10 ** (3 * (kind - 1))
        return text + (point + b"%0*d" % (digits, part // 10 ** (9 - digits)) if digits else b"")
    second, part = ns // 10 ** 9, ns % 10 ** 9
    t = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=second + offset * 60)
    clock = b"%02d:%02d:%02d" % (t.hour, t.minute, t.second)
    month = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[t.month - 1]
    if kind == 5:
        text = b"%02d/%s/%04d:%s" % (t.day, month, t.year, clock)
    elif kind == 6:
        day = b"Mon Tue Wed Thu Fri Sat Sun".split()[t.weekday()]
        text = b"%s, %02d %s %04d %s" % (day, t.day, month, t.year, clock)
    elif kind == 7:
        text = b"%s %s %s" % (month, (b"%02d" if sep == ord("0") else b"%2d") % t.day, clock)
    else:
        mark = b"/" if kind == 8 else b"-"
        text = b"%04d%s%02d%s%02d" % (t.year, mark, t.month, mark, t.day)
        if sep == 0:
            return text
        text += b"%c%s" % (sep, clock)
    if digits:
        text += point + b"%0*d" % (digits, part // 10 ** (9 - digits))
    if zone == 0:
        return text
    z = chr(zone)
    if z in "Zz":
        return text + z.encode()
    if z in "UG":
        return text + (b" UTC" if z == "U" else b" GMT")
    hours = b"%s%02d" % (b"-" if offset < 0 else b"+", abs(offset) // 60)
    minutes = b"" if z == "H" else (b":" if z in ":s" else b"") + b"%02d" % (abs(offset) % 60)
    return text + (b" " if z in "sS" else b"") + hours + minutes


def times(c, rows):
    b = c.part(0)
    forms = [struct.unpack("<6Bh", b.take(8)) for _ in range(b.u(1))]
    which = ints(b, c.n) if len(forms) > 1 else [0] * c.n
    return [time_text(forms[k], t + d) for k, t, d in zip(which, rows.times, ints(c.part(1), c.n))]


def instants(c, _):
    b = c.part(0)
    forms = [struct.unpack("<6Bh", b.take(8)) for _ in range(b.u(1))]
    which = ints(b, c.n) if len(forms) > 1 else [0] * c.n
    return [time_text(forms[k], t) for k, t in zip(which, ints(c.part(1), c.n))]


def numeral_text(frac, pad, width, m):
    text = b"%0*d" % (frac + 1, m)
    if frac:
        text = text[:-frac] + b"." + text[-frac:]
    return text.rjust(width, b"%c" % pad) if pad else text


def numeral(c, _):
    form = c.part(0).take(3)
    return [numeral_text(*form, m) for m in ints(c.part(1), c.n)]


def difference(c, rows):
    b = c.part(0)
    form, back = b.take(3), b.u(1)
    other = rows.siblings[-1 - back]
    assert other.encoding == 11
    return [numeral_text(*form, signed(m + d)) for m, d in zip(ints(other.part(1), c.n), ints(c.part(1), c.n))]


def clock(c, rows):
    b = c.part(0)
    mark, digits, relative = b.u(1), b.u(1), b.u(1)
    unit, out = 10 ** (9 - digits), []
    for i, v in enumerate(ints(c.part(1), c.n)):
        if relative:
            v = (v + rows.times[i] % (86400 * 10 ** 9) // unit) % (86400 * 10 ** digits)
        second, part = divmod(v, 10 ** digits)
        text = b"%02d:%02d:%02d" % (second // 3600, second // 60 % 60, second % 60)
        out.append(text + (b"%c%0*d" % (mark, digits, part) if digits else b""))
    return out


def template(c, rows):
    b = c.part(0)
    n = b.varint()
    patterns = values(Chunk(b.rest()), rows)
    assert len(patterns) == n
    code = codes(c.part(1), c.n)
    texts = [[i for i, k in enumerate(code) if k == t] for t in range(n)]
    b = c.part(2)
    n_dicts = b.varint()
    b.take(2 * n_dicts)
    slots = []
    for n_slots in [b.varint() for _ in range(n)]:
        slots.append([])
        for _ in range(n_slots):
            kind = b.u(1)
            slots[-1].append((kind, b.take(2) if kind in (0, 2) else b.take(3) if kind == 1 else b.u(1)))
    assert b.left() == 0
    of = lambda kind: sum(len(texts[t]) for t in range(n) for k, _ in slots[t] if k == kind)
    numbers = iter(ints(c.part(3), of(1)))
    pool = iter(values(Chunk(c.parts[4]), rows)) if of(2) else iter(())
    words_codes = iter(ints(c.part(5), of(3)))
    dicts, own = [], iter(range(6 + n_dicts, len(c.parts)))
    for d in range(n_dicts):
        b = c.part(6 + d)
        size = b.varint()
        dicts.append(values(Chunk(b.rest()), rows))
        assert len(dicts[-1]) == size
    out = [None] * c.n
    for t in range(n):
        its = texts[t]
        mine = Rows([rows.times[i] for i in its])
        filled = []
        for kind, about in slots[t]:
            inner = Chunk(c.parts[next(own)]) if kind == 0 else None
            mine.siblings.append(inner)
            if kind == 0:
                filled.append(values(inner, mine))
            elif kind == 1:
                filled.append([numeral_text(*about, next(numbers)) for _ in its])
            elif kind == 2:
                filled.append([next(pool) for _ in its])
            elif kind == 3:
                filled.append([dicts[about][next(words_codes)] for _ in its])
            else:
                filled.append([dicts[about][k] for k in ints(c.part(next(own)), len(its))])
        pieces = patterns[t].split(b"\x1a") if slots[t] else [patterns[t].replace(b"\x1a\x1a", b"\x1a")]
        assert len(pieces) == len(slots[t]) + 1
        for rank, i in enumerate(its):
            out[i] = b"".join(p + (filled[s][rank] if s < len(filled) else b"") for s, p in enumerate(pieces))
    assert next(own, None) is None
    return out


def refs(c, rows):
    b = c.part(0)
    names = [(b.text(), b.varint(), b.u(1)) for _ in range(b.varint())]
    texts = values(Chunk(c.parts[1]), rows)
    columns = [rows.other(*name) for name in names]
    out = []
    for i, text in enumerate(texts):
        parts = text.split(b"\x0e")
        made, k = parts[0], 1
        while k < len(parts):
            if parts[k] == b"" and k + 1 < len(parts):
                made += b"\x0e" + parts[k + 1]
                k += 2
                continue
            v = columns[parts[k][0] - 0x80][i]
            made += (v if isinstance(v, bytes) else b"%d" % v) + parts[k][1:]
            k += 1
        out.append(made)
    return out


def decimal(c, _):
    return list(zip(ints(c.part(1), c.n), ints(c.part(0), c.n)))


def double(c, _):
    b = c.part(0)
    if b.u(1):
        return [float(v) for v in ints(b, c.n)]
    planes = [b.take(c.n) for _ in range(8)]
    return [struct.unpack("<d", bytes(p[i] for p in planes))[0] for i in range(c.n)]


ENCODINGS = {1: plain, 2: lambda c, _: c.parts[:1] * c.n, 3: dictionary, 4: lambda c, _: ints(c.part(0), c.n), 5: decimal,
             6: double, 7: hexadecimal, 8: times, 9: lambda c, _: [None] * c.n, 10: prefix_int, 11: numeral, 12: clock,
             13: template, 14: refs, 15: instants, 16: difference}


def values(c, rows):
    out = ENCODINGS[c.encoding](c, rows)
    assert len(out) == c.n
    return out


# ---- blocks ----

class Column:
    def __init__(self, path, occurrence, lane):
        self.path, self.occurrence, self.lane = path, occurrence, lane
        back = {b"S": b"\x1f", b"E": b"\x1e"}
        self.keys = []
        for part in path.split(b"\x1f") if path else []:
            key, rest = b"", part
            while b"\x1e" in rest:
                before, _, rest = rest.partition(b"\x1e")
                key += before + back.get(rest[:1], b"")
                rest = rest[1:]
            self.keys.append(key + rest)


def quoted(s):
    return json.dumps(s.decode("utf-8", "replace"), ensure_ascii=False)


def leaf_text(lane, v):
    if lane == STR:
        return quoted(v)
    if lane == INT:
        return str(v)
    if lane == DEC:
        m, scale = v
        digits = str(abs(m)).rjust(scale + 1, "0")
        return ("-" if m < 0 else "") + digits[:-scale] + "." + digits[-scale:]
    if lane == DBL:
        return repr(v)
    if lane == BOOL:
        return "true" if v else "false"
    if lane in (NULL, OBJ):
        return "null" if lane == NULL else "{}"
    return v.decode("utf-8", "replace")


class Block:
    def __init__(self, section, about, fields, shapes, data):
        self.about, self.fields, self.shapes, self.data = about, fields, shapes, data
        self.columns, self.known = section.columns, {}
        n = about["rows"]
        self.times = ints_chunk(self.place("times"), n)
        self.shape_of = ints_chunk(self.place("shapes"), n) if about["shapes_length"] else [0] * n
        assert self.times == sorted(self.times)
        rare = Chunk(self.place("rare"), summed=True) if about["rare_length"] else None
        assert rare is None or (rare.encoding == 64 and rare.n == sum(f["rare"] for f in fields))
        self.rare = rare.parts[0] if rare else b""
        self.rows_of = {}
        for row, shape in enumerate(self.shape_of):
            for token in shapes[shape]:
                if token >= 2:
                    self.rows_of.setdefault(token - 2, []).append(row)

    def place(self, what):
        at, n = self.about[what + "_offset"], self.about[what + "_length"]
        return self.data[at:at + n]

    def filter(self, field):
        return Filter(self.data[field["filter_offset"]:field["filter_offset"] + field["filter_length"]])

    def flags(self):
        return ints_chunk(self.place("flags"), self.about["rows"]) if self.about["flags_length"] else None

    def origin(self):
        """(partition, position, arrival, index) of each row."""
        c = Chunk(self.place("origin"), summed=True)
        assert c.encoding == 65 and c.n == self.about["rows"]
        b = c.part(0)
        n_entries, n_runs = b.varint(), b.varint()
        entries = list(zip(*(ints(b, n_entries) for _ in range(3))))
        b, out, ends = c.part(1), [], {}
        entry, length, distance = (ints(b, n_runs) for _ in range(3))
        for e, n, d in zip(entry, length, distance):
            first = ends.get(e, 0) + d
            out += [(*entries[e], first + i) for i in range(n)]
            ends[e] = first + n
        assert len(out) == c.n
        return out

    def chunk(self, field):
        at, n = field["chunk_offset"], field["chunk_length"]
        c = Chunk(self.rare[at:at + n]) if field["rare"] else Chunk(self.data[at:at + n], summed=True)
        assert (c.encoding, c.n) == (field["encoding"], field["values"])
        return c

    def column(self, number):
        """The values of a column of the section, in the order of the rows that have it."""
        if number not in self.known:
            field = next(f for f in self.fields if f["column"] == number)
            rows = self.rows_of[number]
            assert field["values"] == len(rows)
            self.known[number] = values(self.chunk(field), Rows([self.times[r] for r in rows], self.other_of(rows)))
        return self.known[number]

    def other_of(self, rows):
        def other(path, occurrence, lane):
            number = next(i for i, c in enumerate(self.columns)
                          if (c.path, c.occurrence, c.lane) == (path, occurrence, lane) and i in self.rows_of)
            of = dict(zip(self.rows_of[number], self.column(number)))
            return [of.get(r) for r in rows]
        return other

    def records(self):
        at = {f["column"]: iter(self.column(f["column"])) for f in self.fields}
        for shape in self.shape_of:
            yield self.record(self.shapes[shape], at)

    def record(self, tokens, at):
        """One record as JSON: the key of an object is what stands at its depth in the path of the next leaf."""
        if len(tokens) == 1 and tokens[0] >= 2 and self.columns[tokens[0] - 2].path == b"":
            return leaf_text(JSON, next(at[tokens[0] - 2]))
        out, depth, comma = "{", 0, False
        for i, token in enumerate(tokens):
            if token == 0:
                out, depth, comma = out + "}", depth - 1, True
                continue
            leaf = next(t for t in tokens[i:] if t >= 2) - 2
            keys = self.columns[leaf].keys
            out += ("," if comma else "") + quoted(keys[depth]) + ":"
            if token == 1:
                out, depth, comma = out + "{", depth + 1, False
            else:
                assert len(keys) == depth + 1
                out, comma = out + leaf_text(self.columns[leaf].lane, next(at[leaf])), True
        return out + "}"


class Filter:
    """A binary fuse filter: may it hold a key?"""

    def __init__(self, data):
        b = Bytes(data)
        self.none = not data
        if data:
            self.seed, self.length, self.windows = b.u(8), b.u(4), b.u(4)
            self.prints = b.take((self.windows + 2) * self.length)
            assert b.left() == 0

    def may_hold(self, key):
        if self.none:
            return False
        h = (key + self.seed) & M64
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9 & M64
        h = (h ^ h >> 27) * 0x94d049bb133111eb & M64
        h ^= h >> 31
        a = h * (self.windows * self.length) >> 64
        b = a + self.length ^ (h >> 18) % self.length
        c = a + 2 * self.length ^ h % self.length
        return self.prints[a] ^ self.prints[b] ^ self.prints[c] == (h ^ h >> 32) & 255


def ints_chunk(data, n):
    c = Chunk(data, summed=True)
    assert (c.encoding, c.n) == (4, n)
    return ints(c.part(0), n)


# ---- files ----

PLACES = ("times", "shapes", "origin", "flags", "rare")
BLOCK = ("offset", "length", "rows", "time_min", "time_max", "position_min", "position_max", "raw_bytes",
         *(f"{p}_{m}" for p in PLACES for m in ("offset", "length")), "n_shapes", "n_fields")
FIELD = ("column", "values", "chunk_offset", "chunk_length", "rare", "encoding", "has_range", "scale", "min", "max",
         "distinct", "filter_offset", "filter_length", "filter_sum")


def columns_of(b, names, n):
    """Arrays, one for each name, as a dict for each of n items."""
    arrays = [ints(b, n) for _ in names]
    return [dict(zip(names, item)) for item in zip(*arrays)]


def unzipped(b):
    stored, raw = b.u(4), b.u(4)
    body = b.take(stored)
    return body if stored == raw else zstandard.ZstdDecompressor().decompress(body, max_output_size=raw)


class Section:
    def __init__(self, data, tail):
        b = Bytes(tail)
        assert b.take(8) == b"WEIRTAIL" and b.u(8) == xxhash.xxh3_64_intdigest(tail[16:])
        self.stream_id, self.day = b.u(8), b.i64()
        b = Bytes(unzipped(b))
        self.org, self.stream = b.text(), b.text()
        n_columns, n_shapes, n_tokens, n_blocks, n_block_shapes, n_fields = (b.varint() for _ in range(6))
        lengths = ints(b, n_columns)
        paths = [b.take(n) for n in lengths]
        self.columns = [Column(*c) for c in zip(paths, ints(b, n_columns), ints(b, n_columns))]
        lengths, tokens = ints(b, n_shapes), ints(b, n_tokens)
        shapes = [[tokens.pop(0) for _ in range(n)] for n in lengths]
        blocks = columns_of(b, BLOCK, n_blocks)
        block_shapes, fields = ints(b, n_block_shapes), columns_of(b, FIELD, n_fields)
        assert b.left() == 0
        self.blocks = []
        for about in blocks:
            mine = [shapes[block_shapes.pop(0)] for _ in range(about["n_shapes"])]
            its = [fields.pop(0) for _ in range(about["n_fields"])]
            for f in its:
                if f["filter_length"]:
                    at = about["offset"] + f["filter_offset"]
                    of = data[at:at + f["filter_length"]]
                    assert xxhash.xxh3_64_intdigest(of) & 0xffffffff == f["filter_sum"] & 0xffffffff
            self.blocks.append(Block(self, about, its, mine, data[about["offset"]:about["offset"] + about["length"]]))


class Segment:
    def __init__(self, data):
        assert data[:8] == data[-8:] == b"WEIRSEG1"
        b = Bytes(data[:32], 8)
        assert b.u(2) == 1 and b.take(6) == bytes(6)
        self.id = b.u(8)
        assert b.u(8) == xxhash.xxh3_64_intdigest(data[:24])
        b = Bytes(data[-40:])
        at, n, version, zero, footer_sum, own_sum = b.u(8), b.u(4), b.u(2), b.u(2), b.u(8), b.u(8)
        assert (version, zero) == (1, 0) and own_sum == xxhash.xxh3_64_intdigest(data[-40:-16])
        footer = data[at:at + n]
        assert footer_sum == xxhash.xxh3_64_intdigest(footer)
        b, parts = Bytes(footer), {}
        while b.left():
            tag, length = b.u(2), b.u(4)
            parts[tag & 0x7fff] = b.take(length)
            assert not tag & 0x8000 or tag & 0x7fff in (1, 2), "a part that must be understood"
        b = Bytes(parts[1])
        assert b.u(8) == self.id
        self.level, self.written, self.position_min, self.position_max = b.u(4), b.i64(), b.u(8), b.u(8)
        self.words = parts.get(4, b"")
        b = Bytes(unzipped(Bytes(parts[2])))
        names = ("stream_id", "day", "time_min", "time_max", "rows", "raw_bytes", "offset", "tail_offset", "tail_length",
                 "blocks")
        sections = columns_of(b, names, b.varint())
        for what in ("org", "stream"):
            lengths = ints(b, len(sections))
            for s, length in zip(sections, lengths):
                s[what] = b.take(length)
        assert b.left() == 0
        self.sections = []
        for s in sections:
            section = Section(data, data[s["tail_offset"]:s["tail_offset"] + s["tail_length"]])
            assert (section.org, section.stream, len(section.blocks)) == (s["org"], s["stream"], s["blocks"])
            assert sum(k.about["rows"] for k in section.blocks) == s["rows"]
            self.sections.append(section)
        if 3 in parts:
            b = Bytes(parts[3])
            count = b.varint()
            for at, n, want in zip(*(ints(b, count) for _ in range(3))):
                assert xxhash.xxh3_64_intdigest(data[at:at + n]) == want & M64

    def records(self):
        for section in self.sections:
            for block in section.blocks:
                yield from block.records()


if __name__ == "__main__":
    for line in Segment(open(sys.argv[1], "rb").read()).records():
        print(line)
