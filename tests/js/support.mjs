// What the tests share: a watchdog, seeded numbers, counted cases, and agents in workers that run what a test hands them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { randomFrom } from "./random.mjs";

/**
 * Ends this process when it hangs, even in a loop that never returns to its event loop. One for each test file. Whoever calls what this
 * answers has the time again from then on. A run beside others that want the processors says how many times as long all may take.
 */
export function watchdog(usual) {
  const seconds = usual * Number(process.env.COHEAP_PATIENCE ?? 1);
  const watch = `
    const { seconds, calls } = require("node:worker_threads").workerData;
    let seen;
    do seen = Atomics.load(calls, 0);
    while (Atomics.wait(calls, 0, seen, seconds * 1000) !== "timed-out");
    require("node:fs").writeSync(2, "The watchdog ended this test file after " + seconds + " s.\\n");
    process.kill(process.pid, "SIGKILL");`;
  const calls = new Int32Array(new SharedArrayBuffer(4));
  new Worker(watch, { eval: true, workerData: { seconds, calls } }).unref();
  return () => {
    Atomics.add(calls, 0, 1);
    Atomics.notify(calls, 0);
  };
}

/** How often a test does it: `usual` in `npm test`, and what the environment says in a longer run. */
export function times(name, usual) {
  return Number(process.env[name] ?? usual);
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

/** Hands `use` the SharedHeap of an engine without Atomics.waitAsync: the package looks for it as it is loaded, once in a test file. */
export async function withoutWaitAsync(use) {
  const { waitAsync } = Atomics;
  delete Atomics.waitAsync;
  try {
    const { SharedHeap } = await import("../../js-host/dist/index.js?polling");
    await use(SharedHeap);
  } finally {
    Atomics.waitAsync = waitAsync;
  }
}

/** How many cases the test ran, for the counts in GUARANTEES.md. */
export function cases(name, number) {
  console.log(`cases ${name} ${number}`);
}

/** Numbers from a seed that is printed; COHEAP_SEED replays a run. */
export function seededRandom() {
  const seed = Number(process.env.COHEAP_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  console.log(`COHEAP_SEED=${seed}`);
  return randomFrom(seed);
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

/** An agent of this thread, and what its instance exports. */
export async function attachWithExports(token) {
  let wasm;
  const keep = (exports) => {
    wasm = exports;
    return exports;
  };
  const heap = await withExports(keep, () => SharedHeap.attach(token));
  return { heap, wasm };
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
  static async start(heap, { face = "worker", adopt = true, pipes, resourceLimits } = {}) {
    const token = heap.token();
    const thread = new Worker(worker, { workerData: { token, face }, resourceLimits });
    if (adopt) heap.adopt(thread, token, { pipes });
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

/** The module under test: the shipped one, or the test build with a seeded bug. */
export const testedWasm = () =>
  process.env.COHEAP_WASM === undefined ? wasmBytes() : readFileSync(process.env.COHEAP_WASM);

export const wasmBytes = () => readFileSync(new URL("../../js-host/dist/heap.wasm", import.meta.url));
