// Whatever bits of the heap are others than they were, in a quiet heap or in one that an agent has died in, in the middle of an operation: each
// call of an agent answers, or is refused with a typed error (COHEAP_CORRUPT where the heap itself is found to be broken, COHEAP_AGENT_LOST after
// a trap), and ends; so does the recovery of what the dead one has left. No page of the memory is written that is not one of the heap's, also if
// it is such a page that a damaged word leads to, and what lies there looks as what the word led to before. What comes out is a value of
// JavaScript that shares no byte with the heap. And the host has another heap, of other memory, which stays as it is and hears of the same ends.

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
/** In one heap of so many all bits are of what agents keep for themselves; in another, of what structures have for the way to their parts. */
const KEPT = 4;

/** Pages of somebody else lie between those of the heap. */
const FOREIGN = 12;
let foreign;
/** What they have before an agent goes on with damaged words. */
let outside;

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

/** What the page table says of a page, and where the private tables of a body end (allocator/src/words, layout.rs). */
const [SLAB, RUN_BODY, CONTROL, OBJECTS, BODY] = [3, 6, 7, 8, 9];
const TABLES = 0x1000;
const table = control + PAGE;
const controlEnd = control + base.readUInt32LE(control + 20) * PAGE;

/** Where the control area leads to slots and to pages of objects. */
const DIRECTORIES = [
  [0x100, 0x180],
  [0x4000, 0x8000],
];

function kindOf(bytes, at) {
  return bytes[table + 16 * Math.floor(at / PAGE)] & 15;
}

/** Whether agents keep a word for themselves, or the control area leads on by it: few are, and each call goes by them. */
function isKept(bytes, at) {
  const kind = kindOf(bytes, at);
  const leads = DIRECTORIES.some(([from, to]) => at >= control + from && at < control + to);
  return leads || (kind === CONTROL && at >= controlEnd) || (kind === BODY && at % PAGE < TABLES);
}

const kept = words.filter((at) => isKept(base, at));

/** Whether a page has blocks, or entries of objects. */
function hasParts(bytes, at) {
  const kind = kindOf(bytes, at);
  return (kind >= SLAB && kind <= RUN_BODY) || kind === OBJECTS;
}

/** Whether a word of a structure may say where a part of it is, and a bit of it may lead to a page of somebody else. */
function isWay(bytes, at) {
  return hasParts(bytes, at) && [at, at + 4].some((half) => leadsOn(bytes, half));
}

function leadsOn(bytes, half) {
  const word = bytes.readUInt32LE(half);
  return word >= control && word < base.length && hasParts(bytes, word) && leadingAway(word).length > 0;
}

const ways = words.filter((at) => isWay(base, at));

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

/**
 * Flips a bit of one of some words; `left`: half of the time of one of these. Mostly one that makes the word lead to a page of somebody else, if the
 * words are those that agents keep, or of ways; else sometimes one of any byte. Half of the time that page looks as the one that the word led to.
 * None of the words that were `hit`: in one word two bits may make up for each other, where it says something twice.
 */
