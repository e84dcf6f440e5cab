// The many names of levels as the few that have a colour, from the gravest on.
export const LEVELS = ["error", "warn", "info", "debug", "other"] as const;
export type Level = (typeof LEVELS)[number];

// The gravest first; what is no level comes last.
export const gravity = (kind: string) => (LEVELS as readonly string[]).indexOf(kind) >>> 0;

export function levelOf(name: string): Level {
  const n = name.toLowerCase();
  if (/^(err|fatal|crit|alert|emerg|panic|severe)/.test(n) || n === "e" || n === "f") return "error";
  if (/^warn/.test(n) || n === "w") return "warn";
  if (/^(info|notice|log)/.test(n) || n === "i") return "info";
  if (/^(debug|trace|fine|verbose)/.test(n) || n === "d" || n === "t") return "debug";
  return "other";
}
