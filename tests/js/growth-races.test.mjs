// Many threads grow one memory at the same time: each has what it asked for and nobody else's, and what the memory has grown by is what they
// were given, page for page.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, times, watchdog } from "./support.mjs";

watchdog(60);

const PAGE = 65_536;
const GROWERS = 4;
const ROUNDS = times("COHEAP_GROWTHS", 200);
const HEAPS = 2;

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
  let rounds = 0;
  for (let number = 0; number < HEAPS; number++) {
    const heap = await SharedHeap.create({ maximum: "1GiB" });
    const { memory } = heap.token();
    const agents = await Promise.all(Array.from({ length: GROWERS }, () => RemoteAgent.start(heap)));
    threads.push(...agents);
    const shared = new SharedArrayBuffer(8);
    const each = Math.ceil(ROUNDS / HEAPS);
    const done = await Promise.all(agents.map((agent, i) => agent.run(grower, i, each, GROWERS, shared)));
    rounds += each * GROWERS;
    const sum = (key) => done.reduce((total, one) => total + one[key], 0);
    const stats = await heap.audit();
    const pages = memory.grow(0);
    // What was granted is there, what is free is told, and pages that others took are nobody's of the heap.
    assert.equal(stats.memoryBytes, pages * PAGE);
    assert.ok(stats.liveBytes >= sum("granted") * PAGE);
    assert.ok(stats.liveBytes + stats.freeBytes + sum("foreign") * PAGE <= pages * PAGE);
    for (const agent of agents) await agent.run(drop);
    const drained = await heap.audit();
    assert.ok(drained.liveBytes <= stats.liveBytes - sum("granted") * PAGE);
    // All of it can be had again without the memory growing.
    const again = heap.bytes(undefined, PAGE * 3);
    assert.equal(memory.grow(0), pages);
    again.dispose();
    console.log(`# ${sum("granted")} pages granted, ${sum("foreign")} by hand, of ${pages}`);
    for (const agent of agents) await agent.stop();
    heap.detach();
  }
  cases("growers_at_the_same_time_have_each_their_own_pages", rounds);
});
