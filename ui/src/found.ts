// Runs searches: one at a time, the newest wins, and what was there stays until the next is there.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import {
  addLevels,
  ApiError,
  fields,
  histogram,
  query,
  search,
  type FieldList,
  type Histogram,
  type Params,
} from "./api";
import { type Obj } from "./json";
import { errorColumn, hasPipes } from "./query";
import { idOf, timeOf } from "./rows";
import { type Place } from "./state";
import { iso } from "./time";

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
  fresh: Set<string>; // ids that came last, while live
  skipped: boolean; // more came than are shown, while live
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
  LIVE_MS = 2000,
  LIVE_MOST = 1000;
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
  fresh: new Set(),
  skipped: false,
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
  const { q, stream, from, to, live } = place;

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
    const drawChart = async () => {
      const h = await histogram(params, Math.min(160, Math.max(40, Math.floor(innerWidth / 9))), signal);
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
      } else {
        const r = await search({ ...params, limit: PAGE }, signal);
        if (alive()) setFound(f => ({ ...base, ...r, chart: f?.chart ?? null, fields: f?.fields ?? null }));
        await Promise.all([drawChart(), listFields()]);
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
  }, [q, stream, from, to, again]);

  // Live: what arrived since the last look, a few seconds of it twice because the server's clock is told to the second.
  useEffect(() => {
    if (!live || hasPipes(q) || error) return;
    let timer = 0,
      looks = 0,
      since = 0;
    const ended = new AbortController();
    const look = async () => {
      const { to: _, ...params } = paramsOf(place),
        filter = params.q ? `(${params.q}) ` : "";
      if (!document.hidden)
        try {
          const r = await search(
            {
              ...params,
              from: "-15m",
              ...(since ? { q: `${filter}ingested_at:>=${iso(since)}` } : {}),
              limit: PAGE,
              total: "false",
            },
            ended.signal,
          );
          since = (r.serverMs || Date.now()) - 3000;
          setFound(f => f && merge(f, r.records, since > 0 && r.records.length === PAGE));
          if (++looks % 5 === 0) {
            const [chart, list] = await Promise.all([
              histogram(params, 100, ended.signal).then(h => addLevels(h, params, ended.signal)),
              fields(params, ended.signal),
            ]);
            setFound(
              f => f && { ...f, chart, fields: list, total: chart.buckets.reduce((n, b) => n + b.count, 0) },
            );
          }
        } catch (e) {
          if (!ended.signal.aborted) setError(failure(e));
        }
      if (!ended.signal.aborted) timer = setTimeout(look, LIVE_MS) as unknown as number;
    };
    timer = setTimeout(look, 300) as unknown as number;
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [live, q, stream, from, again, error === null]);

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

function merge(f: Found, came: Obj[], full: boolean): Found {
  const known = new Set(f.records.map(idOf)),
    fresh = came.filter(r => !known.has(idOf(r)));
  if (!fresh.length) return f.fresh.size ? { ...f, fresh: new Set() } : f;
  const records = [...fresh, ...f.records]
    .sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : timeOf(a) > timeOf(b) ? -1 : 0))
    .slice(0, LIVE_MOST);
  return {
    ...f,
    records,
    fresh: new Set(fresh.map(idOf)),
    skipped: full && fresh.length === came.length,
    total: f.total === null ? null : f.total + fresh.length,
  };
}
