// What the page asks of the server. An answer that is an error is thrown as ApiError with the server's own text.
import { Num, Obj, parseObject, show, type Value } from "./json";
import { split } from "./query";
import { binText, iso } from "./time";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export type Params = Record<string, string | number>;

const form = (params: Params) => new URLSearchParams(Object.entries(params).map(([k, v]) => [k, String(v)]));

async function request(path: string, params: Params, signal?: AbortSignal): Promise<Response> {
  const body = form(params);
  let r: Response;
  try {
    // A long query does not fit an address.
    const long = body.toString().length > 4000;
    r = await fetch(long ? path : `${path}?${body}`, long ? { method: "POST", body, signal } : { signal });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError("The server cannot be reached. Is it running, and is the network up?", 0);
  }
  if (r.ok) return r;
  const text = await r.text();
  let message = text;
  try {
    message = (JSON.parse(text) as { error?: string }).error ?? text;
  } catch {
    /* not JSON: as it is */
  }
  throw new ApiError(message || `The server answered ${r.status}.`, r.status);
}

const number = (v: Value | undefined) => (v instanceof Num ? v.value : 0);
const list = (v: Value | undefined) => (Array.isArray(v) ? v.filter(x => x instanceof Obj) : []);
const text = (v: Value | undefined) => (typeof v === "string" ? v : "");

export interface Page {
  records: Obj[];
  total: number | null;
  cursor: string;
  tookMs: number;
  warning: string;
}

export async function search(params: Params, signal?: AbortSignal): Promise<Page> {
  const r = await request("/api/v1/logs/search", params, signal);
  const o = parseObject(await r.text()),
    total = o.get("total_hits");
  return {
    records: list(o.get("logs")),
    total: total instanceof Num ? total.value : null,
    cursor: text(o.get("next_cursor")),
    tookMs: number(o.get("took_ms")),
    warning: text(o.get("warning")),
  };
}

export interface Rows {
  rows: Obj[];
  cut: boolean;
  tookMs: number;
  warning: string;
}

