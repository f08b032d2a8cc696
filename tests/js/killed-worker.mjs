// A worker of kills.test.mjs: does everything that a worker does with a heap, for ever, and says where it is.

import { workerData } from "node:worker_threads";
import { attach } from "../../js-host/dist/worker.js";
import { randomFrom } from "./random.mjs";

const { token, seed, places, atoms, pattern, said } = workerData;

/** What a step may meet: others want the last bytes, and text may stand where a number did. */
const MET = ["COHEAP_TIMED_OUT", "COHEAP_NOT_A_NUMBER"];
const WAIT_MS = 20;

const random = randomFrom(seed);
const heap = attach(token);
const [map, list, cell, fields] = [heap.map("map"), heap.list("list"), heap.cell("cell"), heap.fields("fields")];
const bytes = heap.bytes("bytes", pattern.length);
const pause = heap.cell("pause", 0);
/** One that is written and read, one that nobody writes, one that nobody reads. */
const [pipe, silent, full] = ["pipe", "silent", "full"].map((name) => heap.pipe(name));
let [held, lease] = [];

/** Too long for an atom: those stay for ever, and who makes them is chance. */
const text = (what, more) => `${what} ${"t".repeat(64 + more)}`;

/** A map, a list or a region of this worker's own, in place of the last. */
function hold(made) {
  held?.dispose();
  held = made;
}

/** A part of the bytes, at most so many of them. */
function someBytes(most) {
  const from = random(pattern.length);
  return [from, Math.min(random(most), pattern.length - from)];
}

/** Whoever died in a write: each byte is what everybody writes there, or what was there first. */
function readBytes(most) {
  const [from, length] = someBytes(most);
  const wrong = bytes.read(from, length).findIndex((byte, at) => byte !== 0 && byte !== pattern[from + at]);
  if (wrong !== -1) throw new Error(`byte ${from + wrong} is nobody's`);
}

function writeBytes(most) {
  const [from, length] = someBytes(most);
  bytes.write(from, pattern.subarray(from, from + length));
}

function endLease() {
  if (random(2) === 0) map.addMany([[random(40), lease.bytes.length]], { settle: lease });
  else lease.dispose();
  lease = undefined;
}

function recurse(depth) {
  if (depth % 16 === 0) map.set(`depth ${depth % 64}`, text("deep", depth % 100));
  if (depth % 16 === 8) cell.add(1);
  return depth === 0 ? 0 : recurse(depth - 1) + 1;
}

/** Made once, so that the time of the steps below is spent inside. */
const TEXTS = Array.from({ length: 2_000 }, (_, number) => text(number, number % 30));
const ONES = TEXTS.map((_, number) => [number, 1]);
const ENTRIES = TEXTS.map((each, number) => [each, number % 2 === 0 ? each : number]);

const steps = {
  changing: [
    () => map.set(`key ${random(200)}`, text("value", random(400))),
    () => map.set(`key ${random(200)}`, atoms[random(atoms.length)]),
    () => map.delete(`key ${random(200)}`),
    () => map.set(`inner ${random(5)}`, heap.from({ a: [1, 2, 3], b: "text" })),
    () => map.add(random(40)),
    () => list.push(text("pushed", random(100))),
    () => list.splice(random(20), random(4), random(9), text("spliced", 0)),
    () => pipe.tryWrite("x".repeat(1 + random(3_000))),
    () => pipe.available > 0 && pipe.readSync({ max: 1 + random(4_000), timeout: 1 }),
    () => fields.set(`x-name-${random(5)}`, "f".repeat(random(300))),
    () => fields.append("x-many", "f".repeat(random(30))),
    () => fields.delete(random(2) === 0 ? "x-many" : `x-name-${random(5)}`),
    () => cell.add(1),
    () => readBytes(3_000),
    () => writeBytes(3_000),
    () => random(20) === 0 && map.clear(),
    () => {
      for (const _ of map) if (random(10) === 0) break;
    },
    () => hold(random(2) === 0 ? heap.map() : heap.from([[1, "in"], { a: 1 }])),
  ],
  changing_much: [
    () => map.addMany(ONES.slice(random(1_000))),
    () => map.setMany(ENTRIES.slice(-500)),
    () => list.pushMany(TEXTS),
    () => list.splice(random(100), 1_000, ...TEXTS),
    () => list.clear(),
    () => readBytes(pattern.length),
    () => writeBytes(pattern.length),
    () => {
      const other = heap.map();
      other.setMany(ENTRIES);
      other.clear();
      hold(other);
    },
  ],
  waiting: [
    () => cell.waitSync(cell.get(), WAIT_MS),
    () => silent.readSync({ timeout: WAIT_MS }),
    () => silent.leaseSync({ timeout: WAIT_MS }),
    () => full.writeSync("does not fit", { timeout: WAIT_MS }),
  ],
  growing: [
    () => hold(heap.bytes(undefined, 100_000 + random(2_000_000))),
    () => hold(heap.from({ long: "l".repeat(60_000 + random(200_000)) })),
  ],
  leasing: [
    () => {
      lease ??= pipe.available > 0 ? pipe.leaseSync({ max: 1 + random(2_000), timeout: 1 }) : undefined;
    },
    () => lease && endLease(),
  ],
  deep: [
    () => recurse(random(3_000)),
    () => {
      try {
        recurse(1_000_000);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    },
  ],
  computing: [
    () => {
      const end = performance.now() + 1;
      while (performance.now() < end);
    },
  ],
};
/** How often which, so that each is where many are killed. */
const OFTEN = { changing: 30, changing_much: 8, waiting: 1, growing: 6, leasing: 12, deep: 1, computing: 2 };
const turns = Object.entries(OFTEN).flatMap(([place, times]) => Array(times).fill(place));

for (;;) {
  // Offline meanwhile, so that an audit goes on.
  if (pause.get() === 1) pause.waitSync(1);
  const place = turns[random(turns.length)];
  Atomics.store(said, 0, places.indexOf(place));
  try {
    steps[place][random(steps[place].length)]();
  } catch (error) {
    if (!MET.includes(error.code)) throw error;
  }
  Atomics.store(said, 1, lease ? 1 : 0);
  Atomics.add(said, 2, 1);
}
