// A byte to another thread and one back, both of which sleep meanwhile; beside the platform's own wait and notify.
import { Worker } from "node:worker_threads";
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";
import { answer, ask } from "../workers.mjs";

const targets = [{ key: "wake", atMost: 1.3, text: "≤ 1.3 × Atomics.wait and notify" }];

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const { attach } = await import("../../js-host/dist/worker.js");
  const heap = await SharedHeap.create();
  const own = attach(heap.token());
  const words = new Int32Array(new SharedArrayBuffer(8));
  const [there, back] = [own.pipe("there"), own.pipe("back")];
  const file = new URL("../pong-worker.mjs", import.meta.url);
  const worker = new Worker(file, { workerData: { token: heap.token(), words } });
  await answer(worker);
  const byte = new Uint8Array([1]);
  const steps = {
    pipe() {
      there.writeSync(byte);
      back.readSync();
    },
    raw() {
      Atomics.store(words, 0, 1);
      Atomics.notify(words, 0);
      while (Atomics.load(words, 0) === 1) Atomics.wait(words, 0, 1);
    },
  };
  const run = async (name, count) => {
    const done = ask(worker, { name, count });
    const took = time(steps[name], count);
    await done;
    return took;
  };
  try {
    const contestants = {};
    for (const name of Object.keys(steps)) {
      let count = 64;
      while ((await run(name, count)) * count < milliseconds * 1e6) count *= 2;
      contestants[name] = () => run(name, count);
    }
    return { samples: await interleave(contestants, rounds), problems: [] };
  } finally {
    await worker.terminate();
    own.detach();
    heap.detach();
  }
}

function outcome({ samples }) {
  const values = { wake: ratio(samples.pipe, samples.raw) };
  const took = (name) => `${(median(samples[name]) / 1e3).toFixed(1)} µs`;
  return {
    measured: `there and back ${took("pipe")}, wait and notify ${took("raw")} (${values.wake.toFixed(2)} ×)`,
    values,
  };
}

export const contest = { file: "pipe-wake", name: "wake-up by a pipe", targets, race, outcome };
