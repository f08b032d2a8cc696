// What four workers see of one structure at once can be put into one order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { isLinearizable, operationsOverlap } from "./linearizable.mjs";
import { cases, RemoteAgent, seededRandom, watchdog } from "./support.mjs";

const renew = watchdog(180);

const WORKERS = 4;
const ROUNDS = 300;
const OPERATIONS = 100;

test("checker_of_histories_tells_them_apart", () => {
  const apply = (state, { set, get }) => (set !== undefined ? set : get === state ? state : undefined);
  const during = [[{ begun: 0, ended: 3, set: "1" }], [{ begun: 1, ended: 2, get: "0" }]];
  const after = [[{ begun: 0, ended: 1, set: "1" }], [{ begun: 2, ended: 3, get: "0" }]];
  assert.ok(isLinearizable(during, "0", apply));
  assert.ok(!isLinearizable(after, "0", apply));
  assert.ok(operationsOverlap(during));
  assert.ok(!operationsOverlap(after));
});

/**
 * Does so many operations, all workers at once, and answers what and when. In a worker: `operationsOf(heap, random)` answers what makes up
 * an operation, by chance, and `act`, which does it.
 */
function record(heap, operationsOf, clock, workers, seed, operations) {
  let state = seed >>> 0;
  const random = (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const next = operationsOf(heap, random);
  const history = [];
  for (let i = 0; i < operations; i++) {
    // They meet again and again, so that many overlap.
    if (i % 4 === 0) {
      const all = workers * (i / 4 + 1);
      Atomics.add(clock, 1, 1);
      for (let spins = 1; ; spins++) {
        const arrived = Atomics.load(clock, 1);
        if (arrived >= all) break;
        // Nobody who is waited for wants for a processor.
        if (spins % 1000 === 0) Atomics.wait(clock, 1, arrived, 0.05);
      }
    }
    const { act, ...given } = next();
    const begun = Atomics.add(clock, 0, 1);
    const answer = act();
    history.push({ begun, ended: Atomics.add(clock, 0, 1), ...given, ...answer });
  }
  return history;
}

/** Records and checks so many histories. States are JSON: `apply(state, operation)` answers the next one, or undefined. */
async function checkHistories(name, { clear, operationsOf, before, apply }) {
  renew();
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const agents = await Promise.all(Array.from({ length: WORKERS }, () => RemoteAgent.start(heap)));
  const recording = `(heap, ...given) => (${record})(heap, ${operationsOf}, ...given)`;
  let count = 0;
  let overlapping = 0;
  for (let round = 0; round < ROUNDS; round++) {
    clear(heap);
    const clock = new Int32Array(new SharedArrayBuffer(8));
    const histories = await Promise.all(
      agents.map((agent) => agent.run(recording, clock, WORKERS, random(2 ** 32), OPERATIONS)),
    );
    const next = (state, operation) => {
      const after = apply(JSON.parse(state), operation);
      return after === undefined ? undefined : JSON.stringify(after);
    };
    const fits = isLinearizable(histories, JSON.stringify(before), next);
    assert.ok(fits, `round ${round}: no order explains ${OPERATIONS} answers of each worker`);
    count += histories.flat().length;
    if (operationsOverlap(histories)) overlapping++;
  }
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  console.log(`operations overlap in ${overlapping} of ${ROUNDS} histories`);
  assert.ok(10 * overlapping > ROUNDS, "hardly any operations overlap");
  cases(name, count);
}

const cells = {
  clear: (heap) => heap.cell("c").set(0),
  operationsOf: (heap, random) => {
    const cell = heap.cell("c");
    const values = [0, 1, 2, "short", "a text that needs a block", "another text that needs one"];
    const acts = {
      get: () => ({ found: cell.get() }),
      set: (value) => ({ done: cell.set(value) === undefined }),
      compareAndSet: (value, expected) => ({ was: cell.compareAndSet(expected, value) }),
      add: () => {
        try {
          return { sum: cell.add(1) };
        } catch (error) {
          if (error.code !== "COHEAP_NOT_A_NUMBER") throw error;
          return { sum: undefined };
        }
      },
    };
    const names = ["get", "get", "set", "compareAndSet", "compareAndSet", "add", "add"];
    return () => {
      const [name, value, expected] = [names[random(names.length)], values[random(6)], values[random(6)]];
      return { name, value, expected, act: () => acts[name](value, expected) };
    };
  },
  before: 0,
  apply: (there, { name, value, expected, found, was, sum }) => {
    switch (name) {
      case "get":
        return found === there ? there : undefined;
      case "set":
        return value;
      case "compareAndSet":
        if (was !== (there === expected)) return undefined;
        return was ? value : there;
      default:
        if (typeof there === "string") return sum === undefined ? there : undefined;
        return sum === there + 1 ? sum : undefined;
    }
  },
};

const fields = {
  clear: (heap) => {
    const fields = heap.fields("f");
    for (const name of new Set(fields.keys())) fields.delete(name);
  },
  operationsOf: (heap, random) => {
    const fields = heap.fields("f");
    const lines = ["accept", "x-second", "x-third"];
    const values = ["one", "two", "three", "four", "a value of some length", "another value of some length"];
    const acts = {
      get: (line) => ({ found: fields.get(line) }),
      has: (line) => ({ was: fields.has(line) }),
      set: (line, value) => ({ done: fields.set(line, value) === undefined }),
      append: (line, value) => ({ done: fields.append(line, value) === undefined }),
      delete: (line) => ({ done: fields.delete(line) === undefined }),
      entries: () => ({ found: [...fields] }),
    };
    const names = ["get", "get", "get", "has", "set", "set", "append", "delete", "delete", "entries"];
    return () => {
      const [name, line, value] = [names[random(names.length)], lines[random(3)], values[random(6)]];
      return { name, line, value, act: () => acts[name](line, value) };
    };
  },
  before: [],
  apply: (there, { name, line, value, found, was }) => {
    const first = there.findIndex(([name]) => name === line);
    const values = there.filter(([name]) => name === line).map(([, value]) => value);
    switch (name) {
      case "get":
        return found === (first === -1 ? null : values.join(", ")) ? there : undefined;
      case "has":
        return was === (first !== -1) ? there : undefined;
      case "set":
        if (first === -1) return [...there, [line, value]];
        // In the place of the first of that name.
        return there.with(first, [line, value]).filter(([name], place) => name !== line || place === first);
      case "append":
        return [...there, [line, value]];
      case "delete":
        return there.filter(([name]) => name !== line);
      default:
        return JSON.stringify(found) === JSON.stringify(there) ? there : undefined;
    }
  },
};

const maps = {
  clear: (heap) => heap.map("m").clear(),
  operationsOf: (heap, random) => {
    const map = heap.map("m");
    const keys = ["a", "a key of a block of its own", 7];
    const values = [0, 1, 2, "short", "a text that needs a block", "another text that needs one"];
    const acts = {
      get: (key) => ({ found: map.get(key) }),
      set: (key, value) => ({ done: map.set(key, value) === map }),
      delete: (key) => ({ was: map.delete(key) }),
      has: (key) => ({ was: map.has(key) }),
      getOrInsert: (key, value) => ({ found: map.getOrInsert(key, value) }),
      compareAndSet: (key, value, expected) => ({ was: map.compareAndSet(key, expected, value) }),
      add: (key) => {
        try {
          return { sum: map.add(key, 1) };
        } catch (error) {
          if (error.code !== "COHEAP_NOT_A_NUMBER") throw error;
          return { sum: undefined };
        }
      },
      clear: () => ({ done: map.clear() === undefined }),
    };
    // Reads come often, so that places are remembered.
    const names = ["get", "get", "get", "get", "set", "set", "delete", "has", "getOrInsert", "compareAndSet", "add"];
    return () => {
      const name = random(40) === 0 ? "clear" : names[random(names.length)];
      const [key, value, expected] = [random(3), values[random(6)], random(3) ? values[random(6)] : undefined];
      return { name, key, value, expected, act: () => acts[name](keys[key], value, expected) };
    };
  },
  before: [null, null, null],
  apply: (now, { name, key, value, expected, found, was, sum }) => {
    const there = now[key] ?? undefined;
    const put = (next) => now.with(key, next ?? null);
    switch (name) {
      case "get":
        return found === there ? now : undefined;
      case "set":
        return put(value);
      case "delete":
        return was === (there !== undefined) ? put(undefined) : undefined;
      case "has":
        return was === (there !== undefined) ? now : undefined;
      case "getOrInsert":
        return found === (there ?? value) ? put(found) : undefined;
      case "compareAndSet":
        if (was !== (there === expected)) return undefined;
        return was ? put(value) : now;
      case "add":
        if (typeof there === "string") return sum === undefined ? now : undefined;
        return sum === (there ?? 0) + 1 ? put(sum) : undefined;
      default:
        return [null, null, null];
    }
  },
};

test("recorded_histories_of_cells_of_four_workers_are_linearizable", () =>
  checkHistories("recorded_histories_of_cells_of_four_workers_are_linearizable", cells));

test("recorded_histories_of_fields_of_four_workers_are_linearizable", () =>
  checkHistories("recorded_histories_of_fields_of_four_workers_are_linearizable", fields));

test("recorded_histories_of_maps_of_four_workers_are_linearizable", () =>
  checkHistories("recorded_histories_of_maps_of_four_workers_are_linearizable", maps));
