import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(300);

const ROUNDS = 10_000;
const ROUNDS_PER_HEAP = 200;
/** More than the 16 pages that the heap grows by at least, so that none that are left over hold it: each round grows the memory. */
const BLOCK = 17 * 65_536;
/** Made in each round, so that its own cell is often on a page that nobody has seen. */
const CELLS = 50;

/** Grows the memory in each round. The other side looks for the answer without any wait: that is when views are stale. */
function grower(heap, rounds, size, cells, flags) {
  const words = new Int32Array(flags);
  const { memory } = heap.token();
  for (let round = 1; round <= rounds; round++) {
    while (Atomics.load(words, 0) !== round) Atomics.wait(words, 0, round - 1, 1000);
    const block = heap.bytes(`block ${round}`, size);
    block.write(size - 8, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, round & 255));
    for (let i = 0; i < cells; i++) heap.cell();
    heap.cell(`cell ${round}`).set(round);
    words[2] = memory.grow(0) * 65_536;
    Atomics.store(words, 1, round);
  }
}

/**
 * What another agent makes in memory that it grew in that very round is there for this one; answers in how many rounds `memory.buffer`
 * had an old length still.
 */
async function lookBehind(heaps) {
  let old = 0;
  for (let i = 0; i < heaps; i++) {
    const heap = await SharedHeap.create({ maximum: "256MiB" });
    const { memory } = heap.token();
    const agent = await RemoteAgent.start(heap);
    memory.grow(0);
    let length = memory.buffer.byteLength;
    const flags = new SharedArrayBuffer(12);
    const words = new Int32Array(flags);
    const growing = agent.run(grower, ROUNDS_PER_HEAP, BLOCK, CELLS, flags);
    const waits = [];
    for (let round = 1; round <= ROUNDS_PER_HEAP; round++) {
      Atomics.store(words, 0, round);
      Atomics.notify(words, 0);
      while (Atomics.load(words, 1) !== round);
      if (memory.buffer.byteLength < words[2]) old++;
      assert.ok(words[2] > length, `round ${round} did not grow the memory`);
      length = words[2];
      const block = heap.bytes(`block ${round}`, BLOCK);
      assert.deepEqual([...block.read(BLOCK - 8)], [1, 2, 3, 4, 5, 6, 7, round & 255]);
      const cell = heap.cell(`cell ${round}`);
      assert.equal(cell.get(), round);
      // The one word that JavaScript itself looks at.
      waits.push(cell.waitAsync(round));
      cell.set(-round);
    }
    await growing;
    assert.deepEqual(new Set(await Promise.all(waits)), new Set(["changed"]));
    await agent.stop();
    await heap.audit();
  }
  return old;
}

test("stale_views_never_show_when_another_agent_grows", async () => {
  const old = await lookBehind(ROUNDS / ROUNDS_PER_HEAP);
  console.log(`the memory grew in ${ROUNDS} rounds; memory.buffer had an old length after that in ${old} of them`);
  cases("stale_views_never_show_when_another_agent_grows", ROUNDS);
});

test("stale_views_never_show_in_an_engine_that_looks_only_when_asked", async () => {
  // V8 looks again by itself at its next stack check; nothing says that an engine must.
  const { prototype } = WebAssembly.Memory;
  const { buffer, grow } = Object.getOwnPropertyDescriptors(prototype);
  const shown = new WeakMap();
  Object.defineProperty(prototype, "buffer", {
    ...buffer,
    get() {
      if (!shown.has(this)) shown.set(this, buffer.get.call(this));
      return shown.get(this);
    },
  });
  prototype.grow = function (pages) {
    shown.delete(this);
    return grow.value.call(this, pages);
  };
  try {
    assert.equal(await lookBehind(4), 4 * ROUNDS_PER_HEAP);
  } finally {
    Object.defineProperties(prototype, { buffer, grow });
  }
  cases("stale_views_never_show_in_an_engine_that_looks_only_when_asked", 4 * ROUNDS_PER_HEAP);
});

test("growth_around_a_foreign_grower_keeps_the_heap_whole", async () => {
  const heap = await SharedHeap.create({ maximum: "256MiB" });
  const { memory } = heap.token();
  const blocks = [];
  const foreign = [];
  for (let round = 0; round < 300; round++) {
    const at = memory.grow(1 + (round % 3)) * 65_536;
    const bytes = new Uint8Array(memory.buffer, at, (1 + (round % 3)) * 65_536);
    bytes.fill(0xaa);
    foreign.push(bytes);
    const block = heap.bytes(undefined, 200_000);
    block.write(0, new Uint8Array(200_000).fill(round));
    blocks.push(block);
    if (round % 4 === 3) blocks.shift().dispose();
  }
  for (const bytes of foreign) assert.ok(bytes.every((byte) => byte === 0xaa));
  blocks.forEach((block) => {
    assert.equal(block.sum(), 200_000 * block.read(0, 1)[0]);
  });
  await heap.audit();
  cases("growth_around_a_foreign_grower_keeps_the_heap_whole", foreign.length);
});

test("growth_beside_a_foreign_grower_in_another_thread_keeps_the_heap_whole", async () => {
  const heap = await SharedHeap.create({ maximum: "512MiB" });
  const { memory } = heap.token();
  const stop = new SharedArrayBuffer(8);
  const thread = new Worker(
    `const { memory, stop } = require("node:worker_threads").workerData;
     const words = new Int32Array(stop);
     while (Atomics.load(words, 0) === 0 && Atomics.load(words, 1) < 1000) {
       const at = memory.grow(1) * 65536;
       new Uint8Array(memory.buffer, at, 65536).fill(0xaa);
       Atomics.add(words, 1, 1);
       Atomics.wait(words, 0, 0, 0.05);
     }`,
    { eval: true, workerData: { memory, stop } },
  );
  // Listened to from the start: the thread may be through with its thousand before the loop below is.
  const ended = new Promise((resolve) => thread.once("exit", resolve));
  const words = new Int32Array(stop);
  const blocks = [];
  for (let round = 0; round < 1000; round++) {
    const block = heap.bytes(undefined, 100_000);
    block.write(0, new Uint8Array(100_000).fill(round));
    blocks.push(block);
    if (round % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  Atomics.store(words, 0, 1);
  await ended;
  assert.ok(Atomics.load(words, 1) > 0);
  blocks.forEach((block, round) => {
    assert.equal(block.sum(), 100_000 * (round & 255));
  });
  await heap.audit();
  cases("growth_beside_a_foreign_grower_in_another_thread_keeps_the_heap_whole", Atomics.load(words, 1));
});
