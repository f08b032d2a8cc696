// What stands in the heap before each operation, how it is read without changing it, and what other agents do beside it.

import assert from "node:assert/strict";
import { isCoheapError } from "../../js-host/dist/index.js";

export const LONG = "a text that is staged in a region of bytes, ".repeat(300);
/** Longer than a transfer buffer. */
export const HUGE = "a text that crosses in pieces, ".repeat(1_300);
/** Three of them do not cross together. */
export const LARGE = "a text of which two cross at once, ".repeat(250);
export const TEXT = "a text that takes a block of its own";
const decoder = new TextDecoder();

/** Named structures of every kind, with values of every kind. */
export function prepare(heap) {
  warm(heap);
  heap.cell("number", 1);
  heap.cell("text", TEXT);
  heap.cell("removable", "here");
  heap.bytes("bytes", 5_000).write(0, new Uint8Array(5_000).fill(3));
  for (const name of ["fields", "frozen"]) {
    const fields = heap.fields(name);
    fields.set("accept", "*/*");
    fields.append("x-tag", "one");
    fields.append("x-tag", "two");
    if (name === "frozen") fields.freeze();
  }
  const map = heap.map("map");
  map.setMany([
    [1, 1],
    ["text", TEXT],
    ["sum", 5],
    ["long", LONG],
    ["bytes", new Uint8Array(300)],
    ["inner", heap.from({ a: [1, { b: TEXT }], c: 3 })],
  ]);
  // The log's first chunk is full.
  const chunk = heap.map("chunk");
  for (let i = 0; i < 20; i++) chunk.set(`key number ${i}`, i);
  const list = heap.list("list");
  list.push(1, TEXT, 3, heap.from([1, [TEXT]]), 5, LONG, 7);
  // Its first chunk of the tail is full.
  const tail = heap.list("tail");
  for (let i = 0; i < 8; i++) tail.push(i);
  const pipe = heap.pipe("pipe", { capacity: 16_384 });
  for (const text of ["first ", "second ", "x".repeat(3_000), " third "]) pipe.tryWrite(new TextEncoder().encode(text));
  heap.pipe("empty", { capacity: 4_096 });
  const full = heap.pipe("full", { capacity: 4_096 });
  while (full.tryWrite(new Uint8Array(1_000)) > 0);
}

const names = ["number", "text", "removable", "bytes", "fields", "frozen", "map", "chunk", "list", "tail"];
export const pipes = ["pipe", "empty", "full"];
/** Names that operations make. */
export const made = ["new cell", "new map", "new list", "new pipe", "new fields", "new bytes"];

/**
 * All that is in the heap, as text: equal when it is. A host cannot look into pipes and leave them as they are. `lent` is called with bytes
 * that are read where they stand.
 */
export function contents(heap, lent = () => {}) {
  const seen = {
    number: heap.cell("number").get(),
    text: heap.cell("text").get(),
    bytes: Buffer.from(heap.bytes("bytes", 5_000).read()).toString("latin1"),
    fields: [[...heap.fields("fields")], heap.fields("fields").immutable],
    frozen: [...heap.fields("frozen")],
  };
  for (const name of ["map", "chunk"]) seen[name] = heap.map(name).toJS();
  for (const name of ["list", "tail"]) seen[name] = [heap.list(name).length, heap.list(name).toJS()];
  for (const name of ["removable", ...made]) seen[name] = named(heap, name);
  if (heap.pipe("pipe").leaseSync === undefined) return JSON.stringify(seen, plain);
  for (const name of pipes) seen[name] = flow(heap.pipe(name), lent);
  // Not seen by the host, which meets the dead: a size may be behind until a change that was cut short is ended.
  seen.sizes = ["map", "chunk"].map((name) => heap.map(name).size);
  return JSON.stringify(seen, plain);
}

function plain(_, value) {
  if (value instanceof Map) return { map: [...value] };
  if (value instanceof Uint8Array) return { bytes: decoder.decode(value) };
  return typeof value === "bigint" ? `${value}n` : value;
}

/** What stands in a pipe: taken on loan and given back. */
function flow(pipe, lent) {
  const leases = [];
  let end = "";
  try {
    while (leases.length < 31) {
      const lease = pipe.leaseSync({ max: 60_000, timeout: 0 });
      if (lease === null) break;
      lent(lease.bytes);
      leases.push(lease);
    }
    end = "the end";
  } catch (error) {
    if (!isCoheapError(error)) throw error;
    end = error.code;
  }
  const text = leases.map(({ bytes }) => decoder.decode(bytes)).join("");
  for (const lease of leases.reverse()) lease.dispose();
  return [text, end];
}

/** Whether a name is there, and what it names. */
function named(heap, name) {
  try {
    const cell = heap.cell(name, "absent");
    const value = cell.get();
    if (value === "absent") {
      heap.remove(name);
      cell.dispose();
    }
    return value;
  } catch (error) {
    if (!isCoheapError(error, "COHEAP_WRONG_TYPE")) throw error;
    return `another type: ${error.details.found}`;
  }
}

/** An agent that is in everything: has wrappers, blocks of its own in each structure, a lease, and walks that are under way. */
export function join(heap, number) {
  const [map, list, pipe] = [heap.map("map"), heap.list("list"), heap.pipe("pipe")];
  map.set(`of agent ${number}`, `${TEXT}, by agent ${number}`);
  map.set("text", `${TEXT}, by agent ${number}`);
  map.set(`inner ${number}`, heap.from([number]));
  list.push(`${TEXT}, by agent ${number}`);
  list.set(1, `${TEXT}, by agent ${number}`);
  heap.cell("text").set(`${TEXT}, by agent ${number}`);
  heap.fields("fields").set("x-agent", `${number}`);
  pipe.tryWrite(new TextEncoder().encode(`of agent ${number} `));
  const walks = [map.entries(), list.values()];
  for (const walk of walks) walk.next();
  return { walks, held: [map, list, pipe, heap.from({ held: [number] })] };
}

/** It goes on with its walks, whatever has happened meanwhile. */
export function walkOn({ walks }) {
  for (const walk of walks) for (const value of walk) assert.notEqual(value, undefined);
}

/** Every name is taken away. */
export function removeAll(heap) {
  for (const name of [...names, ...pipes, ...made]) heap.remove(name);
}

/** A bit of everything, of which nothing stays but slabs, which who comes next finds: so few operations make one. */
function warm(heap) {
  const cell = heap.cell(undefined, TEXT);
  for (let size = 10; size < 8_000; size *= 1.2) cell.set("x".repeat(size));
  const map = heap.map();
  for (let i = 0; i < 40; i++) map.set(`key number ${i}`, heap.from([i]));
  const list = heap.list();
  for (let i = 0; i < 40; i++) list.push(`${TEXT}, ${i}`);
  list.splice(1, 1);
  const fields = heap.fields([["x-new", TEXT]]);
  fields.append("x-new", TEXT);
  const pipe = heap.pipe(undefined, { capacity: 4_096 });
  pipe.tryWrite(TEXT);
}
