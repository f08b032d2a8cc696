import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { cases, watchdog } from "./support.mjs";

watchdog(240);

const face = new URL("../../js-host/dist/index.js", import.meta.url);
const worker = new URL("./agent-worker.mjs", import.meta.url);
const MIB = 2 ** 20;

/** In a Node of its own, so that nothing else moves its memory: makes and forgets heaps, and prints resident bytes now and then. */
const program = `
  import { readFileSync } from "node:fs";
  import { once } from "node:events";
  import { Worker } from "node:worker_threads";
  import { SharedHeap } from ${JSON.stringify(face.href)};
  /** A worker that attaches, is adopted, and ends: by itself, or terminated. */
  async function come(heap, terminated) {
    const token = heap.token();
    const worker = new Worker(new URL(${JSON.stringify(worker.href)}), { workerData: { token, face: "worker" }, execArgv: [] });
    heap.adopt(worker, token);
    await once(worker, "message");
    const body = "(heap) => { heap.bytes('of the worker', 1_000_000).write(0, new Uint8Array(1_000_000).fill(2)); heap.cell('x').add(1); }";
    worker.postMessage({ body, values: [] });
    const [{ error }] = await once(worker, "message");
    if (error !== undefined) throw new Error(error.message);
    if (terminated) {
      await heap.terminate(worker);
    } else {
      worker.postMessage({ body: "() => process.exit()", values: [] });
      await once(worker, "exit");
    }
    if (heap.cell("x").get() !== 2) throw new Error("the worker did not work");
  }
  const virtual = () => Number(/VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0) * 1024;
  const visited = [];
  for (let cycle = 1; cycle <= 1000; cycle++) {
    const heap = await SharedHeap.create();
    const other = SharedHeap.attach(heap.token());
    heap.cell("x").add(1);
    other.bytes("b", 1_000_000).write(0, new Uint8Array(1_000_000).fill(1));
    if (cycle % 50 === 0) {
      await come(heap, cycle % 100 === 0);
      visited.push(new WeakRef(heap));
    }
    if (cycle % 3 === 1) await heap.audit();
    if (cycle % 5 === 0) await heap.cell("x").waitAsync(heap.cell("x").get(), { timeout: 1 });
    if (cycle % 3 === 0) heap.detach();
    if (cycle % 20 === 0) {
      for (let i = 0; i < 3; i++) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    if (cycle % 100 === 0) console.log(process.memoryUsage().rss, virtual(), visited.filter((heap) => heap.deref() === undefined).length);
  }`;

test("create_and_drop_a_thousand_times_keeps_the_memory_level", async () => {
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0);
  const levels = output
    .trim()
    .split("\n")
    .map((line) => line.split(" ").map(Number));
  assert.equal(levels.length, 10);
  // Each cycle touches more than 1 MB: 800 of them held would be 800 MB, and 200 GB of address space.
  assert.ok(levels[9][0] - levels[1][0] < 100 * MIB, output);
  assert.ok(levels[9][1] - levels[1][1] < 20 * 1024 * MIB, output);
  // Of the twenty that a worker came to, the last ones may be in use.
  assert.ok(levels[9][2] >= 18, output);
  cases("create_and_drop_a_thousand_times_keeps_the_memory_level", 1000);
});
