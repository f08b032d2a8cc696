// Workers that are killed at random, wherever they are: after each eight of them the heap is whole, with the others between two steps, and in the end
// nothing is left of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SharedHeap } from "../../js-host/dist/index.js";
import { settledFigures } from "./settled.mjs";
import { cases, seededRandom, times, watchdog } from "./support.mjs";

const alive = watchdog(120);

const KILLS = times("COHEAP_KILLS", 200);
const WORKERS = 8;
/** On one heap; then another one begins, small again. The last ones end all that are there. */
const KILLS_OF_A_HEAP = 50;
/** Where a worker says that it is; the first until it says something. */
const PLACES = ["starting", "changing", "changing_much", "waiting", "growing", "leasing", "deep", "computing"];
/** The only texts that become atoms here; they stay as long as the heap. */
const ATOMS = Array.from({ length: 25 }, (_, number) => `a text of many ${number}`);
/** What everybody writes into the one block of bytes, never 0, which is longer than two pieces of a call. */
const PATTERN = Uint8Array.from({ length: 70_000 }, (_, at) => 1 + (at % 255));
const worker = new URL("./killed-worker.mjs", import.meta.url);

/** The workers of one heap, and what became of them. */
class Workers {
  #heap;
  #random;
  #counts;
  #alive = [];
  failures = [];

  constructor(heap, random, counts) {
    this.#heap = heap;
    this.#random = random;
    this.#counts = counts;
  }

  start() {
    const token = this.#heap.token();
    const said = new Int32Array(new SharedArrayBuffer(16));
    const seed = this.#random(2 ** 31);
    const thread = new Worker(worker, {
      workerData: { token, seed, places: PLACES, atoms: ATOMS, pattern: PATTERN, said },
    });
    thread.on("error", (error) => this.failures.push(error));
    this.#heap.adopt(thread, token);
    this.#alive.push({ thread, said });
  }

  get count() {
    return this.#alive.length;
  }

  /** Mostly the oldest, at work; sometimes any, which may not be there yet. */
  async killOne() {
    const at = this.#random(8) === 0 ? this.#random(this.count) : 0;
    const [{ thread, said }] = this.#alive.splice(at, 1);
    while (at === 0 && said[0] === 0 && this.failures.length === 0) await sleep(1);
    const recovery = await this.#heap.terminate(thread);
    assert.deepEqual(this.failures, []);
    const place = PLACES[Atomics.load(said, 0)];
    const counts = this.#counts;
    counts.kills++;
    counts.repaired += recovery.repaired;
    counts.leases += Atomics.load(said, 1);
    counts.at[place] = (counts.at[place] ?? 0) + 1;
  }

  /** Each of them does another step, or the watchdog ends the test. */
  async allGoOn() {
    for (const { said } of this.#alive) {
      const before = Atomics.load(said, 2);
      while (Atomics.load(said, 2) === before && this.failures.length === 0) await sleep(1);
    }
    assert.deepEqual(this.failures, []);
  }
}

async function killOnOneHeap(kills, random, counts) {
  const heap = await SharedHeap.create();
  const before = await settledFigures(heap, ATOMS);
  const memory = heap.stats().memoryBytes;
  const structures = [heap.map("map"), heap.list("list"), heap.cell("cell"), heap.fields("fields")];
  const [bytes, pause] = [heap.bytes("bytes", PATTERN.length), heap.cell("pause", 0)];
  const pipes = [heap.pipe("pipe"), heap.pipe("silent"), heap.pipe("full", { capacity: 4_096 })];
  const [map, , cell] = structures;
  while (pipes[2].tryWrite("f".repeat(512)));
  const workers = new Workers(heap, random, counts);
  while (workers.count < Math.min(WORKERS, kills)) workers.start();
  for (let kill = 1; kill <= kills; kill++) {
    await sleep(random(12));
    await workers.killOne();
    if (workers.count < kills - kill) workers.start();
    map.set("from the host", kill);
    cell.add(1);
    map.add(random(40));
    // Nobody waits for the dead, and what they left is whole while the others work.
    if (kill % 25 === 0) await workers.allGoOn();
    if (kill % WORKERS === 0) {
      pause.set(1);
      await heap.audit({ timeout: 60_000 });
      counts.audits++;
      pause.set(0);
    }
    alive();
  }
  counts.grown += heap.stats().memoryBytes - memory;
  const found = bytes.read();
  assert.ok(found.every((byte, at) => byte === 0 || byte === PATTERN[at]));
  counts.written += found.filter((byte) => byte !== 0).length;
  for (const name of ["map", "list", "cell", "fields", "bytes", "pause", "pipe", "silent", "full"]) heap.remove(name);
  for (const structure of [...structures, bytes, pause, ...pipes]) structure.dispose();
  assert.deepEqual(await settledFigures(heap, ATOMS), before);
  heap.detach();
}

test("workers_killed_anywhere_leave_a_whole_heap_and_nothing_behind", async () => {
  const random = seededRandom();
  const counts = { kills: 0, repaired: 0, leases: 0, grown: 0, audits: 0, written: 0, at: {} };
  while (counts.kills < KILLS) await killOnOneHeap(Math.min(KILLS_OF_A_HEAP, KILLS - counts.kills), random, counts);
  const { kills, repaired, leases, grown, audits, written, at } = counts;
  const where = Object.entries(at).map(([place, number]) => `${number} ${place}`);
  console.log(`# ${kills} kills: ${where.join(", ")}`);
  console.log(
    `# ${repaired} of them in an operation, ${leases} with bytes on lease; heaps grew by ${grown / 2 ** 20} MiB`,
  );
  console.log(`# ${audits} audits, ${written} bytes that were written`);
  if (KILLS >= 200) {
    // So many that none of it is missing by chance.
    for (const place of ["starting", "changing_much", "waiting", "growing", "deep"]) {
      assert.ok(at[place] > 0, `nobody was killed ${place}`);
    }
    assert.ok(repaired > 0 && leases > 0 && grown > 0 && written > 0);
  }
  cases("workers_killed_anywhere_leave_a_whole_heap_and_nothing_behind", kills);
});
