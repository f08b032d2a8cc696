// The one who reaps dies, too: at every point of its reaping, from every image of the heap that a first death leaves; and then the one who
// reaps both. In the end all is as it is without these deaths.
//
// `npm test` draws some of them (COHEAP_SEED replays a run); with COHEAP_CRASH_POINTS=all every pair of points is tried.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { contents, prepare, removeAll } from "./heap-under-test.mjs";
import { all } from "./operations/all.mjs";
import { deadAt, differences, pointsOf, SETTINGS, statesOf } from "./trial.mjs";
import { World } from "./world.mjs";

const everything = process.env.COHEAP_CRASH_POINTS === "all";
watchdog(everything ? 86_400 : 1_200);

/** First deaths that `npm test` draws; after each of them who reaps dies at every point. */
const IMAGES = 10;
/** Pairs of deaths of reapers that are drawn, and first deaths that they are drawn for. */
const PAIRS = times("COHEAP_PAIRS", 2_000);
const IMAGES_OF_PAIRS = 50;

const world = await World.make(prepare, { maximum: "3MiB", fixed: true });
const [alone] = SETTINGS;
const operations = Object.values(all).flat();

/** What deaths at points of an operation leave, each image once: at all of them, or at one that is drawn. */
async function imagesOf(operation, random) {
  const states = await statesOf(world, operation, alone);
  const { different } = await pointsOf(world, operation, alone);
  const images = new Map();
  for (const at of random === undefined ? different : [different[random(different.length)]]) {
    const { survivors, mortal } = await deadAt(world, operation, alone, at);
    const known = { operation, states, at, mortal, image: world.image() };
    images.set(world.difference(world.base, mortal.stack), known);
    for (const { heap } of survivors) heap.detach();
  }
  return [...images.values()];
}

/** A reaper, which dies at this point of its reaping; 0: at none, and notes where the heap is another one than at the point before. */
function reap(dead, at) {
  const reaper = world.attach({ mayDie: true, blocks: true });
  const { looks, different } = differences(world, reaper);
  reaper.arm(at, at === 0 ? looks : undefined);
  try {
    reaper.reap(...dead);
  } catch (error) {
    if (!reaper.dead) throw error;
  }
  const { points, dead: died } = reaper;
  reaper.die();
  return { reaper, died, points, different };
}

/** The points of the reaping of one death. */
function pointsOfReaping({ image, mortal }) {
  world.restore(image);
  return reap([mortal], 0);
}

/** Reapers die one after the other, each at its point of reaping all before; then another agent ends it. How many have died. */
async function dieInTurn({ operation, states, at, image, mortal }, points) {
  world.restore(image);
  const dead = [mortal];
  let deaths = 0;
  try {
    for (const point of points) {
      const { reaper, died } = reap(dead, point);
      // If it has not so many points, it dies when all is done.
      dead.unshift(reaper);
      if (died) deaths++;
    }
    const found = await end(dead);
    if (!states.some((state) => state.found === found))
      assert.deepEqual(JSON.parse(found), JSON.parse(states.at(-1).found), "neither before nor after");
    return deaths;
  } catch (error) {
    const where = [at, ...points].join(", of reapers at ");
    throw new Error(`${operation.what}, death at point ${where}: ${error.message}`, { cause: error });
  }
}

/** Another agent ends what all these have left: what it finds then. Everything is given back. */
async function end(dead) {
  const last = world.attach({ blocks: true });
  last.reap(...dead);
  const { agents, quarantined } = await last.heap.audit();
  // The survivor of the first death, which does nothing, and this one.
  assert.deepEqual({ agents, quarantined }, { agents: 2, quarantined: 0 });
  const found = contents(last.heap);
  removeAll(last.heap);
  last.heap.detach();
  const auditor = world.attach();
  for (let i = 0; i < 64; i++) auditor.heap.cell().dispose();
  const { liveBytes } = await auditor.heap.audit();
  auditor.heap.detach();
  assert.equal(liveBytes, 0, "bytes that stay behind");
  return found;
}

test("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", async () => {
  const random = seededRandom();
  let [images, deaths, deepest] = [0, 0, 0];
  const tryAll = async (known) => {
    const { points, different } = pointsOfReaping(known);
    deepest = Math.max(deepest, points);
    for (const point of different) deaths += await dieInTurn(known, [point]);
    images++;
  };
  if (everything) {
    for (const operation of operations) {
      const before = deaths;
      for (const known of await imagesOf(operation)) await tryAll(known);
      console.log(`# ${operation.what}: ${deaths - before} deaths of reapers`);
    }
  } else {
    while (images < IMAGES)
      for (const known of await imagesOf(operations[random(operations.length)], random)) await tryAll(known);
  }
  console.log(`# ${images} first deaths, ${deaths} deaths of who reaped them, which takes up to ${deepest} points`);
  cases("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", deaths);
});

test("reaper_of_a_dead_reaper_may_die_too", async () => {
  const random = seededRandom();
  let [pairs, triples] = [0, 0];
  while (pairs < PAIRS) {
    for (const known of await imagesOf(operations[random(operations.length)], random)) {
      const { points, different } = pointsOfReaping(known);
      for (let drawn = 0; drawn < PAIRS / IMAGES_OF_PAIRS; drawn++) {
        const died = await dieInTurn(known, [different[random(different.length)], 1 + random(points)]);
        pairs++;
        if (died === 2) triples++;
      }
    }
  }
  console.log(`# ${pairs} pairs drawn, both of ${triples} have died`);
  assert.ok(triples > pairs / 2);
  cases("reaper_of_a_dead_reaper_may_die_too", triples);
});
