// Agents in this thread, each with a life of its own; those that may die are instances of the shipped heap.wasm that ask before
// every change of shared memory (tools/src/crash_points.rs). Once it has died, an instance does nothing any more.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";

const { setInterval } = globalThis;
const { Instance } = WebAssembly;
/** What the import `wait` answers then. */
const TIMED_OUT = 2;
const root = fileURLToPath(new URL("../../", import.meta.url));

/** The shipped module, or the test build with a seeded bug. */
const source = process.env.COHEAP_WASM ?? `${root}js-host/dist/heap.wasm`;

const bytes = readFileSync(source);

/** What a tool makes of a module, which is the one under test, and what it says of it. */
export function instrumentedBy(tool, wasm = bytes) {
  const [input, output] = ["in", "out"].map((end) => `${root}target/heap.${tool}.${process.pid}.${end}.wasm`);
  mkdirSync(`${root}target`, { recursive: true });
  writeFileSync(input, wasm);
  const cargo = ["run", "--quiet", "--package", "coheap-tools", "--bin", tool, "--", input, output];
  const made = spawnSync("cargo", cargo, { cwd: root, encoding: "utf8", timeout: 240_000 });
  if (made.status !== 0) throw new Error(`${made.stderr}${made.error ?? ""}`);
  const instrumented = readFileSync(output);
  for (const file of [input, output]) rmSync(file);
  return { bytes: instrumented, module: new WebAssembly.Module(instrumented), says: made.stdout.trim() };
}

const hash = createHash("sha256").update(bytes).digest("hex");
const { bytes: mortalBytes, module: mortal, says: places } = instrumentedBy("crash-points");
console.log(`# heap.wasm ${hash}: ${places} places with points`);

/** What everybody runs who does not die. */
export const shipped = new WebAssembly.Module(bytes);

/** Of those who tell what they read, and may die or not. */
const telling = new Map();

function tellingModule(mayDie) {
  if (!telling.has(mayDie)) telling.set(mayDie, instrumentedBy("accesses", mayDie ? mortalBytes : bytes).module);
  return telling.get(mayDie);
}

/** What the glue calls at the end of a turn, in a microtask, where nobody would catch anything, and after a trap. */
const LAST = new Set(["coheap_turn_end", "coheap_recover", "coheap_surrender"]);

/**
 * In parts of a millisecond: the clock goes on when it is looked at, so what a run does has nothing to do with how long it takes. A power of
 * two, so that the difference of two times is the same whenever it is.
 */
const TICKS = 128;
let clock = 0;

/** What leaves a call that goes no further. */
const INTERRUPT = new Error("an exception of an import");

/** Nobody else runs meanwhile: who waits, waits until its time is over. */
const alone = {
  now: () => clock++ / TICKS,
  wait(_address, _expected, milliseconds) {
    clock += TICKS * milliseconds;
    return TIMED_OUT;
  },
};

/** Instances that are used again: making one takes longer than most trials. */
export class Pool {
  #free = new Map();
  #used = [];

  take(module, { env }) {
    const used = this.#free.get(module)?.pop() ?? Pool.#make(module, env.memory);
    this.#used.push([module, used]);
    Object.assign(used.links, { crash_point: undefined, access: undefined }, env);
    const { __stack_pointer, __stack_limit, agent, incarnation } = used.exports;
    __stack_pointer.value = used.stack;
    for (const global of [__stack_limit, agent, incarnation]) global.value = 0;
    return used.exports;
  }

  /** Nobody uses any of them from here on, but the one that has `kept` for its exports. */
  release(kept) {
    const stays = ([, { exports }]) => exports === kept;
    for (const [module, used] of this.#used.filter((one) => !stays(one))) {
      if (!this.#free.has(module)) this.#free.set(module, []);
      this.#free.get(module).push(used);
    }
    this.#used = this.#used.filter(stays);
  }

  static #make(module, memory) {
    const links = {};
    const env = { memory };
    for (const name of ["wait", "notify", "now"]) env[name] = (...values) => links[name](...values);
    // These are called most.
    env.crash_point = (half, address) => links.crash_point(half, address);
    env.access = (what, address, bytes) => links.access(what, address, bytes);
    const { exports } = new Instance(module, { env });
    return { exports, links, stack: exports.__stack_pointer.value };
  }
}

