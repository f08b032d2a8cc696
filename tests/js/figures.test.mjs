// What an audit tells besides the proof: how much lives, of which kind, and by whose hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, watchdog } from "./support.mjs";

watchdog(120);

/** An audit whose parts add up. */
async function audited(heap) {
  const figures = await heap.audit();
  const { liveBytes, liveBlocks, freeBytes, fragmentedBytes, reservedBytes, memoryBytes } = figures;
  const kinds = Object.values(figures.liveByKind);
  const sum = (numbers) => [...numbers].reduce((total, number) => total + number, 0);
  assert.equal(sum(kinds.map(({ bytes }) => bytes)), liveBytes, "bytes by kind");
  assert.equal(sum(kinds.map(({ blocks }) => blocks)), liveBlocks, "blocks by kind");
  assert.equal(sum(figures.liveBytesByAgent.values()), liveBytes, "bytes by agent");
  assert.ok(fragmentedBytes <= freeBytes);
  assert.equal(memoryBytes, heap.token().memory.buffer.byteLength);
  // The rest is what the module itself has below the heap: pages.
  const foreign = memoryBytes - liveBytes - freeBytes - reservedBytes;
  assert.ok(foreign >= 0 && foreign % 65_536 === 0, `${foreign} bytes are not the heap's`);
  assert.equal(figures.orphans, 0);
  return figures;
}

test("audit_tells_what_lives_by_kind", async () => {
  const heap = await SharedHeap.create();
  const text = "a text of a block, too long for an atom".repeat(3);
  const makes = {
    names: () => heap.cell("a name"),
    bytes: () => heap.bytes(undefined, 300_000),
    fields: () => heap.fields([["Accept", "text/html"]]),
    references: () => Array.from({ length: 2_000 }, () => heap.cell()),
    values: () => heap.cell(undefined, text),
    structures: () => heap.map().set(1, 2),
    pipes: () => heap.pipe().tryWrite(text),
  };
  const kept = [];
  for (const [kind, make] of Object.entries(makes)) {
    const before = (await audited(heap)).liveByKind[kind];
    kept.push(make());
    const after = (await audited(heap)).liveByKind[kind];
    assert.ok(after.bytes > before.bytes && after.blocks > before.blocks, kind);
  }
  assert.ok((await audited(heap)).liveByKind.bytes.bytes >= 300_000);
  cases("audit_tells_what_lives_by_kind", kept.length);
});

test("audit_tells_what_lives_by_agent", async () => {
  const heap = await SharedHeap.create();
  const [first, second] = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const make = (heap, count) => {
    globalThis.kept = Array.from({ length: count }, () => heap.bytes(undefined, 1 << 20));
  };
  await first.run(make, 3);
  await second.run(make, 5);
  const { liveBytesByAgent } = await audited(heap);
  const mebibytes = [...liveBytesByAgent.values()].map((bytes) => Math.floor(bytes / 2 ** 20));
  assert.deepEqual(mebibytes.filter((count) => count > 0).sort(), [3, 5]);
  await first.stop();
  await second.stop();
  assert.ok([...(await audited(heap)).liveBytesByAgent.values()].every((bytes) => bytes < 2 ** 20));
  cases("audit_tells_what_lives_by_agent", 2);
});

test("audit_tells_how_fragmented_the_heap_is", async () => {
  const heap = await SharedHeap.create();
  const regions = Array.from({ length: 20_000 }, () => heap.bytes(undefined, 1_000));
  const { fragmentedBytes, liveBlocks } = await audited(heap);
  // One of each page stays: all else of it is free, and serves such regions alone.
  const stay = regions.filter((region, index) => index % 50 === 0 || region.dispose());
  const after = await audited(heap);
  assert.equal(liveBlocks - after.liveBlocks, regions.length - stay.length);
  assert.ok(after.fragmentedBytes > fragmentedBytes + 15_000_000, JSON.stringify(after));
  for (const region of stay) region.dispose();
  assert.ok((await audited(heap)).fragmentedBytes < after.fragmentedBytes / 100);
  const { liveBlocks: live, reservedBytes, fragmentedBytes: between } = heap.stats();
  assert.ok(live >= 0 && reservedBytes > 0 && between >= 0);
  cases("audit_tells_how_fragmented_the_heap_is", regions.length);
});

test("audit_without_a_free_page_tells_the_same", async () => {
  const heap = await SharedHeap.create({ maximum: "8MiB", fixed: true });
  const kept = [];
  let size = 5_000;
  while (size >= 16) {
    try {
      kept.push(heap.bytes(undefined, size));
    } catch {
      size >>= 1;
    }
  }
  const { liveByKind, freeBytes } = await audited(heap);
  assert.ok(freeBytes < 65_536, `${freeBytes} bytes are free`);
  assert.equal(liveByKind.bytes.blocks, kept.length);
  assert.ok(kept.length > 1_000);
  cases("audit_without_a_free_page_tells_the_same", kept.length);
});
