// What the page must know of the query language (docs/query-language.md): its tokens, for colours and to find the
// pipes, and how a filter is written for a field and a value. Whether a query is right only the server says.
import { Num, Obj, type Value } from "./json";

export type Kind =
  "space" | "text" | "field" | "string" | "regex" | "number" | "word" | "pipe" | "command" | "mark";
export interface Token {
  kind: Kind;
  text: string;
  at: number;
}

const RULES: [Kind, RegExp][] = [
  ["space", /\s+/y],
  ["string", /"(?:[^"\\]|\\.)*"?/sy],
  ["word", /(?:AND|OR|NOT|TO)(?![^\s()[\]{}])|&&|\|\|/y],
  ["pipe", /\|/y],
  ["mark", /[()[\]{},]|:?[<>]=?|:=?|!=|=|[-+!](?=\S)/y],
  ["text", /(?:[^\s"()[\]{}:|,=<>!\\]|\\.)+/sy],
  ["text", /./sy],
];
const FILTER_PIPES = new Set(["where", "filter"]);

export function tokens(q: string): Token[] {
  const out: Token[] = [];
  let piped = false,
    command = "";
  for (let at = 0; at < q.length;) {
    let kind: Kind = "text",
      text = "";
    const before = out.findLast(t => t.kind !== "space");
    const opens = !before || /[(:|]$/.test(before.text) || out.at(-1)?.kind === "space";
    const regex = /\/(?:[^/\\\n]|\\.)+\//sy;
    regex.lastIndex = at;
    const found = q[at] === "/" && opens ? regex.exec(q) : null;
    if (found) [kind, text] = ["regex", found[0]];
    else
      for (const [k, rule] of RULES) {
        rule.lastIndex = at;
        const m = rule.exec(q);
        if (m) {
          kind = k;
          text = m[0];
          break;
        }
      }
    if (kind === "pipe") {
      piped = true;
      command = "";
    } else if (kind === "text" && piped && !command) {
      kind = "command";
      command = text;
    } else if (kind === "word" && piped && !FILTER_PIPES.has(command) && /^[A-Z]/.test(text)) kind = "text";
    else if (kind === "text" && /^-?\d+(\.\d+)?(ns|us|ms|s|m|h|d|w)?$/.test(text)) kind = "number";
    else if (kind === "text" && q[at + text.length] === ":") kind = "field";
    else if (kind === "text" && piped && !FILTER_PIPES.has(command) && (text === "by" || text === "as"))
      kind = "word";
    out.push({ kind, text, at });
    at += text.length;
  }
  return out;
}

// The filter, and the pipes behind it with their "|".
export function split(q: string): [filter: string, pipes: string] {
  const pipe = tokens(q).find(t => t.kind === "pipe");
  return pipe ? [q.slice(0, pipe.at).trim(), q.slice(pipe.at).trim()] : [q.trim(), ""];
}

export const hasPipes = (q: string) => split(q)[1] !== "";

export const escapeField = (name: string) => name.replace(/([\s+\-!(){}[\]^"~*?:\\/&|<>=,])/g, "\\$1");

// A field's name behind a pipe, where it is quoted and not escaped.
export const pipeField = (name: string) => (/^[A-Za-z_@][\w.@]*$/.test(name) ? name : JSON.stringify(name));

// A text to look for: a word as it is, all else in quotes.
export const wordOf = (text: string) =>
  /^[\p{L}\p{N}_.-]+$/u.test(text) && !/^(AND|OR|NOT|TO)$|^-/.test(text) ? text : JSON.stringify(text);

// Equality with a value. Arrays and objects have no equality to write.
export function term(field: string, value: Value): string | null {
  if (Array.isArray(value) || value instanceof Obj) return null;
  const name = escapeField(field);
  if (value === null || value === "") return value === null ? `-${name}:*` : `${name}:=""`;
  const text = value instanceof Num ? value.text : String(value);
  return `${name}:="${text.replace(/(["\\])/g, "\\$1")}"`;
}

// The opposite of a term.
export const negated = (t: string) => (t.startsWith("-") ? t.slice(1) : "-" + t);

// The query with a term more in its filter. Its opposite goes, and it is not there twice.
export function addTerm(q: string, added: string): string {
  let [filter, pipes] = split(q);
  const opposite = negated(added);
  const words = ` ${filter} `;
  if (words.includes(` ${added} `)) return q;
  if (words.includes(` ${opposite} `)) filter = words.replace(` ${opposite} `, " ").trim();
  if (tokens(filter).some(t => t.text === "OR" || t.text === "||")) filter = `(${filter})`;
  filter = filter === "*" || filter === "" ? added : `${filter} ${added}`;
  return pipes ? `${filter} ${pipes}` : filter;
}

// The texts that the filter looks for in any field or in message, to be marked in what was found.
export function wanted(q: string): RegExp | null {
  const parts: string[] = [];
  const filter = split(q)[0].replace(/\S+:pattern\([^()]*\)/g, ""); // an id is no text
  const list = tokens(filter).filter(t => t.kind !== "space");
  list.forEach((t, i) => {
    const before = list[i - 1],
      field = list[i - 2];
    if (before && (before.text === "-" || before.text === "!" || before.text === "NOT")) return;
    if (before?.kind === "mark" && /[:=<>]/.test(before.text) && field?.text !== "message") return;
    if (t.kind === "string") parts.push(t.text.replace(/^"|"$/g, "").replace(/\\(.)/g, "$1"));
    else if (t.kind === "number" || (t.kind === "text" && t.text !== "*"))
      parts.push(t.text.replace(/^[*?]+|[*?]+$/g, "").replace(/\\(.)/g, "$1"));
  });
  const texts = parts.filter(p => p.length > 1).map(p => p.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return texts.length ? new RegExp("(" + texts.join("|") + ")", "gi") : null;
}

// Fields behind "by" in the last pipe that groups: a row's values for them say which records it stands for.
export function groupedBy(q: string): string[] {
  const pipes = split(q)[1]
    .split("|")
    .map(p => p.trim());
  const last = pipes.findLast(p => /^(stats|timechart|top|rare)\b/.test(p));
  if (!last) return [];
  const list = /^(top|rare)\b/.test(last)
    ? last.replace(/^(top|rare)\s+(\d+\s+)?/, "").replace(/^by\s+/, "")
    : (/\bby\s+(.*)$/s.exec(last)?.[1] ?? "");
  return list
    .split(/,(?![^(]*\))/)
    .map(f => f.trim())
    .filter(f => f && !f.includes("("));
}

// Column of an error, from 1, or 0: "... at column 13".
export const errorColumn = (message: string) => Number(/\bat column (\d+)/.exec(message)?.[1] ?? 0);
