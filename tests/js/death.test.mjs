// Workers that end: what they left is ended, what they had is given back, and the others go on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(240);

/** What is live when nobody but the host is there. */
async function baseline(heap) {
  // What ended is taken apart as objects are made.
  for (let i = 0; i < 3_000; i++) heap.cell().dispose();
  const { liveBytes, agents, quarantined } = await heap.audit({ timeout: 10_000 });
  return { liveBytes, agents, quarantined };
}

test("terminated_worker_gives_back_all_that_it_had", async () => {
  const heap = await SharedHeap.create();
  const kept = heap.map("kept");
  kept.set("from the worker", 0);
  const before = await baseline(heap);
  const agent = await RemoteAgent.start(heap);
  await agent.run((heap) => {
    // Held by nothing but this worker, and two more seats in the same thread.
    globalThis.held = [
      heap.map(),
      heap.list(),
      heap.bytes(undefined, 100_000),
      heap.pipe(),
      heap.fields(),
      heap.cell(),
    ];
    const [map, list] = globalThis.held;
    for (let i = 0; i < 1_000; i++) {
      map.set(`key ${i}`, "a value of some length".repeat(5));
      list.push(i);
    }
    map.set("list", list);
    heap.map("kept").set("from the worker", 1);
  });
  const lost = [];
  const listening = heap.on("agentlost", (event) => lost.push(event));
  assert.ok(heap.stats().liveBytes > before.liveBytes + 200_000);
  const recovery = await heap.terminate(agent.thread);
  assert.equal(recovery.proof, "exit");
  assert.equal(recovery.repaired, 0);
  assert.ok(recovery.reclaimedBytes > 200_000, `${recovery.reclaimedBytes} bytes`);
  assert.deepEqual(lost, [{ agents: 1, recovery }]);
  assert.equal(kept.get("from the worker"), 1);
  assert.deepEqual(await baseline(heap), before);
  assert.deepEqual(await heap.terminate(agent.thread), recovery, "again it is as it was");
  listening[Symbol.dispose]();
  const another = await RemoteAgent.start(heap);
  await heap.terminate(another.thread);
  assert.equal(lost.length, 1, "nobody listens any more");
  heap.detach();
  cases("terminated_worker_gives_back_all_that_it_had", 8);
});

test("worker_that_ends_by_itself_is_reaped", async () => {
  const heap = await SharedHeap.create();
  const before = await baseline(heap);
  const ends = [
    () => process.exit(1),
    () => setImmediate(() => process.exit(0)),
    () => {
      setImmediate(() => {
        throw new Error("on purpose");
      });
    },
  ];
  for (const end of ends) {
    const agent = await RemoteAgent.start(heap);
    agent.thread.on("error", () => {});
    await agent.run((heap) => {
      globalThis.held = [heap.map(), heap.bytes(undefined, 10_000)];
    });
    const lost = new Promise((resolve) => heap.on("agentlost", resolve));
    agent.run(end).catch(() => {});
    const { agents, recovery } = await lost;
    assert.deepEqual([agents, recovery.proof], [1, "exit"]);
    assert.deepEqual(await baseline(heap), before);
  }
  // One that left before it ended is not lost.
  const agent = await RemoteAgent.start(heap);
  heap.on("agentlost", () => assert.fail("nobody was lost"));
  await agent.run((heap) => heap.detach());
  await agent.thread.terminate();
  assert.deepEqual(await baseline(heap), before);
  heap.detach();
  cases("worker_that_ends_by_itself_is_reaped", ends.length + 1);
});

test("all_seats_of_a_worker_are_reaped_with_it", async () => {
  const heap = await SharedHeap.create();
  const before = await baseline(heap);
  const agent = await RemoteAgent.start(heap);
  for (const face of ["SharedHeap", "attach"]) {
    const attach = (_, face, token) => {
      const other = face === "attach" ? globalThis.attach(token) : globalThis.SharedHeap.attach(token);
      globalThis.others = [...(globalThis.others ?? []), [other, other.map(), other.bytes(undefined, 5_000)]];
    };
    await agent.run(attach, face, heap.token());
  }
  assert.equal(heap.stats().agents, 4);
  const lost = new Promise((resolve) => heap.on("agentlost", resolve));
  await heap.terminate(agent.thread);
  assert.equal((await lost).agents, 3);
  assert.deepEqual(await baseline(heap), before);
  heap.detach();
  cases("all_seats_of_a_worker_are_reaped_with_it", 3);
});

test("what_cannot_be_terminated_is_refused", async () => {
  const heap = await SharedHeap.create();
  const stranger = await RemoteAgent.start(heap, { adopt: false });
  await assert.rejects(heap.terminate(stranger.thread), { code: "COHEAP_INVALID_ARGUMENT" });
  for (const worker of [undefined, null, {}, 7]) {
    await assert.rejects(heap.terminate(worker), { code: "COHEAP_INVALID_ARGUMENT" });
  }
  refuses(() => heap.on("lost", () => {}), "COHEAP_INVALID_ARGUMENT");
  refuses(() => heap.on("agentlost", 7), "COHEAP_INVALID_ARGUMENT");
  await stranger.stop();
  heap.detach();
  refuses(() => heap.terminate(stranger.thread), "COHEAP_DETACHED");
  cases("what_cannot_be_terminated_is_refused", 8);
});

test("reader_that_is_killed_is_replaced_and_every_word_is_counted_once", async () => {
  const heap = await SharedHeap.create();
  const [pipe, words] = [heap.pipe("body", { capacity: 65_536 }), heap.map("words")];
  const random = seededRandom();
  const count = (heap) => {
    const [pipe, words, decoder] = [heap.pipe("body"), heap.map("words"), new TextDecoder()];
    for (;;) {
      const lease = pipe.leaseSync({ until: " ", max: 2_000 });
      if (lease === null) return heap.detach();
      const tally = new Map();
      for (const word of decoder.decode(lease.bytes).split(" ").slice(0, -1))
        tally.set(word, (tally.get(word) ?? 0) + 1);
      words.addMany(tally, { settle: lease });
    }
  };
  const start = async () => {
    const agent = await RemoteAgent.start(heap);
    agent.done = agent.run(count).catch((error) => error);
    return agent;
  };
  const readers = [await start(), await start()];
  const plain = new Map();
  let [kills, repaired, writing] = [0, 0, true];
  const killing = (async () => {
    while (writing) {
      await sleep(random(15));
      const [victim] = readers.splice(random(2), 1);
      const recovery = await heap.terminate(victim.thread);
      assert.equal(recovery.proof, "exit");
      kills++;
      repaired += recovery.repaired;
      readers.push(await start());
    }
  })();
  for (let piece = 0; piece < 3_000 || kills < 30; piece++) {
    const text = Array.from({ length: 200 }, () => `word${random(300)}`);
    for (const word of text) plain.set(word, (plain.get(word) ?? 0) + 1);
    await pipe.write(`${text.join(" ")} `);
  }
  writing = false;
  await killing;
  pipe.close();
  await Promise.all(readers.map(({ done }) => done));
  assert.equal(words.size, plain.size);
  for (const [word, times] of plain) assert.equal(words.get(word), times, word);
  console.log(`# ${kills} readers were killed, ${repaired} of them in an operation`);
  await Promise.all(readers.map(({ thread }) => thread.terminate()));
  await heap.audit();
  heap.detach();
  cases("reader_that_is_killed_is_replaced_and_every_word_is_counted_once", kills);
});
