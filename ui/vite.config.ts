// The page is one file: what Vite makes of src/ is put into index.html, and a policy that allows exactly these
// bytes of script and style. It asks nothing of any other host. In `npm run dev` /api goes to a server on port 5080.
import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

const hash = (text: string) => "'sha256-" + createHash("sha256").update(text).digest("base64") + "'";

function oneFile(): Plugin {
  return {
    name: "one-file",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      let script = "",
        style = "";
      for (const [name, file] of Object.entries(bundle)) {
        if (file.type === "chunk") script += file.code.trim();
        else if (name.endsWith(".css")) style += String(file.source).trim();
        else continue;
        delete bundle[name];
      }
      script = script.replace(/<\/(script)/gi, "<\\/$1");
      const page = bundle["index.html"];
      if (!page || page.type !== "asset" || !script || !style)
        throw new Error("one-file: something is missing");
      const policy =
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
        `script-src ${hash(script)}; style-src ${hash(style)}`;
      page.source = String(page.source)
        .replace(/\s*<script type="module"[^>]*><\/script>/, "")
        .replace(/\s*<link rel="stylesheet"[^>]*>/, "")
        .replace("<head>", () => `<head>\n<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace("</head>", () => `<style>${style}</style>\n</head>`)
        .replace("</body>", () => `<script type="module">${script}</script>\n</body>`);
    },
  };
}

export default defineConfig({
  plugins: [oneFile()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: false,
    assetsInlineLimit: 1e6,
    cssCodeSplit: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:5080" } },
});
