// The page: what is searched stands in the address (state.ts), what is found comes from found.ts, and the parts show it.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { exportUrl, streams as loadStreams, topValues, type Stream } from "./api";
import { Chart, type Bar } from "./chart";
import { Context } from "./context";
import { Fields } from "./fields";
import { fieldsOf, paramsOf, useFound } from "./found";
import { Help, Nothing } from "./help";
import { type Obj } from "./json";
import { LEVELS, levelOf } from "./level";
import { Button, count, Icon, plural } from "./parts";
import { addTerm, hasPipes, split, wanted } from "./query";
import { barsOf, Results } from "./results";
import { Head, idOf, Row, template, timeOf, type Acts } from "./rows";
import { SearchBar } from "./searchbar";
import { COLUMNS, useKept, usePlace, writePlace, type Place } from "./state";
import { iso } from "./time";
import { TimePicker } from "./timepicker";

function useStreams(again: number): Stream[] {
  const [list, setList] = useState<Stream[]>([]);
  useEffect(() => { loadStreams().then(setList, () => {}); /* the search says what is wrong */ }, [again]);
  return list;
}

const NONE: Obj[] = [];

export function App() {
  const [place, go] = usePlace();
  const [typed, setTyped] = useState(place.q);
  const [again, setAgain] = useState(0);
  const [theme, setTheme] = useKept<"" | "dark" | "light">("theme", "");
  const [zone, setZone] = useKept<"utc" | "local">("zone", "utc");
  const [side, setSide] = useKept<"open" | "closed">("side", innerWidth > 800 ? "open" : "closed");
  const [current, setCurrent] = useState(-1);
  const [folded, setFolded] = useState<Record<string, boolean>>({}); // _id: unfolded by hand
  const [help, setHelp] = useState(false), [said, setSaid] = useState("");
  const { found, error, busy, slow, more, loadMore, stop } = useFound(place, again);
  const streams = useStreams(again);
  const list = useRef<HTMLDivElement>(null), local = zone === "local";

  // Layout effects, so that a key that comes at once is not undone by an effect that comes late.
  useLayoutEffect(() => setTyped(place.q), [place.q]);
  useLayoutEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }, [theme]);
  useLayoutEffect(() => { setCurrent(-1); setFolded({}); }, [found?.version]);
  useEffect(() => { document.title = place.q ? `${place.q} · Weir` : "Weir"; }, [place.q]);

  const run = (q = typed) => {
    setTyped(q);
    if (q === place.q) setAgain(n => n + 1);
    else go({ q, open: "", live: place.live && !hasPipes(q) });
  };
  const copy = (change: Partial<Place>, told: string) => {
    const url = location.origin + location.pathname + "#" + writePlace({ ...place, live: false, ...change });
    const tell = () => { setSaid(told); setTimeout(() => setSaid(""), 2500); };
    (navigator.clipboard?.writeText(url) ?? Promise.reject()).then(tell, () => { location.href = url; });
  };
  const isOpen = (id: string) => folded[id] ?? place.open === id;

  // What a record can be asked to do. The rows get the same functions for ever, so that typing does not draw them anew.
  const now: Acts = {
    onTerm: t => go({ q: addTerm(typed, t), open: "" }),
    onColumn: f => go({ cols: place.cols.includes(f) ? place.cols.filter(c => c !== f) : addColumn(place.cols, f) }, "replace"),
    onContext: r => go({ context: idOf(r) }),
    onLink: r => {
      const ms = Date.parse(timeOf(r)), id = idOf(r);
      copy({ q: `_id:="${id}"`, stream: "", from: iso(ms - 1), to: iso(ms + 1), open: id, context: "" }, "Link to the record copied");
    },
    onToggle: (r, i) => {
      const id = idOf(r), open = !isOpen(id);
      setCurrent(i);
      setFolded({ ...folded, [id]: open });
      go({ open: open ? id : "" }, "replace");
    },
  };
  const latest = useRef(now);
  latest.current = now;
  const acts: Acts = useMemo(() => ({
    onTerm: t => latest.current.onTerm(t), onColumn: f => latest.current.onColumn(f), onContext: r => latest.current.onContext(r),
    onLink: r => latest.current.onLink(r), onToggle: (r, i) => latest.current.onToggle(r, i),
  }), []);

  const piped = found?.piped ?? hasPipes(place.q), records = found?.records ?? NONE;
  const cols = useMemo(() => shownColumns(place.cols, records), [place.cols, records]);
  const marks = useMemo(() => wanted(found?.q ?? ""), [found?.q]);
  const fields = useMemo(() => found && !found.piped ? fieldsOf(found.records) : [], [found?.records, found?.piped]);
  const valuesOf = useCallback((field: string, signal?: AbortSignal) =>
    topValues({ ...paramsOf(place), q: split(place.q)[0] }, field, 10, signal), [place]);
  const made = useMemo(() => found?.piped ? barsOf(found.records, found.q) : null, [found]);
  const bars: Bar[] = useMemo(() => made ? made.bars : (found?.chart?.buckets ?? []).map(b => ({ at: b.at, total: b.count,
    parts: b.byLevel.size ? byLevel(b.byLevel) : [{ name: "", kind: "info", count: b.count }] })), [found?.chart, made]);
  const widthMs = made?.widthMs ?? found?.chart?.widthMs ?? 0;
  const shown: [number, number] | null = bars.length && widthMs ? [bars[0]!.at, bars.at(-1)!.at + widthMs] : null;
  const loaded: [number, number] | null = !piped && records.length
    ? [Date.parse(timeOf(records.at(-1)!)), Date.parse(timeOf(records[0]!))] : null;
  const onZoom = (from: string, to: string) => go({ from, to, live: false, open: "" });

  const listed = useMemo(() => piped ? null : records.map((r, i) => <Row key={idOf(r)} record={r} index={i} cols={cols} local={local}
    marks={marks} isOpen={isOpen(idOf(r))} isCurrent={i === current || (current < 0 && i === 0)} isFresh={found!.fresh.has(idOf(r))}
    acts={acts} />), [piped, records, cols, local, marks, folded, place.open, current]);

  const go_to = (i: number) => {
    if (!records[i]) return;
    setCurrent(i);
    list.current?.querySelectorAll(".record")[i]?.scrollIntoView({ block: "nearest" });
    list.current?.querySelectorAll<HTMLElement>(".record > .line")[i]?.focus({ preventScroll: true });
  };
  const zoomOut = () => {
    if (shown) onZoom(iso(shown[0] - (shown[1] - shown[0]) / 2), iso(shown[1] + (shown[1] - shown[0]) / 2));
  };
  const shift = (by: number) => { if (shown) onZoom(iso(shown[0] + by * (shown[1] - shown[0])), iso(shown[1] + by * (shown[1] - shown[0]))); };
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const toggleTheme = () => setTheme(isDark ? "light" : "dark");

  useLayoutEffect(() => {
    const key = (e: KeyboardEvent) => {
      const at = e.target as HTMLElement, record = records[current];
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest("input,textarea,select,dialog,.panel")) return;
      const on = (act: () => void) => { e.preventDefault(); act(); };
      switch (e.key) {
        case "/": return on(() => document.getElementById("q")!.focus());
        case "j": return on(() => go_to(current + 1));
        case "k": return on(() => go_to(Math.max(0, current - 1)));
        case "o": return record && on(() => acts.onToggle(record, current));
        case "Enter": return record && at.closest(".line") && on(() => acts.onToggle(record, current));
        case "c": return record && on(() => acts.onContext(record));
        case "y": return record && on(() => acts.onLink(record));
        case "t": return on(() => document.getElementById("range")!.click());
        case "z": return on(zoomOut);
        case "[": return on(() => shift(-1));
        case "]": return on(() => shift(1));
        case "r": return on(() => run());
        case "l": return !piped && on(() => go({ live: !place.live }, "replace"));
        case "w": return on(() => go({ wrap: !place.wrap }, "replace"));
        case "f": return on(() => setSide(side === "open" ? "closed" : "open"));
        case "d": return on(toggleTheme);
        case "?": return on(() => setHelp(true));
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  });

  return <div class={`page ${side === "open" ? "with-side" : ""}`}>
    <a class="skip" href="#results" onClick={e => { e.preventDefault(); list.current?.focus(); }}>To the results</a>
    <header class="top">
      <h1 title="Weir"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M1 4h14M1 8h14M1 12h8" /></svg><span>Weir</span></h1>
      <select aria-label="Stream" class="stream" value={place.stream} onChange={e => go({ stream: e.currentTarget.value })}>
        <option value="">all streams</option>
        {place.stream && !streams.some(s => s.name === place.stream) && <option>{place.stream}</option>}
        {streams.map(s => <option value={s.name} key={s.name}>{s.name}</option>)}
      </select>
      <SearchBar value={typed} busy={busy} errorAt={error && typed === place.q ? error.column : 0} fields={fields.map(f => f.name)}
        valuesOf={valuesOf} onChange={setTyped} onRun={() => run()} />
      <TimePicker from={place.from} to={place.to} local={local} shown={shown} onZone={() => setZone(local ? "utc" : "local")}
        onRange={(from, to) => { if (from === place.from && to === place.to) setAgain(n => n + 1); else go({ from, to, live: place.live && !to }); }} />
      <Button class="go" label={slow ? "Stop the search" : "Search (Enter)"} onClick={() => slow ? stop() : run()}>{slow ? "Stop" : "Search"}</Button>
      <Button icon={place.live ? "pause" : "play"} label={place.live ? "Pause (l)" : "Live: show records as they arrive (l)"} on={place.live}
        class="live" disabled={piped} onClick={() => go({ live: !place.live, to: "" }, "replace")}><span class="live-text">Live</span></Button>
      <span class="top-end">
        <Button icon={theme === "" ? "auto" : isDark ? "moon" : "sun"} label={`Dark or light (d)`} onClick={toggleTheme} />
        <Button icon="help" label="Help (?)" onClick={() => setHelp(true)} />
      </span>
    </header>
    <div class={`progress ${busy ? "on" : ""}`} role="progressbar" aria-label="Searching" aria-hidden={!busy} />

    {error && <section class="failure" id="error" role="alert"><Icon name="warn" /><pre>{error.message}</pre>
      {error.status !== 400 && <Button label="Try again" onClick={() => setAgain(n => n + 1)}>Try again</Button>}</section>}

    {(!piped || made) && <section class={`over-time ${error ? "stale" : ""}`} aria-label="Over time">
      <Chart bars={bars} widthMs={widthMs} local={local} loaded={loaded} unit={made ? made.unit : "record"} onZoom={onZoom} /></section>}

    <div class="body">
      <aside class="side" hidden={side !== "open"} aria-label="Fields">
        <Button icon="close" label="Close the fields" class="side-close" onClick={() => setSide("closed")} />
        {!piped && <Fields fields={fields} of={records.length} sampled={(found?.total ?? 0) > records.length} cols={place.cols}
          version={found?.version} valuesOf={valuesOf} onTerm={acts.onTerm} onColumn={acts.onColumn}
          onQuery={p => go({ q: `${split(place.q)[0] || "*"} ${p}`, open: "" })} />}
        {piped && <p class="dim note">Fields are those of records; this query answers rows.
          <button class="button" onClick={() => go({ q: split(place.q)[0] })}>Show the records</button></p>}
      </aside>
      <main ref={list} tabIndex={-1} id="results">
        <div class="bar">
          <Button icon="list" label="Fields (f)" on={side === "open"} onClick={() => setSide(side === "open" ? "closed" : "open")}><span class="wide">Fields</span></Button>
          <span class="said" role="status">{said || (error ? found?.records.length ? "what the search before this one found" : "" : found ? summary(found, place.live) : "searching …")}</span>
          {found?.warning && <span class="warning"><Icon name="warn" /> not complete: {found.warning}</span>}
          {!piped && <Button icon="wrap" label="Wrap lines (w)" on={place.wrap} onClick={() => go({ wrap: !place.wrap }, "replace")}><span class="wide">Wrap</span></Button>}
          {!piped && place.cols.join() !== COLUMNS.join() && <Button icon="columns" label="The usual columns" onClick={() => go({ cols: COLUMNS }, "replace")}><span class="wide">Reset columns</span></Button>}
          <Button icon="link" label="Copy a link to this view, its time range made absolute" onClick={() => {
            const fixed = shown && (place.from || place.to) ? { from: iso(shown[0]), to: iso(shown[1]) } : {};
            copy(fixed, "Link copied");
          }}><span class="wide">Link</span></Button>
          <a class="button" download="weir.ndjson" title="Download all that match, as NDJSON" href={exportUrl(paramsOf(place))}><Icon name="save" /><span class="wide">Export</span></a>
        </div>
        {found && (piped
          ? records.length ? <Results stale={!!error || busy} rows={records} q={found.q} onDrill={terms => go({ q: terms.reduce(addTerm, split(found.q)[0]) })} />
            : <div class="nothing"><h2>No rows</h2></div>
          : records.length ? <div class={`rows ${place.wrap ? "wrap" : ""} ${busy || error ? "stale" : ""}`}
              style={{ "--cols": template(cols, records) }}>
            <Head cols={cols} local={local} onCols={cols => go({ cols }, "replace")} />
            <div role="list" aria-label="Records">{listed}</div>
            <More cursor={found.cursor} busy={more} n={records.length} total={found.total} load={loadMore} />
          </div>
          : !busy && !error && <Nothing narrowed={!!place.q} onExample={q => run(q)} onWiden={() => go({ from: "", to: "" })} />)}
        {!found && !error && <div class="loading" aria-hidden="true">{Array.from({ length: 12 }, () => <div />)}</div>}
      </main>
    </div>
    {place.context && <Context id={place.context} cols={cols} local={local} acts={acts} onClose={() => go({ context: "" })} />}
    {help && <Help onClose={() => setHelp(false)} onExample={q => { setHelp(false); run(q); }} />}
  </div>;
}

