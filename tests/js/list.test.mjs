// Lists: what arrays do they do, with values of every kind, nested both ways, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { SharedHeap } from "../../js-host/dist/index.js";
import { cases, refuses, seededRandom, watchdog } from "./support.mjs";

watchdog(240);

const long = "a text that is longer than a crossing ".repeat(2000);

/** A value of any kind. */
function value(next) {
  switch (next(10)) {
    case 0:
      return undefined;
    case 1:
      return null;
    case 2:
      return next(2) === 0;
    case 3:
      return "short".slice(next(6));
    case 4:
      return `a text that needs a block ${next(1000)}`;
    case 5:
      return 2n ** BigInt(next(200)) * (next(2) === 0 ? 1n : -1n);
    case 6:
      return new Uint8Array(next(300)).fill(next(256));
    case 7:
      return next(60) === 0 ? long.slice(next(9)) : "é€".repeat(next(9));
    default:
      return next(2) === 0 ? next(1000) : -0.5 * next(7);
  }
}

test("list_does_what_an_array_does", async () => {
  const heap = await SharedHeap.create();
  const next = seededRandom();
  const list = heap.list();
  let model = [];
  const steps = 6000;
  const some = (most) => Array.from({ length: next(most) }, () => value(next));
  for (let step = 0; step < steps; step++) {
    const index = next(model.length + 4) - 2;
    switch (next(model.length > 400 ? 7 : 12)) {
      case 0:
        assert.deepEqual(list.pop(), model.pop());
        break;
      case 1: {
        const given = [index, next(10), ...some(5)];
        assert.deepEqual(list.splice(...given), model.splice(...given));
        break;
      }
      case 2:
        if (next(8) === 0) assert.deepEqual(list.splice(index), model.splice(index));
        break;
      case 3:
        assert.deepEqual(list.at(index), model.at(index));
        break;
      case 4: {
        const given = value(next);
        if (index >= 0 && index < model.length) {
          list.set(index, given);
          model[index] = given;
        } else if (index >= 0) refuses(() => list.set(index, given), "COHEAP_OUT_OF_RANGE");
        break;
      }
      case 5: {
        const range = [next(model.length + 4) - 2, next(model.length + 4) - 2].slice(next(3));
        assert.deepEqual(list.slice(...range), model.slice(...range));
        break;
      }
      case 6:
        if (next(40) === 0) {
          list.clear();
          model = [];
        }
        break;
      case 7: {
        const given = some(9);
        list.insert(index, ...given);
        model.splice(index, 0, ...given);
        break;
      }
      case 8: {
        const given = some(200);
        assert.equal(list.pushMany(given), model.push(...given));
        break;
      }
      default: {
        const given = next(3) === 0 ? some(4) : [value(next)];
        assert.equal(list.push(...given), model.push(...given));
      }
    }
    assert.equal(list.length, model.length);
    if (step % 500 === 0) {
      assert.deepEqual([...list], model);
      assert.deepEqual(list.toJS(), model);
    }
  }
  assert.deepEqual([...list.entries()], [...model.entries()]);
  await heap.audit();
  cases("list_does_what_an_array_does", steps);
});

test("plain_data_becomes_lists_and_maps_and_comes_back", async () => {
  const heap = await SharedHeap.create();
  const data = { rows: [[1, "two", null], [], [{ deep: [undefined, 4n, new Uint8Array([1, 2])] }]], none: [] };
  const map = heap.from(data);
  assert.equal(map.get("rows").at(0).at(1), "two");
  assert.deepEqual(map.get("rows").toJS()[2], [new Map([["deep", [undefined, 4n, new Uint8Array([1, 2])]]])]);
  const list = heap.from([1, [2, [3, [4]]], "end"]);
  assert.deepEqual(list.toJS(), [1, [2, [3, [4]]], "end"]);
  assert.equal(JSON.stringify(heap.from([1, [undefined, { a: [true] }]])), '[1,[null,{"a":[true]}]]');
  const shared = [1];
  const twice = heap.from([shared, shared]);
  assert.equal(twice.at(0), twice.at(1));
  const circle = [1];
  circle.push([circle]);
  refuses(() => heap.from(circle), "COHEAP_UNSUPPORTED_VALUE");
  refuses(() => heap.from([1, [() => {}]]), "COHEAP_UNSUPPORTED_VALUE");
  twice.push(twice);
  const copy = twice.toJS();
  assert.equal(copy[2], copy);
  assert.equal(inspect(heap.from([1, "two", [3]])), "SharedList(3) [ 1, 'two', SharedList(1) [ 3 ] ]");
  await heap.audit();
});

