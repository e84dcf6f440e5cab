import { Button } from "./parts";
import { SearchBar } from "./searchbar";
import { TimePicker } from "./timepicker";
import { type View } from "./view";

function Streams({ v: { place, streams, go } }: { v: View }) {
  const known = streams.some(s => s.name === place.stream);
  return (
    <select
      aria-label="Stream"
      class="stream"
      value={place.stream}
      onChange={e => go({ stream: e.currentTarget.value })}
    >
      <option value="">all streams</option>
      {place.stream && !known && <option>{place.stream}</option>}
      {streams.map(s => (
        <option value={s.name} key={s.name}>
          {s.name}
        </option>
      ))}
    </select>
  );
}

export function Top({ v }: { v: View }) {
  const { place, error, typed } = v;
  return (
    <header class="top">
      <h1 title="Weir">
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M1 4h14M1 8h14M1 12h8" />
        </svg>
        <span>Weir</span>
      </h1>
      <Streams v={v} />
      <SearchBar
        value={typed}
        busy={v.busy}
        errorAt={error && typed === place.q ? error.column : 0}
        fields={v.fields.fields.map(f => f.name)}
        valuesOf={v.valuesOf}
        onChange={v.setTyped}
        onRun={() => v.run()}
      />
      <TimePicker
        from={place.from}
        to={place.to}
        local={v.local}
        movable={!!v.shown}
        onRange={v.setRange}
        onMove={v.move}
        onZone={v.toggleZone}
      />
      <Button
        class="go"
        label={v.slow ? "Stop the search" : "Search (Enter)"}
        onClick={() => (v.slow ? v.stop() : v.run())}
      >
        {v.slow ? "Stop" : "Search"}
      </Button>
      <Button
        icon={place.live ? "pause" : "play"}
        on={place.live}
        class="live"
        disabled={v.piped}
        onClick={v.toggleLive}
        label={place.live ? "Pause (l)" : "Live: show records as they arrive (l)"}
      >
        <span class="live-text">Live</span>
      </Button>
      <span class="top-end">
        <Button
          icon={v.theme === "" ? "auto" : v.isDark ? "moon" : "sun"}
          label="Dark or light (d)"
          onClick={v.toggleTheme}
        />
        <Button icon="help" label="Help (?)" onClick={() => v.setHelp(true)} />
      </span>
    </header>
  );
}
