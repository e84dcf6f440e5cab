// One key for everything that is done often; help.tsx lists them. They rest while something is typed or a window is open.
import { useLayoutEffect } from "preact/hooks";
import { type View } from "./view";

const BUSY = "input,textarea,select,dialog,.panel";

function moveTo(v: View, i: number) {
  const line = document.querySelectorAll<HTMLElement>("main .record > .line, main .pattern")[i];
  if (!line) return;
  v.setCurrent(i);
  line.scrollIntoView({ block: "nearest" });
  line.focus({ preventScroll: true });
}

export function useKeys(v: View) {
  useLayoutEffect(() => {
    const record = v.records[v.current];
    const withRecord = (act: (r: NonNullable<typeof record>) => void) => record && (() => act(record));
    const keys: Record<string, (() => void) | false | undefined> = {
      "/": () => document.getElementById("q")!.focus(),
      j: () => moveTo(v, v.current + 1),
      k: () => moveTo(v, Math.max(0, v.current - 1)),
      o: v.asPatterns
        ? () => document.querySelectorAll<HTMLElement>("main .pattern")[v.current]?.click()
        : withRecord(r => v.acts.onToggle(r, v.current)),
      c: withRecord(r => v.acts.onContext(r)),
      y: withRecord(r => v.acts.onLink(r)),
      t: () => document.getElementById("range")!.click(),
      z: () => v.move(-0.5, 0.5),
      "[": () => v.move(-1, -1),
      "]": () => v.move(1, 1),
      r: () => v.run(),
      p: () => v.showPatterns(v.asPatterns ? "" : "message"),
      l: !v.piped && v.toggleLive,
      w: () => v.go({ wrap: !v.place.wrap }, "replace"),
      f: v.toggleSide,
      d: v.toggleTheme,
      "?": () => v.setHelp(true),
    };
    const pressed = (e: KeyboardEvent) => {
      const at = e.target as HTMLElement;
      if (e.ctrlKey || e.metaKey || e.altKey || at.closest(BUSY)) return;
      const act =
        e.key === "Enter" ? at.matches(".line") && keys.o : Object.hasOwn(keys, e.key) && keys[e.key];
      if (!act) return;
      e.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
}
