// One of several agents that set keys of one map; one of them may stand still in the middle of that, for ever.
import { parentPort, workerData } from "node:worker_threads";

const { face, token, shared, number, stands } = workerData;
const words = new Int32Array(shared);
const [GO, STANDS] = [0, 1];
/** Changes of the memory that are made in the call before it stands still. */
const POINT = 40;

if (stands) {
  const { Instance } = WebAssembly;
  let points = 0;
  WebAssembly.Instance = class {
    constructor(module, { env }) {
      // What the module asks before each change of shared memory: see tools/src/crash_points.rs.
      const crash_point = () => {
        if (words[GO] === 1 && ++points === POINT) {
          Atomics.store(words, STANDS, 1);
          Atomics.notify(words, STANDS);
          Atomics.wait(words, STANDS, 1);
        }
        return 0;
      };
      this.exports = new Instance(module, { env: { ...env, crash_point } }).exports;
    }
  };
}
const { attach } = await import(face);
const heap = attach(token);
const map = heap.map("map");
const keys = Array.from({ length: 50 }, (_, i) => `key ${(number * 25 + i) % 200}`);

parentPort.on("message", (milliseconds) => {
  let done = 0;
  for (const end = performance.now() + milliseconds; performance.now() < end; ) {
    for (const key of keys) map.set(key, done++);
  }
  parentPort.postMessage(done);
});
parentPort.postMessage("ready");
