// The patterns found: the kinds of lines there are, the most frequent first, each a step to its records.
import { useLayoutEffect, useState } from "preact/hooks";
import { type Pattern } from "./api";
import { type Found } from "./found";
import { show } from "./json";
import { Button, count, Marked, percent, plural } from "./parts";
import { addTerm, negated } from "./query";
import { parts, stamp, zoneName } from "./time";
import { type View } from "./view";

type List = NonNullable<Found["patterns"]>;

// Leads to the patterns and back; of which field, and whether only the new ones.
export function PatternsBar({ v }: { v: View }) {
  const { asPatterns: on, place, go, showPatterns } = v;
  const names = v.fields.fields.filter(f => f.kind === "string").map(f => f.name);
  const since = v.found?.patterns?.since;
  return (
    <>
      {on && (
        <>
          <select
            class="stream"
            aria-label="Patterns of the field"
            value={place.patterns}
            onChange={e => showPatterns(e.currentTarget.value)}
          >
            {[...new Set(["message", place.patterns, ...names])].map(n => (
              <option key={n}>{n}</option>
            ))}
          </select>
          <Button
            label="Only new patterns"
            tip={since && `Only patterns first seen after ${stamp(Date.parse(since), v.local)}`}
            on={place.fresh}
            onClick={() => go({ fresh: !place.fresh })}
          >
            New
          </Button>
        </>
      )}
      <Button
        icon="patterns"
        label="Patterns (p): the kinds of lines there are"
        on={on}
        onClick={() => showPatterns(on ? "" : "message")}
      >
        <span class="wide">Patterns</span>
      </Button>
    </>
  );
}

function Text({ text, field }: { text: string | null; field: string }) {
  if (!text) return <i class="dim">{text === null ? `without ${field}` : "empty"}</i>;
  return <>{text.split("<*>").map((part, i) => [i > 0 && <var>{"<*>"}</var>, part])}</>;
}

function When({ name, time, local }: { name: string; time: string; local: boolean }) {
  const t = parts(time, local);
  return (
    <td class="time" data-name={name} title={`${time} · ${zoneName(local)}`}>
      <span class="date">{t.date.slice(5)} </span>
      {t.time}
    </td>
  );
}

function Line({ v, list, p }: { v: View; list: List; p: Pattern }) {
  const [open, setOpen] = useState(false);
  const share = p.count / list.total,
    isNew = Date.parse(p.first) >= Date.parse(list.since);
  const says = p.text ?? `records without ${list.field}`;
  return (
    <tr class={open ? "open" : ""}>
      <td class="acts">
        <Button
          icon="plus"
          label={`Only ${says}`}
          tip="The records of this pattern"
          onClick={() => v.go({ q: addTerm(v.typed, p.term), patterns: "", fresh: false })}
        />
        <Button
          icon="minus"
          label={`Not ${says}`}
          tip="All but this pattern"
          onClick={() => v.acts.onTerm(negated(p.term))}
        />
      </td>
      <td class="num">{count(p.count)}</td>
      <td class="part" title={`${percent(share)} of ${plural(list.total, "record")}`}>
        <span class="thin">
          <span style={{ width: share * 100 + "%" }} />
        </span>
        {percent(share)}
      </td>
      <td class="text">
        <button class="pattern" aria-expanded={open} onClick={() => setOpen(!open)}>
          {isNew && <span class="new">new</span>}
          <Text text={p.text} field={list.field} />
        </button>
        {open &&
          p.examples.map((e, i) => (
            <pre key={i}>
              <Marked text={show(e)} marks={v.marks} />
            </pre>
          ))}
      </td>
      <When name="first" time={p.first} local={v.local} />
      <When name="last" time={p.last} local={v.local} />
    </tr>
  );
}

export function Patterns({ v, list }: { v: View; list: List }) {
  const { patterns, distinct, since } = list;
  useLayoutEffect(() => document.querySelector("main")!.scrollTo(0, 0), [v.found!.version]);
  if (!patterns.length)
    return (
      <div class="nothing">
        <h2>No new patterns</h2>
        <p>
          Every pattern of this time range was there before {stamp(Date.parse(since), v.local)}.{" "}
          <button class="button" onClick={() => v.go({ fresh: false })}>
            All patterns
          </button>
        </p>
      </div>
    );
  return (
    <div class={`results patterns ${v.place.wrap ? "wrap" : ""} ${v.busy || v.error ? "stale" : ""}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span class="away">Filter</span>
            </th>
            <th scope="col" class="num">
              count
            </th>
            <th scope="col">share</th>
            <th scope="col">pattern</th>
            <th scope="col">first seen</th>
            <th scope="col">last seen</th>
          </tr>
        </thead>
        <tbody>
          {patterns.map(p => (
            <Line key={p.term} v={v} list={list} p={p} />
          ))}
        </tbody>
      </table>
      {distinct > patterns.length && (
        <p class="dim note">The {count(patterns.length)} most frequent are shown.</p>
      )}
      {patterns.every(p => p.text === null) && (
        <p class="dim note">No record here has the field {list.field}: choose another one above.</p>
      )}
    </div>
  );
}
