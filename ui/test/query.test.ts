import assert from "node:assert/strict";
import test from "node:test";
import { Num } from "../src/json";
import {
  addTerm,
  errorColumn,
  groupedBy,
  hasPipes,
  negated,
  split,
  term,
  tokens,
  wanted,
} from "../src/query";

const kinds = (q: string) =>
  tokens(q)
    .filter(t => t.kind !== "space")
    .map(t => `${t.kind} ${t.text}`);

test("tokens are the whole query", () => {
  for (const q of [
    'level:ERROR AND a:"x | y" /a|b\\/c/ | stats count() by bin(1m), s',
    '"open',
    "a\\|b || c",
    "((",
    "a:/x",
    " ",
    "-a +b !c",
  ])
    assert.equal(
      tokens(q)
        .map(t => t.text)
        .join(""),
      q,
    );
});

test("tokens have their kinds", () => {
  assert.deepEqual(kinds("level:ERROR n:>5 OR x"), [
    "field level",
    "mark :",
    "text ERROR",
    "field n",
    "mark :>",
    "number 5",
    "word OR",
    "text x",
  ]);
  assert.deepEqual(kinds("* | top 10 a"), ["text *", "pipe |", "command top", "number 10", "text a"]);
  assert.deepEqual(kinds("message:/a b/"), ["field message", "mark :", "regex /a b/"]);
  assert.deepEqual(kinds("a/b/c"), ["text a/b/c"]);
});

test("pipes are told from what looks like them", () => {
  assert.equal(hasPipes('"a | b" AND /x|y/ AND a || b AND c\\|d'), false);
  assert.deepEqual(split(" a:1 | stats count() | sort -count "), ["a:1", "| stats count() | sort -count"]);
  assert.deepEqual(split("| stats count()"), ["", "| stats count()"]);
});

test("terms are equality, whatever the field and the value", () => {
  assert.equal(term("http.status", new Num("502")), 'http.status:="502"');
  assert.equal(term("a b:c", 'x"y\\'), 'a\\ b\\:c:="x\\"y\\\\"');
  assert.equal(term("a", true), 'a:="true"');
  assert.equal(term("a", null), "-a:*");
  assert.equal(term("a", []), null);
});

test("a term joins the filter and leaves the pipes", () => {
  assert.equal(addTerm("", 'a:="1"'), 'a:="1"');
  assert.equal(addTerm("*", '-a:="1"'), '-a:="1"');
  assert.equal(addTerm("x | stats count()", 'a:="1"'), 'x a:="1" | stats count()');
  assert.equal(addTerm("x OR y", 'a:="1"'), '(x OR y) a:="1"');
  assert.equal(addTerm('x a:="1"', 'a:="1"'), 'x a:="1"');
  assert.equal(addTerm('x a:="1" y', '-a:="1"'), 'x y -a:="1"');
  assert.equal(addTerm('-a:="1"', 'a:="1"'), 'a:="1"');
  assert.equal(
    addTerm("message:pattern(8c56) x", negated("message:pattern(8c56)")),
    "x -message:pattern(8c56)",
  );
  assert.equal(negated("-message:*"), "message:*");
});

test("what is looked for is marked, what is excluded is not", () => {
  const found = (q: string, text: string) => text.split(wanted(q) ?? /(?!)/).filter((_, i) => i % 2);
  assert.deepEqual(
    found('level:ERROR timeout -stripe "to db" message:conn*', "Timeout connecting to db at stripe ERROR"),
    ["Timeout", "conn", "to db"],
  );
  assert.equal(wanted("level:ERROR"), null);
  assert.equal(wanted("* | where x"), null);
  assert.deepEqual(found("a.b(c)", "x"), []);
  assert.deepEqual(found("message:pattern(8c56) done", "a pattern of the message is done"), ["done"]);
});

test("groups and errors", () => {
  assert.deepEqual(groupedBy("* | stats count(), p99(a) by bin(1m), service, http.status | sort -count"), [
    "service",
    "http.status",
  ]);
  assert.deepEqual(groupedBy("* | top 10 a, b"), ["a", "b"]);
  assert.deepEqual(groupedBy("a by b"), []);
  assert.equal(errorColumn("unexpected ')' at column 13\n x"), 13);
  assert.equal(errorColumn("no"), 0);
});
