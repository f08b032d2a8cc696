// What the tests share: a watchdog, seeded numbers, counted cases, and agents in workers that run what a test hands them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";

/** Ends this process when it hangs, even in a loop that never returns to its event loop. One for each test file. */
export function watchdog(seconds) {
  const watch = `
    const { workerData } = require("node:worker_threads");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, workerData.seconds * 1000);
    require("node:fs").writeSync(2, "The watchdog ended this test file after " + workerData.seconds + " s.\\n");
    process.kill(process.pid, "SIGKILL");`;
  new Worker(watch, { eval: true, workerData: { seconds } }).unref();
}

/** What the module imports, for tests that instantiate it themselves: it waits for nothing and wakes nobody. */
export const importsOf = (memory) => ({ env: { memory, wait: () => 3, notify: () => 0, now: () => 0 } });

// tests/controls runs these tests on the test build, with one seeded bug (0: none) switched on in every heap.
if (process.env.COHEAP_WASM !== undefined) {
  const { create } = SharedHeap;
  const module = new WebAssembly.Module(readFileSync(process.env.COHEAP_WASM));
  SharedHeap.create = async (options) => {
    const heap = await create({ wasm: module, ...options });
    const { memory } = heap.token();
    const { exports } = new WebAssembly.Instance(module, importsOf(memory));
    exports.coheap_control(Number(process.env.COHEAP_CONTROL));
    return heap;
  };
}

/** How many cases the test ran, for the counts in GUARANTEES.md. */
export function cases(name, number) {
  console.log(`cases ${name} ${number}`);
}

/** Numbers from a seed that is printed; COHEAP_SEED replays a run. */
export function seededRandom() {
  const seed = Number(process.env.COHEAP_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  console.log(`COHEAP_SEED=${seed}`);
  let state = seed;
  /** A whole number from 0 up to, not including, `below`. (mulberry32) */
  const next = (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
  return next;
}

/** Asserts that `call` throws (or rejects with) the coheap error of this code, and answers it. */
export function refuses(call, code, message) {
  const check = (error) => {
    assert.ok(isCoheapError(error, code), `${message ?? ""}: ${code} expected, not ${error?.stack ?? error}`);
    return error;
  };
  let result;
  try {
    result = call();
  } catch (error) {
    return check(error);
  }
  if (typeof result?.then === "function") {
    return result.then(() => assert.fail(`${message ?? call}: ${code} expected, but it succeeded`), check);
  }
  assert.fail(`${message ?? call}: ${code} expected, but it succeeded`);
}

/** While `body` runs, what each new instance exports is what `change` answers for it. */
export async function withExports(change, body) {
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class {
    constructor(...given) {
      this.exports = change(new Instance(...given).exports);
    }
  };
  try {
    return await body();
  } finally {
    WebAssembly.Instance = Instance;
  }
}

/** Calls `act` at the end of the stack, then from one frame further up each time, until it answers true. `pad` words shift where that is. */
export function atTheEndOfTheStack(pad, act) {
  let done = false;
  const walk = (depth) => {
    try {
      return walk(depth + 1) + 1;
    } catch (error) {
      done ||= act();
      if (!done) throw error;
      return 0;
    }
  };
  walk(0, ...new Array(pad));
}

const worker = new URL("./agent-worker.mjs", import.meta.url);

/** A worker that attaches to the heap, as an agent that may block. `run(f, …args)` runs `f(heap, …args)` there and answers its result. */
export class RemoteAgent {
  static async start(heap, { face = "worker", adopt = true } = {}) {
    const token = heap.token();
    const thread = new Worker(worker, { workerData: { token, face } });
    if (adopt) heap.adopt(thread, token);
    const agent = new RemoteAgent(thread);
    await agent.answer();
    return agent;
  }

  #waiting = [];

  constructor(thread) {
    this.thread = thread;
    thread.on("message", (message) => {
      const { resolve, reject } = this.#waiting.shift();
      if (message.error === undefined) resolve(message.result);
      else reject(Object.assign(new Error(message.error.message), message.error));
    });
    thread.on("error", (error) => {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
  }

  answer() {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  run(body, ...values) {
    this.thread.postMessage({ body: String(body), values });
    return this.answer();
  }

  async stop() {
    await this.run((heap) => heap.detach());
    await this.thread.terminate();
  }
}

export const wasmBytes = () => readFileSync(new URL("../../js-host/dist/heap.wasm", import.meta.url));
