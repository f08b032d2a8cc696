// A map in the heap, which every agent reads and changes, beside a private `Map` of the same thread and beside the message way.
// Hot: keys and values are strings that were used before. Cold: each is made for the call, so that nobody knows its hash.
import { Worker } from "node:worker_threads";
import { builtPackage } from "../setup.mjs";
import { median, ratio } from "../statistics.mjs";

const KEYS = 1000;

const targets = [
  { key: "hot get", atMost: 4, text: "hot get ≤ 4 × a private Map" },
  { key: "hot set", atMost: 4, text: "hot set ≤ 4 × a private Map" },
  { key: "cold get", atMost: 2.5, text: "cold get ≤ 2.5 × a private Map" },
  { key: "cold set", atMost: 2.5, text: "cold set ≤ 2.5 × a private Map" },
  { key: "messages", atLeast: 100, text: "hot get ≥ 100 × faster than a message and its answer" },
];

/** Nanoseconds of one call of `step`. */
function time(step, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) step(i);
  return ((performance.now() - start) * 1e6) / count;
}

/** Nanoseconds of one question by postMessage, answered through shared bytes and Atomics.notify. */
function timeMessages(worker, shared, count) {
  const words = new Int32Array(shared);
  const numbers = new Float64Array(shared);
  return time((index) => {
    const before = Atomics.load(words, 0);
    worker.postMessage({ index, name: `user:${index % KEYS}` });
    Atomics.wait(words, 0, before);
    if (numbers[1] !== index + 0.5) throw new Error("the message way answered another question");
  }, count);
}

/** The keys of the rows, each with two values. */
const keys = Array.from({ length: KEYS }, (_, i) => `user:${i}`);
const values = [0, 1].map((n) => keys.map((key) => `the ${n ? "first" : "other"} value of ${key}`));

/** What is timed of a map: steps, and how many entries one of them passes. */
function stepsOf(strings, numbers) {
  const at = (i) => (i * 7919) % KEYS;
  for (const [i, key] of keys.entries()) {
    strings.set(key, values[0][i]);
    numbers.set(key, i);
  }
  const isString = (value) => {
    if (value.length < 10) throw new Error(`the value is ${value}`);
  };
  const isNumber = (value) => {
    if (!(value >= 0)) throw new Error(`the value is ${value}`);
  };
  return {
    "hot get": (i) => isString(strings.get(keys[at(i)])),
    "hot set": (i) => strings.set(keys[at(i)], values[i & 1][at(i)]),
    "cold get": (i) => isString(strings.get(`user:${at(i)}`)),
    "cold set": (i) => strings.set(`user:${at(i)}`, `the value of number ${i}`),
    "number get": (i) => isNumber(numbers.get(keys[at(i)])),
    "number set": (i) => numbers.set(keys[at(i)], i),
    add: numbers.add
      ? (i) => numbers.add(keys[at(i)], 1)
      : (i) => numbers.set(keys[at(i)], numbers.get(keys[at(i)]) + 1),
    "insert + delete": (i) => numbers.set(`new:${i & 255}`, i).delete(`new:${i & 255}`),
    entry: (i) => {
      // One step is a whole iteration, once for all its entries.
      if (i % KEYS === 0) for (const [, value] of numbers) isNumber(value);
    },
  };
}

async function measure({ milliseconds, rounds }) {
  const { SharedHeap } = await import((await builtPackage()).index);
  const heap = await SharedHeap.create();
  const worker = new Worker(new URL("../echo-worker.mjs", import.meta.url));
  const shared = new SharedArrayBuffer(16);
  try {
    await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.postMessage({ shared });
    });
    const ours = stepsOf(heap.map(), heap.map());
    const theirs = stepsOf(new Map(), new Map());
    const names = Object.keys(ours);
    for (let i = 0; i < 10; i++) for (const name of names) for (const steps of [ours, theirs]) time(steps[name], 2000);
    timeMessages(worker, shared, 20);
    const samples = { messages: [] };
    const sample = (name, value) => {
      samples[name] ??= [];
      samples[name].push(value);
    };
    const count = Math.ceil(milliseconds * 2) * KEYS;
    for (let round = 0; round < rounds; round++) {
      for (const name of names) {
        sample(name, time(ours[name], count));
        sample(`${name}, Map`, time(theirs[name], count));
      }
      sample("messages", timeMessages(worker, shared, milliseconds * 4));
      await null;
    }
    const byMap = Object.fromEntries(names.map((name) => [name, ratio(samples[name], samples[`${name}, Map`])]));
    const messages = ratio(samples.messages, samples["hot get"]);
    const texts = names.map((name) => {
      const [own, other] = [median(samples[name]), median(samples[`${name}, Map`])];
      return `${name} ${own.toFixed(0)} ns (Map ${other.toFixed(0)}, ${byMap[name].toFixed(1)} ×)`;
    });
    texts.push(
      `a message and its answer ${(median(samples.messages) / 1e3).toFixed(0)} µs (${Math.round(messages)} ×)`,
    );
    return { measured: texts.join("; "), values: { ...byMap, messages }, samples, problems: [] };
  } finally {
    await worker.terminate();
    heap.detach();
  }
}

export const map = [{ name: "map beside Map, 1,000 string keys", targets, measure }];
