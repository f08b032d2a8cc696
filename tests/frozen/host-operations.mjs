// What a host does beside an agent that stands still: every operation that it has and that ends within its turn, on the structures in
// which that agent stands (tests/crash-points/heap-under-test.mjs). Of one that answers a promise, what it does within its turn.

import assert from "node:assert/strict";
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

/** Those that leave little for others to do. */
const LAST_ONES = new Set([
  "fields.freeze",
  "map.clear",
  "list.clear",
  "pipe.lose",
  "pipe.close",
  "pipe.abort",
  "an agent whose lock was seen",
  "an agent that is condemned",
]);

/** So many of them: each once, and before the last ones, which may come the other way round, the short ones in turn. */
export function* inTurn(operations, count, isReversed = false) {
  const each = Object.entries(operations);
  const first = each.filter(([name]) => !LAST_ONES.has(name));
  const short = each.filter(([name]) => SHORT_ONES.has(name));
  const last = each.filter(([name]) => LAST_ONES.has(name));
  if (isReversed) last.reverse();
  const end = count - last.length;
  for (let done = 0; done < count; done++) yield first[done] ?? last[done - end] ?? short[done % short.length];
}

/** One attempt of `lease`, which waits for nothing; undefined if there is nothing to read. */
function leaseOf(pipe) {
  const found = pipe.attemptLease(pipe.anything, true);
  return typeof found === "object" ? (found ?? undefined) : undefined;
}

/** What becomes of a promise for which there was nothing to do at once: its host has lost the pipe, or has left. */
const LATE = ["COHEAP_AGENT_LOST", "COHEAP_DETACHED"];

/** Somebody whom a host adopts, and who needs no thread for that; and an agent that pipes do not know. */
const [WORKER, STRANGER] = [{ low: 77, high: 7 }, 7];

/**
 * By name: what is done, and which refusals are what the frozen agent has decided, or may have. `calls` are those of the host's module, `life` is
 * that of the frozen agent.
 */
