// HTTP fields.

import { TEXT } from "../heap-under-test.mjs";

const open = (heap) => heap.fields("fields");
const nothing = () => undefined;
const long = "v".repeat(20_000);

export const fields = [
  { what: "fields without a name", keeps: true, open: nothing, step: (_, heap) => heap.fields() },
  { what: "fields of a new name", open: nothing, step: (_, heap) => heap.fields("new fields") },
  {
    what: "fields of lines",
    keeps: true,
    open: nothing,
    step: (_, heap) =>
      heap.fields([
        ["accept", "*/*"],
        ["x-new", TEXT],
      ]),
  },
  { what: "fields.get", keeps: true, open, step: (fields) => fields.get("accept") },
  { what: "fields.getAll", keeps: true, open, step: (fields) => fields.getAll("x-tag") },
  { what: "fields.has", keeps: true, open, step: (fields) => fields.has("accept") },
  { what: "fields.set of a new line", open, step: (fields) => fields.set("x-new", TEXT) },
  { what: "fields.set of a line", open, step: (fields) => fields.set("accept", "text/html") },
  { what: "fields.set of two lines", open, step: (fields) => fields.set("x-tag", ["three", "four"]) },
  { what: "fields.set of a long value", open, step: (fields) => fields.set("x-new", long) },
  { what: "fields.append", open, step: (fields) => fields.append("x-tag", "three") },
  { what: "fields.delete", open, step: (fields) => fields.delete("x-tag") },
  { what: "fields.clone", keeps: true, open, step: (fields) => fields.clone() },
  { what: "fields.freeze", open, step: (fields) => fields.freeze() },
  { what: "fields.entries", keeps: true, open, step: (fields) => [...fields] },
  { what: "fields.immutable", keeps: true, open, step: (fields) => fields.immutable },
  {
    what: "fields.set of what is frozen",
    refused: "COHEAP_IMMUTABLE",
    open: (heap) => heap.fields("frozen"),
    step: (fields) => fields.set("x", "y"),
  },
  {
    what: "fields.dispose",
    keeps: true,
    open: (heap) => heap.fields({ accept: TEXT }),
    step: (fields) => fields.dispose(),
  },
];