// Of the usual columns those that these records have; what a person chose is shown in any case.
function shownColumns(cols: string[], records: Obj[]): string[] {
  if (cols.join() !== COLUMNS.join() || !records.length) return cols;
  return cols.filter(c => records.some(r => r.get(c) !== undefined));
}

// A column goes before the message, which takes what is left of the width.
function addColumn(cols: string[], field: string): string[] {
  const at = cols.indexOf("message");
  return at < 0 ? [...cols, field] : [...cols.slice(0, at), field, ...cols.slice(at)];
}

function byLevel(counts: Map<string, number>): Bar["parts"] {
  return [...counts].map(([name, n]) => ({ name: name === "null" ? "none" : name, kind: levelOf(name) as string, count: n }))
    .sort((a, b) => LEVELS.indexOf(a.kind as typeof LEVELS[number]) - LEVELS.indexOf(b.kind as typeof LEVELS[number]));
}

function summary(f: NonNullable<ReturnType<typeof useFound>["found"]>, live: boolean): string {
  const took = `${f.tookMs < 10 ? f.tookMs.toFixed(1) : Math.round(f.tookMs)} ms`;
  if (f.piped) return `${f.cut ? "the first " : ""}${plural(f.records.length, "row")} · ${took}`;
  if (live) return `${plural(f.total ?? f.records.length, "record")} · live${f.skipped ? " · more arrive than are shown" : ""}`;
  return `${plural(f.total ?? f.records.length, "record")} · ${took}`;
}

// The end of the list: coming into sight loads the next page.
function More({ cursor, busy, n, total, load }: { cursor: string; busy: boolean; n: number; total: number | null; load: () => void }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const watch = new IntersectionObserver(([e]) => { if (e!.isIntersecting) load(); }, { rootMargin: "600px" });
    watch.observe(ref.current!);
    return () => watch.disconnect();
  }, [load]);
  const at = total === null ? count(n) : `${count(n)} of ${count(total)}`;
  return <div class="more" ref={ref}>{!cursor ? <span class="dim">{n > 20 ? `All ${count(n)} are shown.` : ""}</span>
    : n >= 10000 ? <span class="dim">{at} are shown: narrow the search or the time range, or export all of them.</span>
    : <Button label="More" disabled={busy} onClick={load}>{busy ? "loading …" : `More (${at} shown)`}</Button>}</div>;
}

