// One more thread of the program, with a stack and thread-locals of its own.

import { parentPort, workerData } from "node:worker_threads";
import { attach } from "coheap/worker";

const heap = attach(workerData);
const taken = heap.thread().index();
heap.detach();
parentPort.postMessage(taken);
