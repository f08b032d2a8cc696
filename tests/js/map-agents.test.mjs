// Many agents, one map. What they do at once ends as if it had been done one after the other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(420);

const WORKERS = 4;

async function team(heap, count = WORKERS) {
  return await Promise.all(Array.from({ length: count }, () => RemoteAgent.start(heap)));
}

test("map_additions_of_four_agents_are_all_counted", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("sums");
  const [rounds, words] = [50_000, 16];
  const count = (other, rounds, words) => {
    const map = other.map("sums");
    for (let i = 0; i < rounds; i++) {
      const key = i % 2 ? `word number ${i % words}` : i % words;
      if (i % 3) map.add(key);
      else for (let old = map.get(key); !map.compareAndSet(key, old, (old ?? 0) + 1); old = map.get(key));
    }
  };
  const agents = await team(heap);
  await Promise.all(agents.map((agent) => agent.run(count, rounds, words)));
  let sum = 0;
  for (const value of map.values()) sum += value;
  assert.equal(sum, WORKERS * rounds);
  assert.equal(map.size, words);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("map_additions_of_four_agents_are_all_counted", sum);
});

test("map_changed_by_four_agents_at_keys_of_their_own_loses_nothing", async () => {
  const heap = await SharedHeap.create();
  const rounds = 3000;
  const change = (other, name, rounds) => {
    const map = other.map("disjoint");
    const own = new Map();
    for (let i = 0; i < rounds; i++) {
      const key = `${name} ${i % 97}`;
      const value = i % 5 === 0 ? i : `${name} has the value ${i}`;
      if (i % 7 === 3) {
        if (map.delete(key) !== own.delete(key)) throw new Error(`${key} was lost before ${i}`);
      } else {
        map.set(key, value);
        own.set(key, value);
      }
      const there = `${name} ${(i * 31) % 97}`;
      if (map.get(there) !== own.get(there)) throw new Error(`${there} is ${map.get(there)}, not ${own.get(there)}`);
      if (i % 500 === 0) {
        const seen = [...map].filter(([key]) => key.startsWith(`${name} `));
        const keys = JSON.stringify([...own]);
        if (JSON.stringify(seen) !== keys) throw new Error(`an iteration saw ${JSON.stringify(seen)}, not ${keys}`);
      }
    }
    return [...own];
  };
  const agents = await team(heap);
  const all = await Promise.all(agents.map((agent, i) => agent.run(change, `agent ${i}`, rounds)));
  const map = heap.map("disjoint");
  assert.deepEqual(map.toJS().size, all.flat().length);
  for (const [key, value] of all.flat()) assert.equal(map.get(key), value);
  for (const [i, own] of all.entries()) {
    const seen = [...map].filter(([key]) => key.startsWith(`agent ${i} `));
    assert.deepEqual(seen, own, "in the order in which they came");
  }
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("map_changed_by_four_agents_at_keys_of_their_own_loses_nothing", WORKERS * rounds);
});

test("iteration_under_churn_sees_what_stays_exactly_once_and_the_rest_at_most_once", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("churn");
  const stop = heap.cell("stop");
  const stable = 300;
  for (let i = 0; i < stable; i++) map.set(`stays ${i}`, `the value of stays ${i}`).set(`goes ${i}`, 0);
  for (let i = 0; i < stable; i++) map.delete(`goes ${i}`);
  const churn = (other, name) => {
    const map = other.map("churn");
    const stop = other.cell("stop");
    let i = 0;
    // A key is never used twice, so nobody may see it twice.
    for (; stop.get() === 0; i++) {
      map.set(`${name} ${i}`, `the value of ${name} ${i}`);
      if (i >= 50) map.delete(`${name} ${i - 50}`);
      if (i % 10 === 0) map.set(`stays ${i % 300}`, `the value of stays ${i % 300}`);
    }
    return i;
  };
  const agents = await team(heap, 3);
  const working = agents.map((agent, i) => agent.run(churn, `churn ${i}`));
  const ends = performance.now() + 4000;
  let [rounds, others] = [0, 0];
  while (performance.now() < ends) {
    const seen = new Set();
    let stays = 0;
    for (const [key, value] of map) {
      if (seen.has(key)) assert.fail(`${key} was seen twice`);
      seen.add(key);
      if (value !== `the value of ${key}`) assert.fail(`${key} was seen with ${value}`);
      if (key.startsWith("stays")) stays++;
      else others++;
    }
    assert.equal(stays, stable);
    rounds++;
    await null;
  }
  stop.set(1);
  const changes = (await Promise.all(working)).reduce((sum, count) => sum + count);
  assert.ok(changes > 100 && others > 0 && rounds > 3, `${changes} changes, ${others} seen, ${rounds} iterations`);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("iteration_under_churn_sees_what_stays_exactly_once_and_the_rest_at_most_once", rounds * stable);
});

test("values_read_while_others_change_them_are_never_a_mix", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("flips");
  const stop = heap.cell("stop");
  const flip = (other, parity) => {
    const map = other.map("flips");
    const stop = other.cell("stop");
    const values = ["a".repeat(1000), "é".repeat(1100), "\u0100".repeat(900), 7];
    let i = 0;
    for (; stop.get() === 0; i++) {
      const key = i % 2 ? "a key of a block" : "short";
      if (i % 16 === parity) map.delete(key);
      else map.set(key, values[i % values.length]);
    }
    return i;
  };
  const agents = await team(heap, 2);
  const working = agents.map((agent, i) => agent.run(flip, i));
  const known = new Set(["a".repeat(1000), "é".repeat(1100), "\u0100".repeat(900), 7, undefined]);
  const ends = performance.now() + 3000;
  let reads = 0;
  while (performance.now() < ends) {
    for (let i = 0; i < 100; i++) {
      const key = i % 2 ? "a key of a block" : "short";
      const all = [map.get(key), ...map.getMany([key, "short"]), ...map.values(), map.getOrInsert(key, 7)];
      for (const value of all) if (!known.has(value)) assert.fail(`a mix: ${String(value).slice(0, 100)}`);
      for (const key of map.keys()) if (!["a key of a block", "short"].includes(key)) assert.fail(`a mix: ${key}`);
      reads += all.length;
    }
    await null;
  }
  stop.set(1);
  await Promise.all(working);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("values_read_while_others_change_them_are_never_a_mix", reads);
});

