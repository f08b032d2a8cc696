// The other side of a wake-up: answers so many times, each time it is asked.
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../js-host/dist/worker.js";

const { token, words } = workerData;
const heap = attach(token);
const [there, back] = [heap.pipe("there"), heap.pipe("back")];
const byte = new Uint8Array([1]);
const steps = {
  pipe() {
    there.readSync();
    back.writeSync(byte);
  },
  raw() {
    while (Atomics.load(words, 0) === 0) Atomics.wait(words, 0, 0);
    Atomics.store(words, 0, 0);
    Atomics.notify(words, 0);
  },
};

parentPort.on("message", ({ name, count }) => {
  for (let i = 0; i < count; i++) steps[name]();
  parentPort.postMessage("done");
});
parentPort.postMessage("ready");