// The lines of an answer, in pieces as they come, without empty ones.
async function* linesOf(r: Response): AsyncGenerator<string[]> {
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop()!;
      yield lines.filter(line => line);
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

// What the server says about an answer in a line of its own.
function metaOf(o: Obj): Obj | null {
  const meta = o.entries.length === 1 ? o.get("_meta") : null;
  return meta instanceof Obj ? meta : null;
}

// Rows of a query, read as they come; after `most` of them the rest is left with the server.
export async function query(params: Params, most: number, signal?: AbortSignal): Promise<Rows> {
  const out: Rows = { rows: [], cut: false, tookMs: 0, warning: "" };
  const r = await request("/api/v1/logs/query", { ...params, meta: 1 }, signal);
  try {
    for await (const lines of linesOf(r)) {
      for (const o of lines.map(parseObject)) {
        const meta = metaOf(o);
        if (meta) {
          out.tookMs = number(meta.get("took_ms"));
          out.warning = text(meta.get("warning"));
        } else if (out.rows.length < most) out.rows.push(o);
        else out.cut = true;
      }
      if (out.cut) break;
    }
  } catch (e) {
    if (signal?.aborted || e instanceof SyntaxError) throw e;
    throw new ApiError(
      "The answer broke off: the server met an error behind the first rows, or the connection was lost.",
      0,
    );
  }
  return out;
}

export interface Bucket {
  at: number;
  count: number;
  byLevel: Map<string, number>;
}
export interface Histogram {
  buckets: Bucket[];
  widthMs: number;
}

export async function histogram(params: Params, buckets: number, signal?: AbortSignal): Promise<Histogram> {
  const r = await request("/api/v1/logs/histogram", { ...params, buckets }, signal);
  const o = parseObject(await r.text());
  return {
    widthMs: number(o.get("bucket_ms")),
    buckets: list(o.get("buckets")).map(b => ({
      at: Date.parse(text(b.get("time"))),
      count: number(b.get("count")),
      byLevel: new Map(),
    })),
  };
}

const filterOf = (params: Params): Params => ({ ...params, q: split(String(params.q ?? ""))[0] });

// The same buckets told apart by level.
export async function addLevels(h: Histogram, params: Params, signal?: AbortSignal): Promise<Histogram> {
  const first = h.buckets[0];
  if (!first) return h;
  const { rows } = await query(
    {
      ...params,
      q: `${filterOf(params).q || "*"} | stats count() by bin(${binText(h.widthMs)}), level`,
      from: iso(first.at),
      to: params.to ?? iso(h.buckets.at(-1)!.at + h.widthMs),
    },
    50000,
    signal,
  );
  const buckets = new Map(h.buckets.map(b => [b.at, { ...b, byLevel: new Map<string, number>() }]));
  for (const row of rows) {
    const b = buckets.get(Date.parse(text(row.get("_time"))));
    const level = show(row.get("level") ?? null).toLowerCase(); // "Error" and "ERROR" are one
    b?.byLevel.set(level, (b.byLevel.get(level) ?? 0) + number(row.get("count")));
  }
  return { ...h, buckets: [...buckets.values()] };
}

export interface Field {
  name: string;
  kind: string;
  count: number;
}
export interface FieldList {
  total: number;
  distinct: number;
  fields: Field[];
}

// The fields of all records that the filter matches, the most frequent first.
export async function fields(params: Params, signal?: AbortSignal): Promise<FieldList> {
  const o = parseObject(await (await request("/api/v1/logs/fields", filterOf(params), signal)).text());
  return {
    total: number(o.get("total")),
    distinct: number(o.get("distinct")),
    fields: list(o.get("fields")).map(f => {
      const types = f.get("types"),
        kinds = types instanceof Obj ? types.entries.map(([k, n]) => [k, number(n)] as const) : [];
      return {
        name: text(f.get("name")),
        count: number(f.get("count")),
        kind: kinds.sort((a, b) => b[1] - a[1])[0]?.[0] ?? "",
      };
    }),
  };
}

export interface Values {
  total: number;
  missing: number;
  distinct: number;
  values: { value: Value; count: number }[];
}

export async function values(
  params: Params,
  field: string,
  limit: number,
  signal?: AbortSignal,
): Promise<Values> {
  const o = parseObject(
    await (await request("/api/v1/logs/values", { ...filterOf(params), field, limit }, signal)).text(),
  );
  return {
    total: number(o.get("total")),
    missing: number(o.get("missing")),
    distinct: number(o.get("distinct")),
    values: list(o.get("values")).map(v => ({
      value: v.get("value") ?? null,
      count: number(v.get("count")),
    })),
  };
}

export interface Pattern {
  text: string | null; // "<*>" is a variable; null: of the records without the field
  count: number;
  first: string;
  last: string;
  examples: Value[];
  term: string; // finds exactly its records
}
export interface PatternList {
  total: number;
  distinct: number;
  patterns: Pattern[];
  tookMs: number;
}

// The kinds of texts in a field, the most frequent first; with `newSince` those that were not there before.
export async function patterns(
  params: Params,
  field: string,
  newSince: string,
  limit: number,
  signal?: AbortSignal,
): Promise<PatternList> {
  const asked = { ...params, field, limit, examples: 3, ...(newSince ? { new_since: newSince } : {}) };
  const o = parseObject(await (await request("/api/v1/logs/patterns", asked, signal)).text());
  return {
    total: number(o.get("total")),
    distinct: number(o.get("distinct")),
    tookMs: number(o.get("took_ms")),
    patterns: list(o.get("patterns")).map(p => {
      const pattern = p.get("pattern"),
        examples = p.get("examples");
      return {
        text: typeof pattern === "string" ? pattern : null,
        count: number(p.get("count")),
        first: text(p.get("first_seen")),
        last: text(p.get("last_seen")),
        examples: Array.isArray(examples) ? examples : [],
        term: text(p.get("query")).replace(/^NOT /, "-"),
      };
    }),
  };
}

export interface Stream {
  name: string;
  rows: number;
  from: number; // time of the oldest record, or NaN
}

export async function streams(signal?: AbortSignal): Promise<Stream[]> {
  const o = parseObject(await (await request("/api/v1/streams", {}, signal)).text());
  return list(o.get("streams")).map(s => ({
    name: text(s.get("name")),
    rows: number(s.get("rows")),
    from: Date.parse(text(s.get("from"))),
  }));
}

export const exportUrl = (params: Params) => "/api/v1/logs/query?" + form(params);

export interface Around {
  before: Obj[];
  record: Obj;
  after: Obj[];
  same: [string, Value][];
}

// The records before and after this one, oldest first, with the same values of the fields that name its source: those
// that the server takes for it, or those of `same`.
export async function context(
  id: string,
  before: number,
  after: number,
  same: string[] | null,
  signal?: AbortSignal,
): Promise<Around> {
  const params = { id, before, after, ...(same ? { same: same.join(",") } : {}) };
  const o = parseObject(await (await request("/api/v1/logs/context", params, signal)).text());
  const it = o.get("record"),
    source = o.get("same");
  if (!(it instanceof Obj)) throw new ApiError("The answer has no record.", 0);
  return {
    before: list(o.get("before")),
    record: it,
    after: list(o.get("after")),
    same: source instanceof Obj ? source.entries : [],
  };
}

export interface Landed {
  records: Obj[];
  cursor: string;
}

// Records as they land, in pieces as they come; it ends only when the connection breaks or `signal` says so.
export async function* tail(params: Params, signal: AbortSignal): AsyncGenerator<Landed> {
  const r = await request("/api/v1/logs/tail", { ...params, meta: 1, aliases: 1 }, signal);
  for await (const lines of linesOf(r)) {
    const piece: Landed = { records: [], cursor: "" };
    for (const line of lines) {
      const o = parseObject(line),
        meta = metaOf(o);
      if (meta) piece.cursor = text(meta.get("cursor"));
      else piece.records.push(o);
    }
    yield piece;
  }
}
