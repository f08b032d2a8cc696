// Who keeps an object alive: wrappers, names, and moves under way.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog, withExports } from "./support.mjs";

watchdog(200);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** For a remote agent: opens an object and keeps the wrapper, or disposes of it. */
const keep = (heap, handle) => {
  globalThis.kept = heap.open(handle);
  return globalThis.kept.get ? "cell" : "bytes";
};
const drop = () => globalThis.kept.dispose();

/** Collects garbage until `done` answers true, for a minute at most. */
async function collectUntil(done) {
  for (let i = 0; i < 600 && !done(); i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("object_has_one_wrapper_in_each_agent", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const [cell, block, named] = [heap.cell(), heap.bytes(undefined, 10), heap.cell("n")];
  for (const wrapper of [cell, block, named]) {
    assert.equal(heap.open(wrapper.handle), wrapper);
    assert.notEqual(other.open(wrapper.handle), wrapper);
  }
  assert.equal(heap.cell("n"), named);
  assert.equal(other.cell("n"), other.open(named.handle));
  named.dispose();
  const again = heap.cell("n");
  assert.notEqual(again, named);
  assert.deepEqual([again.disposed, named.disposed], [false, true]);
  // What is refused takes no reference and leaves none.
  heap.bytes("b", 10).dispose();
  const { handle } = heap.bytes("b", 10);
  heap.open(handle).dispose();
  refuses(() => heap.bytes("b", 11), "COHEAP_OUT_OF_RANGE");
  heap.remove("b");
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  await heap.audit();
});

test("object_ends_with_the_last_wrapper_of_all_agents", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const cell = heap.cell();
  cell.set(7);
  const { handle } = cell;
  assert.equal(await agent.run(keep, handle), "cell");
  cell.dispose();
  assert.equal(heap.open(handle).get(), 7);
  heap.open(handle)[Symbol.dispose](); // what `using` calls
  refuses(() => heap.open({ ...handle, generation: handle.generation + 1 }), "COHEAP_STALE_HANDLE");
  await agent.run(drop);
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  await agent.stop();
  await heap.audit();
});

test("detach_gives_back_what_the_agent_had", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats().liveBytes;
  const agent = await RemoteAgent.start(heap);
  const handles = await agent.run((heap) => {
    globalThis.kept = Array.from({ length: 3000 }, (_, i) => (i % 2 ? heap.cell() : heap.bytes(undefined, 100)));
    return globalThis.kept.map(({ handle }) => handle);
  });
  const kept = heap.open(handles[1]);
  await agent.run((heap) => heap.detach());
  handles.forEach((handle, i) => {
    if (i === 1) assert.equal(heap.open(handle), kept);
    else refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  });
  await agent.thread.terminate();
  assert.equal((await heap.audit()).liveBytes, before);
});

test("moved_object_belongs_to_who_opens_it", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const block = heap.bytes(undefined, 4);
  block.write(0, Uint8Array.of(1, 2, 3, 4));
  const handle = block.move();
  assert.deepEqual(handle, JSON.parse(JSON.stringify(block.handle)));
  assert.equal(block.disposed, true);
  refuses(() => block.move(), "COHEAP_DISPOSED");
  refuses(() => block.sum(), "COHEAP_DISPOSED");
  // Nobody has it, and it is there.
  await heap.audit();
  assert.equal(await agent.run(keep, handle), "bytes");
  assert.equal(await agent.run(() => globalThis.kept.sum()), 10);
  await agent.run(drop);
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  // One who has it already has the moved reference, too, and no other is left.
  const cell = heap.cell();
  await agent.run(keep, cell.handle);
  const again = cell.move();
  assert.equal(await agent.run((heap, handle) => heap.open(handle) === globalThis.kept, again), true);
  await agent.run(drop);
  refuses(() => heap.open(again), "COHEAP_STALE_HANDLE");
  await agent.stop();
  refuses(() => {
    const late = heap.cell();
    heap.detach();
    late.move();
  }, "COHEAP_DETACHED");
});

test("wrapper_in_a_message_is_refused_and_its_handle_is_not", async () => {
  const heap = await SharedHeap.create();
  const structures = [heap.map(), heap.fields(), heap.list(), heap.pipe()];
  const wrappers = [heap.cell(), heap.bytes(undefined, 3), heap.cell("named"), ...structures];
  const { port1, port2 } = new MessageChannel();
  for (const wrapper of wrappers) {
    for (const message of [wrapper, { deep: [wrapper] }]) {
      assert.throws(() => port1.postMessage(message), { name: "DataCloneError" });
      assert.throws(() => structuredClone(message), { name: "DataCloneError" });
    }
    assert.deepEqual(structuredClone(wrapper.handle), wrapper.handle);
    assert.deepEqual(JSON.parse(JSON.stringify(wrapper.handle)), wrapper.handle);
    assert.equal(heap.open(structuredClone(wrapper.handle)), wrapper);
  }
  port1.close();
  port2.close();
});

test("collected_wrappers_give_their_references_back", async () => {
  const heap = await SharedHeap.create();
  const before = heap.stats().liveBytes;
  const count = 2000;
  const kept = [];
  const handles = [];
  const leave = () => {
    for (let i = 0; i < count; i++) {
      const wrapper = i % 2 ? heap.cell() : heap.bytes(undefined, 1000);
      handles.push(wrapper.handle);
      if (i % 10 === 0) kept.push(wrapper);
      if (i % 10 === 1) wrapper.dispose(); // not counted
    }
  };
  leave();
  await collectUntil(() => heap.stats().finalized >= count * 0.8);
  assert.equal(heap.stats().finalized, count * 0.8);
  let live = 0;
  for (const handle of handles) {
    try {
      heap.open(handle);
      live++;
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_STALE_HANDLE")) throw error;
    }
  }
  assert.equal(live, kept.length);
  for (const wrapper of kept) wrapper.dispose();
  await heap.audit();
  const other = SharedHeap.attach(heap.token());
  heap.detach();
  assert.equal((await other.audit()).liveBytes, before);
  cases("collected_wrappers_give_their_references_back", count);
});

test("object_opened_again_before_its_wrapper_is_collected_stays", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const handles = Array.from({ length: 200 }, () => heap.cell().move());
  const open = new Map();
  for (let round = 0; round < 40; round++) {
    for (const handle of handles) {
      // Sometimes a wrapper is kept, sometimes it is left to the collector, and opened again at any moment.
      if (random(2)) open.set(handle.index, heap.open(handle));
      else open.delete(handle.index);
    }
    collect();
    if (round % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    for (const wrapper of open.values()) assert.equal(wrapper.get(), 0);
    for (let i = 0; i < handles.length; i++) {
      if (open.has(handles[i].index)) continue;
      try {
        heap.open(handles[i]);
      } catch (error) {
        if (!isCoheapError(error, "COHEAP_STALE_HANDLE")) throw error;
        handles[i] = heap.cell().move();
      }
    }
  }
  await heap.audit();
  cases("object_opened_again_before_its_wrapper_is_collected_stays", 40 * 200);
});

test("reference_that_could_not_be_given_back_is_given_back_later", async () => {
  let busy = false;
  const exports = (exports) => ({
    ...exports,
    coheap_release: (...given) => (busy ? 4 : exports.coheap_release(...given)),
  });
  const heap = await withExports(exports, () => SharedHeap.create());
  const handle = (() => heap.cell().handle)();
  busy = true;
  await collectUntil(() => heap.stats().finalized === 1);
  busy = false;
  const kept = heap.cell(); // another wrapper: what is owed is given back
  refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  assert.equal(kept.get(), 0);
  await heap.audit();
});
