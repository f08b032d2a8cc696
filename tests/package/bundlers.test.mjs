import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { before, test } from "node:test";
import { build as esbuild, transformSync } from "esbuild";
import { createServer, build as vite } from "vite";
import { inTab, serve } from "../browser/page.mjs";
import { cases, watchdog } from "../js/support.mjs";
import { expected, filesBelow, must, project, ways } from "./support.mjs";

watchdog(420);

const timeout = 180_000;
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
let node;
let page;
let wasm;

before(async () => {
  node = await project("node");
  page = await project("page");
  wasm = join(page, "node_modules", "coheap", "dist", "heap.wasm");
  const text = readFileSync(join(node, "exchange.mjs"), "utf8");
  writeFileSync(join(node, "exchange.cjs"), transformSync(text, { format: "cjs" }).code);
});

/** Opens a page that has the consumer in it and answers its result. */
async function resultOf(url) {
  return await inTab(async (tab) => {
    await tab.goto(url);
    // A dev server may reload the page when it finds a dependency.
    const handle = await tab.waitForFunction(() => globalThis.result, undefined, { timeout: 60_000 });
    return await handle.jsonValue();
  });
}

async function resultIn(folder) {
  const server = await serve(folder, readFileSync(join(folder, "index.html"), "utf8"));
  try {
    return await resultOf(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.close();
  }
}

/** Bundles a consumer with esbuild; `way` is one of `ways`. Answers the folder of the bundles. */
async function bundle(folder, entries, way, options) {
  writeFileSync(join(folder, "wasm.mjs"), ways[way]);
  const outdir = join(folder, `${options.format}-${way}`);
  const { warnings } = await esbuild({
    absWorkingDir: folder,
    entryPoints: entries,
    outdir,
    bundle: true,
    minify: true,
    logLevel: "silent",
    ...(way === "file" ? { loader: { ".wasm": "file" } } : {}),
    ...options,
  });
  assert.deepEqual(warnings, []);
  const emitted = filesBelow(outdir).filter((file) => file.endsWith(".wasm"));
  assert.equal(emitted.length, way === "file" ? 1 : 0);
  if (way === "beside") copyFileSync(wasm, join(outdir, "heap.wasm"));
  return outdir;
}

test("esbuild_bundle_runs_in_node_with_a_worker", { timeout }, async () => {
  const esm = { format: "esm", platform: "node", outExtension: { ".js": ".mjs" } };
  for (const way of Object.keys(ways)) {
    const outdir = await bundle(node, ["host.mjs", "worker.mjs"], way, esm);
    assert.deepEqual(JSON.parse(await must(outdir, process.execPath, "host.mjs")), expected, way);
  }
  const cjs = { format: "cjs", platform: "node", outExtension: { ".js": ".cjs" } };
  const outdir = await bundle(node, ["host.cjs", "worker.cjs"], "beside", cjs);
  assert.deepEqual(JSON.parse(await must(outdir, process.execPath, "host.cjs")), expected);
  cases("esbuild_bundle_runs_in_node_with_a_worker", Object.keys(ways).length + 1);
});

test("esbuild_bundle_runs_in_chromium_with_a_worker", { timeout }, async () => {
  for (const way of Object.keys(ways)) {
    const outdir = await bundle(page, ["host.js", "worker.js"], way, { format: "esm" });
    copyFileSync(join(page, "index.html"), join(outdir, "index.html"));
    assert.deepEqual(await resultIn(outdir), expected, way);
  }
  cases("esbuild_bundle_runs_in_chromium_with_a_worker", Object.keys(ways).length);
});

test("bundle_without_an_address_works_with_inline_and_says_so_without", { timeout }, async () => {
  const table = [
    ["import", `import { SharedHeap } from "coheap"; import { wasm } from "coheap/inline";`],
    ["require", `const { SharedHeap } = require("coheap"); const { wasm } = require("coheap/inline");`],
  ];
  let count = 0;
  for (const [kind, load] of table) {
    const contents = `${load}
      SharedHeap.create({ wasm })
        .then((heap) => console.log(heap.cell("x", 5).get()))
        .then(() => SharedHeap.create())
        .catch((error) => console.log(error.code + " " + /coheap\\/inline/.test(error.message)));`;
    for (const format of ["cjs", "iife"]) {
      for (const platform of ["node", "browser"]) {
        const outfile = join(node, "addressless", `${kind}-${platform}.${format}.cjs`);
        const stdin = { contents, resolveDir: node };
        await esbuild({ stdin, outfile, format, platform, bundle: true, logLevel: "silent" });
        const printed = await must(node, process.execPath, outfile);
        assert.equal(printed, "5\nCOHEAP_WASM_UNAVAILABLE true\n", basename(outfile));
        count++;
      }
    }
  }
  cases("bundle_without_an_address_works_with_inline_and_says_so_without", count);
});

test("bundle_has_the_formatter_for_devtools_if_it_imports_it", { timeout }, async () => {
  const heap = `import { SharedHeap } from "coheap"; console.log(typeof SharedHeap, globalThis.devtoolsFormatters?.length);`;
  const table = { [heap]: "function undefined\n", [`import "coheap/devtools"; ${heap}`]: "function 1\n" };
  for (const [contents, printed] of Object.entries(table)) {
    const outfile = join(node, "devtools", "bundle.mjs");
    const stdin = { contents, resolveDir: node };
    const { warnings } = await esbuild({ stdin, outfile, format: "esm", bundle: true, logLevel: "silent" });
    assert.deepEqual(warnings, []);
    assert.equal(await must(node, process.execPath, outfile), printed);
    assert.equal(readFileSync(outfile, "utf8").includes("hasBody"), contents !== heap);
  }
  cases("bundle_has_the_formatter_for_devtools_if_it_imports_it", Object.keys(table).length);
});

test("vite_build_runs_in_chromium_with_a_worker", { timeout }, async () => {
  const found = ["beside", "inline"];
  for (const way of found) {
    writeFileSync(join(page, "wasm.mjs"), ways[way]);
    const outDir = join(page, `vite-${way}`);
    await vite({ root: page, configFile: false, logLevel: "error", build: { outDir, emptyOutDir: true } });
    const modules = filesBelow(outDir).filter((file) => file.endsWith(".wasm"));
    assert.equal(modules.length, 1, `one heap.wasm, not ${modules}`);
    assert.ok(readFileSync(join(outDir, modules[0])).equals(readFileSync(wasm)));
    assert.deepEqual(await resultIn(outDir), expected, way);
  }
  cases("vite_build_runs_in_chromium_with_a_worker", found.length);
});

test("vite_dev_server_serves_a_page_and_its_worker", { timeout }, async () => {
  writeFileSync(join(page, "wasm.mjs"), ways.beside);
  const server = await createServer({
    root: page,
    configFile: false,
    logLevel: "error",
    server: { host: "127.0.0.1", headers: isolation, ws: false, watch: null },
  });
  try {
    await server.listen();
    assert.deepEqual(await resultOf(server.resolvedUrls.local[0]), expected);
  } finally {
    await server.close();
  }
});
