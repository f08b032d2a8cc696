// Maps.

import { HUGE, LARGE, LONG, TEXT } from "../heap-under-test.mjs";

const open = (heap) => heap.map("map");
const chunk = (heap) => heap.map("chunk");
const nothing = () => undefined;
const remembered = (heap) => {
  const map = heap.map("map");
  // One of eight that are read is remembered.
  for (const key of ["sum", "text"]) for (let i = 0; i < 8; i++) map.get(key);
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
/** With a key and a value that are longer than a transfer buffer. */
const huge = (heap) => {
  const map = heap.map();
  map.setMany([
    ["huge", HUGE],
    [HUGE, 1],
  ]);
  return map;
};
const five = ["one", "two", "three", "four", "five"].map((key) => [key, LARGE]);
const sums = [
  ["sum", 2],
  ["new sum", 3],
  [7, 1],
];

export const maps = [
  { what: "map without a name", keeps: true, open: nothing, step: (_, heap) => heap.map() },
  { what: "map of a new name", open: nothing, step: (_, heap) => heap.map("new map") },
  { what: "map.get of a number", keeps: true, open, step: (map) => map.get(1) },
  { what: "map.get of a text", keeps: true, open, step: (map) => map.get("text") },
  { what: "map.get of a long text", keeps: true, open, step: (map) => map.get("long") },
  { what: "map.get of a structure", keeps: true, open, step: (map) => map.get("inner") },
  {
    what: "map.get of what is remembered",
    keeps: true,
    open: remembered,
    step: (map) => [map.get("sum"), map.get("text")],
  },
  { what: "map.get of a text in pieces", keeps: true, open: huge, step: (map) => map.get("huge") },
  { what: "map.size", keeps: true, open, step: (map) => map.size },
  { what: "map.has", keeps: true, open, step: (map) => map.has("text") },
  { what: "map.set of a new number", open, step: (map) => map.set(2, 2) },
  { what: "map.set of a new text", open, step: (map) => map.set(`a new key, ${TEXT}`, `${TEXT}, another`) },
  { what: "map.set of a number", open, step: (map) => map.set(1, 2) },
  { what: "map.set of a text", open, step: (map) => map.set("text", `${TEXT}, another`) },
  { what: "map.set of a long text", open, step: (map) => map.set("long", `${LONG}, another`) },
  { what: "map.set of a structure", open, step: (map, heap) => map.set("inner", heap.list("tail")) },
  { what: "map.set of a structure to a number", open, step: (map) => map.set("inner", 1) },
  { what: "map.set of what is remembered", open: remembered, step: (map) => map.set("sum", 9) },
  {
    what: "map.set of what is remembered to a text",
    open: remembered,
    step: (map) => map.set("text", `${TEXT}, another`),
  },
  { what: "map.set of what is remembered to a short text", open: remembered, step: (map) => map.set("text", "four") },
  { what: "map.set that takes another chunk", open: chunk, step: (map) => map.set("another", 1) },
  { what: "map.delete of a number", open, step: (map) => map.delete(1) },
  { what: "map.delete of a text", open, step: (map) => map.delete("text") },
  { what: "map.delete of a structure", open, step: (map) => map.delete("inner") },
  { what: "map.delete of what is not there", keeps: true, open, step: (map) => map.delete("nowhere") },
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
  { what: "map.compareAndSet that fails", keeps: true, open, step: (map) => map.compareAndSet("sum", 6, TEXT) },
  { what: "map.getOrInsert of what is there", keeps: true, open, step: (map) => map.getOrInsert("sum", 2) },
  { what: "map.getOrInsert of what is not there", open, step: (map) => map.getOrInsert("new", TEXT) },
  { what: "map.getMany", keeps: true, open, step: (map) => map.getMany([1, "text", "long", "nowhere"]) },
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
  {
    what: "map.setMany in several crossings",
    open,
    step: (map) => map.setMany(five),
    between: [1, 2, 3, 4].map((count) => (map) => map.setMany(five.slice(0, count))),
  },
  { what: "map.addMany", open, step: (map) => map.addMany(sums) },
  {
    what: "map.addMany that settles a lease",
    open: withLease,
    step: ({ map, settle }) => map.addMany(sums, { settle }),
  },
  {
    what: "map.addMany that is refused",
    refused: "COHEAP_NOT_A_NUMBER",
    open,
    step: (map) =>
      map.addMany([
        ["sum", 1],
        ["new sum", 1],
        ["text", 1],
      ]),
  },
  { what: "map.entries", keeps: true, open, step: (map) => [...map] },
  { what: "map.entries in pieces", keeps: true, open: huge, step: (map) => [...map] },
  { what: "map.toJS", keeps: true, open, step: (map) => map.toJS() },
  { what: "map.dispose of the last reference", keeps: true, open: own, step: (map) => map.dispose() },
];

/** What stays for ever. */
export const atoms = [
  {
    what: "map.set of what is remembered to a text that becomes an atom",
    makesAtoms: true,
    open: remembered,
    step: (map) => {
      for (let i = 0; i < 8; i++) map.set("sum", "said again and again");
    },
  },
];
