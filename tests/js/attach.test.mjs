import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, RemoteAgent, refuses, times, watchdog, withExports } from "./support.mjs";

const alive = watchdog(60);

test("attach_in_a_worker_sees_the_same_cell", async () => {
  const heap = await SharedHeap.create();
  const hits = heap.cell("hits");
  hits.set(41);
  const agent = await RemoteAgent.start(heap);
  assert.equal(await agent.run((other) => other.cell("hits").add(1)), 42);
  assert.equal(hits.get(), 42);
  await agent.stop();
  cases("attach_in_a_worker_sees_the_same_cell", 1);
});

test("attach_of_several_agents_in_one_thread_shares_one_heap", async () => {
  const heap = await SharedHeap.create();
  const others = Array.from({ length: 20 }, (_, i) => (i % 2 ? SharedHeap : { attach }).attach(heap.token()));
  others.forEach((other, i) => {
    other.cell("sum").add(i);
  });
  assert.equal(heap.cell("sum").get(), 190);
  assert.equal(heap.stats().agents, 21);
  for (const other of others) other.detach();
  assert.equal(heap.stats().agents, 1);
  assert.equal(heap.cell("sum").get(), 190);
  await heap.audit();
  cases("attach_of_several_agents_in_one_thread_shares_one_heap", others.length);
});

test("attach_and_detach_again_and_again_keep_the_memory_and_its_slots", async () => {
  const rounds = times("COHEAP_ATTACHES", 2_000);
  const heap = await SharedHeap.create();
  const sum = heap.cell("sum");
  const bytes = (face) => {
    const other = face.attach(heap.token());
    other.cell("sum").add(1);
    // Held to the end, and given back by leaving.
    other.map().set("a key", "a value that needs a block");
    other.bytes(undefined, 1_000);
    other.detach();
    return heap.stats().memoryBytes;
  };
  const faces = [SharedHeap, { attach }];
  bytes(faces[0]);
  const first = bytes(faces[1]);
  const { liveBytes } = await heap.audit();
  for (let round = 0; round < rounds; round++) {
    assert.equal(bytes(faces[round % 2]), first, `round ${round}`);
    if (round % 100 === 0) await heap.audit();
    alive();
  }
  assert.equal(sum.get(), rounds + 2);
  const after = await heap.audit();
  assert.deepEqual([after.liveBytes, after.agents, after.quarantined], [liveBytes, 1, 0]);
  cases("attach_and_detach_again_and_again_keep_the_memory_and_its_slots", rounds);
});

test("attach_by_the_blocking_face_has_sync_methods_and_the_other_has_none", async () => {
  const heap = await SharedHeap.create();
  assert.equal(heap.cell("x").waitSync, undefined);
  assert.equal(typeof attach(heap.token()).cell("x").waitSync, "function");
});

test("token_used_by_two_at_once_lets_in_exactly_one", async () => {
  const heap = await SharedHeap.create();
  const agents = [await RemoteAgent.start(heap, { face: "host" }), await RemoteAgent.start(heap, { face: "host" })];
  const rounds = 1000;
  const words = new Int32Array(new SharedArrayBuffer(8));
  /** Meets the other one at the flags, then attaches. */
  const meet = (other, token, words) => {
    Atomics.add(words, 0, 1);
    while (Atomics.load(words, 0) < 2);
    try {
      const made = other.constructor.attach(token);
      Atomics.add(words, 1, 1);
      while (Atomics.load(words, 1) < 2);
      made.detach();
      return "in";
    } catch (error) {
      Atomics.add(words, 1, 1);
      return error.code;
    }
  };
  for (let round = 0; round < rounds; round++) {
    words.fill(0);
    const token = heap.token();
    const outcomes = await Promise.all(agents.map((agent) => agent.run(meet, token, words)));
    assert.deepEqual(outcomes.sort(), ["COHEAP_INVALID_TOKEN", "in"], `round ${round}`);
  }
  assert.equal(heap.stats().agents, 3);
  await heap.audit();
  await Promise.all(agents.map((agent) => agent.stop()));
  cases("token_used_by_two_at_once_lets_in_exactly_one", rounds);
});

test("attach_cut_short_at_every_call_gives_its_slot_back", async () => {
  const heap = await SharedHeap.create();
  const names = ["incarnation", "attach", "stack_top", "stack_base", "transfer", "transfer_length"];
  for (const name of names.map((name) => `coheap_${name}`)) {
    for (const when of ["before", "after"]) {
      const cut = (exports) => ({
        ...exports,
        [name]: () => {
          if (when === "after") exports[name]();
          throw new Error("cut");
        },
      });
      await withExports(cut, () => assert.throws(() => SharedHeap.attach(heap.token()), /^Error: cut$/));
      assert.equal(heap.stats().agents, 1, `${when} ${name}`);
      await heap.audit();
    }
  }
  const other = SharedHeap.attach(heap.token());
  other.cell("x").set(1);
  assert.equal(heap.cell("x").get(), 1);
  cases("attach_cut_short_at_every_call_gives_its_slot_back", 2 * names.length);
});

test("attach_that_the_engine_has_no_room_for_ends_with_the_engines_error", async () => {
  const heap = await SharedHeap.create();
  const full = () => {
    throw new RangeError("Out of memory");
  };
  await withExports(full, () => assert.throws(() => SharedHeap.attach(heap.token()), RangeError));
});

test("detach_ends_every_call_with_an_error", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell("x");
  const block = heap.bytes("b", 10);
  heap.detach();
  heap.detach();
  const calls = {
    get: () => cell.get(),
    set: () => cell.set(1),
    add: () => cell.add(1),
    compareAndSet: () => cell.compareAndSet(0, 1),
    waitAsync: () => cell.waitAsync(0),
    read: () => block.read(),
    write: () => block.write(0, new Uint8Array(1)),
    sum: () => block.sum(),
    cell: () => heap.cell(),
    named: () => heap.cell("y"),
    bytes: () => heap.bytes("c", 1),
    open: () => heap.open(cell.handle),
    token: () => heap.token(),
    stats: () => heap.stats(),
    audit: () => heap.audit(),
    remove: () => heap.remove("x"),
  };
  for (const [name, call] of Object.entries(calls)) await refuses(call, "COHEAP_DETACHED", name);
  cases("detach_ends_every_call_with_an_error", Object.keys(calls).length);
});

test("adopt_takes_the_token_that_the_worker_was_started_with_once", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap, { adopt: false });
  const token = heap.token();
  assert.equal(heap.adopt(agent.thread, token), token);
  refuses(() => heap.adopt(agent.thread, token), "COHEAP_ADOPTED");
  const other = await SharedHeap.create();
  refuses(() => other.adopt(agent.thread, token), "COHEAP_INVALID_TOKEN");
  for (const worker of [undefined, null, {}, 5, "w", { postMessage() {} }]) {
    refuses(() => heap.adopt(worker), "COHEAP_INVALID_ARGUMENT");
  }
  assert.deepEqual([heap.stats().adopted, heap.stats().exited], [1, 0]);
  await agent.stop();
  assert.deepEqual([heap.stats().adopted, heap.stats().exited], [1, 1]);
  heap.adopt(agent.thread);
  assert.deepEqual([heap.stats().adopted, heap.stats().exited], [2, 2]);
});

test("attach_of_a_worker_of_a_worker_works", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const token = await agent.run((other) => other.token());
  const grandchild = SharedHeap.attach(token);
  grandchild.cell("x").set(7);
  assert.equal(await agent.run((other) => other.cell("x").get()), 7);
  await agent.stop();
});
