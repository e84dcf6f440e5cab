// What pipes made, as a table.
import { useMemo, useState } from "preact/hooks";
import { Num, show, type Obj, type Value } from "./json";
import { levelOf } from "./level";
import { Icon } from "./parts";
import { groupedBy, term } from "./query";
import { columnsOf, isNumeric } from "./bars";

const order = (a: Value | undefined, b: Value | undefined) =>
  a instanceof Num && b instanceof Num
    ? a.value - b.value
    : show(a).localeCompare(show(b), "en", { numeric: true });

interface Props {
  rows: Obj[];
  q: string;
  stale: boolean;
  onDrill: (terms: string[]) => void;
}

const MOST = 2000;

export function Results({ rows, q, stale, onDrill }: Props) {
  const [sort, setSort] = useState<[string, 1 | -1] | null>(null);
  const names = useMemo(() => columnsOf(rows), [rows]);
  const sorted = useMemo(
    () => (sort ? [...rows].sort((a, b) => sort[1] * order(a.get(sort[0]), b.get(sort[0]))) : rows),
    [rows, sort],
  );
  const by = groupedBy(q).filter(n => names.includes(n));
  const numeric = names.filter(n => isNumeric(rows, n));
  const most = new Map(
    numeric.map(n => [
      n,
      Math.max(
        0,
        ...rows.map(r => {
          const v = r.get(n);
          return v instanceof Num ? v.value : 0;
        }),
      ),
    ]),
  );
  const terms = (r: Obj) => by.map(n => term(n, r.get(n) ?? null)).filter(t => t !== null);
  return (
    <div class={`results ${stale ? "stale" : ""}`}>
      <table>
        <thead>
          <tr>
            {by.length > 0 && (
              <th class="drill">
                <span class="away">Records</span>
              </th>
            )}
            {names.map(n => {
              const dir = sort?.[0] === n ? sort[1] : 0;
              return (
                <th
                  key={n}
                  class={numeric.includes(n) ? "num" : ""}
                  scope="col"
                  aria-sort={dir > 0 ? "ascending" : dir < 0 ? "descending" : "none"}
                >
                  <button
                    onClick={() =>
                      setSort(dir === 0 ? [n, numeric.includes(n) ? -1 : 1] : [n, dir > 0 ? -1 : 1])
                    }
                  >
                    {n}
                    <span aria-hidden="true">{dir > 0 ? " ↑" : dir < 0 ? " ↓" : ""}</span>
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.slice(0, MOST).map((r, i) => (
            <tr key={i}>
              {by.length > 0 && (
                <td class="drill">
                  <button
                    title="Show these records"
                    aria-label={`Show records with ${terms(r).join(" ")}`}
                    onClick={() => onDrill(terms(r))}
                  >
                    <Icon name="search" />
                  </button>
                </td>
              )}
              {names.map(n => {
                const v = r.get(n),
                  top = most.get(n);
                const share = top && v instanceof Num && v.value > 0 ? v.value / top : 0;
                return (
                  <td
                    key={n}
                    class={`${v instanceof Num ? "num" : ""} ${n === "level" ? `level ${levelOf(show(v))}` : ""}`}
                    title={show(v)}
                  >
                    {share > 0 && rows.length > 1 && (
                      <span class="bar-back" style={{ width: share * 100 + "%" }} />
                    )}
                    <span>{v === undefined ? "" : v === null ? <i class="dim">null</i> : show(v)}</span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {sorted.length > MOST && (
        <p class="dim note">
          The first {MOST.toLocaleString("en")} rows are shown; the export has all of them.
        </p>
      )}
    </div>
  );
}
