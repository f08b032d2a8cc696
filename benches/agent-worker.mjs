// One agent of a contender in a worker: on each message it meets the others at a gate and runs one workload.
import { parentPort, workerData } from "node:worker_threads";
import { startAgent } from "./contender.mjs";

const { contender, module, memory } = workerData;
const agent = startAgent(contender, module, memory, false);

parentPort.on("message", ({ workload, iterations, argument, gate, agents }) => {
  const arrived = new Int32Array(gate);
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < agents);
  const start = performance.now();
  const notDone = agent[workload](iterations, argument);
  const milliseconds = performance.now() - start;
  if (notDone) throw new Error(`${contender} ${workload}: out of memory`);
  parentPort.postMessage(milliseconds);
});
parentPort.postMessage("ready");
