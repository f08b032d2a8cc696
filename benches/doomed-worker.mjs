// An agent that is terminated: it holds what it is told to, and then rests or works for ever.
import { parentPort, workerData } from "node:worker_threads";

const { face, token, blocks, works } = workerData;
if (token !== undefined) {
  const { attach } = await import(face);
  const heap = attach(token);
  const map = heap.map();
  for (let key = 0; key < blocks; key += 1000) {
    map.setMany(Array.from({ length: 1000 }, (_, i) => [key + i, "a value that needs a block of its own"]));
  }
  globalThis.held = map;
  if (works) {
    const counts = Array.from({ length: 500 }, (_, i) => [i, 1]);
    setTimeout(() => {
      for (const other = heap.map(); ; ) other.addMany(counts);
    });
  }
}
parentPort.on("message", () => {});
parentPort.postMessage("ready");
