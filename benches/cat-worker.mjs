// Sends back what comes: by a pipe from a thread of its own that blocks, by messages from this one.
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { attach } from "../js-host/dist/worker.js";

const { token, blocks } = workerData;
if (blocks) {
  const heap = attach(token);
  const [there, back] = [heap.pipe("there"), heap.pipe("back")];
  parentPort.postMessage("ready");
  for (const bytes of there) back.writeSync(bytes);
} else if (!isMainThread) {
  const copier = new Worker(new URL(import.meta.url), { workerData: { token, blocks: true } });
  copier.unref();
  copier.once("message", () => {
    parentPort.on("message", (piece) => parentPort.postMessage(piece));
    parentPort.postMessage("ready");
  });
}
