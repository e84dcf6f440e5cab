// The records around one, in the order of their source.
import { useEffect, useState } from "preact/hooks";
import { context, type Around } from "./api";
import { Obj, show } from "./json";
import { Button, Sheet } from "./parts";
import { idOf, Row, template, type Acts } from "./rows";

interface Props { id: string; cols: string[]; local: boolean; acts: Acts; onClose: () => void }

export function Context({ id, cols, local, acts, onClose }: Props) {
  const [n, setN] = useState<[before: number, after: number]>([10, 10]);
  const [same, setSame] = useState<string[]>([]);
  const [found, setFound] = useState<Around | string | null>(null);
  const [open, setOpen] = useState("");
  useEffect(() => {
    const stop = new AbortController();
    context(id, n[0], n[1], same, stop.signal).then(setFound, e => { if (!stop.signal.aborted) setFound((e as Error).message); });
    return () => stop.abort();
  }, [id, n, same]);
  const around = found !== null && typeof found !== "string" ? found : null;
  const records = around ? [...around.before, around.record, ...around.after] : [];
  const choices = ["service", "host"].filter(name => around && show(around.record.get(name)));
  const here: Acts = { ...acts, onToggle: r => setOpen(open === idOf(r) ? "" : idOf(r)), onTerm: t => { acts.onTerm(t); onClose(); } };
  const line = (r: Obj, i: number) => <Row key={idOf(r)} record={r} index={i} cols={cols} local={local} marks={null} isFresh={false}
    isOpen={open === idOf(r)} isCurrent={false} anchor={idOf(r) === id} acts={here} />;
  return <Sheet title="Context" class="context" onClose={onClose}>
    <div class="context-acts">
      <span class="dim">oldest first</span>
      {choices.map(name => <Button key={name} label={`Only the same ${name}`} on={same.includes(name)}
        onClick={() => setSame(same.includes(name) ? same.filter(s => s !== name) : [...same, name])}>
        same {name}: {show(around!.record.get(name))}</Button>)}
    </div>
    {found === null && <p class="dim note">looking …</p>}
    {typeof found === "string" && <pre class="problem">{found}</pre>}
    {around && <div class="rows" style={{ "--cols": template(cols, records) }}>
      <Button label="Older records" disabled={around.before.length < n[0]} onClick={() => setN([n[0] + 20, n[1]])}>
        {around.before.length < n[0] ? "nothing older" : "20 older"}</Button>
      <div role="list" aria-label="Records around">{records.map(line)}</div>
      <Button label="Newer records" disabled={around.after.length < n[1]} onClick={() => setN([n[0], n[1] + 20])}>
        {around.after.length < n[1] ? "nothing newer" : "20 newer"}</Button>
    </div>}
  </Sheet>;
}
