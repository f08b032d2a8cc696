// An agent that is terminated: it holds what it is told to, and then rests or works for ever.
import { parentPort, workerData } from "node:worker_threads";

const { face, token, blocks, objects, works } = workerData;
if (token !== undefined) {
  const { attach } = await import(face);
  const heap = attach(token);
  const map = heap.map();
  for (let key = 0; key < blocks; key += 1000) {
    map.setMany(Array.from({ length: 1000 }, (_, i) => [key + i, "a value that needs a block of its own"]));
  }
  globalThis.held = [map, Array.from({ length: objects }, () => heap.cell())];
  if (works) {
    // With a lease it is one operation, of milliseconds.
    const counts = Array.from({ length: 20_000 }, (_, i) => [i, 1]);
    const [sums, pipe] = [heap.map(), heap.pipe()];
    const add = () => {
      pipe.tryWrite("x");
      sums.addMany(counts, { settle: pipe.leaseSync() });
    };
    add();
    setTimeout(() => {
      for (;;) add();
    });
  }
}
parentPort.on("message", () => {});
parentPort.postMessage("ready");
