// Everything that the parts of the page show and do, in one object that is made anew when something changes.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { streams as loadStreams, values, type FieldList, type Stream } from "./api";
import { legendOf, levelBars, rowBars } from "./bars";
import { paramsOf, useFound, type Found } from "./found";
import { type Obj } from "./json";
import { addTerm, hasPipes, split, wanted } from "./query";
import { idOf, timeOf, type Acts } from "./rows";
import { COLUMNS, useKept, usePlace, writePlace, type Go, type Place } from "./state";
import { iso } from "./time";

export type View = ReturnType<typeof useView>;
export type Span = [begin: number, end: number];

const NONE: Obj[] = [];

export function useView() {
  const [place, go] = usePlace();
  const [again, setAgain] = useState(0);
  const [typed, setTyped] = useState(place.q);
  const [help, setHelp] = useState(false);
  const [zone, setZone] = useKept<"utc" | "local">("zone", "utc");
  const [side, setSide] = useKept<"open" | "closed">("side", innerWidth > 800 ? "open" : "closed");
  const search = useFound(place, again),
    { found } = search;
  const { said, copy } = useCopy(place);
  const records = found?.records ?? NONE,
    piped = found?.piped ?? hasPipes(place.q);
  const unfolded = useUnfolded(place, go, found);
  const streams = useStreams(again);

  // A layout effect, so that what is typed at once behind a search is not undone by an effect that comes late.
  useLayoutEffect(() => setTyped(place.q), [place.q]);
  useEffect(() => {
    document.title = place.q ? `${place.q} · Weir` : "Weir";
  }, [place.q]);

  const repeat = () => setAgain(n => n + 1);
  const run = (q = typed) => {
    setTyped(q);
    if (q === place.q) repeat();
    else go({ q, open: "", live: place.live && !hasPipes(q) });
  };
  const setRange = (from: string, to: string) => {
    if (from === place.from && to === place.to) repeat();
    else go({ from, to, open: "", live: place.live && !to });
  };

  const acts = useSteady<Acts>({
    onTerm: t => go({ q: addTerm(typed, t), open: "" }),
    onColumn: f => go({ cols: toggleColumn(place.cols, f) }, "replace"),
    onContext: r => go({ context: idOf(r) }),
    onLink: r => copy(placeOf(r), "Link to the record copied"),
    onToggle: unfolded.toggle,
  });

  const chart = useMemo(
    () => (piped ? found && rowBars(found.records, found.q) : levelBars(found?.chart ?? null)),
    [piped, found?.records, found?.chart],
  );
  const legend = useMemo(() => legendOf(chart?.bars ?? []), [chart]);
  const first = chart?.bars[0],
    last = chart?.bars.at(-1);
  const shown: Span | null = chart && first && last ? [first.at, last.at + chart.widthMs] : null;
  const loaded: Span | null =
    !piped && records.length ? [Date.parse(timeOf(records.at(-1)!)), Date.parse(timeOf(records[0]!))] : null;

  // Moves both ends of the time range by parts of its length.
  const move = (begin: number, end: number) => {
    if (!shown) return;
    const length = shown[1] - shown[0];
    setRange(iso(shown[0] + begin * length), iso(shown[1] + end * length));
  };

  return {
    place,
    go,
    typed,
    setTyped,
    ...search,
    records,
    piped,
    streams,
    help,
    setHelp,
    said,
    run,
    repeat,
    setRange,
    move,
    acts,
    chart,
    legend,
    shown,
    loaded,
    ...unfolded,
    ...useTheme(),
    local: zone === "local",
    toggleZone: () => setZone(zone === "local" ? "utc" : "local"),
    side: side === "open",
    toggleSide: () => setSide(side === "open" ? "closed" : "open"),
    toggleLive: () => go({ live: !place.live, to: "", patterns: "" }, "replace"),
    asPatterns: !piped && place.patterns !== "",
    showPatterns: (field: string) =>
      go({ q: split(place.q)[0], patterns: field, fresh: place.fresh && !!field, live: false, open: "" }),
    copyView: () =>
      copy(
        shown && (place.from || place.to) ? { from: iso(shown[0]), to: iso(shown[1]) } : {},
        "Link copied",
      ),
    withPipes: (pipes: string) => go({ q: `${split(place.q)[0] || "*"} ${pipes}`.trim(), open: "" }),
    cols: useMemo(() => shownColumns(place.cols, records), [place.cols, records]),
    marks: useMemo(() => wanted(found?.q ?? ""), [found?.q]),
    fields: useMemo(
      () => withUsualFirst(found?.fields, streams, place.stream),
      [found?.fields, streams, place.stream],
    ),
    valuesOf: (field: string, signal?: AbortSignal) => values(paramsOf(place), field, 10, signal),
  };
}

