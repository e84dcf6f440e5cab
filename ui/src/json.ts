// JSON as it was sent: numbers keep their text (no rounding past 2^53, 1.50 stays 1.50), members keep their order and
// are all there when a key comes twice. Answers are made by our server; what is not JSON is an error with its place.

export class Num {
  constructor(readonly text: string) {}
  get value() {
    return Number(this.text);
  }
}

export class Obj {
  constructor(readonly entries: [string, Value][]) {}
  get(key: string): Value | undefined {
    for (const [k, v] of this.entries) if (k === key) return v;
    return undefined;
  }
}

export type Value = null | boolean | string | Num | Value[] | Obj;

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\r\n]*/y;

class Parser {
  at = 0;
  constructor(readonly text: string) {}

  fail(): never {
    throw new SyntaxError(`not JSON at ${this.at}: ${this.text.slice(this.at, this.at + 20)}`);
  }

  space() {
    SPACE.lastIndex = this.at;
    SPACE.exec(this.text);
    this.at = SPACE.lastIndex;
  }

  word(text: string) {
    if (!this.text.startsWith(text, this.at)) this.fail();
    this.at += text.length;
  }

  string(): string {
    const begin = this.at;
    for (let i = begin + 1; ; i++) {
      const c = this.text.charCodeAt(i);
      if (c === 0x5c) i++;
      else if (c === 0x22) {
        this.at = i + 1;
        break;
      } else if (Number.isNaN(c)) this.fail();
    }
    return JSON.parse(this.text.slice(begin, this.at)) as string;
  }

  number(): Num {
    NUMBER.lastIndex = this.at;
    const m = NUMBER.exec(this.text);
    if (!m) this.fail();
    this.at = NUMBER.lastIndex;
    return new Num(m[0]);
  }

  // What stands between brackets, each item read by `item`.
  list(close: string, item: () => void) {
    this.at++;
    this.space();
    if (this.text[this.at] === close) {
      this.at++;
      return;
    }
    for (;;) {
      item();
      this.space();
      const c = this.text[this.at++];
      if (c === close) return;
      if (c !== ",") {
        this.at--;
        this.fail();
      }
    }
  }

  value(): Value {
    this.space();
    switch (this.text[this.at]) {
      case "{": {
        const entries: [string, Value][] = [];
        this.list("}", () => {
          this.space();
          if (this.text[this.at] !== '"') this.fail();
          const key = this.string();
          this.space();
          this.word(":");
          entries.push([key, this.value()]);
        });
        return new Obj(entries);
      }
      case "[": {
        const items: Value[] = [];
        this.list("]", () => items.push(this.value()));
        return items;
      }
      case '"':
        return this.string();
      case "t":
        this.word("true");
        return true;
      case "f":
        this.word("false");
        return false;
      case "n":
        this.word("null");
        return null;
      default:
        return this.number();
    }
  }
}

export function parse(text: string): Value {
  const p = new Parser(text);
  const v = p.value();
  p.space();
  if (p.at !== text.length) p.fail();
  return v;
}

export function parseObject(text: string): Obj {
  const v = parse(text);
  if (!(v instanceof Obj)) throw new SyntaxError("not a JSON object: " + text.slice(0, 40));
  return v;
}

// As compact JSON, or with line breaks where indent is given.
export function stringify(v: Value, indent = 0, depth = 0): string {
  const open = indent ? "\n" + " ".repeat(indent * (depth + 1)) : "";
  const close = indent ? "\n" + " ".repeat(indent * depth) : "";
  if (v instanceof Num) return v.text;
  if (Array.isArray(v))
    return v.length ? "[" + v.map(x => open + stringify(x, indent, depth + 1)).join(",") + close + "]" : "[]";
  if (v instanceof Obj)
    return v.entries.length
      ? "{" +
          v.entries
            .map(
              ([k, x]) => open + JSON.stringify(k) + (indent ? ": " : ":") + stringify(x, indent, depth + 1),
            )
            .join(",") +
          close +
          "}"
      : "{}";
  return JSON.stringify(v);
}

// What a person wants to read: texts without quotes.
export function show(v: Value | undefined): string {
  return v === undefined ? "" : typeof v === "string" ? v : stringify(v);
}

// The leaves of a record under their dotted names; arrays and empty objects are leaves.
export function leaves(o: Obj, prefix = "", out: [string, Value][] = []): [string, Value][] {
  for (const [k, v] of o.entries) {
    if (v instanceof Obj && v.entries.length) leaves(v, prefix + k + ".", out);
    else out.push([prefix + k, v]);
  }
  return out;
}

// The first leaf of this dotted name, whether its dots are nesting or part of a key.
export function lookup(o: Obj, name: string): Value | undefined {
  for (const [k, v] of o.entries) {
    if (k === name) return v;
    if (v instanceof Obj && name.startsWith(k + ".")) {
      const found = lookup(v, name.slice(k.length + 1));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
