"""The query set: each query in Weir's language and in VictoriaLogs', with a check of the answer against what a
plain Python scan over the same file counted. `anchor` is the figure in milliseconds that the project set out to
beat: VictoriaLogs on another day and machine, so only for orientation."""
import collections
import dataclasses
import hashlib
import inspect
import re
import statistics
import time
from typing import Callable

from data import APP_RECORDS, records_of

RUNS = 7


@dataclasses.dataclass
class Query:
    set: str
    name: str
    weir: str
    victoria: str
    check: Callable       # rows -> None, or what is wrong
    newest: int = 0       # asked as a search for so many newest
    anchor: float = None


# ---- true answers ----

def leaf(record, dotted):
    if dotted in record:
        return record[dotted]
    for key in dotted.split("."):
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    return record


def truth_app(data):
    service, minute, host = collections.Counter(), collections.Counter(), collections.Counter()
    users, latency, counts = set(), collections.defaultdict(list), collections.Counter()
    regex, needle, newest = re.compile("after 9[0-9]{3} ms"), "", ""
    for i, r in enumerate(records_of(data)):
        m, meta = r["message"], r["metadata"]
        service[r["service"]] += 1
        host[r["host"]] += 1
        users.add(meta["user_id"])
        latency[r["service"]].append(meta["latency_ms"])
        counts["phrase"] += "timeout connecting" in m
        counts["regex"] += bool(regex.search(m))
        counts["substring"] += "onnecti" in m
        counts["slow"] += meta["latency_ms"] > 400
        counts["words"] += r["level"] == "ERROR" and "timeout" in m and "stripe" in m
        if r["level"] == "ERROR":
            counts["error"] += 1
            minute[r["timestamp"][:16]] += 1
        if i == data.records * 3 // 4:
            needle = meta["request_id"]
        newest = max(newest, r["timestamp"])
    p99 = {s: (v[int(len(v) * 0.98)], v[-1]) for s, v in ((s, sorted(v)) for s, v in latency.items())}
    return {"service": service, "minute": minute, "host": host, "users": len(users), "p99": p99,
            "needle": needle, "newest": newest, **counts}


def truth_k8s(data):
    container, counts, needle = collections.Counter(), collections.Counter(), ""
    regex = re.compile(r"\[RouteId: [0-9a-f]{8}-")
    for i, r in enumerate(records_of(data)):
        text = r["log"]
        container[r["kubernetes"]["container_name"]] += 1
        counts["rare"] += bool(re.search(r"\bHttpServerErrorException\b", text))
        counts["regex"] += bool(regex.search(text))
        if not needle and i > data.records * 3 // 4:
            found = re.search(r"TraceID: ([0-9a-f]{32})", text)
            needle = found.group(1) if found else ""
    counts["part"] = sum("erverErr" in r["log"] for r in records_of(data))
    counts["needle"] = sum(needle in r["log"] for r in records_of(data))
    return {"container": container, "trace": needle, **counts}


def truth_zeek(data):
    paths, counts = collections.Counter(), collections.Counter()
    for r in records_of(data):
        paths[r["_path"]] += 1
        counts["https"] += r.get("id.resp_p") == 443
        counts["ports"] += r.get("id.orig_p") or 0
    return {"path": paths, **counts}


def truth_windows(data):
    hosts, counts = collections.Counter(), collections.Counter()
    word, trace = re.compile(r"(?<!\w)lsass\.exe(?!\w)", re.I), re.compile(r"KERNELBASE\.dll\+2[0-9a-f]{4}")
    for r in records_of(data):
        hosts[r.get("Hostname")] += 1
        counts["ten"] += r.get("EventID") in (10, "10")
        counts["lsass"] += isinstance(r.get("Message"), str) and bool(word.search(r["Message"]))
        text = r["Message"] if isinstance(r.get("Message"), str) else ""
        counts["part"] += "vchos" in text
        counts["regex"] += bool(trace.search(text))
    del hosts[None]
    return {"hosts": hosts, **counts}


# ---- checks ----

def number(value):
    return float(value) if not isinstance(value, (int, float)) else value


def one(name, want):
    def check(rows):
        got = number(rows[0][name]) if rows else None
        return None if got == want else f"{got} instead of {want}"
    return check


