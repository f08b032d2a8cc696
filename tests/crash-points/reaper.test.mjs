// The one who reaps dies, too: at every point of its reaping, from every image of the heap that a first death leaves; and then the one who
// reaps both. In the end all is as it is without these deaths.
//
// `npm test` draws some of them (COHEAP_SEED replays a run), also from images in which the memory has grown, or three others are at work. With COHEAP_OPERATIONS, a number, it is every one after so many operations,
// from the COHEAP_FIRST-th on; `npm run torture` does all operations, in such pieces.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";
import { prepare } from "./heap-under-test.mjs";
import { end, Judge, whoIs } from "./judge.mjs";
import { operations } from "./operations/each.mjs";
import { growth } from "./operations/objects.mjs";
import { Cases, Reads } from "./reads.mjs";
import { differing, Snapshots } from "./snapshots.mjs";
import { deadAt, pointsOf, SETTINGS, statesOf, withAllBytes } from "./trial.mjs";
import { World } from "./world.mjs";

const everything = process.env.COHEAP_OPERATIONS !== undefined;
const goesOn = watchdog(1_200);

/** First deaths that `npm test` draws; after each of them who reaps dies at every point. */
const IMAGES = 10;
/** Pairs of deaths of reapers that are drawn, and first deaths that they are drawn for. */
const PAIRS = times("COHEAP_PAIRS", 2_000);
const IMAGES_OF_PAIRS = 50;
/** Deaths of reapers that are drawn where the memory has grown or others are at work, so many after each first one. */
const ELSEWHERE = times("COHEAP_ELSEWHERE", 300);
const OF_AN_IMAGE = 3;
/** First deaths in an operation there. */
const IMAGES_OF_OPERATION = 5;

/** Just large enough for all operations but the one that finds no room: a larger one takes longer to put back. */
const OPTIONS = { maximum: "2MiB", fixed: true };
const world = await World.make(prepare, OPTIONS);
const another = await World.make(prepare, OPTIONS);
assert.ok(another.base.bytes.equals(world.base.bytes));
const [alone, busy] = SETTINGS;
const usual = { world, setting: alone };

/** What deaths at points of an operation leave, each image once: at those of all of them that `draw` answers. */
async function* imagesOf(operation, draw = (points) => points, { world, setting } = usual) {
  const states = await statesOf(world, operation, setting);
  const { different } = await pointsOf(world, operation, setting);
  const seen = new Set();
  for (const at of draw(different)) {
    const { survivors, mortal } = await deadAt(world, operation, setting, at);
    const { stack } = mortal;
    const known = { world, operation, states, at, mortal, survivors, stack, image: world.image() };
    const key = world.difference(world.base, stack);
    for (const { heap } of survivors) heap.detach();
    if (!seen.has(key)) yield known;
    seen.add(key);
  }
}

/** Draws so many, at most. */
function drawn(random, count = 1) {
  return (points) => Array.from({ length: count }, () => points[random(points.length)]);
}

/** A reaper, which dies at this point of its reaping; 0: at none. */
function reap(world, dead, at) {
  const reaper = world.attach({ mayDie: true, blocks: true });
  reaper.arm(at);
  return reaps(reaper, dead);
}

function reaps(reaper, dead) {
  try {
    reaper.reap(...dead);
  } catch (error) {
    if (!reaper.dead) throw error;
  }
  const { points, dead: died } = reaper;
  reaper.die();
  return { reaper, died, points };
}

/** Who reaps this death, what its own death at each point would leave, and what it reads. */
function reapingOf({ image, mortal }) {
  world.restore(image);
  let snapshots;
  const reads = new Reads(world.memory, () => snapshots?.found.length ?? 0);
  return reads.during(() => {
    const reaper = world.attach({ mayDie: true, blocks: true, reads });
    // JavaScript may read anything that stands there.
    reads.view(reaper.transfer);
    snapshots = new Snapshots(world, reaper);
    reaper.arm(0, snapshots.looks);
    const { points } = reaps(reaper, [mortal]);
    snapshots.end();
    return { reaper, points, snapshots, reads };
  });
}

