// What a new agent costs: the call, the import before it, the bytes of the module.
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { brotliCompressSync } from "node:zlib";
import { builtPackage } from "../setup.mjs";
import { median } from "../statistics.mjs";

const WORKER = new URL("../attach-worker.mjs", import.meta.url);

/** Samples of one fresh worker after another. */
async function freshWorkers({ quick }) {
  const { index, worker: face } = await builtPackage();
  const { SharedHeap } = await import(index);
  const heap = await SharedHeap.create();
  const samples = { import: [], attach: [] };
  try {
    for (let round = 0; round < (quick ? 3 : 25); round++) {
      const worker = new Worker(WORKER, { workerData: { face, token: heap.token() } });
      const sample = await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
      for (const [name, milliseconds] of Object.entries(sample)) samples[name].push(milliseconds);
    }
  } finally {
    heap.detach();
  }
  return samples;
}

function timed(name, key, targets, words) {
  return {
    name,
    targets,
    async measure(options) {
      const samples = (await freshWorkers(options))[key];
      const milliseconds = median(samples);
      const measured = `${milliseconds.toFixed(2)} ms ${words} (slowest ${Math.max(...samples).toFixed(2)})`;
      return { measured, values: { milliseconds }, samples: { [key]: samples }, problems: [] };
    },
  };
}

const size = {
  name: "module size",
  targets: [{ key: "brotli", atMost: 60, text: "≤ 60 KiB brotli" }],
  async measure() {
    const bytes = await readFile((await builtPackage()).wasm);
    const brotli = brotliCompressSync(bytes).length / 1024;
    const measured = `${(bytes.length / 1024).toFixed(1)} KiB raw, ${brotli.toFixed(1)} KiB brotli`;
    return { measured, values: { brotli }, samples: { bytes: [bytes.length] }, problems: [] };
  },
};

export const starting = [
  timed(
    "attach() call",
    "attach",
    [{ key: "milliseconds", atMost: 1, text: "≤ 1 ms" }],
    "in a fresh worker, the face imported",
  ),
  timed("import of the worker face", "import", [], "in a fresh worker"),
  size,
];
