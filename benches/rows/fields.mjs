// HTTP fields in the heap, beside `Headers` and beside the message way. What is timed is shared: any agent may open it by its handle.
import { Worker } from "node:worker_threads";
import { builtPackage } from "../setup.mjs";
import { median, ratio } from "../statistics.mjs";

const LINES = [
  ["Accept", "text/html"],
  ["User-Agent", "coheap/1.0"],
  ["Accept-Language", "en"],
  ["X-Trace-Id", "7f3a9c"],
  ["Content-Type", "application/json"],
];

const targets = [
  { key: "request", atLeast: 2, text: "new + 5 set + drop ≥ 2 × faster than Headers" },
  { key: "init", atLeast: 3, text: "fields(init) of 5 ≥ 3 × faster than new Headers(init)" },
  { key: "messages", atLeast: 10, text: "≥ 10 × faster than 5 messages" },
];

/** Nanoseconds of one call of `step`. */
function time(step, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) step(i);
  return ((performance.now() - start) * 1e6) / count;
}

/** Nanoseconds of 5 questions by postMessage, each answered through shared bytes and Atomics.notify. */
function timeMessages(worker, shared, count) {
  const words = new Int32Array(shared);
  const numbers = new Float64Array(shared);
  let index = 0;
  return time(() => {
    for (const [name, value] of LINES) {
      const before = Atomics.load(words, 0);
      worker.postMessage({ index, name, value });
      Atomics.wait(words, 0, before);
      if (numbers[1] !== index++ + 0.5) throw new Error("the message way answered another question");
    }
  }, count);
}

function steps(heap) {
  const [fields, headers] = [heap.fields(LINES), new Headers(LINES)];
  const expect = (value) => {
    if (value !== "7f3a9c") throw new Error(`the value is ${value}`);
  };
  const fill = (target) => {
    for (let i = 0; i < LINES.length; i++) target.set(LINES[i][0], LINES[i][1]);
  };
  return {
    request: () => {
      const made = heap.fields();
      fill(made);
      made.dispose();
    },
    requestHeaders: () => fill(new Headers()),
    init: () => heap.fields(LINES).dispose(),
    initHeaders: () => new Headers(LINES),
    get: () => expect(fields.get("X-Trace-Id")),
    getHeaders: () => expect(headers.get("X-Trace-Id")),
    set: () => fields.set("X-Trace-Id", "7f3a9c"),
    setHeaders: () => headers.set("X-Trace-Id", "7f3a9c"),
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
    const all = Object.entries(steps(heap));
    for (let i = 0; i < 20; i++) for (const [, step] of all) time(step, 1000);
    timeMessages(worker, shared, 20);
    const samples = { messages: [] };
    for (let round = 0; round < rounds; round++) {
      for (const [name, step] of all) {
        samples[name] ??= [];
        samples[name].push(time(step, milliseconds * 500));
      }
      samples.messages.push(timeMessages(worker, shared, milliseconds * 4));
    }
    const values = { messages: ratio(samples.messages, samples.request) };
    for (const name of ["request", "init", "get", "set"])
      values[name] = ratio(samples[`${name}Headers`], samples[name]);
    const line = (text, name) =>
      `${text} ${Math.round(median(samples[name]))} ns (Headers ${Math.round(median(samples[`${name}Headers`]))}, ${values[name].toFixed(2)} ×)`;
    const measured = [
      line("new + 5 set + drop", "request"),
      line("fields(init) of 5 + drop", "init"),
      line("get", "get"),
      line("set", "set"),
      `5 messages ${(median(samples.messages) / 1e3).toFixed(0)} µs (${Math.round(values.messages)} ×)`,
    ].join("; ");
    return { measured, values, samples, problems: [] };
  } finally {
    await worker.terminate();
    heap.detach();
  }
}

export const fields = [{ name: "fields beside Headers", targets, measure }];
