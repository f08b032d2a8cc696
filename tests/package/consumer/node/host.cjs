const { join } = require("node:path");
const { Worker } = require("node:worker_threads");
const { SharedHeap } = require("coheap");
const { look, write } = require("./exchange.cjs");

SharedHeap.create().then((heap) => {
  write(heap);
  const token = heap.token();
  const worker = new Worker(join(__dirname, "worker.cjs"), { workerData: token });
  heap.adopt(worker, token);
  worker.once("message", async (read) => {
    console.log(JSON.stringify(await look(heap, read)));
    await worker.terminate();
  });
});
