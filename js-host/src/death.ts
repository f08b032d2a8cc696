/** Workers that have ended: what they left is ended, what they had is given back. */
import { type AdoptableWorker, type Adoption, Adoptions, isNodeWorker } from "./adopt.js";
import type { Agent } from "./agent.js";
import { figures } from "./audit.js";
import { invalid } from "./check.js";

/** What came of the end of a worker. */
export interface Recovery {
  /**
   * Why nothing of the worker can run any more: Node said that it has ended ("exit"). "none": nobody can say so, as in browsers; then
   * its seats, and what they hold, stay as they are, and `stats().quarantined` counts them.
   */
  readonly proof: "exit" | "none";
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

const NOTHING: Recovery = { proof: "none", reclaimedBytes: 0, repaired: 0 };

type Life = readonly [low: number, high: number];

/**
 * The deaths of the workers that one agent adopted.
 * @internal
 */
export class Deaths {
  readonly adoptions: Adoptions = new Adoptions((all) => this.#ended(all));
  readonly #agent: Agent;
  readonly #listeners = new Set<{ readonly listener: (lost: AgentLost) => void }>();
  readonly #lost = new WeakMap<Adoption, AgentLost>();

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  listen(listener: (lost: AgentLost) => void): Disposable {
    const entry = { listener };
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  async terminate(worker: AdoptableWorker): Promise<Recovery> {
    const all = this.adoptions.of(worker);
    if (all === undefined) throw invalid("worker", "a worker that this heap has adopted", worker);
    if (!isNodeWorker(worker)) {
      // It may run on for seconds: not in the heap.
      const { calls } = this.#agent;
      for (const [low, high] of this.#lives(all)) calls.run(calls.wasm.coheap_condemn, low, high);
      worker.terminate();
      this.#tell({ agents: all.length, recovery: NOTHING });
      return NOTHING;
    }
    // Not condemned before: what it throws then would be an error of the worker's.
    if (!all[0]!.exited) await worker.terminate();
    const lost = this.#lost.get(all[0]!);
    if (lost?.error !== undefined) throw lost.error;
    return lost?.recovery ?? NOTHING;
  }

  /** Nothing of the worker runs any more. */
  #ended(all: readonly Adoption[]): void {
    // Without its seat this agent cannot; others find out by themselves.
    if (this.#agent.calls.detached) return;
    const lost = this.#reap(all);
    for (const adoption of all) this.#lost.set(adoption, lost);
    if (lost.agents > 0 || lost.error !== undefined) this.#tell(lost);
  }

  #reap(all: readonly Adoption[]): AgentLost {
    const { calls } = this.#agent;
    let [agents, repaired, reclaimedBytes] = [0, 0, 0];
    let error: unknown;
    try {
      const before = figures(this.#agent).liveBytes;
      for (const [low, high] of this.#lives(all)) {
        while (calls.count(calls.status(calls.wasm.coheap_reap, low, high)) > 0) {
          agents++;
          repaired += calls.detail(0);
        }
      }
      reclaimedBytes = Math.max(0, before - figures(this.#agent).liveBytes);
    } catch (thrown) {
      error = thrown;
    }
    const recovery: Recovery = { proof: "exit", reclaimedBytes, repaired };
    return error === undefined ? { agents, recovery } : { agents, recovery, error };
  }

  /** The lives of the agents that attached with these tokens: one, unless the worker has several copies of the globals. */
  #lives(all: readonly Adoption[]): Iterable<Life> {
    const { calls } = this.#agent;
    const lives = new Map<string, Life>();
    for (const { nonceLow, nonceHigh } of all) {
      calls.run(calls.wasm.coheap_life, nonceLow, nonceHigh);
      let life: Life = [calls.detail(0), calls.detail(1)];
      // It has not come so far as to say its nonce, or has left.
      if (life[0] === 0 && life[1] === 0) life = [nonceLow, nonceHigh];
      lives.set(`${life}`, life);
    }
    return lives.values();
  }

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
