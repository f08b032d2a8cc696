// Deaths while an agent attaches: its seat and its pages come back. And agents that come and go take no more memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, watchdog } from "../js/support.mjs";
import { contents, prepare } from "./heap-under-test.mjs";
import { World } from "./world.mjs";

watchdog(600);

/** Between the exchange that takes a slot and the two stores that say whose it is, nobody can tell. */
const WITHOUT_A_TRACE = 2;
const ROUNDS = 2_000;

test("agent_that_dies_at_every_point_of_attaching_leaves_its_seat", async () => {
  const world = await World.make(prepare, { maximum: "3MiB", fixed: true });
  let [points, lost, wanted] = [0, 0, undefined];
  for (;;) {
    world.restore();
    const survivor = world.attach({ blocks: true });
    const mortal = world.attach({ mayDie: true, blocks: true, at: points + 1 });
    const { dead } = mortal;
    mortal.die();
    if (!dead) break;
    points++;
    survivor.reap(mortal);
    const { agents } = survivor.heap.stats();
    assert.ok(agents <= 2, `${agents} agents, death at point ${points}`);
    lost += agents - 1;
    // Who is lost so is online, and holds up audits: its thread may run.
    if (agents === 1) await survivor.heap.audit();
    const next = world.attach({ blocks: true });
    const found = contents(next.heap);
    wanted ??= found;
    assert.equal(found, wanted, `death at point ${points}`);
    next.heap.detach();
    assert.equal(survivor.heap.stats().agents, agents);
    survivor.heap.detach();
  }
  console.log(`# ${points} points of attaching, ${lost} of them without a trace`);
  assert.ok(points > 50 && lost <= WITHOUT_A_TRACE);
  cases("agent_that_dies_at_every_point_of_attaching_leaves_its_seat", points);
});

test("agents_that_come_and_go_or_die_attaching_take_no_more_memory", async () => {
  const random = seededRandom();
  const world = await World.make(prepare, { maximum: "64MiB" });
  const survivor = world.attach({ blocks: true });
  const size = () => world.memory.buffer.byteLength;
  let [before, died] = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    const at = round % 2 === 0 ? 0 : 5 + random(120);
    const agent = world.attach({ mayDie: true, blocks: true, at });
    if (agent.dead) {
      agent.die();
      survivor.reap(agent);
      died++;
    } else {
      agent.arm(0);
      agent.heap.bytes(undefined, 1_000);
      agent.heap.detach();
    }
    world.pool.release(survivor.exports);
    if (round % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    if (round === 10) before = size();
  }
  assert.equal(size(), before);
  const { agents, quarantined } = await survivor.heap.audit();
  assert.deepEqual({ agents, quarantined }, { agents: 1, quarantined: 0 });
  console.log(`# ${ROUNDS} agents, ${died} of them died attaching`);
  assert.ok(died > ROUNDS / 4);
  cases("agents_that_come_and_go_or_die_attaching_take_no_more_memory", ROUNDS);
});
