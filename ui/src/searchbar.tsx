// The query: a text with colours behind it, completion of fields, values and pipes, and a mark where the server found an
// error. Enter runs it, Shift+Enter makes a line, Tab or Enter takes a suggestion, Escape closes them.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { show } from "./json";
import { escapeField, tokens, wordOf, type Token } from "./query";
import { type Values } from "./api";

export interface Suggestion {
  text: string;
  note: string;
  insert: string;
}

const PIPES: [name: string, note: string, insert: string][] = [
  ["stats", "aggregate", "stats count() by "],
  ["top", "most frequent values", "top 10 "],
  ["where", "keep rows", "where "],
  ["sort", "order rows", "sort -count"],
  ["limit", "first rows", "limit 100"],
  ["fields", "only these fields", "fields "],
  ["rare", "least frequent values", "rare 10 "],
  ["timechart", "over time", "timechart count() by "],
  ["dedup", "first of each value", "dedup "],
  ["extract", "fields out of a text", "extract "],
  ["unnest", "a row an element", "unnest "],
];

interface Props {
  value: string;
  busy: boolean;
  errorAt: number; // column from 1, or 0
  fields: string[];
  valuesOf: (field: string) => Promise<Values>;
  onChange: (q: string) => void;
  onRun: () => void;
}

// What stands before the cursor: a field's beginning, a value behind "field:", a pipe's name.
function wordAt(
  q: string,
  cursor: number,
): { from: number; word: string; field: string; piped: boolean } | null {
  const list = tokens(q.slice(0, cursor)),
    last = list.at(-1),
    before = list.at(-2);
  if (!last || last.kind === "string" || last.kind === "regex") return null;
  const colon = (t?: Token) => t?.kind === "mark" && /^:=?$/.test(t.text);
  if (colon(last) && before) return { from: cursor, word: "", field: before.text, piped: false };
  if (colon(before)) return { from: last.at, word: last.text, field: list.at(-3)?.text ?? "", piped: false };
  if (last.kind === "pipe" || (last.kind === "space" && before?.kind === "pipe"))
    return { from: cursor, word: "", field: "", piped: true };
  if (last.kind === "command") return { from: last.at, word: last.text, field: "", piped: true };
  if (last.kind === "text" || last.kind === "field")
    return { from: last.at, word: last.text, field: "", piped: false };
  return null;
}

