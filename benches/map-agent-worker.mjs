// One agent at a map that others use too: attaches, then meets the others at a gate and takes one kind of step, each time it is asked.
import { parentPort, workerData } from "node:worker_threads";
import { stringSteps } from "./contests/map-steps.mjs";
import { attach } from "./shared-maps.mjs";
import { countFor, time } from "./timing.mjs";

const { name, state, index } = workerData;
const steps = stringSteps(await attach[name](state));

parentPort.on("message", ({ what, milliseconds, count, gate, agents }) => {
  if (count === undefined) {
    parentPort.postMessage(countFor(steps[what], milliseconds));
    return;
  }
  // Each begins at another key, else they ask for the same ones in step.
  const step = (i) => steps[what](i + index * 333);
  const arrived = new Int32Array(gate);
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < agents);
  parentPort.postMessage(time(step, count));
});
parentPort.postMessage("ready");
