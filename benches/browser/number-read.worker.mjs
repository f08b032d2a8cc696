// The row `number read` in a worker of a page: only workers may wait for the message way's answer.

import { loaderOf } from "/benches/loader.mjs";
import { raceReads } from "/benches/number-read.mjs";
import { SharedHeap } from "/js-host/dist/index.js";

self.onmessage = async ({ data: { milliseconds, rounds } }) => {
  try {
    const heap = await SharedHeap.create();
    const cell = heap.cell();
    cell.set(1.5);
    const loader = loaderOf(await WebAssembly.compileStreaming(fetch("/benches/target/coheap.wasm")));
    const worker = new Worker("/benches/echo-worker.mjs", { type: "module" });
    const shared = new SharedArrayBuffer(16);
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = () => reject(new Error("the echo worker did not start"));
      worker.postMessage({ shared });
    });
    self.postMessage({ result: raceReads({ cell, ...loader, worker, shared, milliseconds, rounds }) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
