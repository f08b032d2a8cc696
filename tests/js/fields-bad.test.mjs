// What is no field: every refusal is typed, and changes nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(120);

test("bad_names_and_values_of_fields_are_refused", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields({ a: "1" });
  const before = heap.stats().liveBytes;
  let refused = 0;
  const isToken = (character) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]$/.test(character);
  for (const code of [...Array(256).keys(), 0x100, 0x2122, 0x141, 0xd800, 0xffff]) {
    const character = String.fromCharCode(code);
    for (const name of [character, `a${character}`, `a-rather-long-name-${character}-of-a-field`]) {
      if (!isToken(character)) {
        for (const change of [
          () => fields.set(name, "v"),
          () => fields.set(name, ["v", "w"]),
          () => fields.append(name, "v"),
          () => fields.delete(name),
          () =>
            heap.fields([
              ["b", "1"],
              [name, "v"],
            ]),
        ]) {
          const { details } = refuses(change, "COHEAP_INVALID_FIELD", `${change} ${code}`);
          assert.deepEqual(details, { character: code, offset: name.indexOf(character) });
          refused++;
        }
        assert.equal(fields.get(name), null);
        assert.equal(fields.has(name), false);
        assert.deepEqual(fields.getAll(name), []);
      }
    }
    const good = code === 9 || (code >= 32 && code !== 127 && code <= 255);
    for (const value of [character, `${"v".repeat(20)}${character}`]) {
      if (good) continue;
      refuses(() => fields.set("b", value), "COHEAP_INVALID_FIELD", `value ${code}`);
      refuses(() => fields.append("b", value), "COHEAP_INVALID_FIELD");
      refuses(() => fields.set("b", ["v", value]), "COHEAP_INVALID_FIELD");
      refuses(() => heap.fields({ b: value }), "COHEAP_INVALID_FIELD");
      refused += 4;
    }
  }
  for (const change of [() => fields.set("", "v"), () => fields.append("", "v"), () => fields.delete("")])
    refuses(change, "COHEAP_INVALID_FIELD");
  assert.equal(fields.get(""), null);
  assert.deepEqual([...fields], [["a", "1"]]);
  assert.equal(heap.stats().liveBytes, before);
  await heap.audit();
  cases("bad_names_and_values_of_fields_are_refused", refused);
});