test("structure_that_is_taken_out_of_a_list_lives_as_long_as_its_wrapper", async () => {
  const heap = await SharedHeap.create();
  const { length } = await lists(heap);
  const list = heap.list("lists");
  for (let i = 0; i < 10; i++) {
    const inner = heap.from([`the inner text ${i}`]);
    list.push(inner);
    inner.dispose();
  }
  const cell = heap.cell();
  list.insert(3, "plain", cell);
  const handle = list.at(-1).handle;
  globalThis.gc?.();
  const popped = list.pop();
  assert.equal(popped.at(0), "the inner text 9");
  assert.deepEqual(popped.handle, handle);
  const removed = list.splice(2, 4);
  assert.deepEqual([removed[0].at(0), removed[1], removed[2]], ["the inner text 2", "plain", cell]);
  for (const structure of [popped, removed[0], removed[3]]) {
    await heap.audit();
    const { handle } = structure;
    structure.dispose();
    refuses(() => heap.open(handle), "COHEAP_STALE_HANDLE");
  }
  list.clear();
  heap.remove("lists");
  list.dispose();
  cell.dispose();
  for (let i = 0; i < 500; i++) heap.cell().dispose();
  assert.equal((await lists(heap)).length, length);
});

async function lists(heap) {
  const { liveBlocks } = await heap.audit();
  return { length: liveBlocks };
}

test("iterator_of_a_list_sees_what_its_agent_changes", async () => {
  const heap = await SharedHeap.create();
  const list = heap.from(Array.from({ length: 300 }, (_, i) => i));
  const seen = [];
  for (const [index, value] of list.entries()) {
    seen.push(value);
    if (value === 5) list.set(6, "changed");
    if (index === 10) list.splice(0, 5);
    if (value === 200) list.push("late");
    if (value === 290) list.splice(index + 1);
  }
  const array = Array.from({ length: 300 }, (_, i) => i);
  const expected = [];
  for (const [index, value] of array.entries()) {
    expected.push(value);
    if (value === 5) array[6] = "changed";
    if (index === 10) array.splice(0, 5);
    if (value === 200) array.push("late");
    if (value === 290) array.splice(index + 1);
  }
  assert.deepEqual(seen, expected);
  const each = [];
  list.forEach(function (value, index, of) {
    each.push([this, value, index, of]);
  }, "self");
  assert.deepEqual(each[3], ["self", list.at(3), 3, list]);
});

test("list_that_is_full_is_as_it_was", async () => {
  const heap = await SharedHeap.create({ maximum: 4 * 2 ** 20 });
  const list = heap.list();
  const text = "a text of some length ".repeat(100);
  let count = 0;
  const fill = () => {
    for (;;) count = list.push(text);
  };
  refuses(fill, "COHEAP_OUT_OF_MEMORY");
  refuses(() => list.insert(1, text, text), "COHEAP_OUT_OF_MEMORY");
  assert.equal(list.length, count);
  for (let i = 0; i < count - 1; i++) list.set(i, i);
  assert.equal(list.pop(), text);
  assert.equal(list.length, count - 1);
  await heap.audit();
});

test("list_refuses_what_is_no_place_and_no_value", async () => {
  const heap = await SharedHeap.create();
  const [list, other] = [heap.from([1, 2, 3]), await SharedHeap.create()];
  for (const index of ["1", NaN, undefined, null, {}, 1n, Symbol("a")]) {
    refuses(() => list.at(index), "COHEAP_INVALID_ARGUMENT");
    refuses(() => list.insert(index, 1), "COHEAP_INVALID_ARGUMENT");
    refuses(() => list.splice(index), "COHEAP_INVALID_ARGUMENT");
    refuses(() => list.set(index, 1), "COHEAP_INVALID_ARGUMENT");
  }
  for (const index of [-1, 0.5, Infinity, 2 ** 53]) refuses(() => list.set(index, 1), "COHEAP_INVALID_ARGUMENT");
  for (const index of [3, 4, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40]) {
    refuses(() => list.set(index, 1), "COHEAP_OUT_OF_RANGE");
    assert.equal(list.at(index), undefined);
    assert.equal(list.at(-index - 1), undefined);
  }
  for (const index of [Infinity, -Infinity]) assert.equal(list.at(index), undefined);
  for (const bad of [{}, [], new Map(), () => {}, Symbol("a"), new Uint16Array(1)]) {
    refuses(() => list.push(bad), "COHEAP_UNSUPPORTED_VALUE");
    refuses(() => list.push(1, bad), "COHEAP_UNSUPPORTED_VALUE");
    refuses(() => list.insert(0, 1, bad), "COHEAP_UNSUPPORTED_VALUE");
    refuses(() => list.splice(0, 1, bad), "COHEAP_UNSUPPORTED_VALUE");
    refuses(() => list.set(0, bad), "COHEAP_UNSUPPORTED_VALUE");
  }
  refuses(() => list.push(other.list()), "COHEAP_FOREIGN_HANDLE");
  for (const many of [1, null, undefined, "text"]) refuses(() => list.pushMany(many), "COHEAP_INVALID_ARGUMENT");
  refuses(() => list.forEach(1), "COHEAP_INVALID_ARGUMENT");
  assert.deepEqual(list.toJS(), [1, 2, 3]);
  heap.map("map");
  refuses(() => heap.list("map"), "COHEAP_WRONG_TYPE");
  const disposed = heap.list();
  disposed.dispose();
  for (const call of [() => disposed.at(0), () => disposed.push(1), () => disposed.length, () => [...disposed]]) {
    refuses(call, "COHEAP_DISPOSED");
  }
  await heap.audit();
});