def near(name, want, share):
    def check(rows):
        got = number(rows[0][name])
        return None if abs(got - want) <= share * want else f"{got} is not near {want}"
    return check


def rows_are(n):
    return lambda rows: None if len(rows) == n else f"{len(rows)} rows instead of {n}"


def groups(field, name, want):
    def check(rows):
        got = {r[field]: number(r[name]) for r in rows}
        return None if got == dict(want) else f"{len(got)} groups, {sum(got.values())} in all"
    return check


def bins(want):
    def check(rows):
        got = {r["_time"][:16]: number(r["n"]) for r in rows if number(r["n"])}
        return None if got == dict(want) else f"{len(got)} bins, {sum(got.values())} in all"
    return check


def between(field, name, want):
    def check(rows):
        if {r[field] for r in rows} != set(want):
            return f"{len(rows)} groups instead of {len(want)}"
        for r in rows:
            low, high = want[r[field]]
            if not low <= number(r[name]) <= high:
                return f"{r[field]}: {r[name]} is not in [{low}, {high}]"
    return check


def top_of(name, counter, n):
    want = sorted(counter.values(), reverse=True)[:n]

    def check(rows):
        got = [number(r[name]) for r in rows]
        return None if got == want else f"{got} instead of {want}"
    return check


def comparable(time):
    """RFC 3339 in UTC with all nine digits, whatever was left out."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def newest_first(n, newest):
    def check(rows):
        times = [comparable(r["timestamp"] if "timestamp" in r else r["_time"]) for r in rows]
        if len(rows) != n:
            return f"{len(rows)} rows instead of {n}"
        if newest and times[0] != comparable(newest):
            return f"the first is of {times[0]}, the newest of {newest}"
        return None if times == sorted(times, reverse=True) else "not in order"
    return check


# ---- the sets ----

def app(t):
    q = lambda *a, **k: Query("app", *a, **k)
    needle = t["needle"]
    return [
        q("needle: a request id in its field", f'metadata.request_id:="{needle}"',
          f'metadata.request_id:="{needle}"', rows_are(1), anchor=2.1),
        q("needle: a request id anywhere", needle, f'metadata.request_id:="{needle}"', rows_are(1)),
        q("phrase in message, count", 'message:"timeout connecting" | stats count() as n',
          '"timeout connecting" | stats count() n', one("n", t["phrase"]), anchor=37.2),
        q("phrase in any field, count", '"timeout connecting" | stats count() as n',
          '"timeout connecting" | stats count() n', one("n", t["phrase"])),
        q("two words and a level, newest 50", "timeout stripe level:ERROR",
          "timeout stripe level:=ERROR | sort by (_time) desc limit 50",
          newest_first(min(50, t["words"]), None), newest=50, anchor=1.2),
        q("newest 100 of everything", "", "* | sort by (_time) desc limit 100", newest_first(100, t["newest"]),
          newest=100, anchor=67.5),
        q("level equals ERROR, count", 'level:="ERROR" | stats count() as n', "level:=ERROR | stats count() n",
          one("n", t["error"]), anchor=5.3),
        q("latency_ms > 400, count", "metadata.latency_ms:>400 | stats count() as n",
          "metadata.latency_ms:>400 | stats count() n", one("n", t["slow"]), anchor=4.8),
        q("regex over message, count", "message:/after 9[0-9]{3} ms/ | stats count() as n",
          '~"after 9[0-9]{3} ms" | stats count() n', one("n", t["regex"]), anchor=33.5),
        q("substring inside a word, count", "message:*onnecti* | stats count() as n",
          '~"onnecti" | stats count() n', one("n", t["substring"]), anchor=30.9),
        q("count by service", "* | stats count() as n by service", "* | stats by (service) count() n",
          groups("service", "n", t["service"]), anchor=0.7),
        q("p99 latency by service", "* | stats p99(metadata.latency_ms) as p by service",
          "* | stats by (service) quantile(0.99, metadata.latency_ms) p", between("service", "p", t["p99"]),
          anchor=89.2),
        q("errors per minute", 'level:="ERROR" | stats count() as n by bin(1m)',
          "level:=ERROR | stats by (_time:1m) count() n", bins(t["minute"]), anchor=11.0),
        q("distinct users", "* | stats distinct(metadata.user_id) as n",
          "* | stats count_uniq(metadata.user_id) n", near("n", t["users"], 0.02), anchor=59.5),
        q("top 10 hosts", "* | top 10 host", "* | stats by (host) count() count | sort by (count) desc | limit 10",
          top_of("count", collections.Counter(t["host"]), 10), anchor=31.4),
    ]


def k8s(t):
    q = lambda *a, **k: Query("k8s", *a, **k)
    return [
        q("rare phrase, count", "log:HttpServerErrorException | stats count() as n",
          '"HttpServerErrorException" | stats count() n', one("n", t["rare"]), anchor=1.6),
        q("needle: a trace id inside free text", f'log:{t["trace"]}', f'"{t["trace"]}"', rows_are(t["needle"]),
          anchor=4.9),
        q("regex over a long text field, count", r"log:/\[RouteId: [0-9a-f]{8}-/ | stats count() as n",
          r'~"\\[RouteId: [0-9a-f]{8}-" | stats count() n', one("n", t["regex"]), anchor=65.8),
        q("substring inside a word, count", "log:*erverErr* | stats count() as n", '~"erverErr" | stats count() n',
          one("n", t["part"])),
        q("count by container", "* | stats count() as n by kubernetes.container_name",
          "* | stats by (kubernetes.container_name) count() n",
          groups("kubernetes.container_name", "n", t["container"]), anchor=3.6),
    ]


def zeek(t):
    q = lambda *a, **k: Query("zeek", *a, **k)
    return [
        q("count by path", "* | stats count() as n by _path", "* | stats by (_path) count() n",
          groups("_path", "n", t["path"])),
        q("port 443, count", "id.resp_p:443 | stats count() as n", "id.resp_p:=443 | stats count() n",
          one("n", t["https"])),
        q("sum of ports", "* | stats sum(id.orig_p) as n", "* | stats sum(id.orig_p) n", one("n", t["ports"])),
    ]


def windows(t):
    q = lambda *a, **k: Query("windows", *a, **k)
    return [
        q("event 10, count", "EventID:10 | stats count() as n", "EventID:=10 | stats count() n", one("n", t["ten"])),
        q("a name in long messages, count", "Message:lsass.exe | stats count() as n",
          '"lsass.exe" | stats count() n', one("n", t["lsass"])),
        q("substring inside a word, count", "Message:*vchos* | stats count() as n", '~"vchos" | stats count() n', one("n", t["part"])),
        q("regex over long messages, count", r"Message:/KERNELBASE\.dll\+2[0-9a-f]{4}/ | stats count() as n",
          r'~"KERNELBASE\\.dll\\+2[0-9a-f]{4}" | stats count() n', one("n", t["regex"])),
        q("count by host", "Hostname:* | stats count() as n by Hostname", "Hostname:* | stats by (Hostname) count() n",
          groups("Hostname", "n", t["hosts"])),
    ]


TRUTHS = {"app": (truth_app, app), "k8s": (truth_k8s, k8s), "zeek": (truth_zeek, zeek),
          "windows": (truth_windows, windows)}


def queries_of(data, notes):
    if data.name not in TRUTHS:
        return []
    count, make = TRUTHS[data.name]
    made_by = hashlib.sha1(inspect.getsource(count).encode()).hexdigest()[:8]
    truth = notes.get(data, f"truth-{made_by}", lambda: count(data))
    known = truth.get("phrase")
    if data.name == "app" and data.records == APP_RECORDS and known != 124_896:
        print(f"note: the phrase occurs {known} times in this file, not 124,896: it is not the usual `app`")
    return make(truth)


def measure(server, query, cold):
    """Milliseconds (the first answer, median warm), and what is wrong with the answer or None. `cold`: the first one comes
    from a server just started, whose files are not in memory."""
    def once():
        started = time.perf_counter()
        body = server.ask(query)
        return (time.perf_counter() - started) * 1000, body
    try:
        if cold:
            server.chill()
        first, body = once()
        wrong = query.check(server.rows(query, body))
    except Exception as e:
        return {"error": str(e)[:300]}
    warm = [once()[0] for _ in range(RUNS)]
    return {"first_ms": first, "ms": statistics.median(warm), "wrong": wrong}
