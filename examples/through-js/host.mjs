// Answers requests by two instances of a wasm-bindgen program, in two workers.
//   cargo build --release --target wasm32-unknown-unknown
//   wasm-bindgen --target experimental-nodejs-module --out-dir pkg target/wasm32-unknown-unknown/release/route_requests.wasm
//   node host.mjs [pkg]

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "coheap";

const here = new URL(".", import.meta.url);
const program = resolve(process.argv[2] ?? fileURLToPath(new URL("pkg", here)), "route_requests.js");

const heap = await SharedHeap.create();
const requests = heap.map("requests");
for (let number = 0; number < 900; number++) {
  const fields = heap.fields([["Accept-Language", ["de-AT", "en", "de"][number % 3]]]);
  requests.set(number, number < 300 ? fields.freeze() : fields);
}

const taken = await Promise.all(
  [1, 2].map(async () => {
    const token = heap.token();
    const worker = new Worker(new URL("worker.mjs", here), { workerData: { token, program } });
    heap.adopt(worker, token);
    return await new Promise((done, failed) => worker.once("message", done).once("error", failed));
  }),
);

console.log(`${taken.reduce((sum, count) => sum + count)} requests, taken by ${taken.length} instances`);
for (const [answer, count] of [...heap.map("answers")].sort()) console.log(`${String(count).padStart(6)}  ${answer}`);
console.log(`request 301: ${requests.get(301).get("x-answer")}`);