// The same functions for ever, that do what the newest ones do: what gets them is not drawn anew at every key.
function useSteady<T extends { [K in keyof T]: (...args: never[]) => void }>(now: T): T {
  const latest = useRef(now);
  latest.current = now;
  return useMemo(
    () =>
      Object.fromEntries(
        Object.keys(now).map(k => [k, (...args: never[]) => latest.current[k as keyof T](...args)]),
      ) as T,
    [],
  );
}

function useStreams(again: number): Stream[] {
  const [list, setList] = useState<Stream[]>([]);
  useEffect(() => {
    loadStreams().then(setList, () => {}); /* the search says what is wrong */
  }, [again]);
  return list;
}

function useTheme() {
  const [theme, setTheme] = useKept<"" | "dark" | "light">("theme", "");
  useLayoutEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }, [theme]);
  const isDark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return { theme, isDark, toggleTheme: () => setTheme(isDark ? "light" : "dark") };
}

// The record that the keys act on, and which records are unfolded: by hand, or the one of the address.
function useUnfolded(place: Place, go: Go, found: Found | null) {
  const [current, setCurrent] = useState(-1);
  const [byHand, setByHand] = useState<Record<string, boolean>>({});
  useLayoutEffect(() => {
    setCurrent(-1);
    setByHand({});
  }, [found?.version]);
  const isOpen = (id: string) => byHand[id] ?? place.open === id;
  const toggle = (record: Obj, i: number) => {
    const id = idOf(record),
      open = !isOpen(id);
    setCurrent(i);
    setByHand({ ...byHand, [id]: open });
    go({ open: open ? id : "" }, "replace");
  };
  return { current, setCurrent, isOpen, toggle, folds: byHand };
}

// Copies a link to this place, changed; where that is not allowed, goes there.
function useCopy(place: Place) {
  const [said, setSaid] = useState("");
  const copy = (change: Partial<Place>, told: string) => {
    const url = location.origin + location.pathname + "#" + writePlace({ ...place, live: false, ...change });
    const tell = () => {
      setSaid(told);
      setTimeout(() => setSaid(""), 2500);
    };
    (navigator.clipboard?.writeText(url) ?? Promise.reject()).then(tell, () => {
      location.href = url;
    });
  };
  return { said, copy };
}

function placeOf(r: Obj): Partial<Place> {
  const ms = Date.parse(timeOf(r)),
    id = idOf(r);
  return {
    q: `_id:="${id}"`,
    stream: "",
    from: iso(ms - 1),
    to: iso(ms + 1),
    patterns: "",
    open: id,
    context: "",
  };
}

// A new column goes before the message, which takes what is left of the width.
function toggleColumn(cols: string[], field: string): string[] {
  if (cols.includes(field)) return cols.filter(c => c !== field);
  const at = cols.indexOf("message");
  return at < 0 ? [...cols, field] : [...cols.slice(0, at), field, ...cols.slice(at)];
}

// Of the usual columns those that these records have; what a person chose is shown in any case.
function shownColumns(cols: string[], records: Obj[]): string[] {
  if (cols.join() !== COLUMNS.join() || !records.length) return cols;
  return cols.filter(c => records.some(r => r.get(c) !== undefined));
}

const USUAL = ["_stream", "level", "severity", "service", "host", "message", "msg"];

// The fields, those first that people look for first, and the stream where there are several.
function withUsualFirst(list: FieldList | null | undefined, streams: Stream[], stream: string): FieldList {
  if (!list) return { total: 0, distinct: 0, fields: [] };
  const several = !stream && streams.length > 1 && list.total > 0;
  const all = several
    ? [{ name: "_stream", kind: "string", count: list.total }, ...list.fields]
    : list.fields;
  const rank = (name: string) => USUAL.indexOf(name) + 1 || USUAL.length + 1;
  return { ...list, fields: [...all].sort((a, b) => rank(a.name) - rank(b.name)) };
}
