// The fields of what was found: how many of the records have each, and its most frequent values, to filter by.
import { useEffect, useMemo, useState } from "preact/hooks";
import { type Top } from "./api";
import { show } from "./json";
import { Button, count, Icon, short } from "./parts";
import { escapeField, pipeField, term } from "./query";

export interface Field { name: string; kind: string; count: number }

interface Props {
  fields: Field[];
  of: number; // records that the counts are of
  sampled: boolean;
  cols: string[];
  version: unknown; // changes with what was searched
  valuesOf: (field: string, signal?: AbortSignal) => Promise<Top[]>;
  onTerm: (term: string) => void;
  onColumn: (field: string) => void;
  onQuery: (pipes: string) => void;
}

function Values({ field, of, version, valuesOf, onTerm, onQuery }: Props & { field: Field }) {
  const [found, setFound] = useState<Top[] | string | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    valuesOf(field.name, stop.signal).then(setFound, e => { if (!stop.signal.aborted) setFound((e as Error).message); });
    return () => stop.abort();
  }, [field.name, version]);
  if (found === null) return <p class="values dim">counting …</p>;
  if (typeof found === "string") return <pre class="values problem">{found}</pre>;
  const most = Math.max(1, ...found.map(v => v.count));
  return <div class="values">
    {found.map(v => {
      const t = term(field.name, v.value);
      return <div class="value" key={show(v.value)}>
        <span class="bar-back" style={{ width: v.count / most * 100 + "%" }} />
        <span class="value-text" title={show(v.value)}>{show(v.value) || <i>empty</i>}</span>
        <span class="value-count" title={`${count(v.count)} records`}>{short(v.count)}</span>
        {t && <span class="value-act"><Button icon="plus" label={`Only ${field.name} ${show(v.value)}`} onClick={() => onTerm(t)} />
          <Button icon="minus" label={`Not ${field.name} ${show(v.value)}`} onClick={() => onTerm("-" + t)} /></span>}
      </div>;
    })}
    {!found.length && <p class="dim">no values to count{of ? "" : ": no records"}</p>}
    <div class="value-links">
      <button onClick={() => onTerm(`${escapeField(field.name)}:*`)}>has it</button>
      <button onClick={() => onTerm(`-${escapeField(field.name)}:*`)}>lacks it</button>
      <button onClick={() => onQuery(`| top 100 ${pipeField(field.name)}`)}>all values</button>
    </div>
  </div>;
}

const KINDS: Record<string, string> = { string: "abc", number: "123", boolean: "t/f", null: "nil", array: "[ ]", object: "{ }" };

export function Fields(props: Props) {
  const { fields, of, sampled, cols, onColumn } = props;
  const [wanted, setWanted] = useState(""), [open, setOpen] = useState<string | null>(null);
  const listed = useMemo(() => fields.filter(f => f.name.toLowerCase().includes(wanted.toLowerCase())), [fields, wanted]);
  return <div class="fields">
    <input type="search" id="field-filter" placeholder={`${fields.length} fields`} aria-label="Filter fields" value={wanted}
      onInput={e => setWanted(e.currentTarget.value)} />
    {sampled && of > 0 && <p class="dim note">shares of the {count(of)} newest</p>}
    <ul>{listed.map(f => {
      const isOpen = open === f.name, share = of ? f.count / of : 0, shownAs = cols.includes(f.name);
      return <li key={f.name} class={isOpen ? "open" : ""}>
        <div class="field">
          <button class="field-name" aria-expanded={isOpen} title={`${f.name}: ${count(f.count)} of ${count(of)}`}
            onClick={() => setOpen(isOpen ? null : f.name)}>
            <span class={`kind ${f.kind}`} aria-hidden="true">{KINDS[f.kind] ?? "?"}</span><span class="name">{f.name}</span>
            <span class="share">{share >= .01 ? Math.floor(share * 100) : "<1"}%</span></button>
          <button class={`as-column ${shownAs ? "on" : ""}`} aria-pressed={shownAs} title={shownAs ? "Remove column" : "Add column"}
            aria-label={`Column ${f.name}`} onClick={() => onColumn(f.name)}><Icon name={shownAs ? "close" : "columns"} /></button>
        </div>
        {isOpen && <Values {...props} field={f} />}
      </li>;
    })}</ul>
    {!listed.length && <p class="dim note">{fields.length ? "No field has that in its name." : "No fields: nothing was found."}</p>}
  </div>;
}
