// Many additions as one step, with the lease of a pipe or without.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(180);

/** A pipe with these bytes, and a lease of all of them. */
async function leased(heap, bytes) {
  const pipe = heap.pipe();
  await pipe.write(bytes);
  return [pipe, await pipe.lease()];
}

test("many_additions_do_what_one_by_one_does", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const keys = ["", "a", "five5", "é", "\ud800", "名前", 0, -0, NaN, 1.5, "1", 1, "__proto__", "content-type"];
  keys.push(
    "x".repeat(70),
    "é€".repeat(5_000),
    "long".repeat(10_000),
    ...Array.from({ length: 3_000 }, (_, i) => `key ${i}`),
  );
  const [map, plain] = [heap.map(), new Map()];
  let done = 0;
  for (const count of [0, 1, 2, 7, 300, 5_000, 20, 1_000]) {
    const entries = Array.from({ length: count }, () => [keys[random(keys.length)], random(100) - 50]);
    map.addMany(new Map([["unrelated", 0]]));
    map.addMany(entries);
    for (const [key, delta] of entries) plain.set(key, (plain.get(key) ?? 0) + delta);
    plain.set("unrelated", 0);
    assert.equal(map.size, plain.size);
    for (const [key, number] of plain) assert.equal(map.get(key), number);
    done += count;
  }
  assert.deepEqual(new Map([...map].sort()), new Map([...plain].sort()));
  await heap.audit();
  heap.detach();
  cases("many_additions_do_what_one_by_one_does", done);
});

test("lease_is_committed_with_the_additions_or_neither", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("counts");
  const [pipe, lease] = await leased(heap, "some bytes");
  map.set("text", "no number");
  const before = [...map];
  const many = Array.from({ length: 2_000 }, (_, i) => [`key ${i}`, 1]);
  refuses(() => map.addMany([...many, ["text", 1]], { settle: lease }), "COHEAP_NOT_A_NUMBER");
  assert.deepEqual([...map], before);
  map.addMany(many, { settle: lease });
  assert.equal(map.size, 2_001);
  refuses(() => lease.commit(), "COHEAP_LEASE_LOST");
  lease.dispose();
  refuses(() => map.addMany(many, { settle: lease }), "COHEAP_LEASE_LOST");
  assert.equal(map.get("key 7"), 1, "nothing is added without its lease");
  // Those that go back are read again.
  const other = heap.pipe();
  await other.write("more");
  const back = await other.lease();
  refuses(() => map.addMany([["text", 1]], { settle: back }), "COHEAP_NOT_A_NUMBER");
  back.dispose();
  const again = await other.lease();
  assert.equal(new TextDecoder().decode(again.bytes), "more");
  map.addMany([], { settle: again });
  other.close();
  assert.equal(await other.read(), null, "it is committed, though nothing was added");
  pipe.close();
  assert.equal(await pipe.read(), null);
  await heap.audit();
  heap.detach();
  cases("lease_is_committed_with_the_additions_or_neither", 5);
});