export function SearchBar({ value, busy, errorAt, fields, valuesOf, onChange, onRun }: Props) {
  const input = useRef<HTMLTextAreaElement>(null),
    back = useRef<HTMLPreElement>(null);
  const [suggestions, setSuggestions] = useState<Suggestion[]>([]);
  const [wanted, setWanted] = useState(""); // the text of the chosen one: it stays so when the list changes
  const chosen = suggestions.findIndex(x => x.text === wanted);
  const asked = useRef(0);
  const parts = useMemo(() => tokens(value), [value]);

  useLayoutEffect(() => {
    const t = input.current!;
    t.style.height = "auto";
    t.style.height = t.scrollHeight + "px";
  }, [value]);
  useEffect(() => {
    if (errorAt) input.current!.focus();
  }, [errorAt]);

  const suggest = async () => {
    const t = input.current!,
      mine = ++asked.current,
      cursor = t.selectionStart;
    const at = wordAt(t.value, cursor);
    const put = (list: Suggestion[]) => {
      if (mine !== asked.current || document.activeElement !== t) return;
      const only = list.length === 1 && list[0]!.text.toLowerCase() === at!.word.toLowerCase();
      setSuggestions(only ? [] : list.slice(0, 10));
    };
    if (!at || t.selectionEnd !== cursor) return setSuggestions([]);
    const fits = (name: string) => name.toLowerCase().includes(at.word.toLowerCase());
    // What is shown fits what is typed at once, not only when the server has answered.
    setSuggestions(shown => (at.word ? shown.filter(x => fits(x.text)) : []));
    setWanted("");
    if (at.piped)
      return put(
        PIPES.filter(p => p[0].startsWith(at.word)).map(([text, note, insert]) => ({
          text,
          note,
          insert: (at.word || /\s$|^$/.test(t.value.slice(0, at.from)) ? "" : " ") + insert,
        })),
      );
    if (at.field) {
      const found = await valuesOf(at.field.replace(/\\(.)/g, "$1")).then(
        v => v.values,
        () => [],
      );
      return put(
        found
          .map(v => ({ text: show(v.value), note: v.count.toLocaleString("en") }))
          .filter(v => v.text && fits(v.text))
          .map(v => ({ ...v, insert: wordOf(v.text) })),
      );
    }
    if (!at.word) return setSuggestions([]);
    put(
      fields
        .filter(fits)
        .sort(
          (a, b) => Number(!a.startsWith(at.word)) - Number(!b.startsWith(at.word)) || a.length - b.length,
        )
        .map(text => ({ text, note: "field", insert: escapeField(text) + ":" })),
    );
  };

  const take = (s: Suggestion) => {
    const t = input.current!,
      to = t.selectionStart;
    // The word as it is now: more of it may have been typed since this was suggested.
    const from = wordAt(t.value, to)?.from ?? to;
    onChange(t.value.slice(0, from) + s.insert + t.value.slice(to));
    asked.current++; // what is still being asked for is no longer wanted
    setSuggestions([]);
    setWanted("");
    requestAnimationFrame(() => {
      t.focus();
      t.setSelectionRange(from + s.insert.length, from + s.insert.length);
      if (s.insert.endsWith(":")) void suggest();
    });
  };

  const key = (e: KeyboardEvent) => {
    const n = suggestions.length;
    if (n && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
      setWanted(
        suggestions[
          (chosen + (e.key === "ArrowDown" ? 1 : n) + (chosen < 0 && e.key === "ArrowUp" ? 1 : 0)) % n
        ]!.text,
      );
      e.preventDefault();
    } else if (n && (e.key === "Tab" || (e.key === "Enter" && chosen >= 0)) && !e.shiftKey) {
      take(suggestions[Math.max(0, chosen)]!);
      e.preventDefault();
    } else if (e.key === "Escape" && n) {
      setSuggestions([]);
      e.stopPropagation();
    } else if (e.key === "Escape") input.current!.blur();
    else if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      asked.current++;
      setSuggestions([]);
      onRun();
    }
  };

  return (
    <div class={`searchbar ${busy ? "busy" : ""}`}>
      <div class="editor">
        <pre ref={back} aria-hidden="true">
          {parts.map(t => {
            const wrong = errorAt > t.at && errorAt <= t.at + t.text.length && t.kind !== "space";
            return <span class={`t-${t.kind} ${wrong ? "wrong" : ""}`}>{t.text}</span>;
          })}
          {errorAt > value.trimEnd().length && <span class="wrong"> </span>}
          {"\n"}
        </pre>
        <textarea
          ref={input}
          id="q"
          rows={1}
          value={value}
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-label="Query"
          aria-invalid={errorAt > 0}
          aria-describedby={errorAt ? "error" : undefined}
          aria-controls={suggestions.length ? "suggestions" : undefined}
          aria-autocomplete="list"
          aria-activedescendant={chosen >= 0 ? `suggestion-${chosen}` : undefined}
          placeholder='level:ERROR service:pay* "connection timeout" latency_ms:>500'
          onInput={e => {
            onChange(e.currentTarget.value);
            void suggest();
          }}
          onScroll={e => {
            back.current!.scrollTop = e.currentTarget.scrollTop;
          }}
          onKeyDown={key}
          onBlur={() => setTimeout(() => setSuggestions([]), 150)}
        />
      </div>
      {suggestions.length > 0 && (
        <ul class="suggestions" id="suggestions" role="listbox">
          {suggestions.map((s, i) => (
            <li
              key={s.text}
              id={`suggestion-${i}`}
              role="option"
              aria-selected={i === chosen}
              onPointerDown={e => {
                e.preventDefault();
                take(s);
              }}
            >
              <span>{s.text}</span>
              <i>{s.note}</i>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
