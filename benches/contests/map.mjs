// A map in the heap, which every agent reads and changes, beside a private `Map` of the same thread and beside the message way.
import { startMessages } from "../messages.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";
import { at, fill, KEYS, keys, stringSteps } from "./map-steps.mjs";

const targets = [
  { key: "hot get", atMost: 4, text: "hot get ≤ 4 × a private Map" },
  { key: "hot set", atMost: 4, text: "hot set ≤ 4 × a private Map" },
  { key: "cold get", atMost: 2.5, text: "cold get ≤ 2.5 × a private Map" },
  { key: "cold set", atMost: 2.5, text: "cold set ≤ 2.5 × a private Map" },
  { key: "messages", atLeast: 100, text: "hot get ≥ 100 × faster than a message and its answer" },
];

/** What is timed of two maps, one of strings and one of numbers. */
function stepsOf(strings, numbers) {
  fill(strings);
  for (const [i, key] of keys.entries()) numbers.set(key, i);
  const isNumber = (value) => {
    if (!(value >= 0)) throw new Error(`the value is ${value}`);
  };
  return {
    ...stringSteps(strings),
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

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const messages = await startMessages();
  try {
    const ours = stepsOf(heap.map(), heap.map());
    const theirs = stepsOf(new Map(), new Map());
    const ask = (i) => messages.ask(keys[at(i)]);
    const count = Math.ceil(milliseconds * 2) * KEYS;
    const contestants = {};
    for (const name of Object.keys(ours)) {
      for (let i = 0; i < 10; i++) for (const steps of [ours, theirs]) time(steps[name], 2 * KEYS);
      contestants[name] = () => time(ours[name], count);
      contestants[`${name}, Map`] = () => time(theirs[name], count);
    }
    time(ask, 20);
    contestants.messages = () => time(ask, milliseconds * 4);
    return { samples: await interleave(contestants, rounds), problems: [] };
  } finally {
    await messages.stop();
    heap.detach();
  }
}

function outcome({ samples }) {
  const names = Object.keys(samples).filter((name) => samples[`${name}, Map`]);
  const values = Object.fromEntries(names.map((name) => [name, ratio(samples[name], samples[`${name}, Map`])]));
  values.messages = ratio(samples.messages, samples["hot get"]);
  const texts = names.map((name) => {
    const [own, other] = [median(samples[name]), median(samples[`${name}, Map`])];
    return `${name} ${own.toFixed(0)} ns (Map ${other.toFixed(0)}, ${values[name].toFixed(1)} ×)`;
  });
  const message = (median(samples.messages) / 1e3).toFixed(0);
  texts.push(`a message and its answer ${message} µs (${Math.round(values.messages)} ×)`);
  return { measured: texts.join("; "), values };
}

export const contest = { file: "map", name: "map beside Map, 1,000 string keys", targets, race, outcome };
