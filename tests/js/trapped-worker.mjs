// A worker of traps.test.mjs: attaches many agents, and stops each of them in the middle of an operation.

import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../js-host/dist/worker.js";
import { everyOperation } from "./every-operation.mjs";
import { randomFrom } from "./random.mjs";
import { Stop, thrownBy } from "./stopping-module.mjs";

const { tokens, how, seed } = workerData;
const random = randomFrom(seed);
const { Instance } = WebAssembly;
let exports;
WebAssembly.Instance = class {
  constructor(...given) {
    this.exports = exports = new Instance(...given).exports;
  }
};

/** What the operation threw with its shadow stack ending a little below where it begins. */
function withLittleStack(bytes, body) {
  const { value } = exports.__stack_limit;
  exports.__stack_limit.value = exports.__stack_pointer.value - bytes;
  try {
    return thrownBy(body);
  } finally {
    exports.__stack_limit.value = value;
  }
}

/** Begins operations until one is stopped in its middle: that it threw so. */
function trap(heap) {
  const operations = Object.entries(everyOperation(heap).operations);
  const stop = new Stop(exports);
  for (;;) {
    const [name, operation] = operations[random(operations.length)];
    // Some in a turn that is entered already.
    for (let i = random(3); i > 0; i--) operation();
    let error;
    if (how === "end of the shadow stack") {
      error = withLittleStack(random(400), operation);
    } else {
      stop.during(2 ** 30, how, operation);
      error = stop.during(1 + random(stop.entered), how, operation);
    }
    if (error !== undefined) {
      // A trap is the reason why the agent is lost.
      let reason = error;
      while (reason.cause !== undefined) reason = reason.cause;
      return `${error.code ?? "thrown on"}: ${reason.name} in ${name}: ${reason.message}`;
    }
  }
}

const agents = [];
parentPort.on("message", () => {
  const heap = attach(tokens[agents.length]);
  agents.push({ heap, held: [heap.map(), heap.bytes(undefined, 10_000)] });
  parentPort.postMessage(trap(heap));
});
parentPort.postMessage("ready");
