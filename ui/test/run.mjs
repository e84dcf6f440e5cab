// Bundles each *.test.ts with the esbuild that comes with Vite and runs them all under node's own runner.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url)),
  out = mkdtempSync(join(tmpdir(), "weir-ui-"));
const tests = readdirSync(here).filter(f => f.endsWith(".test.ts"));
try {
  await build({
    entryPoints: tests.map(f => join(here, f)),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "error",
  });
  const r = spawnSync(
    process.execPath,
    ["--test", ...tests.map(f => join(out, f.replace(/\.ts$/, ".mjs")))],
    { stdio: "inherit" },
  );
  process.exitCode = r.status ?? 1;
} finally {
  rmSync(out, { recursive: true });
}
