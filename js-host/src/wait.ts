/** Waiting without blocking. */
import type { Agent } from "./agent.js";
import { CoheapError } from "./errors.js";
import { lookForLeft } from "./reaper.js";
import { needStack } from "./stack.js";

/** How a wait ended. */
export type Outcome = "changed" | "timed-out";

/** A 32-bit word that stops being `expected` when there is something to look at. */
interface Watched {
  readonly address: number;
  readonly expected: number;
}

/** Who changed the word may have died before it woke us, so every waiter also looks for itself now and then. */
const LOOK_EVERY = 100;
/** Where the platform cannot wake us at all. */
const LOOK_OFTEN = 4;
/** What a timer can count, 24 days. Longer is for ever. */
const LONGEST_TIMER = 2 ** 31 - 1;

type WaitAsync = (
  words: Int32Array,
  index: number,
  expected: number,
) => { async: false } | { async: true; value: Promise<unknown> };
const waitAsync = typeof Atomics === "object" ? (Atomics as unknown as { waitAsync?: WaitAsync }).waitAsync : undefined;

/** Those that wait, by the seat they wait on, so that detaching can end them. */
const waiting = new WeakMap<Agent, Set<Waiter>>();

/**
 * Resolves when `watch` answers undefined. It is asked at once, and again whenever the word that it named may have changed.
 * @internal
 */
export function waitForChange(
  agent: Agent,
  watch: () => Watched | undefined,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<Outcome> {
  needStack();
  return new Promise((resolve, reject) => {
    new Waiter(agent, watch, milliseconds, signal, resolve, reject);
  });
}

/** Rejects every pending wait of this agent with COHEAP_DETACHED. @internal */
export function endWaits(agent: Agent): void {
  for (const waiter of waiting.get(agent) ?? []) waiter.fail(new CoheapError("COHEAP_DETACHED", {}));
}

class Waiter {
  #looks: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #aborted = () => this.fail(this.#signal!.reason);
  #expired: boolean;
  #settled = false;
  /** The word that the engine wakes us for. A wait of the engine's cannot be withdrawn, only woken, so there is one at a time. */
  #armed: Watched | undefined;

  readonly #agent: Agent;
  readonly #watch: () => Watched | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (reason: unknown) => void;

  constructor(
    agent: Agent,
    watch: () => Watched | undefined,
    milliseconds: number,
    signal: AbortSignal | undefined,
    resolve: (outcome: Outcome) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#agent = agent;
    this.#watch = watch;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#expired = milliseconds === 0;
    try {
      if (!waiting.has(agent)) waiting.set(agent, new Set());
      waiting.get(agent)!.add(this);
      // This timer is also what keeps Node alive for as long as the wait is pending.
      this.#looks = setInterval(() => this.#lookAround(), waitAsync === undefined ? LOOK_OFTEN : LOOK_EVERY);
      if (milliseconds > 0 && milliseconds <= LONGEST_TIMER)
        this.#timer = setTimeout(() => this.#expire(), milliseconds);
      signal?.addEventListener("abort", this.#aborted);
    } catch (error) {
      this.fail(error);
    }
    this.#look();
  }

  fail(reason: unknown): void {
    this.#settle(() => this.#reject(reason));
  }

  #expire(): void {
    this.#expired = true;
    this.#look();
  }

  /** What it waits for may be in the hands of one that broke. */
  #lookAround(): void {
    try {
      lookForLeft(this.#agent);
    } catch (error) {
      this.fail(error);
    }
    this.#look();
  }

  #look(): void {
    if (this.#settled) return;
    try {
      if (this.#signal?.aborted) throw this.#signal.reason;
      const watched = this.#watch();
      if (watched === undefined) this.#settle(() => this.#resolve("changed"));
      else if (this.#expired) this.#settle(() => this.#resolve("timed-out"));
      else if (this.#armed === undefined) this.#arm(watched);
      else if (this.#armed.address !== watched.address || this.#armed.expected !== watched.expected)
        this.#wake(this.#armed);
    } catch (error) {
      this.fail(error);
    }
  }

  #arm(watched: Watched): void {
    const wait = waitAsync?.(this.#words(watched), watched.address >>> 2, watched.expected);
    if (wait === undefined) return;
    const woken = () => {
      this.#armed = undefined;
      this.#look();
    };
    if (wait.async) {
      this.#armed = watched;
      void wait.value.then(woken);
    } else {
      queueMicrotask(woken);
    }
  }

  /** Wakes whoever waits there. Others that wake find nothing changed and wait again. */
  #wake(watched: Watched): void {
    Atomics.notify(this.#words(watched), watched.address >>> 2);
  }

  #words({ address }: Watched): Int32Array {
    return this.#agent.views.words(address + 4);
  }

  #settle(tell: () => void): void {
    if (this.#settled) return;
    tell();
    clearTimeout(this.#timer);
    waiting.get(this.#agent)?.delete(this);
    // Last of what must happen: an exception before it, at the end of the stack, leaves the rest to the next look.
    clearInterval(this.#looks);
    this.#settled = true;
    try {
      if (this.#armed !== undefined) this.#wake(this.#armed);
      this.#signal?.removeEventListener("abort", this.#aborted);
    } catch {
      // What the user's signal throws changes nothing: the wait is over.
    }
  }
}
