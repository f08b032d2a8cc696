// Maps.

import { LONG, TEXT } from "../heap-under-test.mjs";

const open = (heap) => heap.map("map");
const chunk = (heap) => heap.map("chunk");
const nothing = () => undefined;
const remembered = (heap) => {
  const map = heap.map("map");
  map.get("sum");
  map.get("text");
  return map;
};
/** All that a map of this agent's holds goes with it. */
const own = (heap) => {
  const map = heap.map();
  map.setMany([
    [1, TEXT],
    ["inner", heap.from([TEXT])],
    [LONG, 1],
  ]);
  return map;
};
const withLease = (heap) => {
  const lease = heap.pipe("pipe").leaseSync({ max: 6, timeout: 1 / 128 });
  return { map: heap.map("map"), settle: lease };
};
const sums = [
  ["sum", 2],
  ["new sum", 3],
  [7, 1],
];

export const maps = [
  { what: "map without a name", open: nothing, step: (_, heap) => heap.map() },
  { what: "map of a new name", open: nothing, step: (_, heap) => heap.map("new map") },
  { what: "map.get of a number", open, step: (map) => map.get(1) },
  { what: "map.get of a text", open, step: (map) => map.get("text") },
  { what: "map.get of a long text", open, step: (map) => map.get("long") },
  { what: "map.get of a structure", open, step: (map) => map.get("inner") },
  { what: "map.get of what is remembered", open: remembered, step: (map) => [map.get("sum"), map.get("text")] },
  { what: "map.has", open, step: (map) => map.has("text") },
  { what: "map.set of a new number", open, step: (map) => map.set(2, 2) },
  { what: "map.set of a new text", open, step: (map) => map.set(`a new key, ${TEXT}`, `${TEXT}, another`) },
  { what: "map.set of a number", open, step: (map) => map.set(1, 2) },
  { what: "map.set of a text", open, step: (map) => map.set("text", `${TEXT}, another`) },
  { what: "map.set of a long text", open, step: (map) => map.set("long", `${LONG}, another`) },
  { what: "map.set of a structure", open, step: (map, heap) => map.set("inner", heap.list("tail")) },
  { what: "map.set of a structure to a number", open, step: (map) => map.set("inner", 1) },
  { what: "map.set of what is remembered", open: remembered, step: (map) => map.set("sum", 9) },
  { what: "map.set of what is remembered to a text", open: remembered, step: (map) => map.set("text", TEXT) },
  { what: "map.set that takes another chunk", open: chunk, step: (map) => map.set("another", 1) },
  { what: "map.delete of a number", open, step: (map) => map.delete(1) },
  { what: "map.delete of a text", open, step: (map) => map.delete("text") },
  { what: "map.delete of a structure", open, step: (map) => map.delete("inner") },
  { what: "map.delete of what is not there", open, step: (map) => map.delete("nowhere") },
  { what: "map.clear", open, step: (map) => map.clear() },
  { what: "map.clear of a chunk", open: chunk, step: (map) => map.clear() },
  { what: "map.add to a number", open, step: (map) => map.add("sum", 2) },
  { what: "map.add to what is not there", open, step: (map) => map.add("new sum", 2) },
  { what: "map.add to what is remembered", open: remembered, step: (map) => map.add("sum", 2) },
  { what: "map.compareAndSet", open, step: (map) => map.compareAndSet("sum", 5, TEXT) },
  { what: "map.compareAndSet of what is not there", open, step: (map) => map.compareAndSet("new", undefined, TEXT) },
  {
    what: "map.compareAndSet that deletes",
    open,
    step: (map) => map.compareAndSet("text", map.get("text"), undefined),
  },
  { what: "map.compareAndSet that fails", open, step: (map) => map.compareAndSet("sum", 6, TEXT) },
  { what: "map.getOrInsert of what is there", open, step: (map) => map.getOrInsert("sum", 2) },
  { what: "map.getOrInsert of what is not there", open, step: (map) => map.getOrInsert("new", TEXT) },
  { what: "map.getMany", open, step: (map) => map.getMany([1, "text", "long", "nowhere"]) },
  {
    what: "map.setMany",
    open,
    step: (map) =>
      map.setMany([
        [1, 2],
        ["new", TEXT],
        ["text", 3],
      ]),
    between: [
      (map) => map.set(1, 2),
      (map) =>
        map.setMany([
          [1, 2],
          ["new", TEXT],
        ]),
    ],
  },
  { what: "map.addMany", open, step: (map) => map.addMany(sums) },
  {
    what: "map.addMany that settles a lease",
    open: withLease,
    step: ({ map, settle }) => map.addMany(sums, { settle }),
  },
  {
    what: "map.addMany that is refused",
    open,
    step: (map) =>
      map.addMany([
        ["sum", 1],
        ["new sum", 1],
        ["text", 1],
      ]),
  },
  { what: "map.entries", open, step: (map) => [...map] },
  { what: "map.toJS", open, step: (map) => map.toJS() },
  { what: "map.dispose of the last reference", open: own, step: (map) => map.dispose() },
];
