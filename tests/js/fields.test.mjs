import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, RemoteAgent, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(240);

const lines = (fields) => [...fields];

test("fields_under_random_steps_match_headers", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const steps = 1_000_000;
  const names = ["a", "Accept", "X-Trace-Id", "Set-Cookie", "content-type", "b~", "b^"];
  const anyCase = (name) =>
    [...name].map((letter) => (random(4) === 0 ? letter.toUpperCase() : letter.toLowerCase())).join("");
  // Headers strips white space around values, so these have none there.
  const anyValue = () =>
    Array.from({ length: 1 + random(12) }, () => "abcé/;=ÿ~"[random(9)]).join(random(8) ? "" : " ");
  let [ours, theirs] = [heap.fields(), new Headers()];
  for (let step = 0; step < steps; step++) {
    const name = anyCase(names[random(names.length)]);
    const value = anyValue();
    switch (random(8)) {
      case 0:
      case 1:
        ours.set(name, value);
        theirs.set(name, value);
        break;
      case 2:
        if (lines(ours).length > 30) break;
        ours.append(name, value);
        theirs.append(name, value);
        break;
      case 3:
        ours.delete(name);
        theirs.delete(name);
        break;
      case 4:
        assert.equal(ours.has(name), theirs.has(name));
        break;
      case 5:
        if (random(50) > 0) break;
        ours.dispose();
        ours = heap.fields(theirs);
        break;
      default:
        assert.equal(ours.get(name), theirs.get(name), `step ${step}: ${name}`);
    }
    if (step % 100 === 0) assert.deepEqual([...ours.toHeaders()], [...theirs], `step ${step}`);
    if (step % 10_000 === 0) await null;
  }
  assert.deepEqual(ours.getAll("set-cookie"), theirs.getSetCookie());
  await heap.audit();
  cases("fields_under_random_steps_match_headers", steps);
});

test("fields_keep_order_and_casing", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields([
    ["Zebra", "1"],
    ["accept", "a"],
    ["ZEBRA", "2"],
  ]);
  fields.append("Accept", "b");
  const expected = [
    ["Zebra", "1"],
    ["accept", "a"],
    ["Zebra", "2"],
    ["accept", "b"],
  ];
  assert.deepEqual(lines(fields), expected);
  assert.deepEqual(
    [...fields.keys()],
    expected.map(([name]) => name),
  );
  assert.deepEqual(
    [...fields.values()],
    expected.map(([, value]) => value),
  );
  const seen = [];
  fields.forEach(function (value, name, all) {
    assert.ok(this === seen && all === fields);
    seen.push([name, value]);
  }, seen);
  assert.deepEqual(seen, expected);
  assert.equal(fields.get("ACCEPT"), "a, b");
  assert.deepEqual(fields.getAll("ACCEPT"), ["a", "b"]);
  fields.set("ACCEPT", "c");
  assert.deepEqual(lines(fields), [
    ["Zebra", "1"],
    ["accept", "c"],
    ["Zebra", "2"],
  ]);
  fields.set("zebra", ["3", "4", "5"]);
  assert.deepEqual(lines(fields), [
    ["Zebra", "3"],
    ["Zebra", "4"],
    ["Zebra", "5"],
    ["accept", "c"],
  ]);
  fields.set("zebra", []);
  assert.equal(fields.has("Zebra"), false);
  assert.equal(fields.get("Zebra"), null);
  assert.deepEqual(fields.getAll("Zebra"), []);
  assert.deepEqual(fields.getBytes("Zebra"), []);
});

test("fields_values_are_bytes", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields();
  const all = Array.from({ length: 256 }, (_, byte) => byte).filter(
    (byte) => byte === 9 || (byte > 31 && byte !== 127),
  );
  const text = String.fromCharCode(...all);
  for (const length of [0, 1, 7, 8, 9, 15, 16, 17, 200]) {
    const value = text.repeat(1).slice(-length || text.length, text.length);
    fields.set("v", value);
    assert.equal(fields.get("v"), value);
    assert.deepEqual(fields.getBytes("v"), [Uint8Array.from(value, (letter) => letter.charCodeAt(0))]);
  }
  fields.set("v", Uint8Array.from(all));
  assert.equal(fields.get("v"), text);
  fields.set("v", [Uint8Array.of(65), "B"]);
  assert.deepEqual(fields.getAll("v"), ["A", "B"]);
  fields.append("v", Buffer.from("C"));
  assert.equal(fields.get("v"), "A, B, C");
  fields.getBytes("v")[0][0] = 0;
  assert.equal(fields.getAll("v")[0], "A", "what was handed out was a copy");
});

test("fields_begin_with_whatever_headers_begin_with", async () => {
  const heap = await SharedHeap.create();
  const expected = [
    ["a", "1"],
    ["b", "2"],
  ];
  assert.deepEqual(lines(heap.fields(expected)), expected);
  assert.deepEqual(lines(heap.fields({ a: "1", b: "2" })), expected);
  assert.deepEqual(lines(heap.fields(new Headers(expected))), expected);
  assert.deepEqual(lines(heap.fields(new Map(expected))), expected);
  assert.deepEqual(lines(heap.fields(heap.fields(expected))), expected);
  assert.deepEqual(lines(heap.fields([])), []);
  assert.deepEqual(lines(heap.fields({})), []);
  assert.deepEqual([...new Headers(heap.fields(expected))], expected);
  await heap.audit();
});