test("a_million_calls_of_the_host_beside_eight_writers_are_never_busy", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("busy");
  const stop = heap.cell("stop");
  const write = async (other, seed) => {
    const map = other.map("busy");
    const stop = other.cell("stop");
    const writes = other.cell(`writes of ${seed}`);
    let i = seed;
    for (; stop.get() === 0; i++) {
      const key = `key ${(i * 7) % 64}`;
      if (i % 8 === 0) map.delete(key);
      else if (i % 8 === 1) map.add(`sum ${i % 4}`);
      else if (i % 8 === 2) map.set(key, `a text of ${key}, longer than a word`);
      else if (i % 512 === 3) map.set(key, other.from({ key }));
      else if (i % 64 === 4)
        map.setMany([
          [key, i],
          [`${key} too`, "a second text that needs a block"],
        ]);
      else if (i % 4096 === 5) map.clear();
      else map.set(key, i);
      if (i % 100 === 0) {
        writes.set(i - seed);
        await null; // the wrappers of what was read may go
      }
    }
    return i - seed;
  };
  const agents = await team(heap, 8);
  const working = agents.map((agent, i) => agent.run(write, i));
  const CALLS = 1_000_000;
  let [busy, calls] = [0, 0];
  const call = (i) => {
    const key = `key ${i % 64}`;
    const kind = i % 1000;
    if (kind === 6)
      return map.setMany([
        [key, i],
        ["many", `text ${i} that needs a block`],
      ]);
    if (kind === 16) return map.getMany([key, "many", "none"]);
    if (kind === 26) return map.set(key, heap.from([i])).get(key);
    if (kind === 36) return [...map.keys()].length + map.size;
    if (kind === 46 && i % 50_000 === 46) return map.clear();
    if (kind === 56) return map.set(key, `the text number ${i}, longer than a word`);
    switch (i % 10) {
      case 0:
        return map.set(key, i);
      case 1:
        return map.delete(key);
      case 2:
        return map.add(`sum ${i % 4}`);
      case 3:
        return map.compareAndSet(key, map.get(key), i);
      case 4:
        return map.getOrInsert(key, i);
      case 5:
        return map.has(key);
      default:
        return map.get(key);
    }
  };
  // None of them is to begin when the host is done.
  while (agents.some((_, i) => !(heap.cell(`writes of ${i}`).get() > 0)))
    await new Promise((wake) => setTimeout(wake, 5));
  const before = agents.map((_, i) => heap.cell(`writes of ${i}`).get());
  for (; calls < CALLS; calls++) {
    try {
      call(calls);
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_BUSY")) throw error;
      busy++;
    }
    if (calls % 1000 === 0) await null;
  }
  stop.set(1);
  const written = await Promise.all(working);
  console.log(`${calls} calls of the host beside ${written} of 8 writers: ${busy} COHEAP_BUSY`);
  assert.equal(busy, 0);
  assert.equal(written.length, 8);
  for (const [i, count] of written.entries())
    assert.ok(count > before[i], `writer ${i} wrote ${count} beside the host`);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("a_million_calls_of_the_host_beside_eight_writers_are_never_busy", calls);
});

test("map_of_two_agents_that_remember_its_keys_is_what_one_map_would_be", async () => {
  const heap = await SharedHeap.create();
  const maps = [heap.map("m"), SharedHeap.attach(heap.token()).map("m")];
  const random = seededRandom();
  const keys = Array.from({ length: 60 }, (_, i) => (i % 2 ? i : `the key with the number ${i}`));
  const values = [1, -0, Number.NaN, 2.5, "ab", "accept", "text that comes again and again", "x".repeat(100)];
  values.push(undefined, null, true, 8n);
  const model = new Map();
  const COUNT = 200_000;
  for (let i = 0; i < COUNT; i++) {
    const map = maps[random(2)];
    const key = keys[random(keys.length)];
    const value = values[random(values.length)];
    switch (random(10)) {
      case 0:
      case 1:
      case 2:
        assert.equal(map.get(key), model.get(key));
        break;
      case 3:
      case 4:
      case 5:
        map.set(key, value);
        model.set(key, value);
        break;
      case 6:
      case 7:
        if (model.has(key) && typeof model.get(key) !== "number") {
          refuses(() => map.add(key, 3), "COHEAP_NOT_A_NUMBER");
        } else {
          const sum = (model.get(key) ?? 0) + 3;
          assert.equal(map.add(key, 3), sum);
          model.set(key, sum);
        }
        break;
      case 8:
        assert.equal(map.delete(key), model.delete(key));
        break;
      default:
        if (random(100) === 0) {
          map.clear();
          model.clear();
        } else {
          assert.ok(map.compareAndSet(key, model.get(key), value));
          if (value === undefined) model.delete(key);
          else model.set(key, value);
        }
    }
    if (i % 1000 === 0) {
      for (const one of maps) assert.deepEqual([...one], [...model]);
      await null;
    }
  }
  await heap.audit();
  cases("map_of_two_agents_that_remember_its_keys_is_what_one_map_would_be", COUNT);
});
