// Runs searches: one at a time, the newest wins, and what was there stays until the next is there.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import {
  addLevels,
  ApiError,
  fields,
  histogram,
  patterns as loadPatterns,
  query,
  search,
  streams,
  tail,
  type FieldList,
  type Histogram,
  type Params,
  type PatternList,
} from "./api";
import { newSince } from "./bars";
import { type Obj } from "./json";
import { errorColumn, hasPipes } from "./query";
import { idOf, timeOf } from "./rows";
import { type Place } from "./state";

export interface Found {
  q: string;
  piped: boolean;
  records: Obj[]; // newest first; of a query with pipes its rows
  total: number | null;
  cursor: string;
  cut: boolean;
  tookMs: number;
  warning: string;
  chart: Histogram | null;
  fields: FieldList | null; // of all records that the filter matches
  patterns: (PatternList & { field: string; since: string }) | null; // instead of records
  fresh: Set<string>; // ids that came last, while live
  version: number; // changes with every search
}

export interface Failure {
  message: string;
  column: number;
  status: number;
}

const PAGE = 200,
  MOST_RECORDS = 10000,
  MOST_ROWS = 5000,
  MOST_PATTERNS = 200,
  LIVE_MOST = 1000,
  DRAW_MS = 200,
  RECOUNT_MS = 10000,
  RETRY_MS = 2000;
const EMPTY: Found = {
  q: "",
  piped: false,
  records: [],
  total: null,
  cursor: "",
  cut: false,
  tookMs: 0,
  warning: "",
  chart: null,
  fields: null,
  patterns: null,
  fresh: new Set(),
  version: 0,
};

export function paramsOf(p: Place): Params {
  const all = { q: p.q.trim(), stream: p.stream, from: p.from, to: p.to };
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v));
}

const failure = (e: unknown): Failure => {
  const message = e instanceof Error ? e.message : String(e);
  return { message, column: errorColumn(message), status: e instanceof ApiError ? e.status : 0 };
};

export function useFound(place: Place, again: number) {
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(false),
    [slow, setSlow] = useState(false),
    [more, setMore] = useState(false);
  const stop = useRef(new AbortController()),
    version = useRef(0);
  const { q, stream, from, to, live, patterns, fresh } = place;

  useEffect(() => {
    stop.current.abort();
    setSlow(false);
    const mine = (stop.current = new AbortController()),
      signal = mine.signal,
      params = paramsOf(place);
    const base = { ...EMPTY, q, version: ++version.current };
    const alive = () => stop.current === mine;
    setBusy(true);
    const late = setTimeout(() => setSlow(true), 600);
    const put = (change: Partial<Found>) => setFound(f => (f && alive() ? { ...f, ...change } : f));
    const listFields = async () => put({ fields: await fields(params, signal) });
    const loadChart = () =>
      histogram(params, Math.min(160, Math.max(40, Math.floor(innerWidth / 9))), signal);
    const drawChart = async (h: Histogram) => {
      put({ chart: h });
      put({ chart: await addLevels(h, params, signal) });
    };
    (async () => {
      if (hasPipes(q)) {
        const r = await query(params, MOST_ROWS, signal);
        if (alive())
          setFound(f => ({
            ...base,
            piped: true,
            records: r.rows,
            cut: r.cut,
            tookMs: r.tookMs,
            warning: r.warning,
            fields: f?.fields ?? null,
          }));
        await listFields();
      } else if (patterns) {
        const [h, all] = await Promise.all([loadChart(), streams(signal).catch(() => [])]);
        const searched = all.filter(s => !stream || s.name === stream),
          since = newSince(
            h,
            searched.map(s => s.from),
          );
        const r = await loadPatterns(params, patterns, fresh ? since : "", MOST_PATTERNS, signal);
        if (alive())
          setFound(f => ({
            ...base,
            patterns: { ...r, field: patterns, since },
            total: r.total,
            tookMs: r.tookMs,
            chart: f?.chart ?? null,
            fields: f?.fields ?? null,
          }));
        await Promise.all([drawChart(h), listFields()]);
      } else {
        const r = await search({ ...params, limit: PAGE }, signal);
        if (alive()) setFound(f => ({ ...base, ...r, chart: f?.chart ?? null, fields: f?.fields ?? null }));
        await Promise.all([loadChart().then(drawChart), listFields()]);
      }
    })()
      .then(
        () => {
          if (alive()) setError(null);
        },
        e => {
          if (alive()) setError(failure(e));
        },
      )
      .finally(() => {
        clearTimeout(late);
        if (alive()) {
          setBusy(false);
          setSlow(false);
        }
      });
    return () => {
      clearTimeout(late);
      mine.abort();
    };
  }, [q, stream, from, to, patterns, fresh, again]);

  useEffect(() => {
    if (!live || patterns || hasPipes(q)) return;
    const ended = new AbortController();
    void follow(paramsOf(place), setFound, setError, ended.signal);
    return () => ended.abort();
  }, [live, patterns, q, stream, from, again]);

  const loadMore = useCallback(async () => {
    if (!found?.cursor || more || found.records.length >= MOST_RECORDS) return;
    setMore(true);
    try {
      const r = await search(
        { ...paramsOf(place), limit: PAGE, cursor: found.cursor, total: "false" },
        stop.current.signal,
      );
      setFound(f =>
        f && f.version === found.version
          ? { ...f, records: [...f.records, ...r.records], cursor: r.cursor }
          : f,
      );
    } catch (e) {
      if (!stop.current.signal.aborted) setError(failure(e));
    }
    setMore(false);
  }, [found, more, place]);

  const end = () => {
    // the server ends a query whose client has left
    stop.current.abort();
    stop.current = new AbortController();
    setBusy(false);
    setSlow(false);
    setError({ message: "Stopped.", column: 0, status: 0 });
  };
  return { found, error, busy, slow, more, loadMore, stop: end };
}

