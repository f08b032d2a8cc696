// The page of kills.test.mjs: heaps in which nothing that was freed is used again, so whatever is written there was written by the dead.

import { randomFrom } from "/tests/js/random.mjs";

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
/** Longer than a browser lets a terminated thread go on, by force if need be. */
const ZOMBIE_MS = 2_500;
/** Of the test build: nothing is used again. */
const KEEP_FREED = 14;
/** One after the other; the last ones together, as the browser needs two seconds for each. */
const PLACES = [
  ...Array(5).fill("in operations"),
  "waiting for a cell",
  "waiting for a pipe",
  "in its own loop, out of the heap",
  "in its own loop",
  "in its own wasm",
];
const LAST = new Set(["in its own loop", "in its own wasm"]);

let lastExports;
const { Instance } = WebAssembly;
WebAssembly.Instance = class {
  constructor(...given) {
    this.exports = new Instance(...given).exports;
    lastExports = this.exports;
  }
};

/** What was freed, each with the hash that it had when it was first seen to be. */
class Freed {
  #exports;
  #seen = new Map();

  constructor(exports) {
    this.#exports = exports;
  }

  get blocks() {
    return this.#seen.size;
  }

  note() {
    const { coheap_freed, coheap_detail } = this.#exports;
    for (let from = 0; ; ) {
      coheap_freed(from);
      const [at, size, hash] = [0, 1, 2].map((index) => coheap_detail(index));
      if (size === 0) return;
      const key = `${at} ${size}`;
      if (!this.#seen.has(key)) this.#seen.set(key, { at, size, hash });
      from = at + size;
    }
  }

  /** Those in which something was written since. */
  changed() {
    const { coheap_hash, coheap_detail } = this.#exports;
    return [...this.#seen.values()].filter(({ at, size, hash }) => {
      coheap_hash(at, size);
      return coheap_detail(0) !== hash;
    });
  }

  /** Whether a change of one bit in the last of them is seen. */
  seesOneBit(memory) {
    const [{ at, size }] = [...this.#seen.values()].slice(-1);
    const bytes = new Uint8Array(memory.buffer, at, size);
    bytes[size - 1] ^= 1;
    const seen = this.changed().length;
    bytes[size - 1] ^= 1;
    return seen === 1 && this.changed().length === 0;
  }
}

/** A worker in its place, once it has begun there. */
async function start(heap, place, seed) {
  const thread = new Worker("/tests/browser/killed-worker.mjs", { type: "module" });
  const own = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const counts = new Int32Array(own.buffer);
  const errors = [];
  thread.addEventListener("error", ({ message }) => errors.push(message));
  thread.addEventListener("message", ({ data }) => errors.length < 5 && errors.push(data));
  thread.postMessage({ token: heap.adopt(thread), place, seed, own });
  while (Atomics.load(counts, 0) === 0 && errors.length === 0) await sleep(1);
  return { place, thread, counts, errors };
}

/** Ten workers killed on a heap of their own; what became of each, and of the memory that was freed. */
export async function killTen(seed) {
  const { SharedHeap } = await import("/js-host/dist/index.js");
  const random = randomFrom(seed);
  const heap = await SharedHeap.create({ maximum: "1GiB", wasm: new URL("/tests/build/heap.controls.wasm", location) });
  const exports = lastExports;
  exports.coheap_control(KEEP_FREED);
  const freed = new Freed(exports);
  const kill = async ({ place, thread, counts, errors }) => {
    const { proof } = await heap.terminate(thread);
    const then = Atomics.load(counts, 0);
    freed.note();
    return { place, proof, then, counts, errors };
  };
  const killed = [];
  const together = [];
  for (const place of PLACES) {
    const worker = await start(heap, place, random(2 ** 31));
    await sleep(random(40));
    if (LAST.has(place)) together.push(worker);
    else killed.push(await kill(worker));
  }
  killed.push(...(await Promise.all(together.map(kill))));
  // What is given back with a kept seat, when its thread has ended, was not there to be noted before.
  while (heap.stats().quarantined > 0) await sleep(50);
  freed.note();
  await sleep(ZOMBIE_MS);
  const changed = freed.changed().map(({ at, size }) => `${size} bytes at ${at}`);
  const seesOneBit = freed.seesOneBit(heap.token().memory);
  const { quarantined, agents } = await heap.audit({ timeout: 20_000 });
  heap.detach();
  return {
    kills: killed.map(({ place, proof, then, counts: [last, refused], errors }) => ({
      place,
      proof,
      wentOn: last - then,
      refused,
      errors,
    })),
    freed: freed.blocks,
    left: { quarantined, agents },
    changed: changed.slice(0, 20),
    seesOneBit,
  };
}
