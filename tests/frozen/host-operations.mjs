// What a host does beside an agent that stands still: every operation that it has and that ends within its turn, on the structures in
// which that agent stands (tests/crash-points/heap-under-test.mjs).

import { TEXT } from "../crash-points/heap-under-test.mjs";

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text);
const piece = new Uint8Array(100).fill(7);

/** Those that take a microsecond or two. */
const SHORT_ONES = new Set([
  "bytes.sum",
  "cell.add",
  "cell.compareAndSet",
  "cell.get",
  "cell.set",
  "fields.has",
  "heap.open",
  "list.at",
  "list.set",
  "map.add",
  "map.compareAndSet",
  "map.get",
  "map.has",
  "map.set",
  "pipe.available",
]);

/** So many of them: each once, and then the short ones in turn. */
export function* inTurn(operations, count) {
  const each = Object.entries(operations);
  const short = each.filter(([name]) => SHORT_ONES.has(name));
  for (let done = 0; done < count; done++) yield each[done] ?? short[done % short.length];
}

/** By name: what is done, and which refusals are what the frozen agent has decided, or may have. */
export function hostOperations(heap) {
  const cells = [heap.cell("number"), heap.cell("text")];
  const [bytes, fields, frozen] = [heap.bytes("bytes", 5_000), heap.fields("fields"), heap.fields("frozen")];
  const [map, chunk, list, tail] = [heap.map("map"), heap.map("chunk"), heap.list("list"), heap.list("tail")];
  const [pipe, full, empty] = ["pipe", "full", "empty"].map((name) => heap.pipe(name, { capacity: 4_096 }));
  let turn = 0;
  const key = () => `key ${turn++ % 7}`;
  const short = (list) => {
    if (list.length > 30) list.splice(5, list.length);
  };
  return {
    "cell.get": () => cells[0].get(),
    "cell.get of a text": () => cells[1].get(),
    "cell.set": () => cells[0].set(turn),
    "cell.set of a text": () => cells[1].set(`${TEXT}, ${turn++}`),
    "cell.add": [() => cells[0].set(1) ?? cells[0].add(1), "COHEAP_NOT_A_NUMBER"],
    "cell.compareAndSet": () => cells[0].compareAndSet(1, 1),
    "a cell": () => heap.cell(undefined, TEXT).dispose(),
    "a cell of a name": () => heap.cell("of the host").dispose(),
    "heap.remove": () => heap.remove("of the host"),
    "bytes.read": () => bytes.read(17, 900),
    "bytes.write": () => bytes.write(17, piece),
    "bytes.sum": () => bytes.sum(),
    "a region of bytes": () => heap.bytes(undefined, 100 + (turn++ % 2) * 20_000).dispose(),
    "a region for which the memory grows": [() => heap.bytes(undefined, 1_500_000).dispose(), "COHEAP_OUT_OF_MEMORY"],
    "heap.from": () => heap.from({ a: [1, TEXT] }).dispose(),
    "heap.open": () => heap.open(map.handle),
    "heap.stats": () => heap.stats(),
    "fields.get": () => fields.get("x-tag"),
    "fields.has": () => fields.has("accept"),
    "fields.set": [() => fields.set("x-host", `${turn++}`), "COHEAP_IMMUTABLE"],
    "fields.append": [() => fields.append("x-host", "more"), "COHEAP_IMMUTABLE"],
    "fields.delete": [() => fields.delete("x-host"), "COHEAP_IMMUTABLE"],
    "fields.clone": () => frozen.clone().dispose(),
    "fields.entries": () => [...fields].length,
    "map.get": () => map.get("sum"),
    "map.get of a text": () => map.get("text"),
    "map.get of a structure": () => {
      const found = map.get("inner");
      if (found !== tail) found?.dispose?.();
    },
    "map.has": () => map.has("text"),
    "map.set": () => map.set("sum", turn++),
    "map.set of a text": () => map.set("text", `${TEXT}, ${turn++}`),
    "map.set of a new key": () => chunk.set(key(), TEXT),
    "map.delete": () => chunk.delete(key()),
    "map.add": () => map.add("host", 1),
    "map.addMany": [
      () =>
        map.addMany([
          ["sum", 1],
          ["host", 1],
        ]),
      "COHEAP_NOT_A_NUMBER",
    ],
    "map.compareAndSet": () => map.compareAndSet("sum", map.get("sum"), turn++),
    "map.getOrInsert": () => map.getOrInsert("host", 1),
    "map.setMany": () =>
      map.setMany([
        ["host", 1],
        ["text", turn++],
      ]),
    "map.getMany": () => map.getMany(["sum", "text", "nowhere"]),
    "map.entries": () => [...map].length,
    "map.size": () => chunk.size,
    "list.at": () => list.at(1),
    "list.push": () => short(tail) ?? tail.push(turn++, TEXT),
    "list.set": [() => list.length > 1 && list.set(1, turn++), "COHEAP_OUT_OF_RANGE"],
    "list.set of a text": [() => list.length > 1 && list.set(1, `${TEXT}, ${turn++}`), "COHEAP_OUT_OF_RANGE"],
    "list.splice": () => short(list) ?? list.splice(1, 1, TEXT, turn++),
    "list.pop": () => list.length > 4 && list.pop(),
    "list.values": () => [...tail].length,
    "pipe.tryWrite": [() => pipe.tryWrite(bytesOf("a line\n")), "COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"],
    "pipe.tryRead": [() => pipe.tryRead({ max: 30 }), "COHEAP_PIPE_ABORTED"],
    "pipe.tryRead of a line": [() => pipe.tryRead({ until: "\n" }), "COHEAP_PIPE_ABORTED", "COHEAP_TOKEN_TOO_LONG"],
    "pipe.tryRead of a full pipe": () => full.tryRead({ max: 50 }),
    "pipe.tryWrite to an empty pipe": () => empty.tryWrite(piece),
    "pipe.available": () => pipe.available,
  };
}
