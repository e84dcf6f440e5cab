// The page: what is searched stands in the address (state.ts), what is found comes from found.ts, view.ts joins them.
import { Chart } from "./chart";
import { Context } from "./context";
import { Fields } from "./fields";
import { Help } from "./help";
import { useKeys } from "./keys";
import { Listing } from "./listing";
import { Button, Icon } from "./parts";
import { Top } from "./top";
import { useView, type View } from "./view";

function Failure({ v: { error, repeat } }: { v: View }) {
  const [what, hint] = error!.message.split("\nhint: "); // what points at a place must not be wrapped
  return (
    <section class="failure" id="error" role="alert">
      <Icon name="warn" />
      <div>
        <pre>{what}</pre>
        {hint && <p>hint: {hint}</p>}
      </div>
      {error!.status !== 400 && (
        <Button label="Try again" onClick={repeat}>
          Try again
        </Button>
      )}
    </section>
  );
}

function OverTime({ v: { chart, error, local, loaded, setRange } }: { v: View }) {
  return (
    <section class={`over-time ${error ? "stale" : ""}`} aria-label="Over time">
      <Chart {...chart!} local={local} loaded={loaded} onZoom={setRange} />
    </section>
  );
}

function Side({ v }: { v: View }) {
  return (
    <aside class="side" hidden={!v.side} aria-label="Fields">
      <Button icon="close" label="Close the fields" class="side-close" onClick={v.toggleSide} />
      <Fields
        list={v.fields}
        cols={v.place.cols}
        version={v.found?.version}
        valuesOf={v.valuesOf}
        onTerm={v.acts.onTerm}
        onColumn={v.acts.onColumn}
        onQuery={v.withPipes}
      />
    </aside>
  );
}

export function App() {
  const v = useView();
  useKeys(v);
  return (
    <div class="page">
      <a
        class="skip"
        href="#results"
        onClick={e => {
          e.preventDefault();
          document.getElementById("results")!.focus();
        }}
      >
        To the results
      </a>
      <Top v={v} />
      <div
        class={`progress ${v.busy ? "on" : ""}`}
        role="progressbar"
        aria-label="Searching"
        aria-hidden={!v.busy}
      />
      {v.error && <Failure v={v} />}
      {v.chart && <OverTime v={v} />}
      <div class="body">
        <Side v={v} />
        <Listing v={v} />
      </div>
      {v.place.context && (
        <Context
          id={v.place.context}
          cols={v.cols}
          local={v.local}
          acts={v.acts}
          onClose={() => v.go({ context: "" })}
        />
      )}
      {v.help && (
        <Help
          onClose={() => v.setHelp(false)}
          onExample={q => {
            v.setHelp(false);
            v.run(q);
          }}
        />
      )}
    </div>
  );
}