/** A seat of the heap, and the instance in it. */
export class Agent {
  heap;
  /** Somebody else, who dies with it. */
  victim;
  dead = false;
  /** How many points it has gone through since it was armed. */
  points = 0;
  /** The functions of the module that were called since then. */
  called = new Set();
  /** Dies at this point; 0: at none. */
  #at = 0;
  #buried = false;
  /** So many points on an exception leaves the call; 0: none does. */
  #interruptIn = 0;
  #mayDie;
  #looks;
  #reads;
  #access = (what, address, bytes) => this.#reads.access(what, address, bytes);
  /**
   * Attaches; `mayDie`: an instance with points, armed with `at` and `looks`. `blocks`: with the face for workers. `module`: an instance of this one,
   * of which the agent calls what `around` makes of its exports. `reads` notes what it reads (not with `module`).
   */
  constructor(
    pool,
    token,
    { mayDie = false, blocks = false, at = 0, looks, module = token.module, around, reads } = {},
  ) {
    this.#reads = reads;
    this.#mayDie = mayDie;
    const points = mayDie ? mortal : module;
    this.token = { ...token, module: reads === undefined ? points : tellingModule(mayDie) };
    // One thread, and as many lives as agents.
    this.life = globalThis[Symbol.for("coheap.life")] = { high: token.nonceHigh, low: token.nonceLow };
    this.arm(at, looks);
    const take = (module, { env }) => {
      const crash_point = (half, address) => this.#point(half === 1, address >>> 0);
      // Who must not block keeps the `wait` that refuses.
      const wait = blocks ? alone.wait : env.wait;
      this.exports = pool.take(module, { env: { ...env, ...alone, wait, crash_point, access: this.#access } });
      this.calls = mayDie ? this.#mortals() : (around?.(this.exports) ?? this.exports);
      return this.calls;
    };
    WebAssembly.Instance = class {
      constructor(...given) {
        this.exports = take(...given);
      }
    };
    // It looks for the dead when a test says so: points are those of operations.
    globalThis.setInterval = () => ({ unref() {} });
    try {
      this.heap = blocks ? attach(this.token) : SharedHeap.attach(this.token);
    } catch (error) {
      if (!this.dead) throw error;
    } finally {
      WebAssembly.Instance = Instance;
      globalThis.setInterval = setInterval;
    }
  }

  /** From here on `reads` notes what it reads. */
  tell(reads) {
    this.#reads = reads;
  }

  /** Its transfer buffer, where JavaScript reads what calls answer. */
  get transfer() {
    const { coheap_transfer, coheap_transfer_length } = this.exports;
    return new Uint8Array(this.token.memory.buffer, coheap_transfer() >>> 0, coheap_transfer_length());
  }

  #mortals() {
    const wrapped = {};
    for (const [name, value] of Object.entries(this.exports)) {
      wrapped[name] = typeof value === "function" ? this.#mortal(name, value) : value;
    }
    return wrapped;
  }

  #mortal(name, call) {
    const isLast = LAST.has(name);
    return (...values) => {
      if (!this.dead) {
        this.called.add(name);
        try {
          return call(...values);
        } catch (error) {
          if (error === INTERRUPT) throw error;
          this.dead = true;
          this.cause = error;
        }
      }
      if (isLast || this.#buried) return 0;
      throw this.cause;
    };
  }

  #point(half, address) {
    this.points++;
    this.#looks?.(half, address, this);
    const isInterrupted = --this.#interruptIn === 0;
    if (this.points === this.#at) return 1;
    if (isInterrupted) throw INTERRUPT;
    return 0;
  }

  /**
   * From here on it counts its points, and dies at the `at`-th; 0: at none. `looks` is called at each, with whether half of something is
   * done if it dies there, where a store goes that comes next, or 0, and this agent.
   */
  arm(at, looks) {
    [this.points, this.#at, this.#looks] = [0, at, looks];
    this.called = new Set();
  }

  /** Does what `act` does, if this agent has points up to the `at`-th from here, where an exception leaves it: the agent goes on. */
  interrupt(at, act) {
    this.#interruptIn = at;
    try {
      act();
      if (this.#mayDie) throw new Error(`there is no point ${at}`);
    } catch (error) {
      if (error !== INTERRUPT) throw error;
    }
  }

  /** It does nothing any more, and its wrappers neither. What is in the heap stays. */
  die() {
    this.dead = this.#buried = true;
    this.heap?.detach();
  }

  /** Where its shadow stack is, which nobody reads who comes after it: from, to. */
  get stack() {
    return [this.exports.__stack_limit.value >>> 0, this.exports.__stack_pointer.value >>> 0];
  }

  /** Ends what these agents have left, which are dead, and gives back what they had; answers how many operations were cut short. */
  reap(...dead) {
    const { calls } = this;
    let repaired = 0;
    for (const { low, high } of dead.flatMap(({ life, victim }) => [life, ...(victim ? [victim.life] : [])])) {
      for (let left = 1; left > 0; ) {
        left = calls.coheap_reap(low, high, 1);
        if (left < 0)
          throw new Error(`coheap_reap: status ${-left}, ${calls.coheap_detail(0)}, ${calls.coheap_detail(1)}`);
        if (left > 0) repaired += calls.coheap_detail(0);
      }
    }
    for (let worked = true; worked; ) {
      worked = false;
      for (let from = 0, more = true; more; more = from !== 0) {
        const status = calls.coheap_finish(from);
        if (status !== 0) throw new Error(`coheap_finish: status ${status}`);
        if (calls.coheap_detail(1) === 1) worked = true;
        from = calls.coheap_detail(0);
      }
    }
    return repaired;
  }
}
