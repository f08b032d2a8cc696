// Twenty workers killed in whatever runtime runs this, here and there; reports what became of each as one line of JSON.
//   kills.mjs thread | web    workers of node:worker_threads, or the runtime's own Worker

import { setTimeout as sleep } from "node:timers/promises";
import { Worker as Thread } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { settledFigures } from "../js/settled.mjs";
import { seededRandom } from "../js/support.mjs";
import { startWorker } from "./web-worker.mjs";

const isThread = process.argv[2] !== "web";
const random = seededRandom();
const errors = [];

/** One after the other, on one heap. */
const PLACES = isThread
  ? { idle: 3, "in operations": 3, waiting: 3, "at work": 6 }
  : { idle: 5, "in operations": 5, waiting: 5 };
/** All at once, each on a heap of its own, since what it has may stay. They may run for ever, so they are the last. */
const LOOPS = { "in its own loop": 2, "in its own wasm": 1, "in its own wasm, out of the heap": 2 };

/** What those at work write into their block of bytes, never 0. */
const PATTERN = Uint8Array.from({ length: 70_000 }, (_, at) => 1 + (at % 255));

const each = (places) => Object.entries(places).flatMap(([place, times]) => Array(times).fill(place));

/** A worker in a place, and what its thread counts by itself there. */
class Killed {
  #heap;
  #thread;
  #count;
  #then;
  #killing = false;

  static async start(heap, place) {
    const killed = new Killed();
    killed.place = place;
    await killed.#start(heap);
    return killed;
  }

  async #start(heap) {
    this.#heap = heap;
    const token = heap.token();
    if (this.place === "at work") {
      const said = new Int32Array(new SharedArrayBuffer(16));
      this.#count = said.subarray(2);
      const told = { token, seed: random(2 ** 31), places: [], atoms: [], pattern: PATTERN, said };
      this.#startThread("../js/killed-worker.mjs", told);
    } else {
      const own = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
      this.#count = new Int32Array(own.buffer);
      const data = { token, place: this.place, own };
      if (isThread) this.#startThread("./places.mjs", data);
      else this.#thread = await startWorker("./places.mjs", data, (event) => this.#hear(event));
    }
    heap.adopt(this.#thread, token);
    while (Atomics.load(this.#count, 0) === 0 && errors.length === 0) await sleep(1);
  }

  #startThread(file, workerData) {
    this.#thread = new Thread(new URL(file, import.meta.url), { workerData });
    this.#thread.on("error", (error) => this.#hear(error));
  }

  /** What it throws because it was terminated is no error of its own. */
  #hear({ message }) {
    if (!this.#killing) errors.push(`${this.place}: ${message}`);
  }

  async kill() {
    this.#killing = true;
    const { proof, reclaimedBytes } = await this.#heap.terminate(this.#thread);
    this.#then = Atomics.load(this.#count, 0);
    return {
      place: this.place,
      proof,
      reclaimed: reclaimedBytes > 100_000,
      quarantined: this.#heap.stats().quarantined,
    };
  }

  /** Whether its thread has counted since `kill` answered. */
  get runs() {
    return Atomics.load(this.#count, 0) !== this.#then;
  }
}

const heap = await SharedHeap.create();
const before = await settledFigures(heap, []);
const found = { kills: [], before, errors };
const killed = [];

for (const place of each(PLACES)) {
  const one = await Killed.start(heap, place);
  await sleep(random(30));
  found.kills.push(await one.kill());
  killed.push(one);
}
const ofOthers = ["map", "list", "cell", "fields", "bytes", "pause", "pipe", "silent", "full"];
for (const name of ["beat", "never", "stay", ...ofOthers]) heap.remove(name);
found.after = await settledFigures(heap, []);

const loops = await Promise.all(each(LOOPS).map(async (place) => Killed.start(await SharedHeap.create(), place)));
await sleep(200);
found.kills.push(...(await Promise.all(loops.map((one) => one.kill()))));
killed.push(...loops);
await sleep(100);
// Without a proof that they have ended, a machine with much to do comes to each of them in time.
const mayRun = loops.filter((_, index) => found.kills.at(index - loops.length).proof !== "exit");
for (const end = performance.now() + 20_000; mayRun.some((one) => !one.runs) && performance.now() < end; )
  await sleep(10);
for (const [index, one] of killed.entries()) found.kills[index].runs = one.runs;

console.log(JSON.stringify(found));
// Threads that nothing can stop end with the process.
process.exit(0);
