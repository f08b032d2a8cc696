// A heap that is filled until nothing more goes in, and drained: each refusal is the typed error, the heap works meanwhile, and afterwards it has
// room for the same again, class for class. Who fills it may block; another agent, which must not, works beside it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, refuses, seededRandom, times, watchdog } from "./support.mjs";

watchdog(600);

const CYCLES = times("COHEAP_CYCLES", 200);
/**
 * Sizes of each of the allocator's ways: slabs' blocks, granules, runs of pages. In two heaps: the table of objects, and what an agent
 * notes of those that it has, keep the size that they once had, which thousands of small ones make large.
 */
const SIZES = [
  [8, 16, 64, 200],
  [1_000, 4_000, 8_000, 9_000, 20_000, 40_000, 61_000, 70_000, 140_000],
];
const TEXT = "a text that takes a block of its own";

/** Takes blocks until one is refused; answers them. */
function fill(heap, size, blocks) {
  const error = refuses(() => {
    for (;;) blocks.push(heap.bytes(undefined, size));
  }, "COHEAP_OUT_OF_MEMORY");
  assert.ok(error.details.requested > 0 && error.details.live <= error.details.maximum);
  return blocks;
}

/** What a host does when there is no room: all that needs none goes on, and the rest is refused. */
function workWithoutRoom(heap, round) {
  const [cell, map] = [heap.cell("cell"), heap.map("map")];
  assert.equal(cell.add(1), round + 1);
  map.set("here", round);
  assert.equal(map.get("here"), round);
  assert.equal(heap.stats().agents, 2);
  for (const act of [
    () => heap.map(),
    () => heap.bytes(undefined, 100_000),
    () => heap.list("list").push(TEXT.repeat(3_000)),
    () => heap.pipe(undefined, { capacity: 65_536 }),
    () => heap.from({ text: TEXT.repeat(3_000) }),
  ]) {
    try {
      act()?.dispose?.();
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_OUT_OF_MEMORY")) throw error;
    }
  }
}

/** One heap, of which so many are filled and drained; answers how many blocks of each size there was room for. */
async function fillAndDrain(heap, sizes, cycles, random) {
  const filler = attach(heap.token());
  heap.cell("cell");
  heap.map("map").set("here", 0);
  heap.list("list");
  // Its turn ends here, and after each time that it was at work: then what is free of its slabs serves the other.
  await null;
  // Once before they are counted: the memory grows to its end, and the table of objects to its size.
  const room = new Map();
  for (const size of [sizes[0], ...sizes]) {
    const blocks = fill(filler, size, []);
    room.set(size, blocks.length);
    for (const block of blocks) block.dispose();
  }
  for (let cycle = 0; cycle < cycles; cycle++) {
    const size = sizes[random(sizes.length)];
    const blocks = fill(filler, size, []);
    assert.ok(
      blocks.length >= room.get(size),
      `cycle ${cycle}: ${blocks.length} of ${room.get(size)} with ${size} bytes`,
    );
    workWithoutRoom(heap, cycle);
    await null;
    // Drained in any order: what stays beside what is left to chance.
    for (let left = blocks.length; left > 0; left--) {
      const number = random(left);
      blocks[number].dispose();
      blocks[number] = blocks[left - 1];
    }
    // A turn ends: others see the agent leave.
    if (cycle % 10 === 9) await heap.audit();
  }
  filler.detach();
  return [...room].map(([size, count]) => `${count} of ${size}`).join(", ");
}

for (const fixed of [false, true]) {
  const name = `heap_${fixed ? "of_a_fixed_size" : "that_grows"}_that_is_filled_and_drained_has_room_for_the_same_again`;
  test(name, async () => {
    const random = seededRandom();
    const cycles = Math.ceil(CYCLES / 4);
    for (const sizes of SIZES) {
      const heap = await SharedHeap.create({ maximum: "3MiB", fixed });
      console.log(`# room for ${await fillAndDrain(heap, sizes, cycles, random)} bytes`);
      heap.detach();
    }
    cases(name, cycles * SIZES.length);
  });
}