test("bad_arguments_of_fields_are_refused", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields({ a: "1" });
  const others = [undefined, null, 5, 5n, true, Symbol("s"), {}, () => {}, new Date(), new String("a"), NaN];
  for (const other of others) {
    refuses(() => fields.get(other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.has(other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.getAll(other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.set(other, "v"), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.set(other, ["v"]), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.append(other, "v"), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.delete(other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.set("a", other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.set("a", [other]), "COHEAP_INVALID_ARGUMENT");
    refuses(() => fields.append("a", other), "COHEAP_INVALID_ARGUMENT");
    refuses(() => heap.fields([["a", other]]), "COHEAP_INVALID_ARGUMENT");
    refuses(() => heap.fields([[other, "v"]]), "COHEAP_INVALID_ARGUMENT");
    refuses(() => heap.fields([other]), "COHEAP_INVALID_ARGUMENT");
    if (typeof other !== "function") refuses(() => fields.forEach(other), "COHEAP_INVALID_ARGUMENT");
  }
  for (const other of [null, 5, true, 5n, Symbol("s"), [["a"]], [["a", "b", "c"]], ["ab"], [{}], { a: 1 }])
    refuses(() => heap.fields(other), "COHEAP_INVALID_ARGUMENT", String(typeof other));
  refuses(() => fields.append("a", ["v"]), "COHEAP_INVALID_ARGUMENT");
  assert.deepEqual([...fields], [["a", "1"]]);
});

test("names_of_fields_like_those_of_objects_are_ordinary", async () => {
  const heap = await SharedHeap.create();
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const fields = heap.fields(names.map((name) => [name, name]));
  for (const name of names) assert.equal(fields.get(name), name);
  assert.equal(fields.get("valueOf"), null);
});

test("getters_that_call_the_heap_while_fields_are_made_change_nothing_of_them", async () => {
  const heap = await SharedHeap.create();
  const other = heap.fields();
  const meddle = () => {
    other.set(`x-${Math.random()}`, "y".repeat(100));
    heap.bytes(undefined, 1000).write(0, new Uint8Array(1000).fill(90));
    other.get("nothing");
  };
  const pair = (name, value) => {
    const made = [name, value];
    for (const index of [0, 1]) {
      const kept = made[index];
      Object.defineProperty(made, index, {
        get: () => {
          meddle();
          return kept;
        },
      });
    }
    return made;
  };
  const expected = [
    ["a", "1"],
    ["b", "2"],
    ["new-name", "3"],
  ];
  assert.deepEqual([...heap.fields(expected.map(([name, value]) => pair(name, value)))], expected);
  function* generate() {
    for (const each of expected) {
      meddle();
      yield each;
    }
  }
  assert.deepEqual([...heap.fields(generate())], expected);
  const fields = heap.fields();
  const values = ["1", "2"];
  Object.defineProperty(values, 1, {
    get: () => {
      meddle();
      return "2";
    },
  });
  fields.set("a", values);
  assert.deepEqual(fields.getAll("a"), ["1", "2"]);
  await heap.audit();
});

test("names_of_fields_more_than_an_agent_can_list_still_work", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields();
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 500; i++) {
      fields.set(`a-name-that-is-number-${i}`, `${round}`);
      assert.equal(fields.get(`A-Name-That-Is-Number-${i}`), `${round}`);
      if (i % 10 !== 0) fields.delete(`a-name-that-is-number-${i}`);
    }
  }
  assert.equal([...fields].length, 50);
  const init = Array.from({ length: 300 }, (_, i) => [`another-name-number-${i}`, `${i}`]);
  assert.deepEqual([...heap.fields(init)], init);
  await heap.audit();
});

test("names_of_fields_beyond_latin1_are_no_casing_of_others", async () => {
  const heap = await SharedHeap.create();
  const fields = heap.fields({ "keep-alive": "1", is: "2", k: "3" });
  const names = ["\u212Aeep-alive", "\u212A", "\u0130s", "i\u017F", "KEEP-AL\u0131VE", "\uFF4B"];
  for (const name of names) {
    assert.deepEqual(
      [fields.get(name), fields.has(name), fields.getAll(name), fields.getBytes(name)],
      [null, false, [], []],
    );
  }
  for (const name of ["KEEP-alive", "iS", "K"]) assert.equal(fields.getAll(name).length, 1);
  cases("names_of_fields_beyond_latin1_are_no_casing_of_others", names.length);
});

/** The 32-bit words of the block of these fields, and where it is. */
function blockOf(heap, { handle }) {
  const { memory, control } = heap.token();
  const words = new Uint32Array(memory.buffer);
  const page = words[(control + 0x4000) / 4 + (handle.index >>> 10)] & ~0xffff;
  const address = (words[(page + (handle.index & 1023) * 64 + 8) / 4] & 0x0fffffff) * 16;
  return { address, words: words.subarray(address / 4) };
}

test("lines_of_fields_that_somebody_wrote_into_are_corrupt_or_lines", async () => {
  const heap = await SharedHeap.create();
  const random = seededRandom();
  const rounds = 2000;
  let refused = 0;
  for (const length of [10, 1000, 10_000]) {
    const names = Array.from({ length: 5 }, (_, i) => `name-${i}`);
    const fields = heap.fields(names.map((name) => [name, "v".repeat(length)]));
    const { address, words } = blockOf(heap, fields);
    assert.equal(words[0], names.length);
    const good = words.slice(0, 14);
    const check = (read) => {
      try {
        return read();
      } catch (error) {
        if (!isCoheapError(error, "COHEAP_CORRUPT")) throw error;
        assert.deepEqual(error.details, { rule: 70, address });
        refused++;
        return undefined;
      }
    };
    // The value ends beyond the block, then the name, then both begin there.
    for (const [word, bits] of [
      [4, 0x3ffff],
      [5, 15],
      [5, 0xfffff000],
    ]) {
      words[word] = good[word] | bits;
      for (const read of [() => fields.get("name-0"), () => [...fields], () => fields.getAll("name-0")]) {
        assert.equal(check(read), undefined, `word ${word}, ${length} bytes`);
      }
      words[word] = good[word];
    }
    for (let round = 0; round < rounds; round++) {
      const word = random(14);
      if (word === 2) continue; // the block's own generation, which a clone has its own of
      words[word] = random(2) ? random(2 ** 32) : good[word] ^ (1 << random(32));
      for (const line of check(() => [...fields]) ?? [])
        assert.deepEqual(
          line.map((text) => typeof text),
          ["string", "string"],
        );
      words[word] = good[word];
    }
    assert.equal([...fields].length, names.length);
    fields.dispose();
  }
  await heap.audit();
  cases("lines_of_fields_that_somebody_wrote_into_are_corrupt_or_lines", refused);
});

test("exports_of_fields_called_with_anything_answer_a_status", async () => {
  const heap = await SharedHeap.create();
  const { module, memory, control, nonceLow, nonceHigh } = heap.token();
  const env = { memory, wait: () => 3, notify: () => 0, now: () => performance.now() };
  const { exports } = new WebAssembly.Instance(module, { env });
  // An agent without our glue: what enters wasm is any 32 bits.
  const slot = exports.coheap_claim(control, nonceLow, nonceHigh, 0, 0, 0, 0);
  exports.agent.value = slot;
  exports.__stack_pointer.value = slot + 1024;
  exports.__stack_limit.value = slot + 320;
  exports.incarnation.value = exports.coheap_incarnation();
  assert.equal(exports.coheap_attach(), 0);
  exports.__stack_pointer.value = exports.coheap_stack_top();
  exports.__stack_limit.value = exports.coheap_stack_base();
  const transfer = new Uint8Array(memory.buffer, exports.coheap_transfer(), exports.coheap_transfer_length());
  const random = seededRandom();
  const fields = heap.fields({ a: "1" });
  const cell = heap.cell();
  const region = heap.bytes(undefined, 100_000);
  const names = ["name", "create", "clone", "get", "has", "lines", "set", "append", "delete", "change", "is_frozen"];
  const anything = [
    () => random(2 ** 32),
    () => random(64),
    () => ~(8 * random(300)),
    () => random(30_000),
    () => random(8),
  ];
  const any = () => anything[random(anything.length)]();
  const calls = 200_000;
  let done = 0;
  for (let i = 0; i < calls; i++) {
    const words = new Int32Array(transfer.buffer, transfer.byteOffset, 64);
    for (let word = 0; word < random(64); word++) words[word] = random(2) ? any() : 0x61616161;
    if (random(4) === 0) [words[0], words[1]] = [region.handle.index, region.handle.generation];
    const { index, generation } = random(8)
      ? fields.handle
      : random(2)
        ? cell.handle
        : { index: any(), generation: any() };
    const name = names[random(names.length)];
    const one = ["name", "create"].includes(name);
    const status = exports[`coheap_fields_${name}`](one ? any() : index, one ? any() : generation, any(), any());
    assert.ok(status >= 0 && status < 31, `${name}: ${status}`);
    if (status === 0) done++;
    if (i % 1000 === 0) {
      assert.ok(Array.isArray([...fields]));
      fields.set("b", "2");
    }
  }
  assert.ok(done > 1000, `${done} calls did something`);
  exports.coheap_detach();
  await heap.audit();
  cases("exports_of_fields_called_with_anything_answer_a_status", calls);
});
