// A cell that a worker fills while the host reads it.

import { count, ended, say, startWorker } from "./support.mjs";

const STEPS = 1_000_000;

/** Answers whether the worker's answer arrived. */
export async function shareACell(heap) {
  say(
    '1. A worker and the host attach to one heap; the worker fills the cell named "progress", the host reads it meanwhile.',
  );
  const progress = heap.cell("progress");
  const worker = await startWorker(heap, "fill", { steps: STEPS });
  const exit = ended(worker);
  const seen = new Set();
  let reads = 0;
  for (let value = progress.get(); value < STEPS; reads++) {
    seen.add(value);
    if (seen.size % 1000 === 0) await progress.waitAsync(value, { timeout: 1000 });
    value = progress.get();
  }
  say(
    `   The host saw ${count(seen.size)} different numbers in ${count(reads)} reads, up to ${count(progress.get())}.`,
  );
  const answer = heap.cell("answer").waitAsync(0, { timeout: 10_000 });
  heap.cell("question").set(21);
  await answer;
  say(`   The host asked 21, the worker doubled it: ${heap.cell("answer").get()}.`);
  await exit;
  return heap.cell("answer").get() === 42;
}
