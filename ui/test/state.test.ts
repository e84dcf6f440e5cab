import assert from "node:assert/strict";
import test from "node:test";
import { levelOf } from "../src/level";
import { readPlace, START, writePlace } from "../src/state";
import { binText, duration, fromInput, iso, parts, rangeName, ticks, toInput } from "../src/time";

test("the address holds the whole view", () => {
  const place = {
    q: 'a:"b & c" | top x',
    stream: "s",
    from: "",
    to: "2025-02-15T12:00:00Z",
    cols: ["a.b", "x,y"],
    wrap: true,
    live: false,
    patterns: "log",
    fresh: true,
    open: "1-2-3",
    context: "4",
  };
  assert.deepEqual(readPlace("#" + writePlace(place)), place);
  assert.deepEqual(readPlace(""), START);
  assert.equal(writePlace(START), "");
  assert.deepEqual(readPlace("#" + writePlace({ ...START, cols: [] })).cols, []);
  assert.equal(readPlace("#from=").from, "");
  assert.equal(readPlace("#live=1").live, true);
  assert.equal(readPlace("#live=1&patterns=message").live, false);
});

test("times", () => {
  assert.deepEqual(parts("2025-02-15T12:00:00.123456789Z", false), {
    date: "2025-02-15",
    time: "12:00:00",
    rest: ".123",
  });
  assert.deepEqual(parts("2025-02-15T12:00:00Z", false).rest, ".000");
  assert.equal(parts("yesterday", false).time, "yesterday");
  assert.equal(iso(Date.UTC(2025, 1, 15, 12)), "2025-02-15T12:00:00Z");
  assert.equal(fromInput(toInput(Date.UTC(2025, 1, 15, 12, 0, 7), false), false), "2025-02-15T12:00:07Z");
  assert.equal(fromInput(toInput(1739620807000, true), true), iso(1739620807000));
  assert.equal(rangeName("-1h", "", false), "Last hour");
  assert.equal(rangeName("2025-02-15T12:00:00Z", "", false), "2025-02-15 12:00 → now");
  assert.equal(duration(90e3), "1.5 m");
  assert.equal(binText(90e3), "90s");
  assert.equal(binText(86400e3), "1d");
});

test("ticks are round and few", () => {
  const begin = Date.UTC(2025, 1, 15, 11, 3),
    end = begin + 3600e3;
  assert.deepEqual(
    ticks(begin, end, 8, false).map(t => t.label),
    ["11:10", "11:20", "11:30", "11:40", "11:50", "12:00"],
  );
  for (const span of [5, 1e3, 60e3, 86400e3, 400 * 86400e3, 40 * 365 * 86400e3])
    assert.ok(ticks(begin, begin + span, 8, false).length <= 9, String(span));
});

test("levels", () => {
  assert.deepEqual(["ERROR", "fatal", "WARNING", "Info", "trace", "", "7"].map(levelOf), [
    "error",
    "error",
    "warn",
    "info",
    "debug",
    "other",
    "other",
  ]);
});