type Change = (change: (f: Found | null) => Found | null) => void;

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>(done => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()));
  });

// Adds what lands, until the signal says so: it begins with what may have landed since the search, goes on behind the
// last cursor when the connection breaks, and draws at most five times a second.
async function follow(
  params: Params,
  setFound: Change,
  setError: (e: Failure | null) => void,
  signal: AbortSignal,
) {
  const { from, to, ...filter } = params;
  let waiting: Obj[] = [],
    after = "";
  const draw = () => {
    const came = waiting;
    waiting = [];
    setFound(f => f && merge(f, came));
  };
  const drawing = setInterval(draw, DRAW_MS),
    counting = setInterval(() => void recount(params, setFound, signal), RECOUNT_MS);
  while (!signal.aborted) {
    try {
      for await (const piece of tail({ ...filter, ...(after ? { after } : { limit: PAGE }) }, signal)) {
        waiting = [...waiting, ...piece.records].slice(-LIVE_MOST);
        after = piece.cursor || after;
        setError(null);
      }
    } catch (e) {
      if (!signal.aborted) setError(failure(e));
    }
    await pause(RETRY_MS, signal);
  }
  clearInterval(drawing);
  clearInterval(counting);
}

// The chart and the fields grow with the list, less often; an error is the tail's to tell.
async function recount(params: Params, setFound: Change, signal: AbortSignal) {
  try {
    const h = await histogram(params, 100, signal);
    const [chart, list] = await Promise.all([addLevels(h, params, signal), fields(params, signal)]);
    setFound(f => f && { ...f, chart, fields: list, total: list.total });
  } catch {
    return;
  }
}

// Fractions of a second come without their last zeros: the Z would be in the way of comparing them.
const timeKey = (r: Obj) => timeOf(r).replace("Z", "");

function merge(f: Found, came: Obj[]): Found {
  const known = new Set(f.records.map(idOf)),
    fresh = came.filter(r => !known.has(idOf(r)));
  if (!fresh.length) return f;
  const records = [...fresh, ...f.records]
    .sort((a, b) => (timeKey(a) < timeKey(b) ? 1 : timeKey(a) > timeKey(b) ? -1 : 0))
    .slice(0, LIVE_MOST);
  return {
    ...f,
    records,
    cursor: records.length < LIVE_MOST ? f.cursor : "", // behind a cut the next page would leave a gap
    fresh: new Set(fresh.map(idOf)),
    total: f.total === null ? null : f.total + fresh.length,
  };
}
