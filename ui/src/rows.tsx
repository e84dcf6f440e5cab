// The records found: a line each; unfolded, a line a field.
import { memo } from "preact/compat";
import { useState } from "preact/hooks";
import { leaves, lookup, Num, Obj, show, stringify, type Value } from "./json";
import { levelOf } from "./level";
import { Button, Marked } from "./parts";
import { term } from "./query";
import { parts, zoneName } from "./time";

export const idOf = (r: Obj) => show(r.get("_id"));
export const timeOf = (r: Obj) => show(r.get("_time"));

// Names that the server adds behind a record's own (docs/http-api.md), with what they stand for.
const ADDED = new Set(["log_id", "timestamp", "level", "service", "host", "message"]);

// The leaves of a record without those that only say again what one before them said.
export function ownLeaves(r: Obj): [string, Value][] {
  const all = leaves(r),
    at = all.findIndex(([k]) => k === "_id");
  return all.filter(
    ([k, v], i) =>
      i <= at || at < 0 || !ADDED.has(k) || !all.slice(0, i).some(([, w]) => stringify(w) === stringify(v)),
  );
}

// What of a record is not in a column already, on one line.
function Rest({ record, cols }: { record: Obj; cols: string[] }) {
  const message = record.get("message");
  const rest = ownLeaves(record).filter(
    ([k, v]) =>
      !k.startsWith("_") &&
      !cols.includes(k) &&
      k !== "log_id" &&
      k !== "timestamp" &&
      v !== message &&
      v !== record.get("_time") &&
      show(v) !== show(record.get("level")) &&
      show(v) !== show(record.get("service")),
  );
  return (
    <span class="rest">
      {rest.slice(0, 24).map(([k, v]) => (
        <span key={k}>
          <i>{k}=</i>
          {show(v).slice(0, 200)}
        </span>
      ))}
    </span>
  );
}

export interface Acts {
  onTerm: (term: string) => void;
  onColumn: (field: string) => void;
  onContext: (record: Obj) => void;
  onLink: (record: Obj) => void;
  onToggle: (record: Obj, index: number) => void;
}

function FieldLine({
  name,
  value,
  cols,
  marks,
  acts,
}: {
  name: string;
  value: Value;
  cols: string[];
  marks: RegExp | null;
  acts: Acts;
}) {
  const t = name === "log_id" ? null : term(name, value);
  const kind = value instanceof Num ? "num" : typeof value === "string" ? "str" : "other";
  const shownAs = cols.includes(name);
  return (
    <tr>
      <td class="acts">
        {t && (
          <>
            <Button icon="plus" label={`Only ${name} = this`} onClick={() => acts.onTerm(t)} />
            <Button
              icon="minus"
              label={`Not ${name} = this`}
              onClick={() => acts.onTerm(t.startsWith("-") ? t.slice(1) : "-" + t)}
            />
          </>
        )}
        <Button
          icon="columns"
          label={shownAs ? `Remove column ${name}` : `Add column ${name}`}
          on={shownAs}
          onClick={() => acts.onColumn(name)}
        />
      </td>
      <th scope="row" title={name}>
        {name}
      </th>
      <td class={`v ${kind}`}>
        <Marked text={show(value)} marks={marks} />
      </td>
    </tr>
  );
}

