// A fresh agent: how long the import of the worker face takes it, and how long the call to attach.
import { parentPort, workerData } from "node:worker_threads";

const { face, token } = workerData;
const begin = performance.now();
const { attach } = await import(face);
const imported = performance.now();
const heap = attach(token);
const attached = performance.now();
heap.detach();
parentPort.postMessage({ import: imported - begin, attach: attached - imported });
