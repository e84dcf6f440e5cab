// What was found: a line about it with what can be done, and below it records, rows, or why there are none.
import { useEffect, useMemo, useRef } from "preact/hooks";
import { exportUrl } from "./api";
import { paramsOf } from "./found";
import { Nothing } from "./help";
import { Button, count, Icon, plural, short } from "./parts";
import { addTerm, split, wordOf } from "./query";
import { Patterns, PatternsBar } from "./patterns";
import { Results } from "./results";
import { Head, idOf, Row, template } from "./rows";
import { COLUMNS } from "./state";
import { type View } from "./view";

function summary({ found, error, said, place }: View): string {
  if (said) return said;
  if (error) return found?.records.length ? "what the search before this one found" : "";
  if (!found) return "searching …";
  const took = `${found.tookMs < 10 ? found.tookMs.toFixed(1) : Math.round(found.tookMs)} ms`;
  if (found.piped) return `${found.cut ? "the first " : ""}${plural(found.records.length, "row")} · ${took}`;
  const records = plural(found.total ?? found.records.length, "record");
  if (found.patterns) {
    const { distinct } = found.patterns;
    if (place.fresh) return `${plural(distinct, "new pattern")} · ${took}`;
    return `${plural(distinct, "pattern")} · ${records} · ${took}`;
  }
  if (place.live) return `${records} · live`;
  return `${records} · ${took}`;
}

// The parts of the bars; of records they are levels, and one of them can be chosen.
function Legend({ v: { legend, piped, acts } }: { v: View }) {
  return (
    <span class="legend">
      {legend.map(p =>
        piped ? (
          <span key={p.name}>
            <i class={`dot ${p.kind}`} />
            {p.name}
          </span>
        ) : (
          <button
            key={p.name}
            title={`Only level ${p.name}`}
            onClick={() => acts.onTerm(p.name === "none" ? "-level:*" : `level:${wordOf(p.name)}`)}
          >
            <i class={`dot ${p.kind}`} />
            {p.name} <span class="dim">{short(p.count)}</span>
          </button>
        ),
      )}
    </span>
  );
}

function Toolbar({ v }: { v: View }) {
  const { place, piped, go } = v;
  const usual = place.cols.join() === COLUMNS.join();
  return (
    <div class="bar">
      <Button icon="list" label="Fields (f)" on={v.side} onClick={v.toggleSide}>
        <span class="wide">Fields</span>
      </Button>
      <span class="said" role="status">
        {summary(v)}
      </span>
      {!v.error && v.legend.length > 0 && <Legend v={v} />}
      {v.found?.warning && (
        <span class="warning">
          <Icon name="warn" /> not complete: {v.found.warning}
        </span>
      )}
      {piped && (
        <Button
          icon="list"
          label="The records that the filter matches"
          onClick={() => go({ q: split(place.q)[0], patterns: "" })}
        >
          <span class="wide">Records</span>
        </Button>
      )}
      <PatternsBar v={v} />
      {!piped && (
        <Button
          icon="wrap"
          class="wraps"
          label="Wrap lines (w)"
          on={place.wrap}
          onClick={() => go({ wrap: !place.wrap }, "replace")}
        >
          <span class="wide">Wrap</span>
        </Button>
      )}
      {!piped && !v.asPatterns && !usual && (
        <Button icon="columns" label="The usual columns" onClick={() => go({ cols: COLUMNS }, "replace")}>
          <span class="wide">Reset columns</span>
        </Button>
      )}
      <Button icon="link" label="Copy a link to this view, its time range made absolute" onClick={v.copyView}>
        <span class="wide">Link</span>
      </Button>
      <a
        class="button"
        download="weir.ndjson"
        title="Download all that match, as NDJSON"
        href={exportUrl(paramsOf(place))}
      >
        <Icon name="save" />
        <span class="wide">Export</span>
      </a>
    </div>
  );
}

const MOST = 10000;

// The end of the list: coming into sight loads the next page.
function More({ v: { found, records, more, loadMore } }: { v: View }) {
  const ref = useRef<HTMLDivElement>(null),
    n = records.length,
    total = found!.total;
  useEffect(() => {
    const watch = new IntersectionObserver(
      ([e]) => {
        if (e!.isIntersecting) void loadMore();
      },
      { rootMargin: "600px" },
    );
    watch.observe(ref.current!);
    return () => watch.disconnect();
  }, [loadMore]);
  const at = total === null ? count(n) : `${count(n)} of ${count(total)}`;
  const whole = total === null || n >= total;
  let end: string | null = null;
  if (!found!.cursor) end = !whole ? `${at} are shown.` : n > 20 ? `All ${count(n)} are shown.` : "";
  else if (n >= MOST) end = `${at} are shown: narrow the search or the time range, or export all of them.`;
  return (
    <div class="more" ref={ref}>
      {end !== null ? (
        <span class="dim">{end}</span>
      ) : (
        <Button label="More" disabled={more} onClick={loadMore}>
          {more ? "loading …" : `More (${at} shown)`}
        </Button>
      )}
    </div>
  );
}

function Records({ v }: { v: View }) {
  const { records, cols, local, marks, current, acts, found, place } = v;
  const lines = useMemo(
    () =>
      records.map((r, i) => (
        <Row
          key={idOf(r)}
          record={r}
          index={i}
          cols={cols}
          local={local}
          marks={marks}
          isOpen={v.isOpen(idOf(r))}
          isCurrent={i === Math.max(0, current)}
          isFresh={found!.fresh.has(idOf(r))}
          acts={acts}
        />
      )),
    [records, cols, local, marks, v.folds, place.open, current],
  );
  return (
    <div
      class={`rows ${place.wrap ? "wrap" : ""} ${v.busy || v.error ? "stale" : ""}`}
      style={{ "--cols": template(cols, records) }}
    >
      <Head cols={cols} local={local} onCols={to => v.go({ cols: to }, "replace")} />
      <div role="list" aria-label="Records">
        {lines}
      </div>
      <More v={v} />
    </div>
  );
}

function Body({ v }: { v: View }) {
  const { found, error, busy, records } = v;
  if (!found)
    return error ? null : (
      <div class="loading" aria-hidden="true">
        {Array.from({ length: 12 }, () => (
          <div />
        ))}
      </div>
    );
  if (found.patterns?.total) return <Patterns v={v} list={found.patterns} />;
  if (records.length && !found.piped) return <Records v={v} />;
  if (records.length)
    return (
      <Results
        stale={!!error || busy}
        rows={records}
        q={found.q}
        onDrill={terms => v.go({ q: terms.reduce(addTerm, split(found.q)[0]), patterns: "" })}
      />
    );
  if (busy || error) return null;
  if (found.piped)
    return (
      <div class="nothing">
        <h2>No rows</h2>
      </div>
    );
  return <Nothing narrowed={!!v.place.q} onExample={q => v.run(q)} onWiden={() => v.setRange("", "")} />;
}

export function Listing({ v }: { v: View }) {
  return (
    <main tabIndex={-1} id="results">
      <Toolbar v={v} />
      <Body v={v} />
    </main>
  );
}
