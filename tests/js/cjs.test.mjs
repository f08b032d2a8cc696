import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as esm from "../../js-host/dist/index.js";
import { cases, watchdog } from "./support.mjs";

watchdog(60);

const require = createRequire(import.meta.url);
const dist = new URL("../../js-host/dist/", import.meta.url);

test("commonjs_build_works_beside_the_esm_build", async () => {
  const cjs = require("../../js-host/dist/index.cjs");
  const worker = require("../../js-host/dist/worker.cjs");
  assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort());
  const heap = await cjs.SharedHeap.create();
  heap.cell("x").set(5);
  assert.equal(worker.attach(heap.token()).cell("x").get(), 5);
  assert.equal(esm.SharedHeap.attach(heap.token()).cell("x").get(), 5);
  // An error of one copy is recognised by the others.
  try {
    heap.cell(5);
    assert.fail();
  } catch (error) {
    assert.ok(esm.isCoheapError(error, "COHEAP_INVALID_ARGUMENT"));
    assert.ok(worker.isCoheapError(error, "COHEAP_INVALID_ARGUMENT"));
  }
});

test("package_resolves_under_its_own_name", async () => {
  const names = ["coheap", "coheap/worker", "coheap/devtools"];
  for (const name of names) {
    assert.ok(require.resolve(name).endsWith(".cjs"));
    assert.ok(import.meta.resolve(name).endsWith(".js"));
  }
  assert.ok(require.resolve("coheap/heap.wasm").endsWith("heap.wasm"));
  assert.equal(require("coheap/package.json").name, "coheap");
  assert.equal((await import("coheap")).SharedHeap, esm.SharedHeap);
});

test("each_face_is_one_file_that_imports_nothing_and_waits_for_nothing", () => {
  const files = ["index.js", "index.cjs", "worker.js", "worker.cjs"];
  for (const file of files) {
    const text = readFileSync(new URL(file, dist), "utf8");
    assert.doesNotMatch(text, /^\s*(import|export)\b.*\bfrom\b/m, file);
    assert.doesNotMatch(text, /^(const .*= )?await /m, file);
    if (file.startsWith("worker")) assert.doesNotMatch(text, /\b(require|import)\s*\(|import\.meta/, file);
  }
  cases("each_face_is_one_file_that_imports_nothing_and_waits_for_nothing", files.length);
});
