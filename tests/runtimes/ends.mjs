// Workers that nobody adopted end in whatever runtime runs this, by themselves or with the one that started them; reports what was told of each as
// one line of JSON.
//   ends.mjs thread | web    workers of node:worker_threads, or the runtime's own Worker

import { setTimeout as sleep } from "node:timers/promises";
import { Worker as Thread } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { startWorker } from "./web-worker.mjs";

const isThread = process.argv[2] !== "web";
/** Milliseconds after which nobody is told any more, where nobody ever is: elsewhere it takes what it takes. */
const LAST = 3_000;
const isTold = globalThis.Deno === undefined;
const heap = await SharedHeap.create();
const beat = heap.cell("beat");
const before = heap.stats();
const ends = {
  [isThread ? "process.exit" : "close"]: () => {},
  exception: () => {},
  "terminate of one that has started another": (thread) => thread.terminate(),
};
const found = [];

async function start(data) {
  const file = "./ending-worker.mjs";
  if (!isThread) return await startWorker(file, data);
  const thread = new Thread(new URL(file, import.meta.url), { workerData: data });
  thread.on("error", () => {});
  return thread;
}

for (const [name, end] of Object.entries(ends)) {
  const lost = new Promise((resolve) => {
    const listening = heap.on("agentlost", (told) => {
      listening[Symbol.dispose]();
      resolve(told);
    });
  });
  beat.set(0);
  const thread = await start({ end: name, tokens: [heap.token(), heap.token()] });
  while (beat.get() < 100) await sleep(1);
  end(thread);
  const told = await (isTold ? lost : Promise.race([lost, sleep(LAST)]));
  const last = beat.get();
  await sleep(50);
  found.push({ name, agents: told?.agents, proof: told?.recovery.proof, runs: beat.get() !== last });
}
const { liveBytes, agents, quarantined } = heap.stats();
console.log(JSON.stringify({ found, left: { liveBytes: liveBytes - before.liveBytes, agents, quarantined } }));
process.exit(0);
