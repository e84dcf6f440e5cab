// Where the page is, as the part of the address behind "#": whoever opens the link sees the same. What is a person's
// taste and not part of the view (theme, time zone, width of the side) is kept in the browser.
import { useCallback, useEffect, useState } from "preact/hooks";

export interface Place {
  q: string;
  stream: string;
  from: string; // as the server reads it: relative, absolute, or nothing
  to: string;
  cols: string[];
  wrap: boolean;
  live: boolean;
  patterns: string; // field whose patterns are shown instead of the records
  fresh: boolean; // of the patterns only those that are new
  open: string; // _id of the record that is unfolded
  context: string; // _id of the record whose neighbours are shown
}

export const COLUMNS = ["level", "service", "message"];
export const START: Place = {
  q: "",
  stream: "",
  from: "-1h",
  to: "",
  cols: COLUMNS,
  wrap: false,
  live: false,
  patterns: "",
  fresh: false,
  open: "",
  context: "",
};

export function readPlace(hash: string): Place {
  const p = new URLSearchParams(hash.replace(/^#/, ""));
  return {
    q: p.get("q") ?? "",
    stream: p.get("stream") ?? "",
    from: p.get("from") ?? (p.has("to") ? "" : START.from),
    to: p.get("to") ?? "",
    cols: p.has("cols") ? p.getAll("cols").filter(c => c) : COLUMNS,
    wrap: p.get("wrap") === "1",
    live: p.get("live") === "1" && !p.get("patterns"),
    patterns: p.get("patterns") ?? "",
    fresh: p.get("new") === "1",
    open: p.get("open") ?? "",
    context: p.get("context") ?? "",
  };
}

export function writePlace(place: Place): string {
  const p = new URLSearchParams();
  if (place.q) p.set("q", place.q);
  if (place.stream) p.set("stream", place.stream);
  if (place.from !== START.from || place.to) p.set("from", place.from);
  if (place.to) p.set("to", place.to);
  if (place.cols.join("\n") !== COLUMNS.join("\n"))
    (place.cols.length ? place.cols : [""]).forEach(c => p.append("cols", c));
  if (place.wrap) p.set("wrap", "1");
  if (place.live) p.set("live", "1");
  if (place.patterns) p.set("patterns", place.patterns);
  if (place.fresh) p.set("new", "1");
  if (place.open) p.set("open", place.open);
  if (place.context) p.set("context", place.context);
  return p.toString();
}

export type Go = (change: Partial<Place>, how?: "replace") => void;

export function usePlace(): [Place, Go] {
  const [place, setPlace] = useState(() => readPlace(location.hash));
  useEffect(() => {
    const moved = () => setPlace(readPlace(location.hash));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = useCallback<Go>(
    (change, how) =>
      setPlace(now => {
        const next = { ...now, ...change },
          hash = "#" + writePlace(next);
        if (hash !== (location.hash || "#"))
          history[how === "replace" ? "replaceState" : "pushState"](
            null,
            "",
            hash === "#" ? location.pathname : hash,
          );
        return next;
      }),
    [],
  );
  return [place, go];
}

// A value kept in the browser; where that is not allowed it lasts as long as the page.
export function useKept<T extends string>(name: string, initial: T): [T, (v: T) => void] {
  const [value, setValue] = useState<T>(() => {
    try {
      return (localStorage.getItem("weir." + name) as T | null) ?? initial;
    } catch {
      return initial;
    }
  });
  return [
    value,
    v => {
      try {
        localStorage.setItem("weir." + name, v);
      } catch {
        /* private mode */
      }
      setValue(v);
    },
  ];
}
