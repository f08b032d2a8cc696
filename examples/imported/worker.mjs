// One instance of the program: its imports are all that it has of the heap.

import { parentPort, workerData } from "node:worker_threads";
import { attach } from "coheap/worker";

const heap = attach(workerData.token);
const program = new WebAssembly.Instance(workerData.module, { coheap: heap.imports(() => program.exports.memory) });
const taken = program.exports.count();
heap.detach();
parentPort.postMessage(taken);
