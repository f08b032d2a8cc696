// A worker of ends.mjs, of either kind: attaches, counts in the heap, and ends as it is told to; or counts for ever in a worker of its own.

import { Worker as Thread, workerData } from "node:worker_threads";
import { attach } from "../../js-host/dist/worker.js";
import { startWorker } from "./web-worker.mjs";

const isThread = workerData != null;
const given =
  workerData ??
  (await new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    postMessage("ready");
  }));
const { end, tokens } = given;
const heap = attach(tokens[0]);
globalThis.held = heap.bytes(undefined, 50_000);
const beat = heap.cell("beat");

if (end === "for ever") for (;;) beat.add(1);
if (tokens.length > 1 && end.startsWith("terminate")) {
  const another = { end: "for ever", tokens: tokens.slice(1) };
  if (isThread) new Thread(new URL(import.meta.url), { workerData: another });
  else await startWorker(import.meta.url, another);
} else {
  beat.set(100);
  setTimeout(() => {
    if (end === "exception") throw new Error("as it was told to");
    if (end === "close") self.close();
    else process.exit(3);
  }, 50);
}
