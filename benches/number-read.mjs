// The three ways to a number, timed by the same code in Node and in Chromium. Calls nothing of either.

/** Nanoseconds a checked read of a shared cell takes. */
function timeReads(cell, count) {
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < count; i++) sum += cell.get();
  const took = performance.now() - start;
  if (sum !== count * 1.5) throw new Error(`${count} reads of 1.5 add up to ${sum}`);
  return (took * 1e6) / count;
}

/** Nanoseconds of a wasm call of the same signature that loads one word. */
function timeLoads(loadWord, address, count) {
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < count; i++) sum += loadWord(address, 0, i & 7);
  const took = performance.now() - start;
  if (sum !== count * 1.5) throw new Error(`${count} loads of 1.5 add up to ${sum}`);
  return (took * 1e6) / count;
}

/** Nanoseconds of one question by postMessage, answered through shared bytes and Atomics.notify. */
function timeMessages(worker, shared, count) {
  const words = new Int32Array(shared);
  const numbers = new Float64Array(shared);
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const before = Atomics.load(words, 0);
    worker.postMessage({ index: i });
    Atomics.wait(words, 0, before);
    if (numbers[1] !== i + 0.5) throw new Error("the message way answered another question");
  }
  return ((performance.now() - start) * 1e6) / count;
}

/**
 * Interleaved rounds of the three; all samples. `cell` and the f64 at `address` hold 1.5.
 * `worker` runs echo-worker.mjs and has `shared`.
 */
export function raceReads({ cell, loadWord, address, worker, shared, milliseconds, rounds }) {
  const calls = Math.ceil(milliseconds * 100_000);
  const messages = Math.ceil(milliseconds * 20);
  // Both loops reach their final machine code before anything is counted.
  for (let i = 0; i < 20; i++) timeReads(cell, 20_000);
  for (let i = 0; i < 20; i++) timeLoads(loadWord, address, 20_000);
  timeMessages(worker, shared, 50);
  const samples = { read: [], load: [], message: [] };
  for (let round = 0; round < rounds; round++) {
    samples.read.push(timeReads(cell, calls));
    samples.load.push(timeLoads(loadWord, address, calls));
    samples.message.push(timeMessages(worker, shared, messages));
  }
  return samples;
}
