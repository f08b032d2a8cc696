// Whatever bits of the heap are others than they were, in a quiet heap or in one that an agent has died in, in the middle of an operation: each
// call of an agent answers, or is refused with a typed error (COHEAP_CORRUPT where the heap itself is found to be broken, COHEAP_AGENT_LOST after
// a trap), and ends; so does the recovery of what the dead one has left. No page of the memory is written that is not one of the heap's, unless
// the bits are of what a structure has for the way to its parts. What comes out is a value of JavaScript that shares no byte with the heap. And
// the host has another heap, of other memory, which stays as it is and hears of the same ends.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { isCoheapError, SharedHeap } from "../../js-host/dist/index.js";
import { contents, prepare } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { differing } from "../crash-points/snapshots.mjs";
import { World } from "../crash-points/world.mjs";
import { Meter } from "../frozen/fuel.mjs";
import { cases, seededRandom, times, watchdog } from "../js/support.mjs";

const PAGE = 65_536;
/** Bits that are flipped, one to three in each heap. */
const FLIPS = times("COHEAP_FLIPS", 20_000);

watchdog(600 + FLIPS / 20);
/** Operations of each of the two agents of such a heap. */
const OPERATIONS = 8;
/** In one heap of so many the first agent dies before the bits are flipped, at one of so many points of its operations. */
const DEATHS = 4;
const POINTS = 600;

/** What those have that may block, and what every agent has. */
const blocking = Object.values(all).flat();
const everybody = blocking.filter(({ what }) => !/Sync|lease/.test(what));
/** In one heap of so many all bits are of what agents keep for themselves. */
const KEPT = 4;

/** Pages of somebody else lie between those of the heap. */
const FOREIGN = 12;
let foreign;

function prepareAround(heap) {
  const { memory } = heap.token();
  heap.cell("first");
  foreign = memory.grow(FOREIGN) * PAGE;
  fillForeign(memory, 0xa5);
  const held = [];
  // Until the heap has pages behind them.
  while (memory.buffer.byteLength === foreign + FOREIGN * PAGE) held.push(heap.bytes(undefined, 60_000));
  prepare(heap);
  for (const bytes of held) bytes.dispose();
}

function fillForeign(memory, byte) {
  new Uint8Array(memory.buffer, foreign, FOREIGN * PAGE).fill(byte);
}

const world = await World.make(prepareAround, { maximum: "4MiB" });
const { control } = world.token;
const meter = new Meter();
const { bytes: base } = world.base;

/** Words of the heap that are not 0: of what stands in them most bits say something. */
const words = [];
for (let at = control; at < base.length; at += 8) {
  if (!isForeign(at) && base.readBigUInt64LE(at) !== 0n) words.push(at);
}

function isForeign(at) {
  return at < control || (at >= foreign && at < foreign + FOREIGN * PAGE);
}

/** What the page table says of a page, and where the private tables of a body end (allocator/src/words.rs, layout.rs). */
const [SLAB, CONTROL, OBJECTS, BODY] = [3, 7, 8, 9];
const TABLES = 0x1000;
const table = control + PAGE;
const controlEnd = control + base.readUInt32LE(control + 20) * PAGE;

/** Where the control area leads to slots and to pages of objects. */
const DIRECTORIES = [
  [0x100, 0x180],
  [0x4000, 0x8000],
];

/** Whether agents keep a word for themselves, or the control area leads on by it: few are, and each call goes by them. */
function isKept(bytes, at) {
  const kind = bytes[table + 16 * Math.floor(at / PAGE)] & 15;
  const leads = DIRECTORIES.some(([from, to]) => at >= control + from && at < control + to);
  return leads || (kind === CONTROL && at >= controlEnd) || (kind === BODY && at % PAGE < TABLES);
}

const kept = words.filter((at) => isKept(base, at));

/** Words in what is another than at first: what an agent has left, whose stack nobody looks at. */
function leftBy({ stack: [limit, top] }) {
  const now = Buffer.from(world.memory.buffer);
  const left = [];
  for (const block of differing(now, base)) {
    for (let at = block; at < block + 2_048; at += 8) {
      if ((at < limit || at >= top) && now.readBigUInt64LE(at) !== base.readBigUInt64LE(at)) left.push(at);
    }
  }
  return left;
}

