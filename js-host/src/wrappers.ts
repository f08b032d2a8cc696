/** One wrapper for each object that an agent has a reference to, and what becomes of the reference when the wrapper is collected. */
import type { Agent } from "./agent.js";
import { ERRORS } from "./generated.js";
import type { Place, SharedResource } from "./resource.js";

/** What the garbage collector hands over when a wrapper is gone. */
interface Collected {
  readonly index: number;
  readonly generation: number;
  readonly wrapper: WeakRef<SharedResource>;
}

/** The wrappers of one agent. Keeps none of them alive. */
export class Wrappers {
  /** How many were found by the garbage collector. */
  finalized = 0;
  readonly #agent: Agent;
  readonly #known = new Map<number, WeakRef<SharedResource>>();
  /** References of collected wrappers that could not be given back yet. */
  #owed: { index: number; generation: number }[] = [];
  /** Its own, so that it goes with the heap: one for all heaps would keep their memories until it has run. */
  readonly #registry = new FinalizationRegistry<Collected>((collected) => this.#collected(collected));

  constructor(agent: Agent) {
    this.#agent = agent;
  }

  /** The living wrapper of an object. */
  find(index: number, generation: number): SharedResource | undefined {
    const wrapper = this.#known.get(index)?.deref();
    // A dispose that an exception left may have given the reference back, and another object have the index by now.
    return wrapper?.handle.generation === generation ? wrapper : undefined;
  }

  /** A new wrapper, which answers for the agent's reference; if it cannot be made, the reference is given back. */
  wrap<T extends SharedResource>(type: number, index: number, generation: number, make: (place: Place) => T): T {
    try {
      const resource = make({ agent: this.#agent, wrappers: this, type, index, generation });
      this.#add(resource, index, generation);
      return resource;
    } catch (error) {
      this.release(index, generation);
      throw error;
    }
  }

  /** From here on, `resource` answers for the agent's reference. */
  #add(resource: SharedResource, index: number, generation: number): void {
    const wrapper = new WeakRef(resource);
    this.#registry.register(resource, { index, generation, wrapper }, wrapper);
    this.#known.set(index, wrapper);
    if (this.#owed.length > 0) this.#payOwed();
  }

  /** `resource` has given its reference back, or away. */
  forget(index: number): void {
    const wrapper = this.#known.get(index);
    if (wrapper !== undefined) this.#registry.unregister(wrapper);
    this.#known.delete(index);
  }

  /** Gives the agent's reference back. Throws only what left wasm as an exception; answers the status. */
  release(index: number, generation: number): number {
    const { calls } = this.#agent;
    if (calls.detached) return 0; // detaching gave everything back
    const status = calls.status(calls.wasm.coheap_release, index, generation);
    return status === ERRORS.COHEAP_STALE_HANDLE.number ? 0 : status;
  }

  /** The wrapper is gone, and nobody disposed of it. */
  #collected({ index, generation, wrapper }: Collected): void {
    // The object may have been opened again meanwhile: then its new wrapper answers for the same reference.
    if (this.#known.get(index) !== wrapper) return;
    this.#known.delete(index);
    this.finalized++;
    this.#owed.push({ index, generation });
    this.#payOwed();
  }

  #payOwed(): void {
    this.#owed = this.#owed.filter(({ index, generation }) => {
      if (this.#known.has(index)) return false;
      try {
        return this.release(index, generation) !== 0;
      } catch {
        return true; // at the end of the stack: the next wrapper tries again
      }
    });
  }
}
