// Counts the words of a text by two instances of a Rust program, each with a memory of its own, in two workers.
//   cargo build --release --target wasm32-unknown-unknown && node host.mjs [text] [program]

import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "coheap";

const here = new URL(".", import.meta.url);
const [text, program] = process.argv.slice(2);
const built = new URL("target/wasm32-unknown-unknown/release/count_words.wasm", here);
const module = new WebAssembly.Module(readFileSync(program ?? built));

const heap = await SharedHeap.create();
const lines = heap.map("lines");
for (const [number, line] of readFileSync(text ?? new URL("host.mjs", here), "utf8")
  .split("\n")
  .entries()) {
  lines.set(number, line);
}

const taken = await Promise.all(
  [1, 2].map(async () => {
    const token = heap.token();
    const worker = new Worker(new URL("worker.mjs", here), { workerData: { token, module } });
    heap.adopt(worker, token);
    return await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  }),
);

const words = [...heap.map("words")].sort(([, one], [, other]) => other - one);
console.log(`${taken.reduce((sum, count) => sum + count)} lines, taken by ${taken.length} instances`);
for (const [word, count] of words.slice(0, 10)) console.log(`${String(count).padStart(6)}  ${word}`);
