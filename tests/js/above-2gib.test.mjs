import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { everyOperation } from "./every-operation.mjs";
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

/** For any agent: writes into every structure, and answers what it then reads there. */
function fillAndRead(heap, name) {
  const values = [
    0,
    -1.5,
    "",
    "a text of Latin-1: é",
    "one of two bytes a unit: ☃".repeat(3000),
    2n ** 200n,
    null,
    undefined,
  ];
  const seen = {};
  const map = heap.map(`map of ${name}`);
  values.forEach((value, index) => {
    map.set(`key ${index}, which is a text of its own`, value);
  });
  map.set("inner", heap.from({ list: [1, "two", [3]] }));
  for (let i = 0; i < 3_000; i++) map.add(i % 500);
  seen.map = map.toJS();
  const list = heap.list(`list of ${name}`);
  list.push(...values);
  for (let i = 0; i < 3_000; i++) list.push(i % 7 === 0 ? `text number ${i}, of a block` : i);
  list.splice(10, 2_900, "spliced");
  seen.list = list.toJS();
  const cell = heap.cell(`cell of ${name}`);
  seen.cell = values.map((value) => cell.set(value) ?? cell.get());
  const fields = heap.fields([["Accept", "text/html"]]);
  for (let i = 0; i < 200; i++) fields.append(`X-Name-${i % 20}`, `value ${i}`);
  fields.delete("x-name-7");
  seen.fields = [...fields];
  const pipe = heap.pipe(`pipe of ${name}`, { capacity: 1 << 20 });
  seen.lines = [];
  for (let i = 0; i < 500; i++) {
    pipe.tryWrite(`line ${i} `);
    pipe.tryWrite(`${"x".repeat(7 * i)}\nline`);
    seen.lines.push(new TextDecoder().decode(pipe.tryRead({ until: "\n" })));
  }
  return seen;
}

/** For any agent: everything that it can do, many times. Answers how often. */
async function doEverything(heap, rounds) {
  const operations = Object.values(everyOperation(heap).operations);
  for (let round = 0; round < rounds; round++) {
    for (const operation of operations) operation();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return rounds * operations.length;
}

test("every_operation_works_above_2_gib", async () => {
  const heap = await SharedHeap.create({ maximum: "4GiB" });
  const { memory } = heap.token();
  const fill = [heap.bytes(undefined, 2 * GIB)];
  // No page below is left, nor an entry of the table of objects.
  for (const pages = memory.grow(0); memory.grow(0) === pages; ) fill.push(heap.bytes(undefined, PAGE));
  for (let i = 0; i < 1_100; i++) fill.push(heap.cell());
  const agent = await RemoteAgent.start(heap);
  // The same in a heap that lies low.
  const expected = fillAndRead(await SharedHeap.create(), "low");
  assert.deepEqual(fillAndRead(heap, "the host"), expected);
  assert.deepEqual(await agent.run(fillAndRead, "an agent"), expected);
  // What one wrote the other reads.
  const read = (other) => [other.map("map of the host").toJS(), other.list("list of the host").toJS()];
  assert.deepEqual(await agent.run(read), [expected.map, expected.list]);
  assert.deepEqual(heap.map("map of an agent").toJS(), expected.map);
  assert.deepEqual(heap.list("list of an agent").toJS(), expected.list);
  const counts = await Promise.all([doEverything(heap, 100), agent.run(doEverything, 100)]);
  await heap.audit({ timeout: 20_000 });
  await agent.stop();
  await heap.audit();
  cases("every_operation_works_above_2_gib", counts[0] + counts[1]);
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
