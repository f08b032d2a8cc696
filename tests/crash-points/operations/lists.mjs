// Lists.

import { HUGE, LARGE, LONG, TEXT } from "../heap-under-test.mjs";

const open = (heap) => heap.list("list");
const tail = (heap) => heap.list("tail");
const nothing = () => undefined;
/** It has been edited: a root, chunks, and an open tail. */
const own = (heap) => {
  const list = heap.list();
  list.push(1, TEXT, LONG, heap.from([TEXT]));
  list.splice(1, 1, "x", TEXT);
  list.push(2);
  return list;
};

const huge = (heap) => {
  const list = heap.list();
  list.push(1, HUGE);
  return list;
};
const four = [LARGE, 2, LARGE, LARGE];
/** One more than are changed in one step. */
const many = Array.from({ length: 65 }, (_, i) => i);

export const lists = [
  { what: "list without a name", keeps: true, open: nothing, step: (_, heap) => heap.list() },
  { what: "list of a new name", open: nothing, step: (_, heap) => heap.list("new list") },
  { what: "list.at of a text", keeps: true, open, step: (list) => list.at(1) },
  { what: "list.at of a structure", keeps: true, open, step: (list) => list.at(3) },
  { what: "list.at of a text in pieces", keeps: true, open: huge, step: (list) => list.at(1) },
  { what: "list.length", keeps: true, open, step: (list) => list.length },
  { what: "list.push of a number", open, step: (list) => list.push(1) },
  { what: "list.push of a text", open, step: (list) => list.push(`${TEXT}, another`) },
  { what: "list.push of a long text", open, step: (list) => list.push(LONG) },
  { what: "list.push of a structure", open, step: (list, heap) => list.push(heap.list("tail")) },
  { what: "list.push that takes another chunk", open: tail, step: (list) => list.push(1) },
  {
    what: "list.pushMany",
    open,
    step: (list) => list.pushMany([1, TEXT, 3]),
    between: [(list) => list.push(1), (list) => list.push(1, TEXT)],
  },
  {
    what: "list.pushMany in several crossings",
    open,
    step: (list) => list.pushMany(four),
    between: [1, 2, 3].map((count) => (list) => list.pushMany(four.slice(0, count))),
  },
  { what: "list.set of a number", open, step: (list) => list.set(2, 9) },
  { what: "list.set of a text", open, step: (list) => list.set(1, `${TEXT}, another`) },
  { what: "list.set of a structure", open, step: (list) => list.set(3, 1) },
  { what: "list.pop", open, step: (list) => list.pop() },
  { what: "list.insert", open, step: (list) => list.insert(2, "new", TEXT) },
  { what: "list.splice", open, step: (list) => list.splice(1, 2, TEXT, 9, "x") },
  { what: "list.splice of a structure", open, step: (list) => list.splice(3, 1) },
  { what: "list.splice at the end", open: tail, step: (list) => list.splice(6, 2) },
  {
    what: "list.splice twice",
    open,
    step: (list) => {
      list.splice(1, 1, TEXT);
      list.splice(0, 2, 4);
    },
    between: [(list) => list.splice(1, 1, TEXT)],
  },
  {
    what: "list.splice of more than one step",
    open,
    step: (list) => list.splice(1, 2, ...many),
    between: [(list) => list.splice(1, 2, ...many.slice(0, 64))],
  },
  { what: "list.clear", open, step: (list) => list.clear() },
  { what: "list.slice", keeps: true, open, step: (list) => list.slice(1, 4) },
  { what: "list.values", keeps: true, open, step: (list) => [...list] },
  { what: "list.values in pieces", keeps: true, open: huge, step: (list) => [...list] },
  { what: "list.dispose of the last reference", keeps: true, open: own, step: (list) => list.dispose() },
];
