// Two agents read a string, the value of a map's key or a cell's, that a third one replaces all the time; its blocks are freed at once and used again at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(400);

/** Whether a seeded bug is on: then one mix is enough, however long it takes to come. */
const SEEDED = Number(process.env.COHEAP_CONTROL ?? 0) !== 0;
/** Of each reader; fewer in the build with seeded bugs while none is on. */
const READS = SEEDED ? 100_000_000 : process.env.COHEAP_WASM === undefined ? 5_000_000 : 500_000;

/** Flips a key of the map, or the cell, between two strings until both readers are done, and churns blocks of the same sizes. */
async function write(heap, place) {
  const [map, cell, other] = [heap.map("flipped keys"), heap.cell("flipped"), heap.cell()];
  const texts = ["a".repeat(1024), "b".repeat(1000)];
  const churned = [new Uint8Array(1024).fill(1), "\u0101".repeat(510), new Uint8Array(1010).fill(2)];
  const done = heap.cell("done");
  let flips = 0;
  while (done.get() < 2) {
    for (let i = 0; i < 100; i++, flips++) {
      if (place === "key") map.set("key", texts[flips % 2]);
      else cell.set(texts[flips % 2]);
      other.set(churned[flips % 3]);
    }
    await null; // ends the turn
  }
  return flips;
}

/** Reads, and counts what it read. */
async function read(heap, place, reads) {
  const [map, cell] = [heap.map("flipped keys"), heap.cell("flipped")];
  const mixes = heap.cell("mixes");
  const [first, second] = ["a".repeat(1024), "b".repeat(1000)];
  const seen = { first: 0, second: 0, mixed: "" };
  try {
    while (seen.first + seen.second < reads && mixes.get() === 0) {
      for (let i = 0; i < 1000; i++) {
        const text = place === "key" ? map.get("key") : cell.get();
        if (text === first) seen.first++;
        else if (text === second) seen.second++;
        else {
          seen.mixed = `${typeof text} of ${text?.length}: ${String(text).slice(0, 20)} … ${String(text).slice(-20)}`;
          mixes.add(1);
        }
      }
      await null;
    }
  } finally {
    heap.cell("done").add(1);
  }
  return seen;
}

for (const [name, place, share] of [
  ["strings_that_a_writer_flips_are_never_mixed", "key", 1],
  ["strings_that_a_writer_flips_in_a_cell_are_never_mixed", "cell", 0.2],
]) {
  test(name, async () => {
    const heap = await SharedHeap.create();
    heap.map("flipped keys").set("key", "a".repeat(1024));
    heap.cell("flipped", "a".repeat(1024));
    const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap), RemoteAgent.start(heap)]);
    const most = READS * share;
    const [flips, ...seen] = await Promise.all([
      agents[0].run(write, place),
      agents[1].run(read, place, most),
      agents[2].run(read, place, most),
    ]);
    console.log(`${flips} flips; ${JSON.stringify(seen)}`);
    assert.deepEqual(
      seen.map(({ mixed }) => mixed),
      ["", ""],
    );
    const reads = seen.reduce((sum, { first, second }) => sum + first + second, 0);
    assert.ok(reads >= 2 * most && seen.every(({ first, second }) => first > 0 && second > 0));
    await Promise.all(agents.map((agent) => agent.stop()));
    await heap.audit();
    cases(name, reads);
  });
}

test("long_strings_that_a_writer_flips_are_never_mixed", async () => {
  const heap = await SharedHeap.create();
  heap.cell("flipped", "a".repeat(90_000));
  const agents = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const flip = async (heap) => {
    const cell = heap.cell("flipped");
    const texts = ["a".repeat(90_000), "b".repeat(61_000), "\u0101".repeat(50_000)];
    let flips = 0;
    for (; heap.cell("done").get() < 1; flips++, await null) cell.set(texts[flips % 3]);
    return flips;
  };
  const look = async (heap) => {
    const cell = heap.cell("flipped");
    const texts = ["a".repeat(90_000), "b".repeat(61_000), "\u0101".repeat(50_000)];
    let wrong = 0;
    for (let i = 0; i < 2000; i++, await null) wrong += texts.includes(cell.get()) ? 0 : 1;
    heap.cell("done").add(1);
    return wrong;
  };
  const [flips, wrong] = await Promise.all([agents[0].run(flip), agents[1].run(look)]);
  console.log(`${flips} flips`);
  assert.equal(wrong, 0);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  cases("long_strings_that_a_writer_flips_are_never_mixed", 2000);
});
