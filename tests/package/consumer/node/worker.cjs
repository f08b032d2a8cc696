const { parentPort, workerData } = require("node:worker_threads");
const { attach } = require("coheap/worker");
const { read } = require("./exchange.cjs");

const heap = attach(workerData);
parentPort.postMessage(read(heap));
heap.cell("end").waitSync(0); // stays an agent until the host ends it
