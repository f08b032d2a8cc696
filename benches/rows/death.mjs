// What the end of a worker costs those who stay.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { builtPackage } from "../setup.mjs";
import { median } from "../statistics.mjs";

const WORKER = new URL("../doomed-worker.mjs", import.meta.url);
const BLOCKS = 100_000;

/** Milliseconds from `terminate()` to the end of the thread, and from there until everything is back. */
async function end(heap, face, { blocks, works }) {
  const token = heap?.token();
  const worker = new Worker(WORKER, { workerData: { face, token, blocks, works } });
  if (heap !== undefined) heap.adopt(worker, token);
  await once(worker, "message");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const begun = performance.now();
  let exited;
  worker.once("exit", () => {
    exited = performance.now();
  });
  // Without a heap, what Node answers is the exit code.
  const { repaired = 0 } = await (heap === undefined ? worker.terminate() : heap.terminate(worker));
  return { stop: exited - begun, back: performance.now() - exited, repaired };
}

const terminate = {
  name: "terminate(), everything back",
  targets: [{ key: "blocks", atMost: 10, text: "≤ 10 ms per 100,000 live blocks" }],
  async measure({ quick }) {
    const { index, worker: face } = await builtPackage();
    const { SharedHeap } = await import(index);
    const heap = await SharedHeap.create();
    const samples = { bare: [], idle: [], working: [], blocks: [] };
    let repaired = 0;
    const rounds = quick ? 3 : 25;
    for (let round = 0; round < rounds; round++) {
      samples.bare.push((await end(undefined, face, {})).stop);
      samples.idle.push((await end(heap, face, { blocks: 0 })).back);
      const working = await end(heap, face, { blocks: 0, works: true });
      samples.working.push(working.back);
      repaired += working.repaired;
      samples.blocks.push((await end(heap, face, { blocks: BLOCKS })).back);
    }
    await heap.audit();
    heap.detach();
    const values = Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, median(all)]));
    const text = (name) => `${values[name].toFixed(2)} ms`;
    const measured = [
      `after the thread has ended, which takes ${text("bare")} without a heap: idle ${text("idle")}`,
      `at work in additions ${text("working")} (${repaired} of ${rounds} in an operation)`,
      `with ${BLOCKS.toLocaleString("en")} blocks ${text("blocks")}`,
    ].join("; ");
    return { measured, values, samples, problems: [] };
  },
};

export const death = [terminate];
