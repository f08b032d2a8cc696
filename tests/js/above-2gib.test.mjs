import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(300);

const GIB = 2 ** 30;
const PAGE = 65_536;

test("blocks_and_cells_above_2_gib_and_in_the_last_page_work", async () => {
  const heap = await SharedHeap.create({ maximum: "4GiB" });
  const { memory } = heap.token();
  const fill = heap.bytes(undefined, 2 * GIB); // untouched, so it costs no memory
  assert.ok(memory.grow(0) * PAGE > 2 * GIB);

  // Everything from here on lies above 2 GiB: small, middle and large blocks.
  const blocks = [];
  for (const length of [1, 64, 1000, 8192, 8193, 40_000, 65_536, 1_000_000]) {
    for (let i = 0; i < 20; i++) {
      const block = heap.bytes(undefined, length);
      block.write(0, new Uint8Array(length).fill(i + 1));
      blocks.push([block, length * (i + 1)]);
    }
  }
  const cells = Array.from({ length: 10_000 }, () => heap.cell());
  cells.forEach((cell, i) => {
    cell.set(i + 0.5);
  });
  const agent = await RemoteAgent.start(heap); // its slot's pages lie up there too
  const sums = await agent.run(
    (other, handles) => handles.map((handle) => other.open(handle).sum()),
    blocks.map(([block]) => block.handle),
  );
  assert.deepEqual(
    sums,
    blocks.map(([, sum]) => sum),
  );
  const wait = cells.at(-1).waitAsync(9_999.5);
  await agent.run((other, handle) => other.open(handle).set(-1), cells.at(-1).handle);
  assert.equal(await wait, "changed");
  cells.forEach((cell, i) => {
    assert.equal(cell.get(), i === 9_999 ? -1 : i + 0.5);
  });

  // Then all the rest, down to the last page below 4 GiB.
  const rest = [];
  for (let size = GIB; size >= PAGE; ) {
    try {
      rest.push(heap.bytes(undefined, size - PAGE / 2));
    } catch (error) {
      assert.equal(error.code, "COHEAP_OUT_OF_MEMORY");
      size /= 2;
    }
  }
  assert.equal(memory.grow(0), PAGE, "the memory has all its 65,536 pages");
  for (const block of rest) {
    const end = block.length - 10;
    block.write(end, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    assert.equal(block.sum(end), 55);
    assert.deepEqual([...block.read(end + 8)], [9, 10]);
  }
  const last = new Uint8Array(memory.buffer, 4 * GIB - PAGE, PAGE);
  assert.ok(last.includes(10), "a block reaches into the last page");
  refuses(() => heap.bytes(undefined, 10 * PAGE), "COHEAP_OUT_OF_MEMORY");
  await heap.audit();

  // What is freed can be had again, and the host can still work.
  rest.shift().dispose();
  heap.bytes(undefined, GIB / 2).dispose();
  fill.dispose();
  assert.equal(cells[0].get(), 0.5);
  await agent.stop();
  await heap.audit();
  cases("blocks_and_cells_above_2_gib_and_in_the_last_page_work", blocks.length + cells.length + rest.length);
});

test("out_of_memory_is_a_value_and_what_is_freed_can_be_had_again", async () => {
  for (const options of [{ maximum: "2MiB" }, { maximum: "2MiB", fixed: true }]) {
    const heap = await SharedHeap.create(options);
    for (let round = 0; round < 20; round++) {
      const blocks = [];
      const error = refuses(() => {
        for (;;) blocks.push(heap.bytes(undefined, 1000 * (1 + (blocks.length % 60))));
      }, "COHEAP_OUT_OF_MEMORY");
      assert.equal(error.details.maximum, 2 ** 21);
      assert.ok(blocks.length > 10);
      for (const block of blocks) block.dispose();
    }
    assert.equal(heap.cell("x").add(1), 1);
    await heap.audit();
  }
  cases("out_of_memory_is_a_value_and_what_is_freed_can_be_had_again", 40);
});
