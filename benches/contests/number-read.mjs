// One number read from the heap, beside a bare wasm call and beside the message way.
import { bytesOf } from "../bytes.mjs";
import { instantiateHeap, newMemory } from "../contender.mjs";
import { startMessages } from "../messages.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";

const NUMBER = 1.5;

const targets = [
  { key: "load", atMost: 2.5, text: "≤ 2.5 × a wasm call that loads one word" },
  { key: "message", atLeast: 1_000, text: "≥ 1,000 × the message way" },
];

/** Nanoseconds a checked read of a shared cell takes. The loop is its own, so that nothing but the read is in it. */
function timeReads(cell, count) {
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < count; i++) sum += cell.get();
  const took = performance.now() - start;
  if (sum !== count * NUMBER) throw new Error(`${count} reads of ${NUMBER} add up to ${sum}`);
  return (took * 1e6) / count;
}

/** Nanoseconds of a wasm call of the same signature as a read's (two words in, a number out) that loads one word. */
function timeLoads(loadWord, address, count) {
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < count; i++) sum += loadWord(address, i & 7);
  const took = performance.now() - start;
  if (sum !== count * NUMBER) throw new Error(`${count} loads of ${NUMBER} add up to ${sum}`);
  return (took * 1e6) / count;
}

/** The wasm call, over a memory of its own, and where the number stands in it. */
async function loader() {
  const module = await WebAssembly.compile(await bytesOf(new URL("../target/coheap.wasm", import.meta.url)));
  const memory = newMemory();
  const address = memory.grow(1) * 65_536;
  new Float64Array(memory.buffer, address, 1)[0] = NUMBER;
  return { loadWord: instantiateHeap(module, memory).load_word, address };
}

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  cell.set(NUMBER);
  const { loadWord, address } = await loader();
  const messages = await startMessages();
  try {
    const calls = Math.ceil(milliseconds * 100_000);
    // Both loops reach their final machine code before anything is counted.
    for (let i = 0; i < 20; i++) timeReads(cell, 20_000);
    for (let i = 0; i < 20; i++) timeLoads(loadWord, address, 20_000);
    time(messages.ask, 50);
    const contestants = {
      read: () => timeReads(cell, calls),
      load: () => timeLoads(loadWord, address, calls),
      message: () => time(messages.ask, Math.ceil(milliseconds * 20)),
    };
    return { samples: await interleave(contestants, rounds), problems: [] };
  } finally {
    await messages.stop();
    heap.detach();
  }
}

function outcome({ samples }) {
  const values = { load: ratio(samples.read, samples.load), message: ratio(samples.message, samples.read) };
  const measured =
    `${median(samples.read).toFixed(1)} ns; wasm call that loads one word ${median(samples.load).toFixed(1)} ns ` +
    `(${values.load.toFixed(2)} ×); message way ${(median(samples.message) / 1e3).toFixed(1)} µs ` +
    `(${Math.round(values.message).toLocaleString("en")} ×)`;
  return { measured, values };
}

export const contest = { file: "number-read", name: "number read", targets, needs: ["workloads"], race, outcome };