/** What follows from the deaths of reapers at every point. */
class AllDeaths {
  #judge = new Judge(another);
  #cases = new Cases();
  /** First deaths, those of them that were tried, and deaths of who reaped them. */
  images = 0;
  deaths = 0;

  /** How many of the deaths of reapers were followed by another reaper; the others are equal to one of these in all that it reads. */
  get carriedOut() {
    return this.#judge.left.size;
  }

  get tried() {
    return `${this.#cases.size} of them and ${this.carriedOut} of these tried, ${this.#judge.reaped.size} to the end, the others the same to all who come`;
  }

  /** The reaper of this first death dies at every point. Answers what is found after a death at one, and how many points there are. */
  async after(known) {
    const { image, mortal } = known;
    const who = whoIs(image, [mortal]);
    const { result } = this.#cases.find(who, image.bytes) ?? this.#cases.add(await this.#tried(who, known));
    for (const [point, found] of result.found) await ends(known, [point], () => found);
    this.images++;
    this.deaths += result.found.length;
    const foundAt = (point) => result.found.findLast(([at]) => at <= point)[1];
    return { foundAt, points: result.points };
  }

  /** It depends on what the reaper reads, and on what those read who come after it and what it has not written by then. */
  async #tried(who, known) {
    const { image, mortal } = known;
    const { reaper, points, snapshots, reads } = await reapingOf(known);
    const { agents } = world;
    const { bytes } = snapshots;
    const found = [];
    const rests = new Set();
    for (const [time, { point, half, changes }] of snapshots.found.entries()) {
      for (const [at, block] of changes) block.copy(bytes, at);
      await ends(known, [point], async () => {
        const left = half ? leftBy(known, point) : { bytes, agents };
        const { where, result, rest } = await this.#judge.find(left, [reaper, mortal]);
        reads.addUnwritten(where, time);
        // What is written stays written: later ones depend on no more.
        if (!rests.has(rest)) reads.addUnwritten(rest.where, time);
        rests.add(rest);
        found.push([point, result]);
        return result;
      });
    }
    return reads.case(who, image.bytes, { points, found });
  }
}

/** What half is done leaves no snapshot, but a death. */
function leftBy({ image, mortal }, point) {
  world.restore(image);
  reap(world, [mortal], point);
  return world.image();
}

/** Reapers die one after the other, each at its point of reaping all before; then another agent ends it. How many have died. */
async function dieInTurn({ world, image, mortal, survivors, ...known }, points) {
  await world.restoreAll(image);
  const dead = [mortal];
  let deaths = 0;
  await ends(known, points, () => {
    for (const point of points) {
      const { reaper, died } = reap(world, dead, point);
      // If it has not so many points, it dies when all is done.
      dead.unshift(reaper);
      if (died) deaths++;
    }
    return end(world, dead, survivors);
  });
  return deaths;
}

/** In the end all is as before the operation or after it. */
async function ends({ operation, states, at }, points, find) {
  try {
    const found = withAllBytes(operation, states, await find());
    if (!states.some((state) => state.found === found))
      assert.deepEqual(JSON.parse(found), JSON.parse(states.at(-1).found), "neither before nor after");
  } catch (error) {
    const where = [at, ...points].join(", of reapers at ");
    throw new Error(`${operation.what}, death at point ${where}: ${error.message}`, { cause: error });
  }
}

test("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", async () => {
  const all = new AllDeaths();
  const dieAfterAll = async (operation, draw) => {
    const { images, deaths } = all;
    let deepest = 0;
    for await (const known of imagesOf(operation, draw)) {
      const { points } = await all.after(known);
      deepest = Math.max(deepest, points);
      goesOn();
    }
    const counts = `${all.images - images} first deaths, ${all.deaths - deaths} of reapers`;
    console.log(`# ${operation.what}: ${counts}, who go through up to ${deepest} points`);
  };
  if (everything) {
    const first = times("COHEAP_FIRST", 0);
    const piece = operations.slice(first, first + times("COHEAP_OPERATIONS"));
    for (const operation of piece) await dieAfterAll(operation);
    cases("operations_after_whose_every_death_reapers_died_at_every_point", piece.length);
    cases("deaths_of_reapers_that_were_carried_out", all.carriedOut);
  } else {
    const random = seededRandom();
    for (let image = 0; image < IMAGES; image++)
      await dieAfterAll(operations[random(operations.length)], drawn(random));
  }
  console.log(`# ${all.images} first deaths, ${all.deaths} of reapers: ${all.tried}`);
  cases("reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped", all.deaths);
});

