// The records around one, in the order of their source.
import { useEffect, useState } from "preact/hooks";
import { context, type Around } from "./api";
import { lookup, show, type Obj, type Value } from "./json";
import { Button, Sheet } from "./parts";
import { idOf, Row, template, type Acts } from "./rows";

// What usually names a request on its way through several sources.
const TRACES = ["trace_id", "traceId", "trace.id", "request_id", "requestId", "correlation_id"];

interface Props {
  id: string;
  cols: string[];
  local: boolean;
  acts: Acts;
  onClose: () => void;
}

export function Context({ id, cols, local, acts, onClose }: Props) {
  const [n, setN] = useState<[before: number, after: number]>([10, 10]);
  const [same, setSame] = useState<string[] | null>(null); // null: what the server takes for the source
  const [choices, setChoices] = useState<[string, Value][]>([]);
  const [found, setFound] = useState<Around | string | null>(null);
  const [open, setOpen] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    context(id, n[0], n[1], same, stop.signal).then(
      r => {
        setFound(r);
        if (!same) setChoices(r.same.filter(([name, v]) => name !== "_stream" && v !== null));
      },
      e => {
        if (!stop.signal.aborted) setFound((e as Error).message);
      },
    );
    return () => stop.abort();
  }, [id, n, same]);
  const around = found !== null && typeof found !== "string" ? found : null;
  const records = around ? [...around.before, around.record, ...around.after] : [];
  const traces: [string, Value][] = around
    ? TRACES.map((name): [string, Value | undefined] => [name, lookup(around.record, name)]).filter(
        (t): t is [string, Value] => !!show(t[1]),
      )
    : [];
  const chosen = same ?? choices.map(([name]) => name);
  const here: Acts = {
    ...acts,
    onToggle: r => setOpen(open === idOf(r) ? "" : idOf(r)),
    onTerm: t => {
      acts.onTerm(t);
      onClose();
    },
  };
  const line = (r: Obj, i: number) => (
    <Row
      key={idOf(r)}
      record={r}
      index={i}
      cols={cols}
      local={local}
      marks={null}
      isFresh={false}
      isOpen={open === idOf(r)}
      isCurrent={false}
      anchor={idOf(r) === id}
      acts={here}
    />
  );
  return (
    <Sheet title="Context" class="context" onClose={onClose}>
      <div class="context-acts">
        <span class="dim">
          {around && `${show(around.same.find(([name]) => name === "_stream")?.[1])}, `}oldest first.
          {choices.length + traces.length > 0 && " Only the same"}
        </span>
        {[...choices, ...traces].map(([name, v]) => (
          <Button
            key={name}
            label={`Only records of the same ${name}`}
            on={chosen.includes(name)}
            onClick={() =>
              setSame(chosen.includes(name) ? chosen.filter(s => s !== name) : [...chosen, name])
            }
          >
            {name}: {show(v)}
          </Button>
        ))}
      </div>
      {found === null && <p class="dim note">looking …</p>}
      {typeof found === "string" && <pre class="problem">{found}</pre>}
      {around && (
        <div class="rows" style={{ "--cols": template(cols, records) }}>
          <Button
            label="Older records"
            disabled={around.before.length < n[0]}
            onClick={() => setN([n[0] + 20, n[1]])}
          >
            {around.before.length < n[0] ? "nothing older" : "20 older"}
          </Button>
          <div role="list" aria-label="Records around">
            {records.map(line)}
          </div>
          <Button
            label="Newer records"
            disabled={around.after.length < n[1]}
            onClick={() => setN([n[0], n[1] + 20])}
          >
            {around.after.length < n[1] ? "nothing newer" : "20 newer"}
          </Button>
        </div>
      )}
    </Sheet>
  );
}
