// A host beside an agent that stands still for ever, at every point of every operation, of attaching, and of reaping: it does what it has to
// do, all the same, and each of its calls takes a bounded number of steps.
//
// The agent stands still where the shipped code is about to change shared memory (tools/src/crash_points.rs). The host attaches there, works,
// and leaves; then the heap is put back to what it was, and the agent goes on to its next point. A memory that the host has made grow does
// not shrink: then the agent begins anew, in another heap, and goes on to the next point. What the host's calls take is counted by its instance
// (tools/src/fuel.rs): rounds of loops, with a trap after ten million in one call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { isCoheapError } from "../../js-host/dist/index.js";
import { prepare } from "../crash-points/heap-under-test.mjs";
import { all } from "../crash-points/operations/all.mjs";
import { deaths } from "../crash-points/operations/deaths.mjs";
import { growth } from "../crash-points/operations/objects.mjs";
import { deadAt, enter, operate, pointsOf, SETTINGS } from "../crash-points/trial.mjs";
import { World } from "../crash-points/world.mjs";
import { cases, refuses, seededRandom, times, watchdog } from "../js/support.mjs";
import { Meter } from "./fuel.mjs";
import { hostOperations, inTurn } from "./host-operations.mjs";

const goesOn = watchdog(300);

/** Of a host, beside each point. */
const OPERATIONS = times("COHEAP_HOST_OPERATIONS", 1_000);
/** Operations of each kind, which chance chooses, that are done while three others are at work. */
const BUSY = times("COHEAP_BUSY", 3);
/** Deaths in operations of each kind, both of which chance chooses, whose reaper stands still. */
const DEATHS = times("COHEAP_DEATHS", 1);
/**
 * Rounds of loops in one call of the host's: of one that waits for a transaction which stands still until it aborts it, some 20,000; of one that
 * looks everywhere for room, and finishes what others have left, some 42,000.
 */
const MOST_ROUNDS = 131_072;
/** As often others abort a transaction until it is given up (collections/src/map/transaction). */
const ATTEMPTS = 64;
/** For one that was aborted often before a host waits longer, up to 800,000 looks of two rounds. */
const MOST_ROUNDS_AT_LAST = 2 ** 21;
const ADDITIONS = all.maps.find(({ what }) => what === "map.addMany");

const [alone, busy] = SETTINGS;
const known = { ...all, deaths };
const random = seededRandom();
const meter = new Meter();
/** How many kinds of operations a host has. */
let kinds = 0;
/** What the heap was when a host came. */
let before = new Uint8Array();

/** A heap, and how others have seen it whenever a host worked there. */
const ground = async (options) => ({ world: await World.make(prepare, options), met: new Set() });
const fixed = await ground({ maximum: "3MiB", fixed: true });
const growing = await ground({ maximum: "8MiB" });
/** Each who is at work there has pages of its own. */
const roomy = await ground({ maximum: "6MiB", fixed: true });

/** Ranges of its bytes that nobody else reads. */
function ownRanges({ stack, exports }) {
  const transfer = exports.coheap_transfer() >>> 0;
  return [stack, [transfer, transfer + exports.coheap_transfer_length()]];
}

/** Hosts, one after the other, each beside an agent that stands still at a point of what it does. */
class Hosts {
  points = 0;
  /** How many of them have made the memory grow. */
  growths = 0;
  #seen = new Set();
  #world;
  #met;
  #hasGrown;
  /** What the agent that stands still may have decided besides. */
  #decided;
  /** The last point at which a host worked in a memory that has grown since. */
  #last;
  #failure;
  /** What operations have promised, looked at when the agent has gone on. */
  #late = [];

