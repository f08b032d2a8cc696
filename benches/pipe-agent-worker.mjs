// One end of a stream between two threads: writes, or reads, so many messages of a size each time it is asked.
import { parentPort, workerData } from "node:worker_threads";
import { ends } from "./streams.mjs";

const { name, state, role } = workerData;
const end = await ends[name](state, role);

parentPort.on("message", async ({ count, size, gate }) => {
  const words = new Int32Array(gate);
  const prepared = end.prepare?.(count, size);
  Atomics.add(words, 0, 1);
  while (Atomics.load(words, 0) < 2);
  const begun = performance.now();
  await end[role](count, size, prepared);
  parentPort.postMessage(((performance.now() - begun) * 1e6) / count);
});
parentPort.postMessage("ready");
