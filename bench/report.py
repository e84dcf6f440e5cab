"""Tables for people."""


def table(title, head, rows):
    """The first column to the left, the others to the right."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["", title]
    for n, row in enumerate(cells):
        lines.append("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, width))).rstrip())
        if n == 0:
            lines.append("  ".join("-" * w for w in width))
    return "\n".join(lines)


def mb(n):
    return f"{n / 1e6:,.1f}" if n < 1e9 else f"{n / 1e6:,.0f}"


def ratio(raw, size):
    return f"{raw / size:.2f}" if size else "-"


def per_second(n, seconds):
    return f"{n / seconds:,.0f}" if seconds else "-"


def ingest_table(result):
    rows = []
    for name, s in result["sets"].items():
        for who, run in s["runs"].items():
            cpu = run["cpu"]
            rows.append([f"{name} {who}", mb(s["raw"]), f"{s['records']:,}", f"{cpu:.2f}",
                         f"{cpu / s['zstd_cpu']:.2f}" if s.get("zstd_cpu") else "-",
                         per_second(s["records"], cpu), per_second(s["raw"] / 1e6, cpu),
                         f"{run['wall']:.2f}", per_second(s["records"], run["wall"]),
                         f"{run['cpu_compacted']:.2f}" if "cpu_compacted" in run else "-",
                         mb(run["hwm"]) if "hwm" in run else "-"])
    return table("Ingest: server CPU seconds until flushed (unit: `zstd -3 -T1` of the same file in the same run)",
                 ["set", "raw MB", "records", "CPU s", "zstd units", "rec/CPU s", "MB/CPU s", "wall s", "rec/wall s",
                  "CPU s compacted", "peak MB"], rows)


def size_table(result):
    rows = []
    for name, s in result["sets"].items():
        levels = [ratio(s["raw"], s["zstd"].get(str(level))) if s["zstd"].get(str(level)) else "-"
                  for level in (3, 9, 19)]
        for who, run in s["runs"].items():
            rows.append([f"{name} {who}", mb(s["raw"]), mb(run["disk_flushed"]) if "disk_flushed" in run else "-",
                         mb(run["disk"]), ratio(s["raw"], run.get("disk_flushed")), ratio(s["raw"], run["disk"]),
                         *levels])
    return table("Size: raw NDJSON bytes by bytes on disk, server stopped",
                 ["set", "raw MB", "flushed MB", "compacted MB", "flushed", "compacted", "zstd -3", "zstd -9",
                  "zstd -19"], rows)


def export_table(result):
    rows = []
    for name, s in result["sets"].items():
        for e in (run["export"] for run in s["runs"].values() if "export" in run):
            rows.append([name, mb(s["raw"]), mb(e["bytes"]), f"{e['cpu']:.2f}", per_second(s["raw"] / 1e6, e["cpu"]),
                         per_second(e["bytes"] / 1e6, e["cpu"])])
    return table("Export: everything as JSON over HTTP, server CPU",
                 ["set", "raw MB", "out MB", "CPU s", "raw MB/CPU s", "out MB/CPU s"], rows) if rows else ""


def query_table(result):
    rows, peers = [], []
    for s in result["sets"].values():
        peers += [who for who in s["runs"] if who != "weir" and "queries" in s["runs"][who] and who not in peers]
    for name, s in result["sets"].items():
        for query, m in s["runs"].get("weir", {}).get("queries", {}).items():
            row = [f"{name}: {query}", cell(m), cell(m, "first_ms"),
                   f"{m['anchor']:.1f}" if m.get("anchor") else ""]
            for who in peers:
                its = s["runs"].get(who, {}).get("queries", {}).get(query, {})
                row += [cell(its), cell(its, "first_ms")]
            rows.append(row + [m.get("error") or m.get("wrong") or "right"])
    if not rows:
        return ""
    return table("Queries: milliseconds over HTTP, warm, median of 7",
                 ["query", "weir", "first", "anchor", *(t for who in peers for t in (who, "first")), "answer"], rows)


def cell(m, what="ms"):
    return f"{m[what]:.1f}" if what in m else "-"


def other_table(result):
    rows = []
    if "idle_rss" in result:
        rows.append(["idle server, resident", f"{mb(result['idle_rss'])} MB"])
        rows.append(["a process that only loads its libraries", f"{mb(result['libraries_rss'])} MB"])
    if "replay" in result:
        r = result["replay"]
        rows.append([f"restart with {mb(r['queue'])} MB of queue after kill -9",
                     f"{r['seconds']:.2f} s, {mb(r['queue'] / r['seconds'])} MB/s, peak {mb(r['hwm'])} MB"])
        rows.append(["records found afterwards", f"{r['found']:,} of {r['sent']:,}"])
    return table("Process", ["what", "value"], rows) if rows else ""


def compare_table(old, new):
    """What changed between two runs: below 1.00 is better for times and bytes."""
    rows = []
    for name, s in new["sets"].items():
        before = old["sets"].get(name, {}).get("runs", {}).get("weir")
        now = s["runs"].get("weir")
        if not before or not now or old["sets"][name]["raw"] != s["raw"]:
            continue
        units = [("CPU, zstd units", before["cpu"] / old["sets"][name]["zstd_cpu"], now["cpu"] / s["zstd_cpu"]),
                 ("disk MB", before["disk"] / 1e6, now["disk"] / 1e6), ("peak MB", before["hwm"] / 1e6, now["hwm"] / 1e6)]
        units += [(q, before["queries"][q]["ms"], m["ms"]) for q, m in now.get("queries", {}).items()
                  if "ms" in m and "ms" in before.get("queries", {}).get(q, {})]
        rows += [[f"{name}: {what}", f"{a:.2f}", f"{b:.2f}", f"{b / a:.2f}" if a else "-"] for what, a, b in units]
    return table("Against the earlier run", ["what", "then", "now", "now/then"], rows)


def whole(result):
    parts = [ingest_table(result), size_table(result), export_table(result), query_table(result), other_table(result)]
    return "\n".join(p for p in parts if p)