/** Whether the word is of a structure's parts: it is in a small block, or in an object's entry. */
function isOfStructure(bytes, at) {
  const kind = bytes[table + 16 * Math.floor(at / PAGE)] & 15;
  return kind === SLAB || kind === OBJECTS;
}

/**
 * Flips a bit of one of some words; `left`: half of the time of one of these. If the words are those that agents keep, mostly a bit that makes
 * one lead to a page of somebody else; else sometimes one of any byte.
 */
function flip(random, some, left) {
  const now = Buffer.from(world.memory.buffer);
  const those = left.length > 0 && random(2) === 0 ? left : some;
  let at = those[random(those.length)] + random(8);
  let bit = random(8);
  if (some === words && random(8) === 0) at = control + random(base.length - control);
  const half = at - (at % 4);
  const leading = some === kept ? leadingAway(now.readUInt32LE(half)) : [];
  if (leading.length > 0 && random(4) !== 0) {
    const chosen = leading[random(leading.length)];
    [at, bit] = [half + (chosen >> 3), chosen & 7];
  }
  if (isForeign(at)) return flip(random, some, left);
  const ofStructure = isOfStructure(now, at);
  now[at] ^= 1 << bit;
  return { ofStructure, toString: () => `${at}:${1 << bit}` };
}

/** The bits of a word that, flipped, make it an address in a page of somebody else. */
function leadingAway(word) {
  const bits = [];
  for (let bit = 0; bit < 32; bit++) {
    const flipped = (word ^ (1 << bit)) >>> 0;
    if (flipped >= PAGE && isForeign(flipped)) bits.push(bit);
  }
  return bits;
}

/** Whether an exception is one that users may meet. */
const isTyped = (error) => isCoheapError(error);

/** A worker, to those who adopt it: its end is told when it is terminated. */
class Doomed extends EventEmitter {
  static #threads = 1_000_000;
  threadId = Doomed.#threads++;

  postMessage() {}

  terminate() {
    this.emit("exit");
  }
}

/** What agents' calls came to. */
class Outcomes {
  last = "";
  ok = 0;
  refused = new Map();

  toString() {
    const refused = [...this.refused].map(([code, count]) => `${code} ${count}`);
    return [`${this.ok} answers`, ...refused].join(", ");
  }

  async of(what, call) {
    this.last = what;
    try {
      const value = await call();
      this.ok++;
      return value;
    } catch (error) {
      if (!isTyped(error)) throw error;
      this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
    } finally {
      assert.equal(meter.endless, 0, "a call without end");
    }
  }
}

/** One agent's calls, until it is dead. */
async function operate(agent, operations, random, came) {
  const { heap } = agent;
  for (let i = 0; i < OPERATIONS && !agent.dead; i++) {
    const { what, open, step } = operations[random(operations.length)];
    await came.of(what, async () => checkValue(await step(open(heap), heap)));
  }
}

/** All that one agent does. */
async function act(agent, operations, random, came) {
  const { heap } = agent;
  await operate(agent, operations, random, came);
  if (random(4) === 0) await came.of("heap.audit", () => heap.audit({ timeout: 0 }));
  await came.of("heap.detach", () => heap.detach());
}

/** What JavaScript gets is one of its values or an object of coheap's, and bytes are nobody else's. */
function checkValue(value) {
  const type = typeof value;
  assert.ok(type !== "function" && type !== "symbol", `a ${type}`);
  if (ArrayBuffer.isView(value)) assert.ok(value.buffer instanceof ArrayBuffer, "bytes that others share");
  if (type === "string") assert.ok(value.length <= base.length, "a string longer than the heap");
  if (Array.isArray(value)) for (const item of value) checkValue(item);
}

/** An agent, or undefined if it is refused. */
const attach = (options, came) => came.of("attach", () => world.attach({ ...options, ...meter.options }));

/** An agent in a heap whose bits are flipped, and then another one. Answers how many have attached. */
async function actTwice(random, flipped, came) {
  const before = await attach({ blocks: true }, came);
  flipped.push(...flips(random));
  await act(before, blocking, random, came);
  const after = await attach({ blocks: false }, came);
  if (after === undefined) return 1;
  await act(after, everybody, random, came);
  return 2;
}

