// One number read from the heap, beside a bare wasm call and beside the message way.
import { Worker } from "node:worker_threads";
import { inWorker } from "../browser/chromium.mjs";
import { loaderOf } from "../loader.mjs";
import { raceReads } from "../number-read.mjs";
import { builtPackage, moduleOf } from "../setup.mjs";
import { median, ratio } from "../statistics.mjs";

const targets = [
  { key: "load", atMost: 2.5, text: "≤ 2.5 × a wasm call that loads one word" },
  { key: "message", atLeast: 1_000, text: "≥ 1,000 × the message way" },
];

function outcome(samples, engine) {
  const values = { load: ratio(samples.read, samples.load), message: ratio(samples.message, samples.read) };
  const measured =
    `${median(samples.read).toFixed(1)} ns; wasm call that loads one word ${median(samples.load).toFixed(1)} ns ` +
    `(${values.load.toFixed(2)} ×); message way ${(median(samples.message) / 1e3).toFixed(1)} µs ` +
    `(${Math.round(values.message).toLocaleString("en")} ×)`;
  return { measured, values, samples, problems: [], ...(engine && { engine }) };
}

async function inNode({ milliseconds, rounds }) {
  const { SharedHeap } = await import((await builtPackage()).index);
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  cell.set(1.5);
  const worker = new Worker(new URL("../echo-worker.mjs", import.meta.url));
  const shared = new SharedArrayBuffer(16);
  try {
    await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.postMessage({ shared });
    });
    const loader = loaderOf(await moduleOf("coheap"));
    return outcome(raceReads({ cell, ...loader, worker, shared, milliseconds, rounds }));
  } finally {
    await worker.terminate();
    heap.detach();
  }
}

async function inBrowser({ milliseconds, rounds }) {
  await Promise.all([builtPackage(), moduleOf("coheap")]);
  const { result, engine } = await inWorker("number-read.worker.mjs", { milliseconds, rounds });
  return outcome(result, engine);
}

export const reading = [
  { name: "number read", targets, measure: inNode },
  { name: "number read, Chromium", targets, measure: inBrowser },
];