test("fields_of_a_name_and_of_a_handle_are_the_same_for_all", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const named = heap.fields("request");
  await agent.run((other) => other.fields("request").append("Made-By", "worker"));
  assert.equal(named.get("made-by"), "worker");
  const anonymous = heap.fields({ a: "1" });
  const seen = await agent.run(
    (other, handle) => {
      const fields = other.open(handle);
      fields.append("b", "2");
      return [...fields];
    },
    JSON.parse(JSON.stringify(anonymous.handle)),
  );
  assert.deepEqual(seen, [
    ["a", "1"],
    ["b", "2"],
  ]);
  assert.deepEqual(lines(anonymous), seen);
  refuses(() => heap.cell("request"), "COHEAP_WRONG_TYPE");
  heap.cell("number");
  assert.equal(refuses(() => heap.fields("number"), "COHEAP_WRONG_TYPE").details.found, "cell");
  anonymous.dispose();
  refuses(() => anonymous.get("a"), "COHEAP_DISPOSED");
  await agent.stop();
  await heap.audit();
});

test("fields_frozen_refuse_changes_and_their_clones_do_not", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const fields = heap.fields({ a: "1" });
  assert.equal(fields.immutable, false);
  assert.equal(fields.freeze(), fields);
  assert.equal(fields.freeze().immutable, true);
  for (const change of [
    () => fields.set("a", "2"),
    () => fields.set("a", ["2", "3"]),
    () => fields.append("b", "2"),
    () => fields.delete("a"),
    () => fields.set("b", []),
  ])
    refuses(change, "COHEAP_IMMUTABLE", `${change}`);
  const code = await agent.run((other, handle) => {
    try {
      other.open(handle).set("a", "2");
      return "changed";
    } catch (error) {
      return error.code;
    }
  }, fields.handle);
  assert.equal(code, "COHEAP_IMMUTABLE");
  const copy = fields.clone();
  copy.set("a", "2");
  assert.deepEqual([fields.get("a"), copy.get("a"), copy.immutable], ["1", "2", false]);
  fields.dispose();
  assert.equal(copy.get("a"), "2");
  await agent.stop();
});

test("fields_of_any_size_up_to_the_cap_go_in_and_out", async () => {
  const heap = await SharedHeap.create();
  const before = (await heap.audit()).liveBytes;
  const most = 128 * 1024 - 32;
  // Around what crosses at once, and the most that there may be.
  for (const length of [28_640, 28_656, 28_664, 28_672, 28_673, 60_000, most - 1]) {
    const value = `${"v".repeat(length - 1)}é`;
    const fields = heap.fields();
    fields.set("n", value);
    assert.equal(fields.get("N"), value, `${length}`);
    assert.deepEqual(lines(fields), [["n", value]]);
    assert.ok(fields.has("n"));
    fields.delete("n");
    fields.append("n", value);
    const again = heap.fields([["n", value]]);
    assert.deepEqual(again.getAll("n"), [value]);
    const copy = again.clone();
    again.set("n", [value.slice(0, 10_000), value.slice(10_000, length - 100)]);
    assert.equal(again.getAll("n")[1], value.slice(10_000, length - 100));
    assert.equal(copy.get("n"), value);
    for (const each of [fields, again, copy]) each.dispose();
  }
  const many = Array.from({ length: 2000 }, (_, i) => [`name-${i}`, `${i}`]);
  const fields = heap.fields(many);
  assert.deepEqual(lines(fields), many);
  for (const [name, value] of many) assert.equal(fields.get(name.toUpperCase()), value);
  fields.dispose();
  const name = "n".repeat(30_000);
  const long = heap.fields();
  long.append(name, "1");
  long.set(name, "2");
  assert.deepEqual(lines(long), [[name, "2"]]);
  assert.equal(long.get(name), "2");
  assert.ok(long.has(name));
  long.delete(name);
  assert.equal(long.has(name), false);
  long.dispose();
  assert.equal((await heap.audit()).liveBytes, before);
});

test("fields_too_large_are_refused_and_unchanged", async () => {
  const heap = await SharedHeap.create();
  const before = (await heap.audit()).liveBytes;
  const most = 128 * 1024 - 32;
  const fields = heap.fields({ n: "v".repeat(most - 1) });
  refuses(() => fields.append("m", ""), "COHEAP_FIELDS_TOO_LARGE");
  refuses(() => fields.set("n", "v".repeat(most)), "COHEAP_FIELDS_TOO_LARGE");
  refuses(() => fields.set("n", "v".repeat(2 ** 28)), "COHEAP_FIELDS_TOO_LARGE");
  refuses(() => fields.set("n", new Uint8Array(2 ** 28)), "COHEAP_FIELDS_TOO_LARGE");
  refuses(() => heap.fields({ n: "v".repeat(most) }), "COHEAP_FIELDS_TOO_LARGE");
  refuses(() => heap.fields(Array.from({ length: 4000 }, () => ["n", ""])), "COHEAP_FIELDS_TOO_LARGE");
  assert.equal(fields.get("n").length, most - 1);
  fields.dispose();
  assert.equal((await heap.audit()).liveBytes, before);
});