export function hostOperations({ heap, calls }, life) {
  const cells = [heap.cell("number"), heap.cell("text")];
  const [bytes, fields, frozen] = [heap.bytes("bytes", 5_000), heap.fields("fields"), heap.fields("frozen")];
  const [map, chunk, list, tail] = [heap.map("map"), heap.map("chunk"), heap.list("list"), heap.list("tail")];
  const [pipe, full, empty] = ["pipe", "full", "empty"].map((name) => heap.pipe(name, { capacity: 4_096 }));
  const sums = [
    ["sum", 1],
    ["host", 1],
  ];
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
    "cell.compareAndSet of texts": () => cells[1].compareAndSet(cells[1].get(), TEXT),
    "cell.compareAndSet that fails": () => cells[0].compareAndSet("another", 1),
    "cell.waitAsync": () => cells[0].waitAsync("another"),
    "a cell": () => heap.cell(undefined, TEXT).dispose(),
    "a cell of a name": () => heap.cell("of the host").dispose(),
    "heap.remove": () => heap.remove("of the host"),
    "heap.remove of no name": () => heap.remove("nowhere"),
    "bytes.read": () => bytes.read(17, 900),
    "bytes.write": () => bytes.write(17, piece),
    "bytes.sum": () => bytes.sum(),
    "a region of bytes": () => heap.bytes(undefined, 100 + (turn++ % 2) * 20_000).dispose(),
    "a region for which the memory grows": [() => heap.bytes(undefined, 1_500_000).dispose(), "COHEAP_OUT_OF_MEMORY"],
    "heap.from": () => heap.from({ a: [1, TEXT] }).dispose(),
    "heap.open": () => heap.open(map.handle),
    "heap.open of what was moved": () => heap.open(heap.from([TEXT]).move()).dispose(),
    "heap.stats": () => heap.stats(),
    "fields of lines": () => heap.fields([["x-own", TEXT]]).dispose(),
    "fields.get": () => fields.get("x-tag"),
    "fields.get of no line": () => fields.get("nowhere"),
    "fields.getAll": () => fields.getAll("x-tag"),
    "fields.getBytes": () => fields.getBytes("x-tag"),
    "fields.has": () => fields.has("accept"),
    "fields.set": [() => fields.set("x-host", `${turn++}`), "COHEAP_IMMUTABLE"],
    "fields.append": [() => fields.append("x-host", "more"), "COHEAP_IMMUTABLE"],
    "fields.delete": [() => fields.delete("x-host"), "COHEAP_IMMUTABLE"],
    "fields.delete of no line": [() => fields.delete("nowhere"), "COHEAP_IMMUTABLE"],
    "fields.clone": () => frozen.clone().dispose(),
    "fields.entries": () => [...fields].length,
    "fields.toHeaders": () => fields.toHeaders(),
    "fields.freeze": () => fields.freeze(),
    "a map": () => heap.map().dispose(),
    "map.get": () => map.get("sum"),
    "map.get of no key": () => map.get("nowhere"),
    "map.get of a text": () => map.get("text"),
    "map.get of a structure": () => {
      const found = map.get("inner");
      if (found !== tail) found?.dispose?.();
    },
    "map.has": () => map.has("text"),
    "map.has of no key": () => map.has("nowhere"),
    "map.set": () => map.set("sum", turn++),
    "map.set of a text": () => map.set("text", `${TEXT}, ${turn++}`),
    "map.set of a new key": () => chunk.set(key(), TEXT),
    "map.delete": () => chunk.delete(key()),
    "map.delete of no key": () => map.delete("nowhere"),
    "map.add": () => map.add("host", 1),
    "map.add to no key": () => map.add(`sum ${turn++}`, 1),
    "map.addMany": [() => map.addMany(sums), "COHEAP_NOT_A_NUMBER"],
    "map.addMany that settles a lease": [
      () => empty.tryWrite(piece) && map.addMany(sums, { settle: leaseOf(empty) }),
      "COHEAP_NOT_A_NUMBER",
    ],
    "map.compareAndSet": () => map.compareAndSet("sum", map.get("sum"), turn++),
    "map.compareAndSet that fails": () => map.compareAndSet("sum", "another", 1),
    "map.compareAndSet of no key": () => map.compareAndSet(`compared ${turn++}`, undefined, TEXT),
    "map.compareAndSet that deletes": () => map.compareAndSet("host", map.get("host"), undefined),
    "map.getOrInsert": () => map.getOrInsert("host", 1),
    "map.getOrInsert of a new key": () => map.getOrInsert(`inserted ${turn++}`, TEXT),
    "map.setMany": () =>
      map.setMany([
        ["host", 1],
        ["text", turn++],
      ]),
    "map.getMany": () => map.getMany(["sum", "text", "nowhere"]),
    "map.entries": () => [...map].length,
    "map.toJS": () => map.toJS(),
    "map.size": () => chunk.size,
    "map.clear": () => {
      for (const each of [map, chunk]) {
        each.clear();
        each.set("sum", 1);
      }
    },
    "a list": () => heap.list().dispose(),
    "list.at": () => list.at(1),
    "list.at of no place": () => list.at(1_000_000),
    "list.length": () => list.length,
    "list.push": () => short(tail) ?? tail.push(turn++, TEXT),
    "list.pushMany": () => short(tail) ?? tail.pushMany([turn++, TEXT]),
    "list.insert": () => short(list) ?? list.insert(0, TEXT),
    "list.set": [() => list.length > 1 && list.set(1, turn++), "COHEAP_OUT_OF_RANGE"],
    "list.set of a text": [() => list.length > 1 && list.set(1, `${TEXT}, ${turn++}`), "COHEAP_OUT_OF_RANGE"],
    "list.splice": () => short(list) ?? list.splice(1, 1, TEXT, turn++),
    "list.pop": () => list.length > 4 && list.pop(),
    "list.pop of nothing": () => heap.list().pop(),
    "list.slice": () => list.slice(0, 3),
    "list.toJS": () => list.toJS(),
    "list.values": () => [...tail].length,
    "list.clear": () => {
      for (const each of [list, tail]) {
        each.clear();
        each.push(1);
      }
    },
    "a pipe": () => heap.pipe(undefined, { capacity: 4_096 }).dispose(),
    "pipe.write": [() => pipe.write("a line\n"), ...LATE, "COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"],
    "pipe.writeMany": [() => pipe.writeMany(["one ", TEXT]), ...LATE, "COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"],
    "pipe.read": [() => pipe.read({ max: 30 }), ...LATE, "COHEAP_PIPE_ABORTED"],
    "pipe.lease, to commit": [() => leaseOf(pipe)?.commit(), "COHEAP_PIPE_ABORTED"],
    "pipe.lease, to give back": [() => leaseOf(pipe)?.dispose(), "COHEAP_PIPE_ABORTED"],
    "pipe.lease of a full pipe": () => leaseOf(full)?.dispose(),
    "pipe.lease of an empty pipe": () => leaseOf(empty)?.dispose(),
    "pipe.tryWrite": [() => pipe.tryWrite(bytesOf("a line\n")), "COHEAP_PIPE_CLOSED", "COHEAP_PIPE_ABORTED"],
    "pipe.tryRead": [() => pipe.tryRead({ max: 30 }), "COHEAP_PIPE_ABORTED"],
    "pipe.tryRead of a line": [() => pipe.tryRead({ until: "\n" }), "COHEAP_PIPE_ABORTED", "COHEAP_TOKEN_TOO_LONG"],
    "pipe.tryWrite to a full pipe": () => full.tryWrite(new Uint8Array(4_000)),
    "pipe.tryRead of a full pipe": () => full.tryRead({ max: 50 }),
    "pipe.tryWrite to an empty pipe": () => empty.tryWrite(piece),
    "pipe.tryRead of nothing": () => {
      while (empty.tryRead()?.length > 0);
    },
    "pipe.available": () => pipe.available,
    "pipe.lose": () => full.lose(STRANGER) ?? empty.lose(STRANGER) ?? pipe.lose(STRANGER),
    "pipe.close": () => full.close() ?? pipe.close(),
    "pipe.abort": () => empty.abort() ?? pipe.abort(TEXT),
    "heap.adopt": () => calls.coheap_adopt(WORKER.low, WORKER.high, 1),
    "an adopted worker that has ended": () => calls.coheap_adopt(WORKER.low, WORKER.high, 0),
    "an agent whose lock was seen": () => calls.coheap_locked(life.low, life.high),
    "an agent that is condemned": () => assert.equal(calls.coheap_condemn(life.low, life.high), 0),
  };
}
