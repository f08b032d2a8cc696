import { Worker } from "node:worker_threads";
import { SharedHeap } from "coheap";
import { look, write } from "./exchange.mjs";
import { options } from "./wasm.mjs";

const heap = await SharedHeap.create(options);
write(heap);
const token = heap.token();
const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: token });
heap.adopt(worker, token);
const read = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
console.log(JSON.stringify(await look(heap, read)));
await worker.terminate();
