// Names, handles, what moves, what is nested, what goes with its agent; and blocks of the allocator's three sizes.

import { LONG, TEXT } from "../heap-under-test.mjs";

const nothing = () => undefined;
const held = (heap) => [heap.map("map"), heap.list("list"), heap.from([TEXT]), heap.bytes(undefined, 20_000)];

/** A block of one size, made and given back. */
const block = (what, size) => [
  { what: `bytes, ${what}`, keeps: true, open: nothing, step: (_, heap) => heap.bytes(undefined, size) },
  {
    what: `bytes.dispose, ${what}`,
    keeps: true,
    open: (heap) => heap.bytes(undefined, size),
    step: (bytes) => bytes.dispose(),
  },
];

const bytes = (heap) => heap.bytes("bytes", 5_000);

/** A moved reference is somebody's when it is opened, and nobody's until then. */
const takeMoved = (heap) => {
  const { handle } = heap.map("map").get("inner");
  for (let moved = 0; moved < 2; moved++) heap.open(handle);
};

/** In a heap that is not fixed. */
export const growth = [
  {
    what: "bytes for which the memory grows",
    keeps: true,
    open: nothing,
    step: (_, heap) => heap.bytes(undefined, 2_000_000),
  },
  {
    what: "bytes for which the memory cannot grow",
    refused: "COHEAP_OUT_OF_MEMORY",
    open: nothing,
    step: (_, heap) => heap.bytes(undefined, 20_000_000),
  },
];

export const objects = [
  ...block("a slab's block", 100),
  ...block("granules", 20_000),
  ...block("a run of pages", 150_000),
  {
    what: "bytes that find no room",
    refused: "COHEAP_OUT_OF_MEMORY",
    open: nothing,
    step: (_, heap) => heap.bytes(undefined, 3_000_000),
  },
  { what: "bytes of a new name", open: nothing, step: (_, heap) => heap.bytes("new bytes", 300) },
  { what: "bytes.read", keeps: true, open: bytes, step: (bytes) => bytes.read(17, 900) },
  { what: "bytes.write of one", open: bytes, step: (bytes) => bytes.write(17, new Uint8Array(1).fill(9)) },
  {
    what: "bytes.write of many",
    mixes: "bytes",
    open: bytes,
    step: (bytes) => bytes.write(17, new Uint8Array(4_001).fill(9)),
  },
  {
    what: "bytes.write in pieces",
    keeps: true,
    open: (heap) => heap.bytes(undefined, 40_000),
    step: (bytes) => bytes.write(17, new Uint8Array(30_000).fill(9)),
  },
  {
    what: "bytes.read in pieces",
    keeps: true,
    open: (heap) => heap.bytes(undefined, 40_000),
    step: (bytes) => bytes.read(17, 30_000),
  },
  { what: "bytes.sum", keeps: true, open: bytes, step: (bytes) => bytes.sum() },
  { what: "heap.remove of a name", open: nothing, step: (_, heap) => heap.remove("removable") },
  {
    what: "heap.remove of what is held",
    open: (heap) => heap.cell("removable"),
    step: (_, heap) => heap.remove("removable"),
  },
  { what: "heap.remove of no name", keeps: true, open: nothing, step: (_, heap) => heap.remove("new cell") },
  {
    what: "heap.open of a handle",
    keeps: true,
    open: (heap) => heap.map("map").get("inner")?.handle,
    step: (handle, heap) => heap.open(handle),
  },
  {
    what: "heap.from of nested data",
    keeps: true,
    open: nothing,
    step: (_, heap) => heap.from({ a: [1, [TEXT]], b: new Map([[1, LONG]]) }),
  },
  {
    what: "move",
    keeps: true,
    open: (heap) => heap.map("map").get("inner"),
    step: (map) => map?.move?.(),
    settle: takeMoved,
  },
  {
    what: "heap.open of what was moved",
    keeps: true,
    open: (heap) => heap.map("map").get("inner")?.move?.(),
    step: (handle, heap) => heap.open(handle),
  },
  { what: "heap.detach with all that is held", keeps: true, open: held, step: (_, heap) => heap.detach() },
  { what: "heap.stats", keeps: true, open: nothing, step: (_, heap) => heap.stats() },
  { what: "heap.audit", keeps: true, open: nothing, step: (_, heap) => heap.audit() },
];