  constructor({ world, met }) {
    [this.#world, this.#met] = [world, met];
  }

  /**
   * `act` has an agent do something, armed with what `looks` answers for its own ranges: a host works at each point at which the heap is another
   * one than all before. `also` is what the host does besides. `decided`: refusals that it meets where the agent has decided so.
   */
  async beside(what, act, { also = () => {}, decided = [] } = {}) {
    [this.#last, this.#decided] = [0, decided];
    do {
      this.#hasGrown = false;
      await this.#world.restoreAll();
      const looks = (ranges) => this.#looks(what, ranges, also);
      try {
        await act(looks);
      } catch (error) {
        throw this.#failure ?? error;
      }
      await Promise.all(this.#late.splice(0));
      if (this.#failure !== undefined) throw this.#failure;
      goesOn();
    } while (this.#hasGrown);
  }

  #looks(what, ranges, also) {
    const [world, met] = [this.#world, this.#met];
    const [[limit, top] = [0, 0]] = ranges;
    let isSame = false;
    return (half, address, agent) => {
      if (this.#hasGrown || this.#failure !== undefined) return;
      const wasSame = isSame;
      // What comes next is a store into the agent's own stack.
      isSame = address >= limit && address < top;
      if ((wasSame && !half) || agent.points <= this.#last) return;
      const state = world.difference(world.base, ...ranges);
      if (met.has(state)) return;
      met.add(state);
      const { points } = agent;
      const fails = (cause) => {
        this.#failure ??= new Error(`${what}, at point ${points}: ${cause.message}`, { cause });
      };
      try {
        for (const promised of this.#work(agent, also)) this.#late.push(promised.catch(fails));
      } catch (cause) {
        fails(cause);
        throw this.#failure;
      }
    };
  }

  /** One comes, does its operations in turn, and leaves. Answers what they have promised. */
  #work(agent, also) {
    const world = this.#world;
    const { agents, memory } = world;
    const { byteLength } = memory.buffer;
    if (before.length !== byteLength) before = new Uint8Array(byteLength);
    before.set(new Uint8Array(memory.buffer));
    const host = world.attach(meter.options);
    const operations = hostOperations(host, agent.life);
    kinds = Object.keys(operations).length;
    const late = [];
    const decided = this.#decided;
    for (const [name, operation] of inTurn(operations, OPERATIONS, this.points % 2 === 1)) {
      const [act, ...refusals] = [operation].flat();
      const refused = (cause) => {
        if (![...refusals, ...decided].some((code) => isCoheapError(cause, code)))
          throw new Error(`${name}: ${cause}`, { cause });
      };
      try {
        const answer = act();
        if (answer instanceof Promise) late.push(answer.catch(refused));
      } catch (error) {
        refused(error);
      }
      this.#seen.add(name);
    }
    also(host);
    host.heap.detach();
    this.points++;
    this.#hasGrown = memory.buffer.byteLength > byteLength;
    if (this.#hasGrown) {
      this.growths++;
      this.#last = agent.points;
    }
    new Uint8Array(memory.buffer).set(before);
    world.agents = agents;
    world.pool.release(agent.exports);
    return late;
  }

  /** They did all that a host can do, in a bounded number of rounds. */
  end(test, what) {
    const grown = this.growths > 0 ? ` in ${this.growths} of which the host made the memory grow,` : "";
    console.log(`# ${what}: ${this.points} points,${grown} ${meter.calls} calls, ${meter.rounds} rounds`);
    const longest = [...meter.most].slice(0, 12).map(([name, rounds]) => `${name} ${rounds}`);
    console.log(`# the longest: ${longest.join(", ")}`);
    const { name, milliseconds } = meter.longest;
    console.log(`# the longest in time: ${name}, ${milliseconds.toFixed(1)} ms`);
    assert.ok(this.points > 0 && this.#seen.size === Math.min(OPERATIONS, kinds));
    const [most] = meter.most.values();
    assert.ok(most < MOST_ROUNDS, `${most} rounds in one call`);
    cases(test, this.points * OPERATIONS);
  }
}

/** What an operation decides for all who use the same pipe. */
const decidedBy = (operation) => ({ decided: deaths.includes(operation) ? ["COHEAP_AGENT_LOST"] : [] });

/** A host beside an agent in each of these operations; `setting`: what others do. */
async function besideOperations({ world }, hosts, operations, setting) {
  for (const operation of operations) {
    await hosts.beside(
      `${operation.what}, ${setting.survivors} others`,
      async (looks) => {
        const entered = await enter(world, operation, setting);
        const { mortal } = entered;
        await operate(entered, operation.step, 0, looks(ownRanges(mortal)));
        mortal.die();
      },
      decidedBy(operation),
    );
  }
}

for (const [kind, operations] of Object.entries({ ...known, growth })) {
  const name = `host_beside_an_agent_that_stands_still_in_operations_on_${kind}`;
  test(name, async () => {
    const there = kind === "growth" ? growing : fixed;
    const hosts = new Hosts(there);
    await besideOperations(there, hosts, operations, alone);
    hosts.end(name, kind);
    assert.ok(kind !== "growth" || hosts.growths > 0);
  });
}

test("host_beside_an_agent_that_stands_still_while_others_are_at_work", async () => {
  const hosts = new Hosts(roomy);
  for (const operations of Object.values(known)) {
    const drawn = Array.from({ length: BUSY }, () => operations[random(operations.length)]);
    await besideOperations(roomy, hosts, drawn, busy);
  }
  hosts.end("host_beside_an_agent_that_stands_still_while_others_are_at_work", "others at work");
});

test("host_beside_an_agent_that_stands_still_while_it_attaches", async () => {
  for (const there of [fixed, growing]) {
    const { world } = there;
    const hosts = new Hosts(there);
    await hosts.beside("attaching", (looks) => {
      world.attach({ mayDie: true, blocks: true, looks: looks([]) }).die();
    });
    hosts.end("host_beside_an_agent_that_stands_still_while_it_attaches", "attaching");
  }
});

test("host_beside_an_agent_that_stands_still_while_it_reaps", async () => {
  const { world } = fixed;
  const hosts = new Hosts(fixed);
  for (const operations of Object.values(known)) {
    for (let death = 0; death < DEATHS; death++) {
      const operation = operations[random(operations.length)];
      const { different } = await pointsOf(world, operation, alone);
      const at = different[random(different.length)];
      let dead;
      const reaps = async (looks) => {
        const { mortal } = await deadAt(world, operation, alone, at);
        dead = mortal;
        const reaper = world.attach({ mayDie: true, blocks: true });
        reaper.arm(0, looks(ownRanges(reaper)));
        reaper.reap(mortal);
        reaper.die();
      };
      await hosts.beside(`reaping after ${operation.what}, death at point ${at}`, reaps, {
        also: (host) => host.reap(dead),
        ...decidedBy(operation),
      });
    }
  }
  hosts.end("host_beside_an_agent_that_stands_still_while_it_reaps", "reaping");
});

test("host_beside_a_transaction_that_was_aborted_again_and_again", async () => {
  const { world } = fixed;
  await world.restoreAll();
  const entered = await enter(world, ADDITIONS, alone);
  const { mortal, subject } = entered;
  const own = new Meter();
  const map = world.attach(own.options).heap.map("map");
  const waits = [];
  // At each point: as soon as the key is in the transaction it is waited for, longer each time, and taken out.
  mortal.arm(0, () => {
    const before = own.rounds;
    map.set("sum", 5);
    const rounds = own.rounds - before;
    if (rounds > 10_000) waits.push(rounds);
  });
  refuses(() => ADDITIONS.step(subject), "COHEAP_BUSY");
  console.log(`# ${waits.length} waits, of ${waits[0]}, ${waits[1]}, … up to ${Math.max(...waits)} rounds`);
  assert.equal(waits.length, ATTEMPTS);
  assert.ok(waits[5] > 16 * waits[0], "it waits longer each time");
  assert.ok(Math.max(...waits) < MOST_ROUNDS_AT_LAST, `${Math.max(...waits)} rounds in one call`);
  cases("host_beside_a_transaction_that_was_aborted_again_and_again", waits.length);
});
