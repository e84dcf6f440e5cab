// The fields of what was found: how many of the records have each, and its most frequent values, to filter by.
import { useEffect, useMemo, useState } from "preact/hooks";
import { type Field, type FieldList, type Values as Found } from "./api";
import { show } from "./json";
import { Button, count, Icon, percent, plural, short } from "./parts";
import { escapeField, pipeField, term } from "./query";

interface Props {
  list: FieldList;
  cols: string[];
  version: unknown; // changes with what was searched
  valuesOf: (field: string, signal?: AbortSignal) => Promise<Found>;
  onTerm: (term: string) => void;
  onColumn: (field: string) => void;
  onQuery: (pipes: string) => void;
}

function Values({ field, version, valuesOf, onTerm, onQuery }: Props & { field: Field }) {
  const [found, setFound] = useState<Found | string | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    valuesOf(field.name, stop.signal).then(setFound, e => {
      if (!stop.signal.aborted) setFound((e as Error).message);
    });
    return () => stop.abort();
  }, [field.name, version]);
  if (found === null) return <p class="values dim">counting …</p>;
  if (typeof found === "string") return <pre class="values problem">{found}</pre>;
  const most = Math.max(1, ...found.values.map(v => v.count));
  return (
    <div class="values">
      {found.values.map(v => {
        const t = term(field.name, v.value);
        return (
          <div class="value" key={show(v.value)}>
            <span class="bar-back" style={{ width: (v.count / most) * 100 + "%" }} />
            <span class="value-text" title={show(v.value)}>
              {show(v.value) || <i>empty</i>}
            </span>
            <span class="value-count" title={plural(v.count, "record")}>
              {short(v.count)}
            </span>
            {t && (
              <span class="value-act">
                <Button icon="plus" label={`Only ${field.name} ${show(v.value)}`} onClick={() => onTerm(t)} />
                <Button
                  icon="minus"
                  label={`Not ${field.name} ${show(v.value)}`}
                  onClick={() => onTerm("-" + t)}
                />
              </span>
            )}
          </div>
        );
      })}
      <div class="value-links">
        <button title="All values, in a table" onClick={() => onQuery(`| top 100 ${pipeField(field.name)}`)}>
          {plural(found.distinct, "value")}
        </button>
        <button title="Only records that have it" onClick={() => onTerm(`${escapeField(field.name)}:*`)}>
          has it
        </button>
        {found.missing > 0 && (
          <button title="Only records without it" onClick={() => onTerm(`-${escapeField(field.name)}:*`)}>
            {short(found.missing)} lack it
          </button>
        )}
      </div>
    </div>
  );
}

const KINDS: Record<string, string> = {
  string: "abc",
  number: "123",
  boolean: "t/f",
  null: "nil",
  array: "[ ]",
  object: "{ }",
};

export function Fields(props: Props) {
  const {
    list: { fields, total, distinct },
    cols,
    onColumn,
  } = props;
  const [wanted, setWanted] = useState(""),
    [open, setOpen] = useState<string | null>(null);
  const listed = useMemo(
    () => fields.filter(f => f.name.toLowerCase().includes(wanted.toLowerCase())),
    [fields, wanted],
  );
  return (
    <div class="fields">
      <input
        type="search"
        id="field-filter"
        placeholder={plural(distinct, "field")}
        aria-label="Filter fields"
        value={wanted}
        onInput={e => setWanted(e.currentTarget.value)}
      />
      <ul>
        {listed.map(f => {
          const isOpen = open === f.name,
            share = total ? f.count / total : 0,
            shownAs = cols.includes(f.name);
          return (
            <li key={f.name} class={isOpen ? "open" : ""}>
              <div class="field">
                <button
                  class="field-name"
                  aria-expanded={isOpen}
                  title={`${f.name}: ${count(f.count)} of ${plural(total, "record")}`}
                  onClick={() => setOpen(isOpen ? null : f.name)}
                >
                  <span class={`kind ${f.kind}`} aria-hidden="true">
                    {KINDS[f.kind] ?? "?"}
                  </span>
                  <span class="name">{f.name}</span>
                  <span class="share">{percent(share)}</span>
                </button>
                <button
                  class={`as-column ${shownAs ? "on" : ""}`}
                  aria-pressed={shownAs}
                  title={shownAs ? "Remove column" : "Add column"}
                  aria-label={`Column ${f.name}`}
                  onClick={() => onColumn(f.name)}
                >
                  <Icon name={shownAs ? "close" : "columns"} />
                </button>
              </div>
              {isOpen && <Values {...props} field={f} />}
            </li>
          );
        })}
      </ul>
      {!listed.length && (
        <p class="dim note">
          {fields.length
            ? distinct > fields.length
              ? `None of the ${count(fields.length)} most frequent has that in its name.`
              : "No field has that in its name."
            : "No fields: nothing was found."}
        </p>
      )}
    </div>
  );
}
