import { Sheet } from "./parts";

const KEYS: [string, string][] = [
  ["/", "to the query"],
  ["Enter", "search"],
  ["Shift Enter", "a new line in the query"],
  ["Tab", "take the suggestion"],
  ["j  k", "next and previous record or pattern"],
  ["o  Enter", "unfold and fold it"],
  ["c", "records around it"],
  ["y", "link to it"],
  ["t", "time range"],
  ["z", "zoom out"],
  ["[  ]", "earlier, later"],
  ["r", "search again"],
  ["l", "live"],
  ["p", "patterns"],
  ["w", "wrap lines"],
  ["f", "fields"],
  ["d", "dark or light"],
  ["?", "this help"],
  ["Esc", "close, leave the query"],
];
const EXAMPLES: [string, string][] = [
  ["timeout", "the word, in any field"],
  ['"connection timeout"', "the phrase"],
  ["level:ERROR service:pay*", "both; * is any text"],
  ["latency_ms:>500", "numbers compare as numbers"],
  ["level:(ERROR OR WARN) -host:h7", "either; not"],
  ["message:/time(out|d)/", "a regular expression"],
  ["* | stats count(), p99(latency_ms) by service", "a row a service"],
  ["level:ERROR | stats count() by bin(1m), service", "over time"],
  ["* | top 20 message", "what is most frequent"],
  ["* | patterns by service", "the kinds of lines"],
  ["* | stats count() as n by host | where n > 100 | sort -n", "pipes go on"],
];

export function Help({ onClose, onExample }: { onClose: () => void; onExample: (q: string) => void }) {
  return (
    <Sheet title="Help" class="help" onClose={onClose}>
      <div class="help-in">
        <section>
          <h3>Queries</h3>
          <dl>
            {EXAMPLES.map(([q, what]) => (
              <>
                <dt>
                  <button onClick={() => onExample(q)}>{q}</button>
                </dt>
                <dd>{what}</dd>
              </>
            ))}
          </dl>
        </section>
        <section>
          <h3>Keys</h3>
          <dl class="keys">
            {KEYS.map(([k, what]) => (
              <>
                <dt>
                  {k.split("  ").map(x => (
                    <kbd>{x}</kbd>
                  ))}
                </dt>
                <dd>{what}</dd>
              </>
            ))}
          </dl>
        </section>
      </div>
    </Sheet>
  );
}

export function Nothing({
  narrowed,
  onExample,
  onWiden,
}: {
  narrowed: boolean;
  onExample: (q: string) => void;
  onWiden: () => void;
}) {
  return (
    <div class="nothing">
      <h2>No records here</h2>
      <p>
        Nothing in this time range matches.{" "}
        <button class="button" onClick={onWiden}>
          Search all time
        </button>
        {narrowed && (
          <>
            {" "}
            <button class="button" onClick={() => onExample("")}>
              Clear the query
            </button>
          </>
        )}
      </p>
      <p class="dim">Or try</p>
      <ul>
        {EXAMPLES.slice(0, 7).map(([q, what]) => (
          <li>
            <button class="example" onClick={() => onExample(q)}>
              {q}
            </button>{" "}
            <span class="dim">{what}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