test("snapshot_at_a_point_is_what_a_death_there_leaves", async () => {
  const random = seededRandom();
  let compared = 0;
  for (let image = 0; image < IMAGES; image++) {
    for await (const known of imagesOf(operations[random(operations.length)], drawn(random))) {
      const { bytes, found } = (await reapingOf(known)).snapshots;
      for (const { point, half, changes } of found) {
        for (const [at, block] of changes) block.copy(bytes, at);
        if (half || random(10) > 0) continue;
        world.restore(known.image);
        reap(world, [known.mortal], point);
        assert.equal(differing(Buffer.from(world.memory.buffer), bytes).next().value, undefined, `point ${point}`);
        compared++;
      }
    }
  }
  cases("snapshot_at_a_point_is_what_a_death_there_leaves", compared);
});

test("first_death_that_is_taken_for_another_ends_as_it_says", async () => {
  const random = seededRandom();
  const all = new AllDeaths();
  let compared = 0;
  while (compared < 60) {
    const operation = operations[random(operations.length)];
    let images = 0;
    for await (const known of imagesOf(operation)) {
      const { foundAt, points } = await all.after(known);
      for (let time = 0; time < 3; time++) {
        const point = 1 + random(points);
        world.restore(known.image);
        const { reaper } = reap(world, [known.mortal], point);
        assert.equal(
          await end(world, [reaper, known.mortal], known.survivors),
          foundAt(point),
          `${operation.what}, ${known.at}, ${point}`,
        );
        compared++;
      }
      if (++images === 12) break;
    }
  }
  console.log(`# ${all.images} first deaths, ${all.tried}`);
  cases("first_death_that_is_taken_for_another_ends_as_it_says", compared);
});

test("reaper_of_a_dead_reaper_may_die_too", async () => {
  const random = seededRandom();
  let [pairs, triples] = [0, 0];
  while (pairs < PAIRS) {
    for await (const known of imagesOf(operations[random(operations.length)], drawn(random))) {
      const { points, snapshots } = await reapingOf(known);
      const different = snapshots.found.map(({ point }) => point);
      for (let time = 0; time < PAIRS / IMAGES_OF_PAIRS; time++) {
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

test("reaper_dies_where_the_memory_has_grown_and_beside_agents_at_work", async () => {
  const random = seededRandom();
  const growing = await World.make(prepare, { maximum: "8MiB" });
  const crowded = { world: await World.make(prepare, { maximum: "4MiB", fixed: true }), setting: busy };
  const drawnOf = (all) => all[random(all.length)];
  const places = [
    () => [drawnOf(growth), { world: growing, setting: alone }],
    () => [drawnOf(growth), { world: growing, setting: busy }],
    () => [drawnOf(operations), crowded],
    () => [drawnOf(operations), crowded],
  ];
  const counts = { deaths: 0, grown: 0, crowded: 0 };
  for (let round = 0; counts.deaths < ELSEWHERE; round++) {
    const [operation, place] = places[round % places.length]();
    for await (const known of imagesOf(operation, drawn(random, IMAGES_OF_OPERATION), place)) {
      const { world, image, mortal } = known;
      await world.restoreAll(image);
      const { points } = reap(world, [mortal], 0);
      for (let time = 0; time < OF_AN_IMAGE; time++) {
        const died = await dieInTurn(known, [1 + random(points)]);
        counts.deaths += died;
        if (image.bytes.length > world.base.bytes.length) counts.grown += died;
        if (place.setting === busy) counts.crowded += died;
      }
      goesOn();
    }
  }
  const { deaths, grown } = counts;
  console.log(
    `# ${deaths} deaths of reapers, ${grown} where the memory has grown, ${counts.crowded} beside three agents`,
  );
  if (deaths >= 200) assert.ok(grown > 0 && counts.crowded > 0);
  cases("reaper_dies_where_the_memory_has_grown_and_beside_agents_at_work", deaths);
});
