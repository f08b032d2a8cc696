// Workers that nobody adopted end in whatever runtime runs this, by themselves or with the one that started them; reports what was told of each as
// one line of JSON.

import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";

const heap = await SharedHeap.create();
const beat = heap.cell("beat");
const before = heap.stats();
const ends = {
  "process.exit": () => {},
  exception: () => {},
  "terminate of one that has started another": (thread) => thread.terminate(),
};
const found = [];

for (const [name, end] of Object.entries(ends)) {
  const lost = new Promise((resolve) => {
    const listening = heap.on("agentlost", (told) => {
      listening[Symbol.dispose]();
      resolve(told);
    });
  });
  beat.set(0);
  const workerData = { end: name, tokens: [heap.token(), heap.token()] };
  const thread = new Worker(new URL("./ending-worker.mjs", import.meta.url), { workerData });
  thread.on("error", () => {});
  while (beat.get() < 100) await sleep(1);
  end(thread);
  const { agents, recovery } = await lost;
  const last = beat.get();
  await sleep(50);
  found.push({ name, agents, proof: recovery.proof, runs: beat.get() !== last });
}
const { liveBytes, agents, quarantined } = await heap.audit();
console.log(JSON.stringify({ found, left: { liveBytes: liveBytes - before.liveBytes, agents, quarantined } }));
process.exit(0);
