// Two agents beside one that stands still, in an operation, while it attaches, or while it reaps, and then goes on: all that they do succeeds
// meanwhile, and memory does not grow with it. When it has gone on, what it kept is given back, too.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError } from "../../js-host/dist/index.js";
import { contents, prepare } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { growth } from "../crash-points/operations/objects.mjs";
import { deadAt, enter, operate, pointsOf, SETTINGS } from "../crash-points/trial.mjs";
import { World } from "../crash-points/world.mjs";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { pointsAlone, stopAndGoOn } from "./stops.mjs";
import { worksOf } from "./works.mjs";

watchdog(600);

/** Points at which each operation is stopped: chance chooses. */
const POINTS = times("COHEAP_POINTS", 1);
/** Agents that are stopped so often while they attach, and while they reap. */
const [ATTACHERS, REAPERS] = [10, 20];
/** Rounds of each kind of work before memory is measured, and then. */
const ROUNDS = [60, 120];
/** Bytes by which a kind of work may differ between two moments: an open chunk, spare blocks, what is taken apart in slices. */
const SPARE = 24_576;
/** What the agent that stands still has decided for all. */
const DECIDED = ["COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"];

const world = await World.make(prepare, { maximum: "16MiB" });
const random = seededRandom();

/** Does one kind of work so often; answers by how much the memory in use has grown from the first measure on. */
function grownBy(heap, work) {
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

/** Two agents come, work and leave. */
function workBeside() {
  for (const blocks of [false, true]) {
    const { heap } = world.attach({ blocks });
    for (const [name, work] of Object.entries(worksOf(heap))) {
      const grown = grownBy(heap, work);
      assert.ok(grown <= SPARE, `${name}: ${grown} bytes`);
    }
    heap.detach();
  }
}

/** Stops it so often, each time where chance says. */
async function stopAnywhere(what, act, settle) {
  const points = await pointsAlone(world, act);
  for (let i = 0; i < POINTS; i++) {
    const at = 1 + random(points);
    try {
      await stopAndGoOn(world, act, new Map([[at, workBeside]]), settle);
    } catch (error) {
      throw new Error(`${what}, at point ${at} of ${points}: ${error.message}`, { cause: error });
    }
  }
}

for (const [kind, operations] of Object.entries({ ...all, growth })) {
  const name = `agents_beside_one_that_stands_still_go_on_in_operations_on_${kind}`;
  test(name, async () => {
    for (const operation of operations) {
      const act = async (looks) => {
        const entered = await enter(world, operation, SETTINGS[0]);
        await operate(entered, operation.step, 0, looks);
        return [entered.mortal, ...entered.survivors];
      };
      await stopAnywhere(operation.what, act, operation.settle);
    }
    cases(name, POINTS * operations.length);
  });
}

test("agents_beside_one_that_stands_still_while_it_attaches_go_on", async () => {
  for (let i = 0; i < ATTACHERS; i++) {
    await stopAnywhere("attaching", (looks) => [world.attach({ mayDie: true, blocks: true, looks })]);
  }
  cases("agents_beside_one_that_stands_still_while_it_attaches_go_on", POINTS * ATTACHERS);
});

test("agents_beside_one_that_stands_still_while_it_reaps_go_on", async () => {
  const operations = Object.values(all).flat();
  for (let i = 0; i < REAPERS; i++) {
    const operation = operations[random(operations.length)];
    const { different } = await pointsOf(world, operation, SETTINGS[0]);
    const death = different[random(different.length)];
    const act = async (looks) => {
      const { survivors, mortal } = await deadAt(world, operation, SETTINGS[0], death);
      const reaper = world.attach({ mayDie: true, blocks: true });
      reaper.arm(0, looks);
      reaper.reap(mortal);
      return [reaper, ...survivors];
    };
    const what = `reaping after ${operation.what}, death at point ${death}`;
    // What the dead had moved waits for who opens it.
    await stopAnywhere(what, act, (heap) => contents(heap) && operation.settle?.(heap));
  }
  cases("agents_beside_one_that_stands_still_while_it_reaps_go_on", POINTS * REAPERS);
});
