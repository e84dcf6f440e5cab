// Bars of the chart: counts by level of the records found, or what a query with pipes made of times.
import { type Histogram } from "./api";
import { Num, show, type Obj } from "./json";
import { gravity, levelOf, LEVELS } from "./level";
import { iso } from "./time";

export interface Part {
  name: string;
  kind: string; // its colour: a level, or s0 to s5
  count: number;
}
export interface Bar {
  at: number;
  parts: Part[];
  total: number;
}
export interface Bars {
  bars: Bar[];
  widthMs: number;
  unit: string;
}

export function levelBars(h: Histogram | null): Bars {
  const bars = (h?.buckets ?? []).map(b => ({
    at: b.at,
    total: b.count,
    parts: levelParts(b.byLevel, b.count),
  }));
  return { bars, widthMs: h?.widthMs ?? 0, unit: "record" };
}

function levelParts(counts: Map<string, number>, total: number): Part[] {
  if (!counts.size) return [{ name: "", kind: "info", count: total }]; // levels are not there yet
  return [...counts]
    .map(([name, count]) => ({ name: name === "null" ? "none" : name, kind: levelOf(name), count }))
    .sort((a, b) => gravity(a.kind) - gravity(b.kind));
}

export function columnsOf(rows: Obj[]): string[] {
  return [...new Set(rows.flatMap(r => r.entries.map(([name]) => name)))];
}

export function isNumeric(rows: Obj[], name: string): boolean {
  const values = rows.map(r => r.get(name) ?? null);
  return values.some(v => v instanceof Num) && values.every(v => v === null || v instanceof Num);
}

// Where the last tenth of the range begins, or "": what comes first behind it is new. The range counts from where the
// records begin that are stored, whatever the query: before them nothing could have been seen.
export function newSince({ buckets, widthMs }: Histogram, stored: number[]): string {
  const first = buckets[0]?.at,
    last = buckets.at(-1)?.at;
  if (first === undefined || last === undefined) return "";
  const known = stored.filter(t => !Number.isNaN(t)),
    end = last + widthMs,
    begin = Math.min(end, Math.max(first, known.length ? Math.min(...known) : first));
  return iso(end - (end - begin) / 10);
}

const MOST_BARS = 3000;

// Rows with times as bars, or null. The parts of a bar are what the rows are grouped by besides (a row a part, as of "stats
// count() by bin(1m), level") or their columns (as of "timechart"); of several other functions the first is drawn.
export function rowBars(rows: Obj[], q: string): Bars | null {
  const names = columnsOf(rows).filter(n => n !== "_time");
  const numbers = names.filter(n => isNumeric(rows, n)),
    others = names.filter(n => !numbers.includes(n));
  const at = (r: Obj) => Date.parse(show(r.get("_time")));
  const times = [...new Set(rows.map(at))].filter(t => !Number.isNaN(t)).sort((a, b) => a - b);
  const begin = times[0],
    end = times.at(-1),
    unit = numbers[0];
  if (begin === undefined || end === undefined || begin === end || !unit || others.length > 4) return null;
  const widthMs = Math.min(...times.slice(1).map((t, i) => t - times[i]!)),
    n = Math.round((end - begin) / widthMs) + 1;
  if (n > MOST_BARS) return null;
  const drawn = !others.length && /\|\s*timechart\b/.test(q) ? numbers : [unit];
  const bars: Bar[] = Array.from({ length: n }, (_, i) => ({ at: begin + i * widthMs, parts: [], total: 0 }));
  const levels = /\bby\b[^|]*\blevel\b/.test(q);
  for (const r of rows)
    for (const number of drawn) {
      const bar = bars[Math.round((at(r) - begin) / widthMs)],
        v = r.get(number);
      if (!bar || !(v instanceof Num) || !(v.value > 0)) continue;
      const name = others.map(o => show(r.get(o))).join(" ") || number;
      bar.parts.push({ name, kind: levels ? levelOf(name) : "other", count: v.value });
      bar.total += v.value;
    }
  arrange(bars);
  return { bars, widthMs, unit: drawn.length > 1 ? "in all" : unit };
}

// Every bar has its parts in the order of the legend. Levels have their colours, others one each as long as there are.
function arrange(bars: Bar[]) {
  const all = sum(bars);
  const place = new Map(all.map(({ name }, i) => [name, i]));
  const coloured = all.filter(p => p.kind === "other" && p.name !== "null");
  const colour = new Map(coloured.map(({ name }, i) => [name, `s${i % 6}`]));
  for (const bar of bars)
    bar.parts = bar.parts
      .map(p => ({ ...p, kind: colour.get(p.name) ?? p.kind }))
      .sort((a, b) => place.get(a.name)! - place.get(b.name)!);
}

// The parts of all bars together: levels by gravity, then others by what they are in all, the largest first, and what has
// no name last.
function sum(bars: Bar[]): Part[] {
  const all = new Map<string, Part>();
  for (const p of bars.flatMap(b => b.parts))
    if (p.name) all.set(p.name, { ...p, count: (all.get(p.name)?.count ?? 0) + p.count });
  const rank = (p: Part) => (p.name === "null" ? LEVELS.length : Math.min(gravity(p.kind), gravity("other")));
  return [...all.values()].sort(
    (a, b) => rank(a) - rank(b) || b.count - a.count || (a.name < b.name ? -1 : 1),
  );
}

// At most eight of them.
export const legendOf = (bars: Bar[]): Part[] => sum(bars).slice(0, 8);