function flip(random, some, left, hit) {
  const now = Buffer.from(world.memory.buffer);
  const those = left.length > 0 && random(2) === 0 ? left : some;
  let at = those[random(those.length)] + random(8);
  let bit = random(8);
  if (some === words && random(8) === 0) at = control + random(base.length - control);
  let half = at - (at % 4);
  if (some === ways && !leadsOn(now, half)) half ^= 4;
  const leading = some === words ? [] : leadingAway(now.readUInt32LE(half));
  if (leading.length > 0 && random(4) !== 0) {
    const chosen = leading[random(leading.length)];
    [at, bit] = [half + (chosen >> 3), chosen & 7];
  }
  if (isForeign(at) || hit.has(at >> 3)) return flip(random, some, left, hit);
  hit.add(at >> 3);
  const before = now.readUInt32LE(half);
  now[at] ^= 1 << bit;
  const after = now.readUInt32LE(half);
  // Below the control area the module has what never changes.
  if (isForeign(after) && after > control && !isForeign(before) && before < base.length && random(2) === 0) {
    const from = before - (before % PAGE);
    now.copy(now, after - (after % PAGE), from, from + PAGE);
  }
  return `${at}:${1 << bit}`;
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

/** Up to three flips. Much of the heap begins as zeros: what agents keep, and ways, lead nowhere else even if it is those that lie there. */
function flips(random, left = []) {
  const which = random(KEPT);
  if (which < 2) fillForeign(world.memory, 0);
  const now = Buffer.from(world.memory.buffer);
  const [some, isOne] = [
    [kept, isKept],
    [ways, isWay],
  ][which] ?? [words, () => true];
  const ofLeft = left.filter((at) => isOne(now, at));
  const hit = new Set();
  const flipped = Array.from({ length: 1 + random(3) }, () => flip(random, some, ofLeft, hit));
  outside = copyOfForeign();
  return flipped;
}

/** The pages that are not the heap's. */
function copyOfForeign() {
  const now = Buffer.from(world.memory.buffer);
  return Buffer.concat([now.subarray(0, control), now.subarray(foreign, foreign + FOREIGN * PAGE)]);
}

test("bits_flipped_anywhere_in_the_heap_do_no_harm", async () => {
  const random = seededRandom();
  const beside = await SharedHeap.create({ maximum: "4MiB" });
  prepare(beside);
  const held = contents(beside);
  const came = new Outcomes();
  const deaths = { within: 0, reaped: new Outcomes() };
  let [attached, bits] = [0, 0];
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
    assert.ok(copyOfForeign().equals(outside), `${where()}: another page of the memory was written`);
  }
  assert.equal(contents(beside), held);
  const { agents, quarantined } = await beside.audit();
  assert.deepEqual({ agents, quarantined }, { agents: 1, quarantined: 0 });
  console.log(`# ${attached} agents: ${came}`);
  console.log(`# ${deaths.within} deaths within an operation; reaped: ${deaths.reaped}`);
  console.log(`# the longest: ${[...meter.most].slice(0, 6).map(([name, rounds]) => `${name} ${rounds}`)}`);
  assert.ok(bits < 10_000 || came.refused.has("COHEAP_CORRUPT"), "some are found");
  assert.ok(bits < 20_000 || deaths.reaped.refused.size > 0, "some of what the dead have left, too");
  assert.ok(bits < 1_000 || deaths.within > deaths.reaped.ok / 2, "most die within an operation");
  cases("bits_flipped_anywhere_in_the_heap_do_no_harm", bits);
});

/** The heads of maps (collections/src/map/words.rs): a few buckets, the first of which is listed, and a chunk. */
function headsOfMaps() {
  const heads = [];
  for (let at = 0; at < base.length; at += 512) {
    const word = (offset) => base.readBigUInt64LE(at + offset);
    const hasBuckets = word(8) > 0n && word(8) < 64n && (word(64) & 4n) !== 0n;
    if (kindOf(base, at) === SLAB && hasBuckets && word(328) !== 0n) heads.push(at);
  }
  return heads;
}

test("what_a_bit_calls_a_part_of_a_cleared_map_is_not_taken_apart", async () => {
  const random = seededRandom();
  const heads = headsOfMaps();
  assert.ok(heads.length >= 3, "a head of each map, and of one in a map");
  let [bits, done] = [0, 0];
  for (const head of heads) {
    // Block words of buckets and directories, most of which are 0, and the pairs of chunks.
    for (let at = head + 128; at < head + 392; at += 8) {
      await world.restoreAll();
      const [came, rounds] = [new Outcomes(), new Meter()];
      const { heap } = world.attach({ blocks: true, ...rounds.options });
      // One that makes 0 an address in the memory.
      const bit = 16 + random(6);
      const now = Buffer.from(world.memory.buffer);
      now[at + (bit >> 3)] ^= 1 << (bit & 7);
      outside = copyOfForeign();
      const where = `bit ${bit} of the word at ${at}`;
      for (const name of ["map", "chunk"]) {
        await came.of("map.clear", () => heap.map(name).clear());
        // Each of them goes on with what was cleared away.
        for (const key of [1, 2]) await came.of("map.set", () => heap.map(name).set(key, key));
      }
      // Until memory is short: then all of it is taken apart.
      for (let i = 0; i < 80; i++) await came.of("bytes", () => heap.bytes(undefined, 60_000));
      await came.of("heap.detach", () => heap.detach());
      assert.ok(copyOfForeign().equals(outside), `${where}: another page of the memory was written`);
      done += came.ok;
      assert.equal(rounds.endless, 0, `${where}: a call without end`);
      const [[name, most]] = rounds.most;
      assert.ok(most < base.length / 8, `${where}: ${name} took ${most} rounds, which is more than the heap has words`);
      bits++;
    }
  }
  assert.ok(done > bits, "most calls find what they look for");
  cases("what_a_bit_calls_a_part_of_a_cleared_map_is_not_taken_apart", bits);
});
