// One agent at a map that others use too: attaches, then meets the others at a gate and takes one kind of step, each time it is asked.
import { stringSteps } from "./contests/map-steps.mjs";
import { attach } from "./shared-maps.mjs";
import { countFor, time } from "./timing.mjs";
import { receive } from "./workers.mjs";

let steps;
let first;

receive(async ({ name, state, index, what, milliseconds, count, gate, agents }, tell) => {
  if (name !== undefined) {
    steps = stringSteps(await attach[name](state));
    // Each begins at another key, else they ask for the same ones in step.
    first = index * 333;
    tell("ready");
    return;
  }
  if (count === undefined) {
    tell(countFor(steps[what], milliseconds));
    return;
  }
  const step = (i) => steps[what](i + first);
  const arrived = new Int32Array(gate);
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < agents);
  tell(time(step, count));
});
