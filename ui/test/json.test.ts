import assert from "node:assert/strict";
import test from "node:test";
import { leaves, lookup, Num, Obj, parse, parseObject, show, stringify } from "../src/json";

test("what comes out is what went in", () => {
  for (const text of [
    "null",
    "true",
    "[]",
    "{}",
    "-0.50e+3",
    "18446744073709551616123",
    '"a\\"b"',
    '[1,[2,{"a":null}]]',
    '{"b":1.50,"a":{"":""},"b":2,"10":0,"9":0}',
  ])
    assert.equal(stringify(parse(text)), text);
});

test("strings are unescaped, spaces do not matter", () => {
  assert.equal(parse(' "\\u00e9\\n\\\\" '), "é\n\\");
  assert.equal(stringify(parse(' { "a" : [ 1 , 2 ] } ')), '{"a":[1,2]}');
  assert.equal(stringify(parse('{"a":[1]}'), 2), '{\n  "a": [\n    1\n  ]\n}');
});

test("what is no JSON is refused with its place", () => {
  for (const [text, at] of [
    ["", 0],
    ["{", 1],
    ['{"a"}', 4],
    ['{"a":}', 5],
    ["[1,]", 3],
    ["01x", 2],
    ['"open', 0],
    ["tru", 0],
    ["{a:1}", 1],
    ["1 2", 2],
  ] as const)
    assert.throws(
      () => parse(text),
      (e: Error) => e instanceof SyntaxError && e.message.includes(`at ${at}`),
      text,
    );
  assert.throws(() => parseObject("[1]"), /not a JSON object/);
});

test("leaves have dotted names", () => {
  const o = parseObject('{"a":{"b":{"c":1},"d":[{"e":2}]},"f.g":"x","h":{}}');
  assert.deepEqual(
    leaves(o).map(([k, v]) => [k, show(v)]),
    [
      ["a.b.c", "1"],
      ["a.d", '[{"e":2}]'],
      ["f.g", "x"],
      ["h", "{}"],
    ],
  );
  assert.equal(show(lookup(o, "a.b.c")), "1");
  assert.equal(lookup(o, "f.g"), "x");
  assert.equal(lookup(o, "a.x"), undefined);
  assert.ok(lookup(o, "a.b") instanceof Obj && lookup(o, "a.b.c") instanceof Num);
});
