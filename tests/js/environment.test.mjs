import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { checkEnvironment } from "../../js-host/dist/index.js";
import { cases } from "./support.mjs";

const face = new URL("../../js-host/dist/index.js", import.meta.url).href;
const workerFace = new URL("../../js-host/dist/worker.js", import.meta.url).href;

test("environment_of_this_node_lacks_nothing", () => {
  assert.deepEqual(checkEnvironment(), { ok: true, missing: [], proofs: ["exit", "fence"] });
});

test("environment_that_lacks_something_says_what_and_how_to_fix_it", () => {
  const rows = [
    ["delete globalThis.SharedArrayBuffer;", ["shared-array-buffer"]],
    [
      "globalThis.crossOriginIsolated = false; delete globalThis.SharedArrayBuffer;",
      ["cross-origin-isolation", "shared-array-buffer"],
    ],
    ["delete globalThis.Atomics;", ["atomics"]],
    ["delete globalThis.WebAssembly;", ["wasm"]],
    ["WebAssembly.validate = () => false;", ["wasm-threads", "wasm-simd"]],
    ["WebAssembly.validate = () => { throw new Error(); };", ["wasm-threads", "wasm-simd"]],
    [
      "for (const n of ['SharedArrayBuffer', 'Atomics', 'WebAssembly']) delete globalThis[n];",
      ["shared-array-buffer", "atomics", "wasm"],
    ],
  ];
  for (const [change, expected] of rows) {
    for (const from of [face, workerFace]) {
      const text = `${change}
        const { checkEnvironment, SharedHeap } = await import(${JSON.stringify(from)});
        const { ok, missing } = checkEnvironment();
        const texts = missing.every(({ why, fix }) => why.length > 10 && fix.length > 10);
        const error = await SharedHeap?.create().catch((error) => error);
        console.log(JSON.stringify({ ok, texts, ids: missing.map(({ id }) => id), code: error?.code, details: error?.details }));`;
      const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], {
        encoding: "utf8",
        timeout: 30_000,
      });
      assert.notEqual(stdout, "", stderr);
      const { ok, texts, ids, code, details } = JSON.parse(stdout);
      assert.deepEqual({ ok, texts, ids }, { ok: false, texts: true, ids: expected }, change);
      if (from === face)
        assert.deepEqual({ code, details }, { code: "COHEAP_NOT_ISOLATED", details: { missing: expected } });
    }
  }
  cases("environment_that_lacks_something_says_what_and_how_to_fix_it", 2 * rows.length);
});

test("agent_that_must_not_block_is_refused_by_the_worker_face", () => {
  const text = `
    const { SharedHeap } = await import(${JSON.stringify(face)});
    const { attach } = await import(${JSON.stringify(workerFace)});
    const heap = await SharedHeap.create();
    const { wait } = Atomics;
    Atomics.wait = () => { throw new TypeError("Atomics.wait cannot be called in this context"); };
    let code;
    try { attach(heap.token()); } catch (error) { code = error.code; }
    const agents = heap.stats().agents;
    SharedHeap.attach(heap.token()).cell("x").set(1);
    console.log(code, agents, heap.cell("x").get());`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], {
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(stdout.trim(), "COHEAP_CANNOT_BLOCK 1 1", stderr);
});
