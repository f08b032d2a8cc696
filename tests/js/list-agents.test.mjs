// Many agents, one list: what they push at once is there once, in each one's order, while others read and edit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(420);

const PUSHERS = 8;
const EACH = 100_000;

test("eight_agents_push_while_others_read", async () => {
  const heap = await SharedHeap.create();
  const list = heap.list("log");
  const over = heap.cell("over", 0);
  const push = (other, pusher, each) => {
    const list = other.list("log");
    for (let number = 0; number < each; ) {
      if (number % 2000 < 1000) list.push(pusher * each + number++);
      else {
        list.pushMany(Array.from({ length: 500 }, (_, i) => pusher * each + number + i));
        number += 500;
      }
    }
  };
  const read = (other, pushers, each) => {
    const [list, over] = [other.list("log"), other.cell("over")];
    let reads = 0;
    for (let more = true; more; reads++) {
      more = over.get() === 0;
      const { length } = list;
      const place = Math.floor(Math.random() * length);
      if (length > 0 && typeof list.at(place) !== "number")
        throw new Error(`${list.at(place)} at ${place} of ${length}`);
      const next = new Array(pushers).fill(0);
      for (const value of list) {
        const pusher = Math.floor(value / each);
        if (value !== pusher * each + next[pusher]++) throw new Error(`${value}, not number ${next[pusher] - 1}`);
      }
    }
    return reads;
  };
  const agents = await Promise.all(Array.from({ length: PUSHERS + 2 }, () => RemoteAgent.start(heap)));
  const readers = agents.slice(PUSHERS).map((agent) => agent.run(read, PUSHERS, EACH));
  await Promise.all(agents.slice(0, PUSHERS).map((agent, pusher) => agent.run(push, pusher, EACH)));
  over.set(1);
  const reads = await Promise.all(readers);
  assert.ok(reads.every((count) => count > 0));
  const next = new Array(PUSHERS).fill(0);
  for (const value of list) assert.equal(value % EACH, next[Math.floor(value / EACH)]++);
  assert.deepEqual(next, new Array(PUSHERS).fill(EACH));
  assert.equal(list.length, PUSHERS * EACH);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("eight_agents_push_while_others_read", PUSHERS * EACH);
});

test("value_that_four_agents_put_in_comes_out_once", async () => {
  const heap = await SharedHeap.create();
  const list = heap.list("pool");
  const work = (other, agent, steps) => {
    const list = other.list("pool");
    const taken = [];
    let fresh = 0;
    const make = () => {
      const number = agent * steps * 4 + fresh++;
      return number % 3 === 0 ? `the text with the number ${number}` : number;
    };
    for (let step = 0; step < steps; step++) {
      const at = Math.floor(Math.random() * 30);
      if (step % 5 === 0) list.insert(at, make(), make());
      else if (step % 5 === 1) taken.push(...list.splice(at, 3));
      else if (step % 5 === 2 && list.length > 0) taken.push(list.pop());
      else list.push(make());
      if (list.length > 200) taken.push(...list.splice(10, 150));
      const seen = list.slice(0, 20);
      if (seen.includes(undefined)) throw new Error("a hole");
    }
    return { fresh, taken: taken.filter((value) => value !== undefined) };
  };
  const steps = 5000;
  const agents = await Promise.all(Array.from({ length: 4 }, () => RemoteAgent.start(heap)));
  const results = await Promise.all(agents.map((agent, number) => agent.run(work, number, steps)));
  const all = [...results.flatMap(({ taken }) => taken), ...list];
  assert.equal(new Set(all).size, all.length);
  assert.equal(
    all.length,
    results.reduce((sum, { fresh }) => sum + fresh, 0),
  );
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("value_that_four_agents_put_in_comes_out_once", 4 * steps);
});
