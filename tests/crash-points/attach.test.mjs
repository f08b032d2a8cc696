// Deaths while an agent attaches: its seat and its pages come back. And agents that come and go take no more memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, seededRandom, watchdog } from "../js/support.mjs";
import { contents, prepare, removeAll } from "./heap-under-test.mjs";
import { World } from "./world.mjs";

watchdog(600);

/** Between the exchange that takes a slot and the two stores that say whose it is, nobody can tell. */
const WITHOUT_A_TRACE = 2;
const ROUNDS = 2_000;

/** Whose it was before. */
const SEATS = {
  "a seat that is new": prepare,
  "a seat whose last agent had much": (heap) => {
    prepare(heap);
    const agent = SharedHeap.attach(heap.token());
    agent.map("map").get("inner");
    agent.pipe("full").tryRead();
    agent.detach();
  },
};

test("agent_that_dies_at_every_point_of_attaching_leaves_its_seat", async () => {
  let deaths = 0;
  for (const [seat, prepared] of Object.entries(SEATS)) {
    const [points, lost] = await dieAttaching(await World.make(prepared, { maximum: "3MiB", fixed: true }));
    console.log(`# ${seat}: ${points} points of attaching, ${lost} of them without a trace`);
    assert.ok(points > 50 && lost > 0 && lost <= WITHOUT_A_TRACE);
    deaths += points;
  }
  cases("agent_that_dies_at_every_point_of_attaching_leaves_its_seat", deaths);
});

async function dieAttaching(world) {
  let [points, lost, wanted] = [0, 0, undefined];
  for (;;) {
    world.restore();
    const survivor = world.attach({ blocks: true });
    const mortal = world.attach({ mayDie: true, blocks: true, at: points + 1 });
    const { dead } = mortal;
    mortal.die();
    if (!dead) return [points, lost];
    points++;
    survivor.reap(mortal);
    const { agents, quarantined } = survivor.heap.stats();
    assert.ok(agents <= 2, `${agents} agents, death at point ${points}`);
    assert.equal(quarantined, agents - 1, `death at point ${points}`);
    lost += quarantined;
    // Who is lost so keeps nobody from anything: neither from an audit,
    const audited = await survivor.heap.audit();
    assert.deepEqual([audited.agents, audited.quarantined], [agents, quarantined]);
    const next = world.attach({ blocks: true });
    const found = contents(next.heap);
    wanted ??= found;
    assert.equal(found, wanted, `death at point ${points}`);
    // nor from the end of what is not needed any more.
    removeAll(next.heap);
    next.heap.detach();
    for (let i = 0; i < 64; i++) survivor.heap.cell().dispose();
    const { liveBytes, agents: left } = await survivor.heap.audit();
    assert.deepEqual([liveBytes, left], [0, agents], `death at point ${points}`);
    survivor.heap.detach();
  }
}

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
