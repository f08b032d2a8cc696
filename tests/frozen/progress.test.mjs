// Two agents beside one that stands still, and then goes on: all that they do succeeds meanwhile, and memory does not grow with it, but for what
// is taken out of the one list that the agent is changing. When it has gone on, that is given back, too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError } from "../../js-host/dist/index.js";
import { prepare, removeAll } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { enter, operate, pointsOf, SETTINGS } from "../crash-points/trial.mjs";
import { World } from "../crash-points/world.mjs";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { worksOf } from "./works.mjs";

watchdog(600);

/** Points at which each operation is stopped: chance chooses. */
const POINTS = times("COHEAP_POINTS", 1);
/** Rounds of each kind of work before memory is measured, and then. */
const ROUNDS = [60, 120];
/** Bytes by which a kind of work may differ between two moments: an open chunk, spare blocks, what is taken apart in slices. */
const SPARE = 24_576;
/** Bytes that one round may leave in a list in which an agent stands still: two roots and their chunks. */
const HELD_BACK = 2_048;
/** What the agent that stands still has decided for all. */
const DECIDED = ["COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"];

const world = await World.make(prepare, { maximum: "16MiB" });
const random = seededRandom();

/** Does one kind of work so often; answers by how much the memory in use has grown from the first measure on. */
function growth(heap, work) {
  let begun = 0;
  for (let i = 0; i < ROUNDS[0] + ROUNDS[1]; i++) {
    if (i === ROUNDS[0]) begun = heap.stats().liveBytes;
    try {
      work(i);
    } catch (error) {
      if (!DECIDED.some((code) => isCoheapError(error, code))) throw error;
    }
  }
  return heap.stats().liveBytes - begun;
}

/** Two agents come, work and leave; answers the kinds of work that left something. */
function workBeside() {
  const held = new Set();
  for (const blocks of [false, true]) {
    const { heap } = world.attach({ blocks });
    for (const [name, work] of Object.entries(worksOf(heap))) {
      const grown = growth(heap, work);
      if (grown > SPARE) held.add(name);
      assert.ok(grown <= SPARE + ROUNDS[1] * HELD_BACK, `${name}: ${grown} bytes`);
    }
    heap.detach();
  }
  return held;
}

/** Kinds of work in one list. */
const LISTS = ["a list", "another list"];

/** Stops an operation at a point, lets others work, and lets it go on: nothing is left then. Answers what was held back. */
async function stopAndGoOn(operation, at) {
  await world.restoreAll();
  const entered = await enter(world, operation, SETTINGS[0]);
  const { survivors, mortal } = entered;
  let held;
  let failure;
  const others = () => {
    if (mortal.points !== at) return;
    try {
      held = workBeside();
    } catch (error) {
      failure = error;
    }
  };
  await operate(entered, operation.step, 0, others);
  if (failure !== undefined) throw failure;
  assert.ok(held !== undefined, "it came to the point");
  if (held.size > 0) {
    const isOne = LISTS.some((list) => [...held].every((name) => name === list));
    assert.ok(isOne, `held back by one agent: ${[...held].join(", ")}`);
  }
  assert.ok(!mortal.dead, `${mortal.cause?.stack}`);
  const goesOn = world.attach({ blocks: true });
  operation.settle?.(goesOn.heap);
  for (const { heap } of [mortal, ...survivors]) heap.detach();
  removeAll(goesOn.heap);
  goesOn.heap.remove("of others");
  goesOn.heap.detach();
  const last = world.attach();
  // What has ended is taken apart as objects are made.
  for (let i = 0; i < 3_000 && last.heap.stats().liveBytes > 0; i++) last.heap.cell().dispose();
  const { liveBytes } = await last.heap.audit();
  last.heap.detach();
  assert.equal(liveBytes, 0, "bytes that stay behind");
  return held.size > 0;
}

for (const [kind, operations] of Object.entries(all)) {
  const name = `agents_beside_one_that_stands_still_go_on_in_operations_on_${kind}`;
  test(name, async () => {
    let [stops, holding] = [0, 0];
    for (const operation of operations) {
      const { points } = await pointsOf(world, operation, SETTINGS[0]);
      for (let i = 0; i < POINTS; i++) {
        const at = 1 + random(points);
        try {
          if (await stopAndGoOn(operation, at)) holding++;
        } catch (error) {
          throw new Error(`${operation.what}, at point ${at} of ${points}: ${error.message}`, { cause: error });
        }
        stops++;
      }
    }
    console.log(`# ${kind}: ${stops} stops, in ${holding} of them a list could give nothing back`);
    cases(name, stops);
  });
}
