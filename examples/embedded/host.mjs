// Runs a threaded Rust program in this thread and two workers; its memory is the heap, and JavaScript reads the map that it fills.
//   cargo build --release && node host.mjs [program]

import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "coheap";

const here = new URL(".", import.meta.url);
const built = new URL("target/wasm32-unknown-unknown/release/index_words.wasm", here);
const { heap, exports } = await SharedHeap.embed(readFileSync(process.argv[2] ?? built));
exports.prepare(9_000);

const working = [1, 2].map(() => {
  const token = heap.token();
  const worker = new Worker(new URL("worker.mjs", here), { workerData: token });
  heap.adopt(worker, token);
  return new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
});
const own = exports.index();
const taken = [own, ...(await Promise.all(working))];

console.log(`${taken.reduce((sum, count) => sum + count)} lines, taken by ${taken.length} threads`);
for (const [word, count] of [...heap.map("words")].sort(([one], [other]) => (one < other ? -1 : 1))) {
  console.log(`${String(count).padStart(7)}  ${word}`);
}
