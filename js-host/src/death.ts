/** Workers that have ended: what they left is ended, what they had is given back. */
import { type AdoptableWorker, type Adoption, Adoptions } from "./adopt.js";
import type { Agent } from "./agent.js";
import { invalid } from "./check.js";
import { CoheapError, isCoheapError } from "./errors.js";
import { isBun, isSameLife, type Life } from "./life.js";
import { hasLocks, heldLocks, holdLock, lockOf } from "./locks.js";
import type { SharedPipe } from "./pipe.js";
import { ANYBODY, lookForLeft, onLeft, reap, type Seat, seats, withDescendants } from "./reaper.js";
import type { HeapToken } from "./token.js";
import { isNodeWorker, type NodeWorker, onEnd, type Watcher, watchWorkers } from "./workers.js";

/** Why nothing of a worker does anything in the heap any more, see {@link Recovery.proof}. */
export type Proof = "exit" | "lock" | "fence";

/** What came of the end of a worker. */
export interface Recovery {
  /**
   * Why nothing of the worker does anything in the heap any more. "exit": Node or Bun said that it has ended. "lock": the browser let go of the lock that it
   * held for life. "fence": it is in no operation and can begin none; its thread may still run, so its seats stay taken until that has
   * ended, too. "none": nobody can say so; then what it has stays as it is, and `stats().quarantined` counts it.
   */
  readonly proof: Proof | "none";
  /** Bytes that were given back. What other agents allocated or freed meanwhile counts, too. */
  readonly reclaimedBytes: number;
  /** Operations that were cut short, and have been finished or taken back. */
  readonly repaired: number;
}

/** A worker that ended with agents of this heap in it. */
export interface AgentLost {
  /** How many agents it had. */
  readonly agents: number;
  readonly recovery: Recovery;
  /** COHEAP_CORRUPT: what it left makes no sense, and stays as it is. */
  readonly error?: unknown;
}

/** An agent of an adopted worker that was reaped. */
interface ReapedAdoption {
  readonly adoption: Adoption;
  readonly seat: number;
  /** Whether its seat is kept for its thread. */
  readonly isKept: boolean;
}

const NONE: Recovery = { proof: "none", reclaimedBytes: 0, repaired: 0 };
/** Milliseconds between two looks at who holds its lock no more, and at who broke and lives on. */
const LOOK_EVERY = 1000;
/** Milliseconds between two looks at a worker that is being terminated. */
const LOOK_AGAIN = 5;
/** Milliseconds that an idle worker may need to let go of its lock, before the fence will do. */
const LOCK_FIRST = 50;
/** Milliseconds that a worker may need whose exit is told. Bun does not stop one in a loop of wasm. */
const EXIT_LAST = isBun() ? 2000 : 30_000;
/** Milliseconds that one may need that holds its lock. Browsers stop a busy thread by force after two seconds, and say so when the machine lets them. */
const LOCK_LAST = 30_000;
/** Milliseconds that one without a lock may need to come out of its operation: if it computes elsewhere nothing will ever be proven. */
const FENCE_LAST = 5000;

/**
 * The deaths that one agent hears of.
 * @internal
 */
export class Deaths implements Watcher {
  readonly adoptions: Adoptions = new Adoptions();
  readonly #agent: Agent;
  readonly #listeners = new Set<{ readonly listener: (lost: AgentLost) => void }>();
  readonly #lost = new WeakMap<Adoption, AgentLost>();
  /** Terminated, in browsers: what attaches with these tokens still is condemned at once. */
  readonly #terminated = new Set<Adoption>();
  #last: Promise<unknown> = Promise.resolve();
  #isDue = false;
  #looks: ReturnType<typeof setInterval> | undefined;
  readonly #unwatch: () => void;

