import { parentPort, workerData } from "node:worker_threads";
import { attach } from "coheap/worker";
import { read } from "./exchange.mjs";

const heap = attach(workerData);
parentPort.postMessage(read(heap));
heap.cell("end").waitSync(0); // stays an agent until the host ends it
