// A list of numbers in the heap, beside `Array`, and beside the one peer whose arrays two threads may share.
import { interleave, median, ratio } from "../statistics.mjs";
import { time } from "../timing.mjs";

const ENTRIES = 1000;
/** Values that are given at once. */
const AT_ONCE = 64;
const ROOM = 16 * 2 ** 20;

const targets = [];

async function peer() {
  const { createObjectBuffer } = (await import("@bnaya/objectbuffer")).default;
  const coders = { textEncoder: new TextEncoder(), textDecoder: new TextDecoder() };
  const object = createObjectBuffer(coders, ROOM, { list: [] }, { useSharedArrayBuffer: true });
  return object.list;
}

/** Steps over a list of so many numbers; `fresh` makes one to push to. */
function stepsOf(list, fresh) {
  const expect = (found, wanted) => {
    if (found !== wanted) throw new Error(`${wanted} was written, and ${found} read`);
  };
  let target = fresh();
  return {
    push: (i) => {
      if (i % ENTRIES === 0) target = fresh(target);
      target.push(i);
    },
    at: (i) => expect(list.at(i % ENTRIES), i % ENTRIES),
    /** One value of all. */
    iterate: () => {
      let sum = 0;
      for (const value of list) sum += value;
      expect(sum, (ENTRIES * (ENTRIES - 1)) / 2);
    },
  };
}

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const numbers = Array.from({ length: ENTRIES }, (_, i) => i);
  const shared = heap.list();
  shared.pushMany(numbers);
  const fresh = (old) => {
    old?.dispose();
    return heap.list();
  };
  const problems = [];
  const all = { coheap: stepsOf(shared, fresh), Array: stepsOf(numbers, () => []) };
  let bulk = fresh();
  const part = numbers.slice(0, AT_ONCE);
  all.coheap.pushMany = (i) => {
    if (i % 16 === 0) bulk = fresh(bulk);
    bulk.pushMany(part);
  };
  try {
    const list = await peer();
    for (const number of numbers) list.push(number);
    const target = await peer();
    // One that is emptied: it does not give a list that is replaced all of its memory back.
    const emptied = () => {
      target.length = 0;
      return target;
    };
    all.objectbuffer = stepsOf({ at: (i) => list[i], [Symbol.iterator]: () => list[Symbol.iterator]() }, emptied);
  } catch (error) {
    problems.push(`objectbuffer: ${error.message}.`);
  }
  const contestants = {};
  for (const [name, steps] of Object.entries(all)) {
    for (const [what, step] of Object.entries(steps)) {
      let count = 16;
      while (time(step, count) * count < milliseconds * 1e6) count *= 2;
      const values = what === "iterate" ? ENTRIES : what === "pushMany" ? AT_ONCE : 1;
      contestants[`${name}, ${what}`] = () => time(step, count) / values;
    }
  }
  try {
    return { samples: await interleave(contestants, rounds), problems };
  } finally {
    heap.detach();
  }
}

function outcome({ samples }) {
  const values = {};
  const texts = ["push", "at", "iterate"].map((what) => {
    values[what] = ratio(samples[`coheap, ${what}`], samples[`Array, ${what}`]);
    const of = (name) => `${median(samples[`${name}, ${what}`]).toFixed(1)} ns`;
    const beside = samples[`objectbuffer, ${what}`] === undefined ? "" : `, objectbuffer ${of("objectbuffer")}`;
    return `${what} ${of("coheap")} (Array ${of("Array")}${beside})`;
  });
  texts.push(`pushMany of ${AT_ONCE} ${median(samples["coheap, pushMany"]).toFixed(1)} ns`);
  return { measured: `a value of a list of ${ENTRIES.toLocaleString("en")} numbers: ${texts.join("; ")}`, values };
}

export const contest = { file: "list", name: "list beside Array", targets, needs: ["peers"], race, outcome };
