// The founding table: a number read from the heap, by messages, and from an object of JavaScript's own.

import { count, ended, MESSAGE_SECONDS, say, startWorker, timeMessages, timeSteps } from "./support.mjs";

export const CALLS = 1_000_000;

/** Nanoseconds of one read from the heap. */
export function readNumbers(heap) {
  say(`2. The founding table: ${count(CALLS)} reads of a number. From the heap …`);
  const cell = heap.cell("number");
  cell.set(1);
  return timeSteps(CALLS, (calls) => {
    let sum = 0;
    for (let i = 0; i < calls; i++) sum += cell.get();
    if (sum !== calls) throw new Error(`${calls} reads of 1 gave ${sum}`);
  });
}

/** The same loop over an object of JavaScript's own: the limit of what any way can reach. */
export function readPlain() {
  const boxes = Array.from({ length: 64 }, () => ({ value: 1 }));
  return timeSteps(CALLS, (calls) => {
    let sum = 0;
    for (let i = 0; i < calls; i++) sum += boxes[i & 63].value;
    if (sum !== calls) throw new Error("plain reads went wrong");
  });
}

/** Nanoseconds of one message and its answer, and how many were sent. */
export async function readByMessages(heap) {
  say(`   … by messages (postMessage, then Atomics.wait for the answer), for ${MESSAGE_SECONDS} seconds …`);
  const flag = new SharedArrayBuffer(8);
  const words = new Int32Array(flag);
  const worker = await startWorker(heap, "echo", { flag });
  const { perStep: perCall, steps: calls } = timeMessages((call) => {
    Atomics.store(words, 0, 0);
    worker.postMessage(call);
    if (Atomics.wait(words, 0, 0, 10_000) === "timed-out") throw new Error("the worker answers no more");
  });
  if (Atomics.load(words, 1) !== calls) throw new Error("a message got lost");
  const exit = ended(worker);
  worker.postMessage("stop");
  await exit;
  return { perCall, calls };
}
