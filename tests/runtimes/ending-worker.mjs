// A worker of ends.mjs: attaches, counts in the heap, and ends as it is told to; or counts for ever in a worker of its own.

import { Worker, workerData } from "node:worker_threads";
import { attach } from "../../js-host/dist/worker.js";

const { end, tokens } = workerData;
const heap = attach(tokens[0]);
globalThis.held = heap.bytes(undefined, 50_000);
const beat = heap.cell("beat");

if (end === "for ever") for (;;) beat.add(1);
if (tokens.length > 1 && end.startsWith("terminate")) {
  new Worker(new URL(import.meta.url), { workerData: { end: "for ever", tokens: tokens.slice(1) } });
} else {
  beat.set(100);
  setTimeout(() => {
    if (end === "exception") throw new Error("as it was told to");
    process.exit(3);
  }, 50);
}
