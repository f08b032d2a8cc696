// What the end of a worker costs those who stay.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { builtPackage } from "../setup.mjs";
import { median } from "../statistics.mjs";

const WORKER = new URL("../doomed-worker.mjs", import.meta.url);
/** Values of a map, or objects of their own. */
const MANY = 100_000;
/** Workers that are killed at most, until so many of them were in an operation as there are rounds. */
const TRIES_FOR_EACH = 20;

/** The longest that the event loop stood still from `begin()` to `end()`, in milliseconds. */
class Pulse {
  #longest = 0;
  #last;
  #beats = false;

  begin() {
    this.#beats = true;
    this.#last = performance.now();
    const beat = () => {
      this.#look();
      if (this.#beats) setImmediate(beat);
    };
    setImmediate(beat);
  }

  #look() {
    const now = performance.now();
    if (this.#beats) this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  end() {
    this.#look();
    this.#beats = false;
    return this.#longest;
  }
}

/** Milliseconds from `terminate()` to the end of the thread, from there until everything is back, to the answer, and of the longest stall of the event loop in that. */
async function end(heap, face, { blocks = 0, objects = 0, works = false }) {
  const token = heap?.token();
  const worker = new Worker(WORKER, { workerData: { face, token, blocks, objects, works } });
  if (heap !== undefined) heap.adopt(worker, token);
  await once(worker, "message");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const pulse = new Pulse();
  const begun = performance.now();
  let exited;
  worker.once("exit", () => {
    exited = performance.now();
    pulse.begin();
  });
  // Without a heap, what Node answers is the exit code.
  const { repaired = 0 } = await (heap === undefined ? worker.terminate() : heap.terminate(worker));
  const answered = performance.now();
  return { stop: exited - begun, back: answered - exited, answer: answered - begun, stall: pulse.end(), repaired };
}

/** The medians; and each of them as text. */
function summary(samples) {
  const values = Object.fromEntries(Object.entries(samples).map(([name, all]) => [name, median(all)]));
  return { values, text: (name) => `${values[name].toFixed(2)} ms` };
}

/** Hands `use` a heap and the worker's face of the package; the heap is whole afterwards. */
async function withHeap(use) {
  const { index, worker: face } = await builtPackage();
  const { SharedHeap } = await import(index);
  const heap = await SharedHeap.create();
  await use(heap, face);
  await heap.audit();
  heap.detach();
}

const terminate = {
  name: "terminate(), everything back",
  targets: [{ key: "blocks", atMost: 10, text: "≤ 10 ms per 100,000 live blocks" }],
  async measure({ quick }) {
    const samples = { bare: [], answer: [], idle: [], working: [], blocks: [] };
    const rounds = quick ? 3 : 25;
    let tries = 0;
    await withHeap(async (heap, face) => {
      for (let round = 0; round < rounds; round++) {
        samples.bare.push((await end(undefined, face, {})).answer);
        const idle = await end(heap, face, {});
        samples.answer.push(idle.answer);
        samples.idle.push(idle.back);
        samples.blocks.push((await end(heap, face, { blocks: MANY })).back);
      }
      while (samples.working.length < rounds && tries++ < rounds * TRIES_FOR_EACH) {
        const { back, repaired } = await end(heap, face, { works: true });
        if (repaired > 0) samples.working.push(back);
      }
    });
    const { values, text } = summary(samples);
    const measured = [
      `to the answer of terminate() ${text("answer")}, without a heap ${text("bare")}`,
      `of that after the thread has ended, idle ${text("idle")}`,
      `inside an operation ${text("working")} (${samples.working.length} in one, of ${tries})`,
      `with ${MANY.toLocaleString("en")} values of a map ${text("blocks")}`,
    ].join("; ");
    const found = samples.working.length;
    const problems = found < rounds ? [`only ${found} of ${rounds} were killed in an operation`] : [];
    return { measured, values, samples, problems };
  },
};

const objects = {
  name: "terminate(), 100,000 objects back",
  targets: [{ key: "objects", atMost: 10, text: "≤ 10 ms" }],
  async measure({ quick }) {
    const samples = { objects: [] };
    await withHeap(async (heap, face) => {
      for (let round = 0; round < (quick ? 3 : 25); round++) {
        samples.objects.push((await end(heap, face, { objects: MANY })).back);
      }
    });
    const { values, text } = summary(samples);
    return { measured: `after the thread has ended ${text("objects")}`, values, samples, problems: [] };
  },
};

const stalls = {
  name: "terminate(), the host's event loop meanwhile",
  targets: [
    { key: "median", atMost: 1, text: "the longest stall of a round ≤ 1 ms by the median" },
    { key: "longest", atMost: 1, text: "≤ 1 ms in all rounds" },
  ],
  async measure({ quick }) {
    const samples = { blocks: [], objects: [], working: [] };
    const dead = { blocks: { blocks: MANY }, objects: { objects: MANY }, working: { works: true } };
    await withHeap(async (heap, face) => {
      for (let round = 0; round < (quick ? 3 : 25); round++) {
        for (const [name, had] of Object.entries(dead)) samples[name].push((await end(heap, face, had)).stall);
      }
    });
    const { values, text } = summary(samples);
    const line = (name) => `${text(name)} (${Math.max(...samples[name]).toFixed(2)} ms)`;
    values.median = Math.max(...Object.values(values));
    values.longest = Math.max(...Object.values(samples).flat());
    const many = MANY.toLocaleString("en");
    const measured = [
      `the longest stall of a round, median (longest of all): with ${many} values of a map ${line("blocks")}`,
      `with ${many} objects ${line("objects")}`,
      `at work ${line("working")}`,
    ].join("; ");
    return { measured, values, samples, problems: [] };
  },
};

export const death = [terminate, objects, stalls];
