// What pipes made: a table, and a chart above it where its rows have times.
import { useMemo, useState } from "preact/hooks";
import { Num, show, type Obj, type Value } from "./json";
import { levelOf } from "./level";
import { Icon } from "./parts";
import { groupedBy, term } from "./query";
import { type Bar } from "./chart";

const order = (a: Value | undefined, b: Value | undefined) =>
  a instanceof Num && b instanceof Num ? a.value - b.value : show(a).localeCompare(show(b), "en", { numeric: true });

export function columnsOf(rows: Obj[]): string[] {
  const names = new Set<string>();
  for (const r of rows) for (const [k] of r.entries) names.add(k);
  return [...names];
}

const isNumeric = (rows: Obj[], name: string) => rows.some(r => r.get(name) instanceof Num) &&
  rows.every(r => { const v = r.get(name); return v === undefined || v === null || v instanceof Num; });

// Rows of "... by bin(1m)" as bars; what is grouped besides becomes the parts of a bar.
export function barsOf(rows: Obj[]): { bars: Bar[]; widthMs: number; unit: string } | null {
  const names = columnsOf(rows), numbers = names.filter(n => isNumeric(rows, n));
  const unit = numbers[0], at = (r: Obj) => Date.parse(show(r.get("_time")));
  if (!names.includes("_time") || !unit || rows.length < 2 || names.length > 8) return null;
  const times = [...new Set(rows.map(at))].filter(t => !Number.isNaN(t)).sort((a, b) => a - b);
  const widthMs = times.length > 1 ? Math.min(...times.slice(1).map((t, i) => t - times[i]!)) : 60e3;
  const begin = times[0], n = begin === undefined ? 0 : Math.round((times.at(-1)! - begin) / widthMs) + 1;
  if (begin === undefined || n > 3000) return null;
  const others = names.filter(n => n !== "_time" && !numbers.includes(n));
  const series = new Map<string, number>();
  const bars: Bar[] = Array.from({ length: n }, (_, i) => ({ at: begin + i * widthMs, parts: [], total: 0 }));
  for (const r of rows) {
    const bar = bars[Math.round((at(r) - begin) / widthMs)], v = r.get(unit);
    if (!bar || !(v instanceof Num) || !(v.value > 0)) continue;
    const name = others.map(o => show(r.get(o))).join(" ");
    if (!series.has(name)) series.set(name, series.size);
    const level = others.includes("level") ? levelOf(show(r.get("level"))) : "other";
    bar.parts.push({ name: name || unit, kind: level !== "other" ? level : `s${series.get(name)! % 6}`, count: v.value });
    bar.total += v.value;
  }
  return { bars, widthMs, unit };
}

interface Props { rows: Obj[]; q: string; stale: boolean; onDrill: (terms: string[]) => void }

const MOST = 2000;

export function Results({ rows, q, stale, onDrill }: Props) {
  const [sort, setSort] = useState<[string, 1 | -1] | null>(null);
  const names = useMemo(() => columnsOf(rows), [rows]);
  const sorted = useMemo(() => sort ? [...rows].sort((a, b) => sort[1] * order(a.get(sort[0]), b.get(sort[0]))) : rows, [rows, sort]);
  const by = groupedBy(q).filter(n => names.includes(n));
  const numeric = names.filter(n => isNumeric(rows, n));
  const most = new Map(numeric.map(n => [n, Math.max(0, ...rows.map(r => { const v = r.get(n); return v instanceof Num ? v.value : 0; }))]));
  const terms = (r: Obj) => by.map(n => term(n, r.get(n) ?? null)).filter(t => t !== null);
  return <div class={`results ${stale ? "stale" : ""}`}>
    <table>
      <thead><tr>{by.length > 0 && <th class="drill"><span class="away">Records</span></th>}{names.map(n => {
        const dir = sort?.[0] === n ? sort[1] : 0;
        return <th key={n} class={numeric.includes(n) ? "num" : ""} scope="col" aria-sort={dir > 0 ? "ascending" : dir < 0 ? "descending" : "none"}>
          <button onClick={() => setSort(dir === 0 ? [n, numeric.includes(n) ? -1 : 1] : [n, dir > 0 ? -1 : 1])}>{n}
            <span aria-hidden="true">{dir > 0 ? " ↑" : dir < 0 ? " ↓" : ""}</span></button></th>;
      })}</tr></thead>
      <tbody>{sorted.slice(0, MOST).map((r, i) => <tr key={i}>
        {by.length > 0 && <td class="drill"><button title="Show these records" aria-label={`Show records with ${terms(r).join(" ")}`}
          onClick={() => onDrill(terms(r))}><Icon name="search" /></button></td>}
        {names.map(n => {
          const v = r.get(n), top = most.get(n);
          const share = top && v instanceof Num && v.value > 0 ? v.value / top : 0;
          return <td key={n} class={`${v instanceof Num ? "num" : ""} ${n === "level" ? `level ${levelOf(show(v))}` : ""}`} title={show(v)}>
            {share > 0 && rows.length > 1 && <span class="bar-back" style={{ width: share * 100 + "%" }} />}
            <span>{v === undefined ? "" : v === null ? <i class="dim">null</i> : show(v)}</span></td>;
        })}
      </tr>)}</tbody>
    </table>
    {sorted.length > MOST && <p class="dim note">The first {MOST.toLocaleString("en")} rows are shown; the export has all of them.</p>}
  </div>;
}
