// What four workers see of one map at once can be put into one order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { isLinearizable } from "./linearizable.mjs";
import { cases, RemoteAgent, seededRandom, watchdog } from "./support.mjs";

watchdog(180);

const KEYS = ["a", "a key of a block of its own", 7];
const WORKERS = 4;
/** More with a seeded bug, until it is seen. */
const ROUNDS = Number(process.env.COHEAP_CONTROL ?? 0) === 0 ? 100 : 1000;
const OPERATIONS = 300;

test("checker_of_histories_tells_them_apart", () => {
  const apply = (state, { set, get }) => (set !== undefined ? set : get === state ? state : undefined);
  const during = [[{ begun: 0, ended: 3, set: "1" }], [{ begun: 1, ended: 2, get: "0" }]];
  const after = [[{ begun: 0, ended: 1, set: "1" }], [{ begun: 2, ended: 3, get: "0" }]];
  assert.ok(isLinearizable(during, "0", apply));
  assert.ok(!isLinearizable(after, "0", apply));
});

/** Does so many operations, all workers at once, and answers what and when. In a worker. */
function record(heap, keys, clock, workers, seed, operations) {
  const map = heap.map("m");
  let state = seed >>> 0;
  const random = (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const values = [0, 1, 2, "short", "a text that needs a block", "another text that needs one"];
  const any = () => values[random(values.length)];
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
  const history = [];
  Atomics.add(clock, 1, 1);
  while (Atomics.load(clock, 1) < workers); // all begin together
  for (let i = 0; i < operations; i++) {
    const name = random(40) === 0 ? "clear" : names[random(names.length)];
    const [key, value, expected] = [random(keys.length), any(), random(3) ? any() : undefined];
    const begun = Atomics.add(clock, 0, 1);
    const answer = acts[name](keys[key], value, expected);
    history.push({ begun, ended: Atomics.add(clock, 0, 1), name, key, value, expected, ...answer });
  }
  return history;
}

/** What a plain map would do: the values of the keys as JSON, null for a key that is not there. */
function apply(state, { name, key, value, expected, found, was, sum }) {
  const now = JSON.parse(state);
  const there = now[key] ?? undefined;
  const put = (next) => JSON.stringify(now.with(key, next ?? null));
  switch (name) {
    case "get":
      return found === there ? state : undefined;
    case "set":
      return put(value);
    case "delete":
      return was === (there !== undefined) ? put(undefined) : undefined;
    case "has":
      return was === (there !== undefined) ? state : undefined;
    case "getOrInsert":
      return found === (there ?? value) ? put(found) : undefined;
    case "compareAndSet":
      if (was !== (there === expected)) return undefined;
      return was ? put(value) : state;
    case "add":
      if (typeof there === "string") return sum === undefined ? state : undefined;
      return sum === (there ?? 0) + 1 ? put(sum) : undefined;
    default:
      return JSON.stringify(KEYS.map(() => null));
  }
}

test("recorded_histories_of_maps_of_four_workers_are_linearizable", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const agents = await Promise.all(Array.from({ length: WORKERS }, () => RemoteAgent.start(heap)));
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const clock = new Int32Array(new SharedArrayBuffer(8));
    const histories = await Promise.all(
      agents.map((agent) => agent.run(record, KEYS, clock, WORKERS, random(2 ** 32), OPERATIONS)),
    );
    const fits = isLinearizable(histories, JSON.stringify(KEYS.map(() => null)), apply);
    assert.ok(fits, `round ${round}: no order explains ${OPERATIONS} answers of each worker`);
    count += histories.flat().length;
    heap.map("m").clear();
  }
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("recorded_histories_of_maps_of_four_workers_are_linearizable", count);
});
