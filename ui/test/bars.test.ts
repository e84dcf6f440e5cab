import assert from "node:assert/strict";
import test from "node:test";
import { legendOf, newSince, levelBars, rowBars } from "../src/bars";
import { parseObject } from "../src/json";

const rows = (...lines: string[]) => lines.map(parseObject);
const at = (minute: number) => `"_time":"2025-02-15T12:${String(minute).padStart(2, "0")}:00Z"`;

test("a row a part", () => {
  const made = rowBars(
    rows(
      `{${at(0)},"level":"INFO","count":2}`,
      `{${at(0)},"level":"ERROR","count":1}`,
      `{${at(2)},"level":"INFO","count":5}`,
    ),
    "* | stats count() by bin(2m), level",
  )!;
  assert.equal(made.widthMs, 120e3);
  assert.deepEqual(
    made.bars.map(b => b.total),
    [3, 5],
  );
  assert.deepEqual(made.bars[0]!.parts, [
    { name: "ERROR", kind: "error", count: 1 },
    { name: "INFO", kind: "info", count: 2 },
  ]);
  assert.deepEqual(
    legendOf(made.bars).map(p => [p.name, p.count]),
    [
      ["ERROR", 1],
      ["INFO", 7],
    ],
  );
});

test("a column a part; gaps are bars without height", () => {
  const chart = rows(
    `{${at(0)},"cart":1,"info":null}`,
    `{${at(1)},"cart":2,"info":3}`,
    `{${at(4)},"cart":0,"info":1}`,
  );
  const made = rowBars(chart, "* | timechart count() by service")!;
  assert.deepEqual(
    made.bars.map(b => b.total),
    [1, 5, 0, 0, 1],
  );
  assert.deepEqual(
    legendOf(made.bars).map(p => p.kind),
    ["s0", "s1"],
    "a service named like a level has no level's colour",
  );
  assert.deepEqual(
    rowBars(chart, "* | stats max(a) as cart, max(b) as info by bin(1m)")!.bars.map(b => b.total),
    [1, 2, 0, 0, 0],
  );
});

test("the largest series comes first, whichever the first bar has", () => {
  const chart = rows(
    `{${at(0)},"service":"a","count":1}`,
    `{${at(0)},"service":"d","count":4}`,
    `{${at(0)},"service":null,"count":3}`,
    `{${at(1)},"service":"b","count":9}`,
    `{${at(1)},"service":"c","count":4}`,
    `{${at(1)},"service":"a","count":1}`,
  );
  const { bars } = rowBars(chart, "* | stats count() by bin(1m), service")!;
  assert.deepEqual(
    legendOf(bars).map(p => [p.name, p.kind, p.count]),
    [
      ["b", "s0", 9],
      ["c", "s1", 4],
      ["d", "s2", 4],
      ["a", "s3", 2],
      ["null", "other", 3],
    ],
  );
  assert.deepEqual(
    bars.map(b => b.parts.map(p => p.name + p.kind)),
    [
      ["ds2", "as3", "nullother"],
      ["bs0", "cs1", "as3"],
    ],
  );
});

test("rows that are no chart", () => {
  assert.equal(rowBars(rows('{"service":"a","count":1}'), ""), null);
  assert.equal(rowBars(rows(`{${at(0)},"count":1}`), ""), null, "one time has no width");
  assert.equal(rowBars(rows(`{${at(0)},"a":"x"}`, `{${at(1)},"a":"y"}`), ""), null);
  assert.equal(
    rowBars(rows('{"_time":"1970-01-01T00:00:00Z","n":1}', `{${at(0)},"n":1}`, `{${at(1)},"n":1}`), ""),
    null,
  );
  assert.equal(rowBars([], ""), null);
});

test("bars of records, before and after their levels are known", () => {
  const bucket = { at: 0, count: 3, byLevel: new Map<string, number>() };
  assert.deepEqual(levelBars({ widthMs: 1, buckets: [bucket] }).bars[0]!.parts, [
    { name: "", kind: "info", count: 3 },
  ]);
  bucket.byLevel.set("null", 1).set("error", 2);
  assert.deepEqual(
    levelBars({ widthMs: 1, buckets: [bucket] }).bars[0]!.parts.map(p => p.name),
    ["error", "none"],
  );
  assert.deepEqual(levelBars(null).bars, []);
});

test("what is new came first in the last tenth of the range, as far as anything is stored", () => {
  const chart = (n: number) => ({
    widthMs: 60e3,
    buckets: Array.from({ length: n }, (_, i) => ({
      at: i * 60e3,
      count: 0,
      byLevel: new Map<string, number>(),
    })),
  });
  assert.equal(newSince(chart(10), []), "1970-01-01T00:09:00Z");
  assert.equal(newSince(chart(10), [-7, 300e3]), "1970-01-01T00:09:00Z");
  assert.equal(newSince(chart(10), [400e3, 300e3, NaN]), "1970-01-01T00:09:30Z");
  assert.equal(newSince(chart(10), [900e3]), "1970-01-01T00:10:00Z");
  assert.equal(newSince(chart(0), [300e3]), "");
});
