// One instance of the program: the heap that it works on is this worker's.

import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "coheap/worker";

const program = await import(pathToFileURL(workerData.program));
const heap = attach(workerData.token);
const taken = program.answer_requests(heap);
heap.detach();
parentPort.postMessage(taken);
