// The one who reaps dies, too: at every point of its reaping, from every image of the heap that a first death leaves; and then the one who
// reaps both. In the end all is as it is without these deaths.
//
// `npm test` draws some of them (COHEAP_SEED replays a run). With COHEAP_OPERATIONS, a number, it is every one after so many operations,
// from the COHEAP_FIRST-th on; `npm run torture` does all operations, in such pieces.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { prepare } from "./heap-under-test.mjs";
import { end, Judge } from "./judge.mjs";
import { all } from "./operations/all.mjs";
import { Digest, differing, Snapshots } from "./snapshots.mjs";
import { deadAt, pointsOf, SETTINGS, statesOf } from "./trial.mjs";
import { World } from "./world.mjs";

const everything = process.env.COHEAP_OPERATIONS !== undefined;
const goesOn = watchdog(1_200);

/** First deaths that `npm test` draws; after each of them who reaps dies at every point. */
const IMAGES = 10;
/** Pairs of deaths of reapers that are drawn, and first deaths that they are drawn for. */
const PAIRS = times("COHEAP_PAIRS", 2_000);
const IMAGES_OF_PAIRS = 50;

/** Just large enough for all operations but the one that finds no room: a larger one takes longer to put back. */
const OPTIONS = { maximum: "2MiB", fixed: true };
const world = await World.make(prepare, OPTIONS);
const another = await World.make(prepare, OPTIONS);
assert.ok(another.base.bytes.equals(world.base.bytes));
const [alone] = SETTINGS;
const operations = Object.values(all).flat();

/** What deaths at points of an operation leave, each image once: at all of them, or at one that is drawn. */
async function* imagesOf(operation, random) {
  const states = await statesOf(world, operation, alone);
  const { different } = await pointsOf(world, operation, alone);
  const seen = new Set();
  for (const at of random === undefined ? different : [different[random(different.length)]]) {
    const { survivors, mortal } = await deadAt(world, operation, alone, at);
    const { stack } = mortal;
    const known = { operation, states, at, mortal, stack, image: world.image() };
    const key = world.difference(world.base, stack);
    for (const { heap } of survivors) heap.detach();
    if (!seen.has(key)) yield known;
    seen.add(key);
  }
}

/** A reaper, which dies at this point of its reaping; 0: at none. */
function reap(dead, at, notes) {
  const reaper = world.attach({ mayDie: true, blocks: true });
  const snapshots = notes ? new Snapshots(world, reaper) : undefined;
  reaper.arm(at, snapshots?.looks);
  try {
    reaper.reap(...dead);
  } catch (error) {
    if (!reaper.dead) throw error;
  }
  snapshots?.end();
  const { points, dead: died, stack } = reaper;
  reaper.die();
  return { reaper, died, points, stack, snapshots };
}

/** Who reaps this death, and what its own death at each point would leave. */
function reapingOf({ image, mortal }) {
  world.restore(image);
  return reap([mortal], 0, true);
}

/** The reaper dies at every point: how many points there are, and how many deaths that were. */
async function dieAtEveryPoint(known, judge) {
  const { mortal } = known;
  const { reaper, stack, points, snapshots } = reapingOf(known);
  const { agents } = world;
  const { bytes, found } = snapshots;
  const digest = new Digest(bytes, [known.stack, stack]);
  for (const { point, half, changes } of found) {
    for (const [at, block] of changes) {
      block.copy(bytes, at);
      digest.update(bytes, at);
    }
    // What is half done is left by a death alone.
    if (half) await dieInTurn(known, [point]);
    else await ends(known, [point], () => judge.find({ bytes, agents }, digest, [reaper, mortal]));
  }
  return { points, deaths: found.length };
}

/** Reapers die one after the other, each at its point of reaping all before; then another agent ends it. How many have died. */
async function dieInTurn(known, points) {
  world.restore(known.image);
  const dead = [known.mortal];
  let deaths = 0;
  await ends(known, points, () => {
    for (const point of points) {
      const { reaper, died } = reap(dead, point);
      // If it has not so many points, it dies when all is done.
      dead.unshift(reaper);
      if (died) deaths++;
    }
    return end(world, dead);
  });
  return deaths;
}

/** In the end all is as before the operation or after it. */
async function ends({ operation, states, at }, points, find) {
  try {
    const found = await find();
    if (!states.some((state) => state.found === found))
      assert.deepEqual(JSON.parse(found), JSON.parse(states.at(-1).found), "neither before nor after");
  } catch (error) {
    const where = [at, ...points].join(", of reapers at ");
    throw new Error(`${operation.what}, death at point ${where}: ${error.message}`, { cause: error });
  }
}

test("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", async () => {
  let deaths = 0;
  const afterAll = async (operation, random) => {
    const judge = new Judge(another);
    let [images, died, deepest] = [0, 0, 0];
    for await (const known of imagesOf(operation, random)) {
      const found = await dieAtEveryPoint(known, judge);
      images++;
      died += found.deaths;
      deepest = Math.max(deepest, found.points);
      goesOn();
    }
    deaths += died;
    const looked = `${judge.ended} of them reaped, ${judge.looked} of these looked into, the others left the same`;
    console.log(
      `# ${operation.what}: ${images} first deaths; ${died} of reapers, at up to ${deepest} points; ${looked}`,
    );
  };
  if (everything) {
    const first = times("COHEAP_FIRST", 0);
    const piece = operations.slice(first, first + times("COHEAP_OPERATIONS"));
    for (const operation of piece) await afterAll(operation);
    cases("operations_after_whose_every_death_reapers_died_at_every_point", piece.length);
  } else {
    const random = seededRandom();
    for (let image = 0; image < IMAGES; image++) await afterAll(operations[random(operations.length)], random);
  }
  cases("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", deaths);
});

test("snapshot_at_a_point_is_what_a_death_there_leaves", async () => {
  const random = seededRandom();
  let compared = 0;
  for (let image = 0; image < IMAGES; image++) {
    for await (const known of imagesOf(operations[random(operations.length)], random)) {
      const { bytes, found } = reapingOf(known).snapshots;
      for (const { point, half, changes } of found) {
        for (const [at, block] of changes) block.copy(bytes, at);
        if (half || random(10) > 0) continue;
        world.restore(known.image);
        reap([known.mortal], point);
        assert.equal(differing(Buffer.from(world.memory.buffer), bytes).next().value, undefined, `point ${point}`);
        compared++;
      }
    }
  }
  cases("snapshot_at_a_point_is_what_a_death_there_leaves", compared);
});

test("reaper_of_a_dead_reaper_may_die_too", async () => {
  const random = seededRandom();
  let [pairs, triples] = [0, 0];
  while (pairs < PAIRS) {
    for await (const known of imagesOf(operations[random(operations.length)], random)) {
      const { points, snapshots } = reapingOf(known);
      const different = snapshots.found.map(({ point }) => point);
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