  constructor(agent: Agent) {
    this.#agent = agent;
    this.#unwatch = watchWorkers(this);
    if (hasLocks()) this.#holdLock();
    onLeft(agent, () => this.#due());
    this.#lookAgain();
    void this.look();
  }

  listen(listener: (lost: AgentLost) => void): Disposable {
    const entry = { listener };
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  adopt(worker: AdoptableWorker, token: HeapToken, pipes: SharedPipe[]): void {
    const adoption = this.adoptions.adopt(worker, token, pipes);
    // Ended before it was adopted: no event will come.
    if (adoption.ended) void this.#inTurn(() => this.#buryAdopted([adoption], "exit"));
  }

  async terminate(worker: AdoptableWorker): Promise<Recovery> {
    const all = this.adoptions.of(worker);
    if (all === undefined) throw invalid("worker", "a worker that this heap has adopted", worker);
    const [first] = all as [Adoption];
    // Not condemned before: what it throws then would be an error of the worker's.
    if (!isNodeWorker(worker) || !(first.ended || (await exits(worker)))) return this.#terminateRunning(worker, all);
    await this.#last;
    if (this.#lost.get(first)?.error !== undefined)
      await this.#inTurn(() => this.#buryAdopted(all, "exit", first.life));
    const lost = this.#lost.get(first);
    if (lost?.error !== undefined) throw lost.error;
    return lost?.recovery ?? NONE;
  }

  /** A worker that this thread has started, and that cannot outlast it. */
  begun({ low, high }: Life): void {
    const { calls } = this.#agent;
    try {
      if (!calls.detached) calls.status(calls.wasm.coheap_adopt, low, high, 1);
    } catch {
      // Not noted, it is found by its own end only. That this agent is lost its user hears with the next call.
    }
  }

  adopted(life: Life): boolean {
    return this.#ofLife(life).length > 0;
  }

  ended(life: Life): Promise<void> {
    const all = this.#ofLife(life);
    for (const adoption of all) adoption.ended = true;
    return this.#inTurn(() => this.#buryAdopted(all, "exit", life));
  }

  #ofLife(life: Life): Adoption[] {
    return this.adoptions.ofLife(life, (adoption) => adoption.life);
  }

  /** Looks for seats whose thread holds its lock no more, and for what was left. Never rejects. */
  look(): Promise<void> {
    return this.#inTurn(async () => {
      if (hasLocks()) await this.#buryUnlocked();
      await this.#buryDue();
      for (const all of this.adoptions.all) if (!this.#agent.calls.detached) this.#hear(all);
    });
  }

  stop(): void {
    this.#unwatch();
    clearInterval(this.#looks);
  }

  /** Somebody can be reaped. */
  #due(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    void this.look().then(() => {
      this.#isDue = false;
    });
  }

  #holdLock(): void {
    const { calls, life } = this.#agent;
    void holdLock(life).then((held) => {
      if (held && !calls.detached) calls.status(calls.wasm.coheap_locked, life.low, life.high);
    });
  }

  #lookAgain(): void {
    const deaths = new WeakRef(this); // the timer keeps no heap, and no process
    const looks = setInterval(() => {
      const found = deaths.deref();
      try {
        if (found === undefined || found.#agent.calls.detached) clearInterval(looks);
        else if (hasLocks()) void found.look();
        else lookForLeft(found.#agent);
      } catch {
        // That this agent is lost its user hears with the next call, and nobody with an exception of a timer.
        clearInterval(looks);
      }
    }, LOOK_EVERY);
    letEnd(looks);
    this.#looks = looks;
  }

  /** One after the other: each goes on with the seats that this agent has begun with. */
  #inTurn(task: () => Promise<void>): Promise<void> {
    const run = this.#last.then(() => (this.#agent.calls.detached ? undefined : task()));
    // What is thrown here was told, or the agent is gone.
    const settled = run.catch(() => {});
    this.#last = settled;
    return settled;
  }

  /** A worker whose end nobody tells in time: it may run on, but not in the heap. */
  async #terminateRunning(worker: AdoptableWorker, all: readonly Adoption[]): Promise<Recovery> {
    for (const adoption of all) this.#terminated.add(adoption);
    await this.#inTurn(() => this.#seeLocked(all));
    worker.terminate();
    const begun = performance.now();
    for (;;) {
      await this.#inTurn(async () => {
        // A look that came before may have buried it, and told so.
        if (this.#lostOf(all) !== undefined) return;
        const patient = performance.now() - begun < LOCK_FIRST;
        await this.#buryTerminated(all, patient);
      });
      const lost = this.#lostOf(all);
      if (lost?.error !== undefined) throw lost.error;
      if (lost !== undefined) return lost.recovery;
      if (this.#agent.calls.detached) throw new CoheapError("COHEAP_DETACHED", {});
      if (performance.now() - begun > this.#patience(all)) return this.#giveUp(all);
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    }
  }

  /** A worker that has just attached may not hold its lock yet, and could never be proven to have ended: a moment for that. */
  async #seeLocked(all: readonly Adoption[]): Promise<void> {
    this.#condemn();
    const { calls } = this.#agent;
    const end = performance.now() + LOCK_FIRST;
    while (hasLocks() && !calls.detached && performance.now() < end) {
      const missing = this.#seatsOf(all).filter(({ locked }) => !locked);
      if (missing.length === 0) return;
      await this.#noteLocked(missing);
    }
  }

  /** Whoever of these holds its lock is known for it from now on; answers the locks that are held, if anybody may ask. */
  async #noteLocked(found: readonly Seat[]): Promise<ReadonlySet<string | undefined> | undefined> {
    const held = await heldLocks();
    const { calls } = this.#agent;
    for (const { life } of found)
      if (!calls.detached && held?.has(lockOf(life))) calls.status(calls.wasm.coheap_locked, life.low, life.high);
    return held;
  }

  /** How long a proof can be hoped for. */
  #patience(all: readonly Adoption[]): number {
    return hasLocks() && this.#seatsOf(all).some(({ locked }) => locked) ? LOCK_LAST : FENCE_LAST;
  }

  #seatsOf(all: readonly Adoption[]): Seat[] {
    const lives = all.map(this.#lifeOf);
    return [...seats(this.#agent)].filter(({ life }) => isAmong(lives, life));
  }

  #giveUp(all: readonly Adoption[]): Recovery {
    const left = this.#seatsOf(all).filter(({ kept }) => !kept);
    // Without a seat there is nothing to prove.
    if (left.length > 0) this.#tell({ agents: left.length, recovery: NONE });
    return NONE;
  }

  async #buryTerminated(all: readonly Adoption[], patient: boolean): Promise<void> {
    this.#condemn();
    // Seats first: whoever is locked there and not held afterwards has ended.
    const found = this.#seatsOf(all);
    const held = await heldLocks();
    if (this.#agent.calls.detached) return;
    const isOver = ({ life, locked }: Seat) => held !== undefined && locked && !held.has(lockOf(life));
    if (found.length > 0 && found.every(isOver)) {
      return this.#buryAdopted(all, "lock");
    }
    // Without a seat there is nothing to prove, unless it takes one still.
    if (patient && (found.length === 0 || found.some(({ locked }) => locked))) return;
    if (this.#hear(all) !== undefined) return;
    if (found.some(({ kept }) => !kept)) await this.#bury(all.map(this.#lifeOf), "fence", all);
    else
      for (const adoption of all)
        if (!this.#lost.has(adoption)) this.#lost.set(adoption, { agents: 0, recovery: NONE });
  }

  /** Those of a worker's agents that another agent has reaped, and that nobody was told of here: now they are. */
  #hear(all: readonly Adoption[]): AgentLost | undefined {
    const found = this.#reapedOf(all);
    if (found.length === 0) return undefined;
    const proof = found.some(({ isKept }) => isKept) ? "fence" : hasLocks() ? "lock" : "exit";
    const lost: AgentLost = { agents: found.length, recovery: { ...NONE, proof } };
    this.#tell(lost);
    for (const { adoption, seat } of found) this.#lose(adoption, lost, seat);
    return lost;
  }

  /** Those who attached so and were reaped, by whomever, and whom nobody was told of here. */
  #reapedOf(all: readonly Adoption[]): ReapedAdoption[] {
    const { calls } = this.#agent;
    const found: ReapedAdoption[] = [];
    for (const adoption of all) {
      if (this.#lost.has(adoption) || calls.detached) continue;
      const seat = calls.status(calls.wasm.coheap_lost, adoption.nonceLow, adoption.nonceHigh);
      if (seat !== 0) found.push({ adoption, seat: seat - 1, isKept: calls.detail(0) === 1 });
    }
    return found;
  }

  #lose(adoption: Adoption, lost: AgentLost, seat: number): void {
    this.#lost.set(adoption, lost);
    losePipes([adoption], seat);
  }

  /** What became of a worker, once that is known of all its agents. */
  #lostOf(all: readonly Adoption[]): AgentLost | undefined {
    const known = all.map((adoption) => this.#lost.get(adoption));
    if (known.includes(undefined)) return undefined;
    return known.find((lost) => lost!.agents > 0 || lost!.error !== undefined) ?? known[0];
  }

  /** The agents of threads that hold their lock no more; whoever holds it is known for it from now on. */
  async #buryUnlocked(): Promise<void> {
    const { calls, life: own } = this.#agent;
    this.#condemn();
    const found = [...seats(this.#agent)].filter(({ life }) => !isSameLife(life, own) && !isSameLife(life, ANYBODY));
    if (found.length === 0) return;
    const held = await this.#noteLocked(found);
    for (const { life, locked } of found) {
      if (calls.detached) return;
      if (locked && held !== undefined && !held.has(lockOf(life)))
        await this.#buryAdopted(this.adoptions.ofLife(life, this.#lifeOf), "lock", life);
    }
  }

  /** No agent that was terminated begins an operation, not even if it has attached after that. */
  #condemn(): void {
    const { calls } = this.#agent;
    for (const adoption of this.#terminated) {
      const { low, high } = this.#lifeOf(adoption);
      if (adoption.ended) this.#terminated.delete(adoption);
      else calls.run(calls.wasm.coheap_condemn, low, high);
    }
  }

  /** What the worker that was adopted so has left, which has ended; `life` is its life, where Node says it. */
  async #buryAdopted(all: readonly Adoption[], proof: Proof, life?: Life): Promise<void> {
    const { calls } = this.#agent;
    for (const adoption of all) adoption.ended = true;
    const lives = all.map(this.#lifeOf);
    if (life !== undefined) {
      calls.status(calls.wasm.coheap_adopt, life.low, life.high, 0);
      lives.push(life);
    }
    await this.#bury(lives, proof, all);
  }

  /** Reaps all seats of these lives, and says so; then what others left, which is nothing that these had, and is told for itself. */
  async #bury(lives: readonly Life[], proof: Proof, all: readonly Adoption[] = []): Promise<void> {
    await this.#buryThese(lives, proof, all);
    await this.#buryDue();
  }

  async #buryThese(lives: readonly Life[], proof: Proof, all: readonly Adoption[] = []): Promise<void> {
    let lost: AgentLost;
    let first: number | undefined;
    let seats: readonly number[] = [];
    try {
      // In Node who has started them ends after them.
      const ended = proof === "exit" ? lives.flatMap((life) => [...withDescendants(this.#agent, life)]) : lives;
      const reaped = await reap(this.#agent, ended, proof);
      const { agents, repaired, reclaimedBytes } = reaped;
      lost = { agents: agents.length, recovery: { proof, reclaimedBytes, repaired } };
      first = reaped.first;
      seats = agents;
    } catch (error) {
      lost = { agents: 0, recovery: { ...NONE, proof }, error };
    }
    const heard = lost.agents === 0 && lost.error === undefined ? this.#hear(all) : undefined;
    const isProven = proof !== "fence" || lost.agents > 0;
    for (const adoption of isProven ? all : [])
      if (heard === undefined || !this.#lost.has(adoption)) this.#lost.set(adoption, heard ?? lost);
    if (lost.agents > 0 || lost.error !== undefined) this.#tell(lost);
    if (first !== undefined) losePipes(all, first);
    else if (isProven) for (const { pipes } of all) pipes.length = 0;
    // Workers that nobody meant, but were adopted: they were told of here.
    if (all.length === 0 && seats.length > 0) this.#attribute(lost, seats);
  }

  /** Adopted workers whose agents had these seats are lost so. */
  #attribute(lost: AgentLost, seats: readonly number[]): void {
    for (const { adoption, seat } of this.adoptions.all.flatMap((all) => this.#reapedOf(all)))
      if (seats.includes(seat)) this.#lose(adoption, lost, seat);
  }

  /** What anybody may reap. Of a worker that is terminated here for itself: its caller waits to hear of it. */
  async #buryDue(): Promise<void> {
    for (const adoption of [...this.#terminated]) {
      if (this.#agent.calls.detached) return;
      if (this.#lost.has(adoption)) continue;
      const life = this.#lifeOf(adoption);
      await this.#buryThese([life], "fence", this.adoptions.ofLife(life, this.#lifeOf));
    }
    if (!this.#agent.calls.detached) await this.#buryThese([ANYBODY], "fence");
  }

  /** The life of the agent that attached with this token. */
  readonly #lifeOf = ({ nonceLow, nonceHigh }: Adoption): Life => {
    const { calls } = this.#agent;
    calls.run(calls.wasm.coheap_life, nonceLow, nonceHigh);
    const life = { low: calls.detail(0), high: calls.detail(1) };
    // It has not come so far as to say its nonce, or has left.
    return isSameLife(life, ANYBODY) ? { low: nonceLow, high: nonceHigh } : life;
  };

  #tell(lost: AgentLost): void {
    for (const { listener } of this.#listeners) {
      try {
        listener(lost);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // the listener's own affair, but not in silence
        });
      }
    }
  }
}

/** The runtime need not stay for this timer. */
function letEnd(timer: ReturnType<typeof setInterval>): void {
  const { Deno } = globalThis as { Deno?: { unrefTimer(timer: unknown): void } };
  if (Deno !== undefined) Deno.unrefTimer(timer);
  else (timer as { unref?: () => void }).unref?.();
}

/** What cannot go on without the worker ends with it. */
function losePipes(all: readonly Adoption[], agent: number): void {
  for (const adoption of all) {
    for (const pipe of adoption.pipes.splice(0)) {
      try {
        pipe.lose(agent);
      } catch (error) {
        // It has ended already, or the agent whose wrapper it is has left.
        if (!isCoheapError(error)) throw error;
      }
    }
  }
}

/** Terminates it, and answers whether its exit is told in time. */
async function exits(worker: AdoptableWorker & NodeWorker): Promise<boolean> {
  const ended = new Promise<boolean>((resolve) => onEnd(worker, () => resolve(true)));
  // What it refuses is the caller's to know.
  const stopped = Promise.resolve(worker.terminate()).then(() => ended);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, EXIT_LAST, false);
  });
  try {
    return await Promise.race([ended, late, stopped]);
  } finally {
    clearTimeout(timer);
  }
}

function isAmong(lives: readonly Life[], life: Life): boolean {
  return lives.some((one) => isSameLife(one, life));
}
