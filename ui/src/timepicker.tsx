// The time range: usual ones, or from and to, each relative ("-15m", "now/d") or absolute.
import { useState } from "preact/hooks";
import { Button, Menu } from "./parts";
import { fromInput, RANGES, rangeName, toInput } from "./time";

interface Props {
  from: string;
  to: string;
  local: boolean;
  movable: boolean;
  onRange: (from: string, to: string) => void;
  onMove: (begin: number, end: number) => void; // by parts of its length
  onZone: () => void;
}

function Side(props: {
  name: string;
  value: string;
  local: boolean;
  hint: string;
  set: (t: string) => void;
}) {
  const ms = Date.parse(props.value);
  const absolute = /^\d{4}-/.test(props.value) && !Number.isNaN(ms);
  return (
    <label class="edge">
      <span>{props.name}</span>
      <input
        value={props.value}
        placeholder={props.hint}
        spellcheck={false}
        onInput={e => props.set(e.currentTarget.value)}
      />
      <input
        type="datetime-local"
        step="1"
        aria-label={`${props.name}: pick a date`}
        value={absolute ? toInput(ms, props.local) : ""}
        onChange={e => props.set(fromInput(e.currentTarget.value, props.local))}
      />
    </label>
  );
}

function Panel(props: Props & { close: () => void }) {
  const [from, setFrom] = useState(props.from),
    [to, setTo] = useState(props.to);
  const choose = (f: string, t: string) => {
    props.onRange(f.trim(), t.trim());
    props.close();
  };
  return (
    <form
      class="range-panel"
      onSubmit={e => {
        e.preventDefault();
        choose(from, to);
      }}
    >
      <div class="quick">
        {RANGES.map(([f, name]) => (
          <button
            type="button"
            class={props.from === f && !props.to ? "on" : ""}
            data-focus={props.from === f && !props.to ? "" : undefined}
            onClick={() => choose(f, "")}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="exact">
        <Side
          name="From"
          value={from}
          local={props.local}
          hint="-1h, now/d, 2025-02-15T12:00:00Z"
          set={setFrom}
        />
        <Side name="To" value={to} local={props.local} hint="now" set={setTo} />
        <button class="button go">Apply</button>
        <p class="dim">
          Relative to the server's clock: <code>-90m</code>, <code>now/d</code> (midnight). Units s, m, h, d,
          w. An empty side is open; <i>to</i> is exclusive.
        </p>
        <Button label="Show times in UTC or in the zone of this browser" onClick={props.onZone}>
          {props.local ? "Times are local. Show UTC" : "Times are UTC. Show local time"}
        </Button>
      </div>
    </form>
  );
}

export function TimePicker(props: Props) {
  const { from, to, local, movable, onMove } = props;
  return (
    <div class="range">
      <Button icon="left" label="Earlier ([)" disabled={!movable} onClick={() => onMove(-1, -1)} />
      <Menu
        icon="clock"
        label="Time range (t)"
        id="range"
        text={<span class="range-name">{rangeName(from, to, local)}</span>}
      >
        {close => <Panel {...props} close={close} />}
      </Menu>
      <Button icon="right" label="Later (])" disabled={!movable || !to} onClick={() => onMove(1, 1)} />
      <Button icon="out" label="Zoom out (z)" disabled={!movable} onClick={() => onMove(-0.5, 0.5)} />
    </div>
  );
}
