// What Node's console shows: the contents, bounded, and never an exception.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, watchdog, withExports } from "./support.mjs";

watchdog(60);

test("console_shows_what_objects_hold", async () => {
  const heap = await SharedHeap.create();
  const map = heap.map();
  assert.equal(inspect(map), "SharedMap(0) {}");
  map.set("a", 1).set(2, "two").set("bytes", Uint8Array.of(1));
  const rows = [
    [map, "SharedMap(3) { 'a' => 1, 2 => 'two', 'bytes' => Uint8Array(1) [ 1 ] }"],
    [heap.cell(undefined, "text"), "SharedCell { value: 'text' }"],
    [attach(heap.token()).cell(undefined, null), "BlockingCell { value: null }"],
    [heap.bytes(undefined, 3), "SharedBytes(3) [ 0, 0, 0 ]"],
    [heap.bytes(undefined, 0), "SharedBytes(0) []"],
    [heap.fields([["A", "b"]]), "SharedFields(1) [ [ 'A', 'b' ] ]"],
    [heap.fields(), "SharedFields(0) []"],
  ];
  for (const [object, text] of rows) assert.equal(inspect(object), text);
  assert.match(inspect(heap), /^SharedHeap \{\n {2}liveBytes: \d+,\n[\s\S]*agents: 2,/);
  assert.match(inspect(attach(heap.token())), /^BlockingHeap \{/);
  assert.match(inspect({ deep: { er: { map } } }), /\{ er: \{ map: \[SharedMap\] \} \}/);
  assert.equal(inspect({ map: heap.from({ a: 1 }) }), "{ map: SharedMap(1) { 'a' => 1 } }");
  assert.equal(
    inspect(heap.from({ a: 1 }), { colors: true }),
    "SharedMap(1) { \u001b[32m'a'\u001b[39m => \u001b[33m1\u001b[39m }",
  );
  cases("console_shows_what_objects_hold", rows.length);
});

test("console_shows_the_first_hundred_items", async () => {
  const heap = await SharedHeap.create();
  const items = Array.from({ length: 250 }, (_, i) => `v${i}`);
  const map = heap.from(new Map(items.entries()));
  const fields = heap.fields(items.map((value) => ["n", value]));
  const bytes = heap.bytes(undefined, 100_000);
  const texts = { map: inspect(map), fields: inspect(fields), bytes: inspect(bytes) };
  assert.match(
    texts.map,
    /^SharedMap\(250\) \{\n {2}0 => 'v0',[\s\S]* {2}99 => 'v99',\n {2}\.\.\. 150 more items\n\}$/,
  );
  assert.match(texts.fields, /^SharedFields\(250\) \[[\s\S]*\[ 'n', 'v99' \],\n {2}\.\.\. 150 more items\n\]$/);
  assert.match(texts.bytes, /^SharedBytes\(100000\) \[[\s\S]*0,\n {2}\.\.\. 99900 more items\n\]$/);
  assert.match(
    inspect(heap.from(items)),
    /^SharedList\(250\) \[\n {2}'v0',[\s\S]* 'v99',\n {2}\.\.\. 150 more items\n\]$/,
  );
  for (const index of [100, 101, 249]) map.delete(index);
  for (let i = 0; i < 146; i++) map.delete(i);
  for (let i = 0; i < 4; i++) map.set(i, 0);
  assert.match(inspect(map), /^SharedMap\(107\) \{[\s\S]*\.\.\. 7 more items\n\}$/);
  map.clear();
  map.setMany(items.slice(0, 101).map((value, i) => [i, value]));
  assert.match(
    inspect(map, { breakLength: Infinity, compact: 1000 }),
    /^SharedMap\(101\) \{ .*99 => 'v99', \.\.\. 1 more item \}$/,
  );
});

test("console_reads_no_more_of_a_large_map_than_it_shows", async () => {
  let batches = 0;
  const counting = (exports) => ({
    ...exports,
    coheap_map_entries: (...given) => {
      batches++;
      return exports.coheap_map_entries(...given);
    },
  });
  const heap = await withExports(counting, () => SharedHeap.create());
  const map = heap.from(new Map(Array.from({ length: 10_000 }, (_, i) => [i, i])));
  assert.match(inspect(map), /^SharedMap\(10000\) \{[\s\S]*\.\.\. 9900 more items\n\}$/);
  assert.ok(batches <= 3, `${batches} batches`);
});

test("console_shows_nothing_of_what_is_gone_and_never_throws", async () => {
  let exports;
  const keep = (made) => {
    exports = made;
    return made;
  };
  const heap = await SharedHeap.create();
  const makers = {
    SharedMap: (agent) => agent.from({ a: 1 }),
    SharedList: (agent) => agent.from([1]),
    SharedCell: (agent) => agent.cell(),
    SharedBytes: (agent) => agent.bytes(undefined, 8),
    SharedFields: (agent) => agent.fields([["a", "b"]]),
  };
  let shown = 0;
  for (const [name, make] of Object.entries(makers)) {
    const agent = await withExports(keep, () => SharedHeap.attach(heap.token()));
    const [disposed, gone, kept] = [make(agent), make(agent), make(agent)];
    disposed.dispose();
    assert.equal(inspect(disposed), `${name} <disposed>`);
    assert.equal(exports.coheap_release(gone.handle.index, gone.handle.generation), 0);
    assert.equal(inspect(gone), `${name} <stale handle>`);
    agent.detach();
    assert.equal(inspect(kept), `${name} <detached>`);
    assert.equal(inspect(agent), "SharedHeap <detached>");
    assert.equal(inspect(kept, { depth: -1 }), `[${name}]`);
    // Whatever calls it, and with what.
    const custom = kept[Symbol.for("nodejs.util.inspect.custom")];
    for (const given of [[], [2], [2, null], [2, {}, null], [2, { stylize: 5 }, () => assert.fail("called")]]) {
      assert.equal(typeof custom.call(kept, ...given), "string");
      shown++;
    }
  }
  const odd = heap.from({ a: 1 });
  const throwing = () => {
    throw new TypeError("no");
  };
  assert.equal(odd[Symbol.for("nodejs.util.inspect.custom")](2, {}, throwing), "SharedMap <unreadable>");
  assert.equal(odd[Symbol.for("nodejs.util.inspect.custom")](2, {}), "SharedMap(1)");
  await heap.audit();
  cases("console_shows_nothing_of_what_is_gone_and_never_throws", shown);
});
