// A worker of kills.mjs, of either kind: attaches, holds something, says so, and then is for ever where it is told to be.

import { workerData } from "node:worker_threads";
import { attach } from "../../js-host/dist/worker.js";
import { countForEver } from "./endless-wasm.mjs";

const { token, place, own } =
  workerData ??
  (await new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    postMessage("ready");
  }));

/** What the thread counts by itself, outside of the heap: it tells whether it still runs. */
const count = new Int32Array(own.buffer);
const heap = attach(token);
globalThis.held = [heap.map(), heap.bytes(undefined, 100_000)];
globalThis.held[0].set("key", "a value of some length".repeat(9));

/** From here on the agent stays in the heap until its turn is over. */
const stay = () => {
  const cell = heap.cell("stay");
  for (let i = 0; i < 20; i++) cell.add(1);
};

const places = {
  idle: () => void setInterval(() => Atomics.add(count, 0, 1), 1),
  "in operations": () => {
    const cell = heap.cell("beat");
    for (;;) Atomics.store(count, 0, cell.add(1));
  },
  waiting: () => {
    Atomics.add(count, 0, 1);
    heap.pipe("never").readSync();
  },
  "in its own loop": () => {
    stay();
    for (;;) Atomics.add(count, 0, 1);
  },
  "in its own wasm": () => {
    stay();
    countForEver(own);
  },
  "in its own wasm, out of the heap": () => setTimeout(countForEver, 100, own),
};

places[place]();
