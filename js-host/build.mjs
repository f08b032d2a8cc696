// Builds the npm package: into dist/ its entry points, each as one ESM and one CommonJS file, and their types; beside
// package.json the texts that go with it. dist/heap.wasm is there already, put by tools/build.mjs.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..");
const dist = join(here, "dist");
const entries = ["index", "worker", "devtools"];

mkdirSync(dist, { recursive: true });
for (const file of readdirSync(dist)) if (file !== "heap.wasm") rmSync(join(dist, file), { recursive: true });

/**
 * CommonJS has no import.meta.url, which is where heap.wasm is looked for. Not asked of node:url: bundlers for browsers
 * would look for it, and there is no file name then.
 */
const fileOfThisModule = `"use strict";
const fileOfThisModule = (() => {
  if (typeof __filename !== "string") return undefined;
  const onWindows = /^([a-z]:)?\\\\/i.test(__filename);
  const path = encodeURI(onWindows ? __filename.replaceAll("\\\\", "/") : __filename);
  const host = path.startsWith("//") ? "file:" : path.startsWith("/") ? "file://" : "file:///";
  return host + path.replaceAll("#", "%23").replaceAll("?", "%3F");
})();`;

const commonJs = {
  format: "cjs",
  outExtension: { ".js": ".cjs" },
  define: { "import.meta.url": "fileOfThisModule" },
  banner: { js: fileOfThisModule },
};

/** The bundler calls a class that names itself `_Name`, and so would every message and inspector. */
function withClassNames(text) {
  const renamed = [...text.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name]) => name);
  return renamed.reduce((result, name) => result.replaceAll(new RegExp(`\\b_${name}\\b`, "g"), name), text);
}

for (const output of [{ format: "esm" }, commonJs]) {
  for (const entry of entries) {
    const { metafile, outputFiles } = await build({
      entryPoints: [join(here, "src", `${entry}.ts`)],
      outdir: dist,
      bundle: true,
      target: "es2022",
      platform: "neutral",
      legalComments: "none",
      metafile: true,
      write: false,
      logLevel: "warning",
      ...output,
      ...(entry !== "index" && output === commonJs ? { banner: {} } : {}),
    });
    const [{ imports }] = Object.values(metafile.outputs);
    const fixed = imports.filter(({ kind }) => kind !== "dynamic-import");
    if (fixed.length > 0) throw new Error(`${entry} must be one file, but imports ${fixed.map(({ path }) => path)}`);
    for (const { path, text } of outputFiles) writeFileSync(path, withClassNames(text));
  }
}

// heap.wasm as a module, for bundlers that know no assets.
for (const [format, ending] of [
  ["esm", "js"],
  ["cjs", "cjs"],
]) {
  await build({
    stdin: { contents: 'export { default as wasm } from "./heap.wasm";', resolveDir: dist },
    outfile: join(dist, `inline.${ending}`),
    bundle: true,
    minify: true,
    target: "es2022",
    platform: "neutral",
    loader: { ".wasm": "binary" },
    format,
    logLevel: "warning",
  });
}

const compiler = createRequire(import.meta.url).resolve("typescript/package.json");
const bin = join(dirname(compiler), JSON.parse(readFileSync(compiler, "utf8")).bin.tsc);
const types = spawnSync(process.execPath, [bin, "-p", here], { stdio: "inherit" });
if (types.status !== 0) process.exit(types.status ?? 1);

// Users see the types that the entry points reach. A `require` sees them under the names that CommonJS modules have.
const reached = new Set(entries);
for (const name of reached) {
  let text = readFileSync(join(dist, `${name}.d.ts`), "utf8");
  // Users' settings may not have it, and the compiler says it for nobody.
  if (text.includes("Symbol.dispose")) text = `/// <reference lib="esnext.disposable" />\n${text}`;
  writeFileSync(join(dist, `${name}.d.ts`), text);
  for (const [, other] of text.matchAll(/from "\.\/([\w-]+)\.js"/g)) reached.add(other);
  writeFileSync(join(dist, `${name}.d.cts`), text.replaceAll(/(from "\.\/[\w-]+)\.js"/g, '$1.cjs"'));
}
for (const file of readdirSync(dist)) {
  if (file.endsWith(".d.ts") && !reached.has(file.slice(0, -".d.ts".length))) rmSync(join(dist, file));
}
for (const ending of ["ts", "cts"]) {
  const comment =
    "/** The bytes of heap.wasm, for `SharedHeap.create({ wasm })` where it cannot be a file of its own. */";
  writeFileSync(join(dist, `inline.d.${ending}`), `${comment}\nexport declare const wasm: BufferSource;\n`);
}

for (const text of ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md"]) copyFileSync(join(root, text), join(here, text));
writeFileSync(join(here, "README.md"), forUsers(readFileSync(join(root, "README.md"), "utf8")));

/** The README without what is about the repository alone, and without links to what is not in the package. */
function forUsers(text) {
  return text
    .replaceAll(/<!-- repository -->\n[\s\S]*?<!-- \/repository -->\n+/g, "")
    .replaceAll(/\[([^\]]+)\]\((?!https?:|#|CHANGELOG\.md)[^)]+\)/g, "$1");
}