test("what_cannot_be_added_is_refused_and_changes_nothing", async () => {
  const [heap, foreign] = [await SharedHeap.create(), await SharedHeap.create()];
  const map = heap.map();
  map.set("a", 1);
  const [pipe, lease] = await leased(heap, "bytes");
  const [, strange] = await leased(foreign, "bytes");
  const refusals = [
    [[["a", 1]], { settle: {} }, "COHEAP_INVALID_ARGUMENT"],
    [[["a", 1]], { settle: null }, "COHEAP_INVALID_ARGUMENT"],
    [[["a", 1]], 7, "COHEAP_INVALID_ARGUMENT"],
    [[["a", 1]], { settle: strange }, "COHEAP_FOREIGN_HANDLE"],
    [7, undefined, "COHEAP_INVALID_ARGUMENT"],
    [[["a", 1], 7], { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
    [[["a"]], { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
    [[["a", "1"]], { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
    [[["a", 1n]], { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
    [[[{}, 1]], { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
    [Array.from({ length: 65_537 }, (_, i) => [i, 1]), { settle: lease }, "COHEAP_INVALID_ARGUMENT"],
  ];
  for (const [entries, options, code] of refusals) refuses(() => map.addMany(entries, options), code);
  assert.deepEqual([...map], [["a", 1]]);
  // Code of the user runs before anything crosses.
  const entries = {
    *[Symbol.iterator]() {
      yield ["a", 1];
      map.addMany([["a", 10]]);
      lease.dispose();
      yield ["b", 1];
    },
  };
  refuses(() => map.addMany(entries, { settle: lease }), "COHEAP_LEASE_LOST");
  assert.deepEqual([...map], [["a", 11]]);
  const last = await pipe.lease();
  pipe.dispose();
  refuses(() => map.addMany([["a", 1]], { settle: last }), "COHEAP_DISPOSED");
  map.dispose();
  refuses(() => map.addMany([["a", 1]]), "COHEAP_DISPOSED");
  await heap.audit();
  heap.detach();
  foreign.detach();
  cases("what_cannot_be_added_is_refused_and_changes_nothing", refusals.length + 3);
});

test("agents_that_add_to_the_same_keys_lose_nothing_and_see_all_or_nothing", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map("counts");
  const [agents, rounds] = [await Promise.all([0, 1, 2].map(() => RemoteAgent.start(heap))), 400];
  let working = agents.length;
  const running = agents.map((agent, number) =>
    agent
      .run(
        (heap, number, rounds) => {
          const map = heap.map("counts");
          for (let round = 0; round < rounds; round++) {
            const entries = Array.from({ length: 200 }, (_, i) => [`key ${(i * 7 + round) % 200}`, 1]);
            map.addMany([...entries, [`own ${number}`, 1], ["first", 1], ["last", 1]]);
          }
          return rounds;
        },
        number,
        rounds,
      )
      .finally(() => working--),
  );
  let [reads, around, added] = [0, 0, 0];
  for (; working > 0; reads++) {
    const keys = reads % 2 === 0 ? ["first", "last"] : ["last", "first"];
    const [before, after] = keys.map((key) => map.get(key) ?? 0);
    assert.ok(before <= after, `${before} of ${keys[0]}, then ${after} of ${keys[1]}`);
    if (before < after) around++;
    if (reads % 50 === 0) {
      map.add("key 7", 1);
      added++;
    }
    if (reads % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(running);
  const all = agents.length * rounds;
  for (let i = 0; i < 200; i++) assert.equal(map.get(`key ${i}`), i === 7 ? all + added : all);
  assert.deepEqual([map.get("first"), map.get("last"), map.get("own 1")], [all, all, rounds]);
  assert.equal(map.size, 205);
  console.log(`# ${reads} reads of two keys, ${around} around a decision; ${added} additions of the host`);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  heap.detach();
  cases("agents_that_add_to_the_same_keys_lose_nothing_and_see_all_or_nothing", all * 203 + reads);
});

test("words_of_one_pipe_are_counted_once_by_two_readers_that_give_some_back", async () => {
  const heap = await SharedHeap.create();
  const [pipe, map] = [heap.pipe("body", { capacity: 65_536 }), heap.map("words")];
  const agents = await Promise.all([0, 1].map(() => RemoteAgent.start(heap)));
  const reading = agents.map((agent) =>
    agent.run((heap) => {
      const [pipe, map, decoder] = [heap.pipe("body"), heap.map("words"), new TextDecoder()];
      let pieces = 0;
      for (;;) {
        const lease = pipe.leaseSync({ until: " ", max: 4_000 });
        if (lease === null) return pieces;
        const tally = new Map();
        for (const word of decoder.decode(lease.bytes).split(" ").slice(0, -1))
          tally.set(word, (tally.get(word) ?? 0) + 1);
        if (++pieces % 5 === 0) lease.dispose();
        else map.addMany(tally, { settle: lease });
      }
    }),
  );
  const random = seededRandom();
  const plain = new Map();
  for (let piece = 0; piece < 500; piece++) {
    const words = Array.from({ length: 500 }, () => `word${random(900)}`);
    for (const word of words) plain.set(word, (plain.get(word) ?? 0) + 1);
    await pipe.write(`${words.join(" ")} `);
  }
  pipe.close();
  const pieces = await Promise.all(reading);
  assert.equal(map.size, plain.size);
  for (const [word, times] of plain) assert.equal(map.get(word), times, word);
  await Promise.all(agents.map((agent) => agent.stop()));
  await heap.audit();
  heap.detach();
  cases("words_of_one_pipe_are_counted_once_by_two_readers_that_give_some_back", pieces[0] + pieces[1]);
});
