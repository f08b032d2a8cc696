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
const [WARM, ROUNDS] = [60, 1_600];
/**
 * Bytes by which memory may differ after a kind of work: an open chunk, spare blocks, what is taken apart in slices. One block that stays in each
 * round is more, also one of the smallest, of 16 bytes.
 */
const SPARE = 24_576;
/** After all kinds of it. */
const SPARE_OF_ALL = 2 * SPARE;
/** What the agent that stands still has decided for all. */
const DECIDED = ["COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"];

const world = await World.make(prepare, { maximum: "16MiB" });
const random = seededRandom();

/** Does one kind of work in these rounds. */
function rounds(work, from, to) {
  for (let i = from; i < to; i++) {
    try {
      work(i);
    } catch (error) {
      if (!DECIDED.some((code) => isCoheapError(error, code))) throw error;
    }
  }
}

/** The memory in use grows by no more than `most` bytes while `work` is done. */
function growsAtMost(most, what, heap, work) {
  const begun = heap.stats().liveBytes;
  work();
  const grown = heap.stats().liveBytes - begun;
  assert.ok(grown <= most, `${what}: ${grown} bytes`);
}

/** An agent comes, does each kind of work, and leaves; `isLong`: so long that memory is measured. */
function workBeside(blocks, isLong) {
  const { heap } = world.attach({ blocks });
  const works = Object.entries(worksOf(heap));
  for (const [, work] of works) rounds(work, 0, WARM);
  if (isLong) {
    growsAtMost(SPARE_OF_ALL, "all", heap, () => {
      for (const [what, work] of works) growsAtMost(SPARE, what, heap, () => rounds(work, WARM, WARM + ROUNDS));
    });
  }
  heap.detach();
}

/** Two agents, one of which may block: chance chooses who works longer. */
function twoWorkBeside() {
  const longer = random(2);
  for (const each of [0, 1]) workBeside(each === 1, each === longer);
}

/** Stops it so often, each time where chance says. */
async function stopAnywhere(what, act, settle) {
  const points = await pointsAlone(world, act);
  for (let i = 0; i < POINTS; i++) {
    const at = 1 + random(points);
    try {
      await stopAndGoOn(world, act, new Map([[at, twoWorkBeside]]), settle);
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
