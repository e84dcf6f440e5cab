// Times come as RFC 3339 in UTC with up to nine digits and are shown in UTC or in the browser's zone.

export const RANGES: [from: string, name: string][] = [
  ["-5m", "Last 5 minutes"],
  ["-15m", "Last 15 minutes"],
  ["-30m", "Last 30 minutes"],
  ["-1h", "Last hour"],
  ["-3h", "Last 3 hours"],
  ["-6h", "Last 6 hours"],
  ["-12h", "Last 12 hours"],
  ["-24h", "Last 24 hours"],
  ["-2d", "Last 2 days"],
  ["-7d", "Last 7 days"],
  ["-30d", "Last 30 days"],
  ["", "All time"],
];

const two = (n: number) => String(n).padStart(2, "0");

export interface Parts {
  date: string;
  time: string;
  rest: string;
}

// "2025-02-15", "12:00:00", ".123".
export function parts(iso: string, local: boolean): Parts {
  const m = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(iso);
  if (!m) return { date: "", time: iso, rest: "" };
  const rest = ((m[3] ?? "") + "000").slice(0, m[3] ? 4 : 0) || ".000";
  if (!local) return { date: m[1]!, time: m[2]!, rest: rest.padEnd(4, "0") };
  const d = new Date(Date.parse(iso));
  return {
    date: `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`,
    time: `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
    rest: rest.padEnd(4, "0"),
  };
}

export const iso = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");

export function stamp(ms: number, local: boolean): string {
  const p = parts(new Date(ms).toISOString(), local);
  return `${p.date} ${p.time}`;
}

export const zoneName = (local: boolean) =>
  local
    ? (new Intl.DateTimeFormat("en", { timeZoneName: "short" })
        .formatToParts()
        .find(p => p.type === "timeZoneName")?.value ?? "local")
    : "UTC";

// What the button for the time range says.
export function rangeName(from: string, to: string, local: boolean): string {
  const known = RANGES.find(([f]) => f === from);
  if (known && !to) return known[1];
  const side = (t: string, open: string) => {
    if (!t) return open;
    const ms = /^\d{4}-\d\d-\d\dT/.test(t) ? Date.parse(t) : NaN;
    return Number.isNaN(ms) ? t : stamp(ms, local).replace(/:00$/, "");
  };
  return `${side(from, "…")} → ${side(to, "now")}`;
}

const UNITS: [ms: number, name: string][] = [
  [86400e3, "d"],
  [3600e3, "h"],
  [60e3, "m"],
  [1e3, "s"],
  [1, "ms"],
];

export function duration(ms: number): string {
  for (const [unit, name] of UNITS)
    if (ms >= unit) return `${+(ms / unit).toFixed(ms % unit ? 1 : 0)} ${name}`;
  return "0";
}

// A bin's width as the query language writes it.
export function binText(ms: number): string {
  for (const [unit, name] of UNITS) if (ms % unit === 0) return ms / unit + name;
  return ms + "ms";
}

const STEPS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1e3,
  2e3,
  5e3,
  10e3,
  15e3,
  30e3,
  60e3,
  120e3,
  300e3,
  600e3,
  900e3,
  1800e3,
  3600e3,
  7200e3,
  10800e3,
  21600e3,
  43200e3,
  86400e3,
  2 * 86400e3,
  7 * 86400e3,
  14 * 86400e3,
  30 * 86400e3,
  91 * 86400e3,
  182 * 86400e3,
  365 * 86400e3,
];

// Round times between begin and end, at most n of them, with their labels.
export function ticks(
  begin: number,
  end: number,
  n: number,
  local: boolean,
): { at: number; label: string }[] {
  const step = STEPS.find(s => (end - begin) / s <= n) ?? (end - begin) / n;
  const offset = local ? new Date(begin).getTimezoneOffset() * 60e3 : 0;
  const out = [];
  for (let t = Math.ceil((begin - offset) / step) * step + offset; t < end; t += step) {
    const p = parts(new Date(t).toISOString(), local),
      midnight = p.time === "00:00:00" && p.rest === ".000";
    out.push({
      at: t,
      label:
        step >= 86400e3 || midnight
          ? p.date.slice(5)
          : step < 1e3
            ? p.time.slice(3) + p.rest
            : step < 60e3
              ? p.time
              : p.time.slice(0, 5),
    });
  }
  return out;
}

// A time as the value of <input type="datetime-local">, and back to what the server reads.
export function toInput(ms: number, local: boolean): string {
  const p = parts(new Date(ms).toISOString(), local);
  return `${p.date}T${p.time}`;
}
export function fromInput(text: string, local: boolean): string {
  const ms = Date.parse(local ? text : text + "Z");
  return Number.isNaN(ms) ? "" : iso(ms);
}
