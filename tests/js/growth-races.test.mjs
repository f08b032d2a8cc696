// Many threads grow one memory at the same time: each has what it asked for and nobody else's, and what the memory has grown by is what they
// were given, page for page: the page table has as many of each kind as were asked for.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, times, watchdog } from "./support.mjs";

const PAGE = 65_536;
const GROWERS = 8;
/** Of each grower, in one heap. */
const ROUNDS = 100;
const HEAPS = Math.ceil(times("COHEAP_GROWTHS", 2 * GROWERS * ROUNDS) / GROWERS / ROUNDS);

watchdog(60 + 30 * HEAPS);

/** Where the page table stands in the control area, and what its words say in their lowest bits (allocator/src/words/page.rs). */
const TABLE = 0x1_0000;
const [FOREIGN, FREE, PRIVATE, RUN, RUN_BODY] = [0n, 1n, 2n, 5n, 6n];

/** How many pages of the memory the page table says to be of these kinds. */
function pagesOf({ memory, control }, ...kinds) {
  const words = new BigUint64Array(memory.buffer, control + TABLE, 2 * memory.grow(0));
  return words.filter((word, i) => i % 2 === 0 && kinds.includes(word & 15n)).length;
}

/** Rounds in step with the others: a run for which the heap has to grow, or pages by hand as another library would take them. */
function grower(heap, number, rounds, growers, shared) {
  const words = new Int32Array(shared);
  const { memory } = heap.token();
  const held = [];
  let foreign = 0;
  for (let round = 0; round < rounds; round++) {
    // The last one lets all go.
    if (Atomics.add(words, 0, 1) + 1 === (round + 1) * growers) {
      Atomics.store(words, 1, round + 1);
      Atomics.notify(words, 1);
    }
    while (Atomics.load(words, 1) <= round) Atomics.wait(words, 1, round, 1_000);
    if ((round + number) % 5 === 4) {
      const at = memory.grow(1) * 65_536;
      new Uint8Array(memory.buffer, at, 65_536).fill(200 + number);
      held.push({ at });
      foreign++;
      continue;
    }
    const pages = 1 + ((round * 7 + number) % 3);
    const block = heap.bytes(undefined, pages * 65_536);
    block.write(0, new Uint8Array(pages * 65_536).fill(1 + ((round + number) % 100)));
    held.push({ block, pages, byte: 1 + ((round + number) % 100) });
  }
  // Behind all rounds: nobody has written into what was another's.
  let granted = 0;
  for (const { at, block, pages, byte } of held) {
    if (block === undefined) {
      if (!new Uint8Array(memory.buffer, at, 65_536).every((each) => each === 200 + number))
        throw new Error("overwritten");
    } else if (block.sum() !== pages * 65_536 * byte) {
      throw new Error(`a run of ${pages} pages: overwritten`);
    } else {
      granted += pages;
    }
  }
  const blocks = held.flatMap(({ block }) => (block === undefined ? [] : [block]));
  globalThis.held = blocks;
  return { granted, foreign };
}

function drop() {
  for (const block of globalThis.held) block.dispose();
}

/** So that a failure ends them, too. */
const threads = [];
after(() => Promise.all(threads.map((agent) => agent.thread.terminate())));

test("growers_at_the_same_time_have_each_their_own_pages", async () => {
  for (let number = 0; number < HEAPS; number++) {
    const heap = await SharedHeap.create({ maximum: "1GiB" });
    const token = heap.token();
    const { memory } = token;
    const agents = await Promise.all(Array.from({ length: GROWERS }, () => RemoteAgent.start(heap)));
    threads.push(...agents);
    assert.equal(pagesOf(token, RUN, RUN_BODY, PRIVATE), 0);
    const others = pagesOf(token, FOREIGN);
    const shared = new SharedArrayBuffer(8);
    const done = await Promise.all(agents.map((agent, i) => agent.run(grower, i, ROUNDS, GROWERS, shared)));
    const sum = (key) => done.reduce((total, one) => total + one[key], 0);
    const [granted, byHand] = [sum("granted"), sum("foreign")];
    const { memoryBytes } = await heap.audit();
    const pages = memory.grow(0);
    assert.equal(memoryBytes, pages * PAGE);
    assert.equal(pagesOf(token, RUN, RUN_BODY), granted, "what was asked for is there");
    assert.equal(pagesOf(token, FOREIGN), others + byHand, "no page that the memory has grown by is lost");
    assert.equal(pagesOf(token, PRIVATE), 0);
    const free = pagesOf(token, FREE);
    for (const agent of agents) await agent.run(drop);
    await heap.audit();
    assert.equal(pagesOf(token, FREE), free + granted, "all is free again");
    // And can be had again without the memory growing.
    const again = heap.bytes(undefined, PAGE * 3);
    assert.equal(memory.grow(0), pages);
    again.dispose();
    console.log(`# ${granted} pages granted, ${byHand} by hand, of ${pages}`);
    for (const agent of agents) await agent.stop();
    heap.detach();
  }
  cases("growers_at_the_same_time_have_each_their_own_pages", HEAPS * GROWERS * ROUNDS);
});
