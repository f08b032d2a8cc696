// What agents go on doing beside one that stands still: each kind of work leaves what it found, but for what somebody holds back.

import { TEXT } from "../crash-points/heap-under-test.mjs";

/** By name: one change and back, or the next of the same size. What of it is refused is what the agent that stands still has decided. */
export function worksOf(heap) {
  const [number, text] = [heap.cell("number"), heap.cell("text")];
  const [map, chunk, list, tail] = [heap.map("map"), heap.map("chunk"), heap.list("list"), heap.list("tail")];
  const own = { map: heap.map(), list: heap.list(), fields: heap.fields([["x-own", TEXT]]) };
  const pipe = heap.pipe("pipe", { capacity: 16_384 });
  const change = (list, i) => {
    list.push(i, TEXT);
    list.splice(1, 2);
  };
  const replace = (list, i) => {
    list.push(TEXT, ...Array(19).fill(i));
    list.splice(1, 12, i, TEXT);
    list.splice(-10, 10);
  };
  const through = (map, i) => {
    map.set(`key ${i}`, TEXT);
    map.delete(`key ${i}`);
  };
  const again = (map, i) => {
    map.clear();
    map.set(`key ${i}`, TEXT);
  };
  return {
    cells: (i) => number.set(i) ?? text.set(`${TEXT} ${i}`),
    "values of a map": (i) => map.set("sum", `${TEXT} ${i}`),
    "keys of a map": (i) => through(map, i),
    "keys of another map": (i) => through(chunk, i),
    "a map that is cleared": (i) => again(chunk, i),
    "an own map": (i) => through(own.map, i),
    "an own map that is cleared": (i) => again(own.map, i),
    "a list": (i) => change(list, i),
    "another list": (i) => change(tail, i),
    "chunks of a list": (i) => replace(list, i),
    "chunks of another list": (i) => replace(tail, i),
    "an own list": (i) => change(own.list, i),
    "own fields": (i) => own.fields.set("x-own", `${TEXT} ${i}`),
    "a pipe": (i) => pipe.tryWrite(`${i}`) && pipe.tryRead({ max: 5 }),
    objects: (i) => heap.from([i, { of: TEXT }]).dispose(),
    names: () => heap.cell("of others").dispose() ?? heap.remove("of others"),
    bytes: (i) => heap.bytes(undefined, 100 + (i % 3) * 20_000).dispose(),
  };
}