export function Details({
  record,
  cols,
  marks,
  acts,
}: {
  record: Obj;
  cols: string[];
  marks: RegExp | null;
  acts: Acts;
}) {
  const [raw, setRaw] = useState(false),
    [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(stringify(record, 2));
      setSaid("copied");
    } catch {
      setRaw(true);
      setSaid("select and copy");
    }
    setTimeout(() => setSaid(""), 1500);
  };
  return (
    <div class="details">
      <div class="details-acts">
        <Button icon="context" label="Records around this one (c)" onClick={() => acts.onContext(record)}>
          Context
        </Button>
        <Button icon="link" label="Link to this record (y)" onClick={() => acts.onLink(record)}>
          Link
        </Button>
        <Button icon="copy" label="Copy as JSON" onClick={copy}>
          {said || "Copy"}
        </Button>
        <Button icon="list" label="As JSON" on={raw} onClick={() => setRaw(!raw)}>
          JSON
        </Button>
      </div>
      {raw ? (
        <pre class="raw">{stringify(record, 2)}</pre>
      ) : (
        <table>
          <tbody>
            {ownLeaves(record).map(([k, v], i) => (
              <FieldLine key={k + i} name={k} value={v} cols={cols} marks={marks} acts={acts} />
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

interface RowProps {
  record: Obj;
  index: number;
  cols: string[];
  local: boolean;
  marks: RegExp | null;
  isOpen: boolean;
  isCurrent: boolean;
  isFresh: boolean;
  anchor?: boolean;
  acts: Acts;
}

export const Row = memo(function Row(p: RowProps) {
  const { record, cols } = p,
    time = timeOf(record),
    t = parts(time, p.local),
    level = levelOf(show(record.get("level")));
  const message = record.get("message");
  const cell = (name: string) => {
    const v = lookup(record, name);
    if (name === "message")
      return (
        <span class="c message" key={name}>
          {message !== undefined && (
            <span class="m">
              <Marked text={show(message).trimEnd()} marks={p.marks} />
            </span>
          )}
          <Rest record={record} cols={cols} />
        </span>
      );
    return (
      <span
        class={`c ${name === "level" ? `level ${level}` : v instanceof Num ? "num" : ""}`}
        key={name}
        title={show(v)}
      >
        {name === "level" ? show(v) : <Marked text={show(v)} marks={p.marks} />}
      </span>
    );
  };
  return (
    <div
      class={`record ${level} ${p.isOpen ? "open" : ""} ${p.isCurrent ? "current" : ""} ${p.isFresh ? "fresh" : ""} ${p.anchor ? "anchor" : ""}`}
      role="listitem"
      data-id={idOf(record)}
    >
      <div
        class="line"
        role="button"
        tabIndex={p.isCurrent ? 0 : -1}
        aria-expanded={p.isOpen}
        onClick={e => {
          if ((e.target as Element).closest("a,button") || String(getSelection())) return;
          p.acts.onToggle(record, p.index);
        }}
      >
        <span class="c time" title={`${time} · ${zoneName(p.local)}`}>
          <span class="date">{t.date.slice(5)} </span>
          {t.time}
          <span class="ms">{t.rest}</span>
        </span>
        {cols.map(cell)}
        {!cols.includes("message") && (
          <span class="c message">
            <Rest record={record} cols={cols} />
          </span>
        )}
      </div>
      {p.isOpen && <Details record={record} cols={cols} marks={p.marks} acts={p.acts} />}
    </div>
  );
});

interface HeadProps {
  cols: string[];
  local: boolean;
  onCols: (cols: string[]) => void;
}

export function Head({ cols, local, onCols }: HeadProps) {
  const move = (i: number, by: number) => {
    const next = [...cols],
      [c] = next.splice(i, 1);
    next.splice(i + by, 0, c!);
    onCols(next);
  };
  return (
    <div class="line head">
      <span class="c time">
        time <span class="dim">{zoneName(local)}</span>
      </span>
      {cols.map((c, i) => (
        <span class={`c ${c === "message" ? "message" : ""}`} key={c}>
          <span class="head-name" title={c}>
            {c}
          </span>
          <span class="head-acts">
            {i > 0 && <Button icon="left" label={`Move ${c} left`} onClick={() => move(i, -1)} />}
            {i < cols.length - 1 && (
              <Button icon="right" label={`Move ${c} right`} onClick={() => move(i, 1)} />
            )}
            <Button
              icon="close"
              label={`Remove column ${c}`}
              onClick={() => onCols(cols.filter(x => x !== c))}
            />
          </span>
        </span>
      ))}
      {!cols.includes("message") && (
        <span class="c message">
          <span class="head-name">fields</span>
        </span>
      )}
    </div>
  );
}

// The widths of the columns: what is known to be short is short, the message takes the rest.
export function template(cols: string[], records: Obj[]): string {
  const width = (name: string) => {
    if (name === "message") return "minmax(16rem, 1fr)";
    let most = name.length + 2;
    for (const r of records.slice(0, 200)) most = Math.max(most, show(lookup(r, name)).length);
    return Math.min(name === "level" ? 8 : 26, Math.max(5, most)) + "ch";
  };
  return ["var(--time)", ...cols.map(width), ...(cols.includes("message") ? [] : ["minmax(8rem, 1fr)"])].join(
    " ",
  );
}
