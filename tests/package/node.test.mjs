import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { transformSync } from "esbuild";
import { cases, watchdog } from "../js/support.mjs";
import { expected, must, project, ways } from "./support.mjs";

watchdog(300);

let folder;
before(async () => {
  folder = await project("node");
  writeFileSync(
    join(folder, "exchange.cjs"),
    transformSync(readFileSync(join(folder, "exchange.mjs"), "utf8"), { format: "cjs" }).code,
  );
});

test("package_installed_works_in_node_as_esm_with_a_worker", async () => {
  // Node itself loads no wasm by import: here that way is an address.
  const file = `export const options = { wasm: new URL(import.meta.resolve("coheap/heap.wasm")) };\n`;
  const texts = [ways.beside, ways.inline, file];
  for (const text of texts) {
    writeFileSync(join(folder, "wasm.mjs"), text);
    assert.deepEqual(JSON.parse(await must(folder, process.execPath, "host.mjs")), expected, text);
  }
  cases("package_installed_works_in_node_as_esm_with_a_worker", texts.length);
});

test("package_installed_works_in_node_as_commonjs_with_a_worker", async () => {
  assert.deepEqual(JSON.parse(await must(folder, process.execPath, "host.cjs")), expected);
});

test("package_installed_can_be_imported_by_its_entry_points_alone", async () => {
  const { resolve } = createRequire(join(folder, "host.cjs"));
  const installed = join(folder, "node_modules", "coheap");
  const entries = {
    coheap: "index",
    "coheap/worker": "worker",
    "coheap/inline": "inline",
    "coheap/devtools": "devtools",
  };
  for (const [entry, name] of Object.entries(entries)) {
    assert.equal(resolve(entry), join(installed, "dist", `${name}.cjs`));
    writeFileSync(join(folder, "resolve.mjs"), `console.log(import.meta.resolve(${JSON.stringify(entry)}));\n`);
    const url = (await must(folder, process.execPath, "resolve.mjs")).trim();
    assert.equal(url, pathToFileURL(join(installed, "dist", `${name}.js`)).href);
  }
  assert.equal(resolve("coheap/heap.wasm"), join(installed, "dist", "heap.wasm"));
  assert.equal(resolve("coheap/package.json"), join(installed, "package.json"));
  for (const inner of ["coheap/dist/index.js", "coheap/agent", "coheap/dist/heap.wasm"]) {
    assert.throws(() => resolve(inner), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
  }
});

test("package_in_a_folder_with_any_name_finds_its_wasm", async () => {
  const name = process.platform === "win32" ? "50% #1 ü & co" : "50% #1?ü & co";
  const inside = join(folder, name);
  mkdirSync(inside);
  for (const file of ["index.js", "index.cjs", "heap.wasm"]) {
    cpSync(join(folder, "node_modules", "coheap", "dist", file), join(inside, file));
  }
  writeFileSync(join(inside, "package.json"), '{ "type": "module" }\n');
  for (const [file, load] of [
    ["cjs.cjs", `const { SharedHeap } = require("./index.cjs");`],
    ["esm.mjs", `import { SharedHeap } from "./index.js";`],
  ]) {
    writeFileSync(
      join(inside, file),
      `${load}\nSharedHeap.create().then((heap) => console.log(heap.cell("x", 5).get()));\n`,
    );
    assert.equal(await must(inside, process.execPath, file), "5\n", file);
  }
});