/** An agent dies, bits are flipped, and another one, which was there or comes then, reaps it and goes on. As `actTwice` otherwise. */
async function dieAndReap(random, flipped, came, deaths) {
  const blocks = random(2) === 0;
  const mortal = world.attach({ mayDie: true, blocks: true });
  let survivor = random(2) === 0 ? await attach({ blocks }, came) : undefined;
  mortal.arm(1 + random(POINTS));
  await operate(mortal, blocking, random, new Outcomes());
  if (mortal.dead) deaths.within++;
  const left = leftBy(mortal);
  mortal.die();
  flipped.push(...flips(random, left));
  survivor ??= await attach({ blocks }, came);
  if (survivor === undefined) return 1;
  const worker = new Doomed();
  came.last = "heap.terminate";
  await deaths.reaped.of(came.last, async () => {
    survivor.heap.adopt(worker, mortal.token);
    await survivor.heap.terminate(worker);
  });
  // However that went, nobody waits for it any more.
  worker.terminate();
  await act(survivor, blocks ? blocking : everybody, random, came);
  return 2;
}

/** Up to three flips. What agents keep leads nowhere else even if it is zeros that lie there, which are what much of the heap begins as. */
function flips(random, left = []) {
  const isOfKept = random(KEPT) === 0;
  if (isOfKept) fillForeign(world.memory, 0);
  const now = Buffer.from(world.memory.buffer);
  const [some, ofLeft] = isOfKept ? [kept, left.filter((at) => isKept(now, at))] : [words, left];
  return Array.from({ length: 1 + random(3) }, () => flip(random, some, ofLeft));
}

/** Whether pages that are not the heap's have other bytes than they had. */
function isWrittenOutside() {
  const now = Buffer.from(world.memory.buffer);
  const around = now.subarray(foreign, foreign + FOREIGN * PAGE);
  return now.compare(base, 0, control, 0, control) !== 0 || !around.equals(Buffer.alloc(around.length, around[0]));
}

test("bits_flipped_anywhere_in_the_heap_do_no_harm", async () => {
  const random = seededRandom();
  const beside = await SharedHeap.create({ maximum: "4MiB" });
  prepare(beside);
  const held = contents(beside);
  const came = new Outcomes();
  const deaths = { within: 0, reaped: new Outcomes() };
  let [attached, bits, strayed] = [0, 0, 0];
  for (let number = 0; bits < FLIPS; number++) {
    await world.restoreAll();
    const flipped = [];
    const where = () => `heap ${number}, bits ${flipped.join(" ")}, ${came.last}`;
    try {
      attached +=
        number % DEATHS === 0 ? await dieAndReap(random, flipped, came, deaths) : await actTwice(random, flipped, came);
    } catch (error) {
      throw new Error(`${where()}: ${error.stack}`, { cause: error });
    }
    bits += flipped.length;
    const isWritten = isWrittenOutside();
    if (isWritten) strayed++;
    const isBelieved = flipped.some(({ ofStructure }) => ofStructure);
    assert.ok(!isWritten || isBelieved, `${where()}: another page of the memory was written`);
  }
  assert.equal(contents(beside), held);
  const { agents, quarantined } = await beside.audit();
  assert.deepEqual({ agents, quarantined }, { agents: 1, quarantined: 0 });
  console.log(
    `# ${strayed} heaps in which another page of the memory was written, by what a structure has for the way to its parts`,
  );
  console.log(`# ${attached} agents: ${came}`);
  console.log(`# ${deaths.within} deaths within an operation; reaped: ${deaths.reaped}`);
  console.log(`# the longest: ${[...meter.most].slice(0, 6).map(([name, rounds]) => `${name} ${rounds}`)}`);
  assert.ok(bits < 10_000 || came.refused.has("COHEAP_CORRUPT"), "some are found");
  assert.ok(bits < 20_000 || deaths.reaped.refused.size > 0, "some of what the dead have left, too");
  assert.ok(bits < 1_000 || deaths.within > deaths.reaped.ok / 2, "most die within an operation");
  cases("bits_flipped_anywhere_in_the_heap_do_no_harm", bits);
});
