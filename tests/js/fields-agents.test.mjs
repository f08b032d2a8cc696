// Two agents, one fields object.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(240);

test("fields_changed_by_two_agents_lose_no_change", async () => {
  const heap = await SharedHeap.create();
  const rounds = 20_000;
  const count = (other, name, rounds) => {
    const fields = other.fields("shared");
    for (let i = 0; i < rounds; i++) {
      fields.append(name, `${i}`);
      if (i % 10 === 9) fields.delete(name);
      fields.set(`count-${name}`, `${i}`);
      const own = fields.getAll(name);
      if (own.length !== (i % 10 === 9 ? 0 : (i % 10) + 1)) throw new Error(`${name} ${i}: ${own}`);
    }
  };
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  await Promise.all(agents.map((agent, i) => agent.run(count, `Agent-${i}`, rounds)));
  const fields = heap.fields("shared");
  assert.equal([...fields].length, 2);
  for (const i of [0, 1]) assert.equal(fields.get(`count-agent-${i}`), `${rounds - 1}`);
  await heap.audit();
  await Promise.all(agents.map((agent) => agent.stop()));
  cases("fields_changed_by_two_agents_lose_no_change", 2 * rounds);
});

test("fields_read_while_another_agent_changes_them_are_never_a_mix", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields("flips");
  const flips = (other) => {
    const fields = other.fields("flips");
    const stop = other.cell("stop");
    // Blocks of granules: a freed one is used again at once, and copying takes a while.
    const values = ["a".repeat(28_000), "b".repeat(27_000)];
    const churn = "z".repeat(27_500);
    let done = 0;
    for (; stop.get() === 0; done++) {
      fields.set("value", values[done % 2]);
      for (let i = 0; i < 2; i++) other.fields([["other", churn]]).dispose();
    }
    return done;
  };
  fields.set("value", "a".repeat(28_000));
  const agent = await RemoteAgent.start(heap);
  const changing = agent.run(flips);
  const ends = performance.now() + 3000;
  let reads = 0;
  const texts = ["a".repeat(28_000), "b".repeat(27_000)];
  const check = (value) => {
    if (!texts.includes(value)) assert.fail(`a mix of ${[...new Set(value)]}, ${value.length} characters`);
    reads++;
  };
  while (performance.now() < ends) {
    for (let i = 0; i < 100; i++) {
      check(fields.get("value"));
      for (const [, value] of fields) check(value);
    }
    await null;
  }
  heap.cell("stop").set(1);
  const changes = await changing;
  assert.ok(changes > 100, `${changes} changes`);
  await agent.stop();
  await heap.audit();
  cases("fields_read_while_another_agent_changes_them_are_never_a_mix", reads);
});
