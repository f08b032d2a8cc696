import { SharedHeap } from "coheap";
import { look, write } from "./exchange.mjs";
import { options } from "./wasm.mjs";

async function main() {
  const heap = await SharedHeap.create(options);
  write(heap);
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const token = heap.token();
  heap.adopt(worker, token);
  const read = await new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(`the worker: ${message}`));
    worker.postMessage(token);
  });
  return await look(heap, read);
}

globalThis.result = await main().catch((error) => String(error.stack));
