// An agent that stands still twice in one change of a list, while others edit that list: what they free after the second time is used for
// something else at once, and the agent, which may have met it, writes nothing there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { prepare } from "../crash-points/heap-under-test.mjs";
import { lists } from "../crash-points/operations/lists.mjs";
import { enter, operate, SETTINGS } from "../crash-points/trial.mjs";
import { World } from "../crash-points/world.mjs";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { stopAndGoOn } from "./stops.mjs";

watchdog(600);

const NAME = "agent_that_stands_still_twice_in_a_list_writes_nothing_into_what_was_freed";
/** Pairs of points for each operation. */
const PAIRS = times("COHEAP_TWICE", 30);
/** The first is one of so many, in which an operation begins; the second one of so many after it. */
const [BEGIN, AFTER] = [60, 60];
/** Bytes of regions as large as roots are, and how many of each: more than those that are free before. */
const SIZES = [440, 500, 560, 620, 680, 760];
const REGIONS = 150;

const world = await World.make(prepare, { maximum: "16MiB" });
const random = seededRandom();

/** The lists that operations are about, each edited: what follows has other roots and another tail. */
function edit(heap, i) {
  for (const list of [heap.list("list"), heap.list("tail")]) {
    list.splice(1, 1, i);
    list.splice(-1, 1, i);
  }
}

/** Two times in which others work, and whether all regions are as they were made. */
function worksBeside() {
  const { heap } = world.attach();
  const regions = [];
  // Three times: what the last one puts in was made after the agent began, by any measure.
  const first = () => {
    for (const i of [1, 2, 3]) edit(heap, i);
  };
  const second = () => {
    edit(heap, 4);
    for (const size of SIZES) for (let i = 0; i < REGIONS; i++) regions.push(heap.bytes(undefined, size));
  };
  const leave = () => {
    for (const region of regions)
      assert.ok(
        region.read(0, region.length).every((byte) => byte === 0),
        "a late write",
      );
    heap.detach();
  };
  return { first, second, leave };
}

test(NAME, async () => {
  let stops = 0;
  for (const operation of lists) {
    let points = 0;
    for (let i = 0; i < PAIRS; i++) {
      const at = 1 + random(BEGIN);
      const again = at + 1 + random(AFTER);
      let beside;
      const act = async (looks) => {
        const entered = await enter(world, operation, SETTINGS[0]);
        beside = worksBeside();
        const works = new Map([
          [at, beside.first],
          [again, beside.second],
        ]);
        await operate(entered, operation.step, 0, (half, address, agent) => {
          const work = works.get(agent.points);
          works.delete(agent.points);
          work?.();
          looks?.(half, address, agent);
        });
        points = entered.mortal.points;
        if (works.size === 0) stops++;
        works.clear();
        beside.leave();
        return [entered.mortal, ...entered.survivors];
      };
      try {
        await stopAndGoOn(world, act, new Map(), operation.settle);
      } catch (error) {
        throw new Error(`${operation.what}, at points ${at} and ${again} of ${points}: ${error.message}`, {
          cause: error,
        });
      }
    }
  }
  cases(NAME, stops);
});
