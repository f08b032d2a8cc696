// The founding table: a number read from the heap, by messages, and from an object of JavaScript's own.

import { count, ended, MESSAGE_SECONDS, say, startWorker } from "./support.mjs";

export const CALLS = 1_000_000;

/** Nanoseconds of one read from the heap. */
export function readNumbers(heap) {
  say(`2. The founding table: ${count(CALLS)} reads of a number. From the heap …`);
  const cell = heap.cell("number");
  cell.set(1);
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    let sum = 0;
    const begin = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) sum += cell.get();
    const took = Number(process.hrtime.bigint() - begin);
    if (sum !== CALLS) throw new Error(`${CALLS} reads of 1 gave ${sum}`);
    best = Math.min(best, took);
  }
  return best / CALLS;
}

/** The same loop over an object of JavaScript's own: the limit of what any way can reach. */
export function readPlain() {
  const boxes = Array.from({ length: 64 }, () => ({ value: 1 }));
  let best = Infinity;
  for (let run = 0; run < 5; run++) {
    let sum = 0;
    const begin = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) sum += boxes[i & 63].value;
    const took = Number(process.hrtime.bigint() - begin);
    if (sum !== CALLS) throw new Error("plain reads went wrong");
    best = Math.min(best, took);
  }
  return best / CALLS;
}

/** Nanoseconds of one message and its answer, and how many were sent. */
export async function readByMessages(heap) {
  say(`   … by messages (postMessage, then Atomics.wait for the answer), for ${MESSAGE_SECONDS} seconds …`);
  const flag = new SharedArrayBuffer(8);
  const words = new Int32Array(flag);
  const worker = await startWorker(heap, "echo", { flag });
  let calls = 0;
  let took = 0;
  const begin = process.hrtime.bigint();
  while (took < MESSAGE_SECONDS * 1e9) {
    Atomics.store(words, 0, 0);
    worker.postMessage(calls);
    if (Atomics.wait(words, 0, 0, 10_000) === "timed-out") throw new Error("the worker answers no more");
    calls++;
    took = Number(process.hrtime.bigint() - begin);
  }
  if (Atomics.load(words, 1) !== calls) throw new Error("a message got lost");
  const exit = ended(worker);
  worker.postMessage("stop");
  await exit;
  return { perCall: took / calls, calls };
}
