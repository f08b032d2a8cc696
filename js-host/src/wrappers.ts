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
  /** Its own, so that it goes with the heap: one for all heaps would keep their memories until it has run. */
  readonly #registry = new FinalizationRegistry<Collected>((collected) => this.#collected(collected));

  readonly #make: (place: Place) => SharedResource;

  /** `make` makes the wrapper of what is at a place. */
  constructor(agent: Agent, make: (place: Place) => SharedResource) {
    this.#agent = agent;
    this.#make = make;
    agent.calls.loans.giveBack = (index, generation) =>
      this.find(index, generation) !== undefined || this.release(index, generation) === 0;
  }

  /** The living wrapper of an object. */
  find(index: number, generation: number): SharedResource | undefined {
    const wrapper = this.#known.get(index)?.deref();
    // A dispose that an exception left may have given the reference back, and another object have the index by now.
    return wrapper?.handle.generation === generation ? wrapper : undefined;
  }

  /** The wrapper of an object that is in a structure: the living one, or a new one. COHEAP_STALE_HANDLE if it has ended since. */
  open(index: number, generation: number): SharedResource {
    return this.find(index, generation) ?? this.acquire(index, generation);
  }

  /** As `open`, and takes the reference that may have been moved to this agent. */
  acquire(index: number, generation: number): SharedResource {
    const { calls } = this.#agent;
    const loan = calls.loans.add(index, generation, true);
    try {
      calls.run(calls.wasm.coheap_acquire, index, generation);
      return this.wrap(calls.detail(0), index, generation);
    } finally {
      loan.used = false;
      calls.settle();
    }
  }

  /** The wrapper of an object that this agent has a reference to, which must pass `check`: the one there is, or a new one. */
  wrap(type: number, index: number, generation: number, check?: (resource: SharedResource) => void): SharedResource {
    const known = this.find(index, generation);
    if (known !== undefined) {
      this.#agent.calls.kept();
      check?.(known);
      return known;
    }
    return this.wrapNew(type, index, generation, check);
  }

  /** A new wrapper, which answers for the reference that the agent has just been given; if it cannot be made, the reference goes back. */
  wrapNew(type: number, index: number, generation: number, check?: (resource: SharedResource) => void): SharedResource {
    const { calls } = this.#agent;
    try {
      const resource = this.#make({ agent: this.#agent, wrappers: this, type, index, generation });
      check?.(resource);
      this.#add(resource, index, generation);
      calls.kept();
      return resource;
    } finally {
      calls.settle();
    }
  }

  /** From here on, `resource` answers for the agent's reference. */
  #add(resource: SharedResource, index: number, generation: number): void {
    const wrapper = new WeakRef(resource);
    this.#registry.register(resource, { index, generation, wrapper }, wrapper);
    this.#known.set(index, wrapper);
  }

  /** `resource` has given its reference back, or away. */
  forget(resource: SharedResource, index: number): void {
    const wrapper = this.#known.get(index);
    // Another object may have the index by now, see `find`.
    if (wrapper?.deref() !== resource) return;
    this.#known.delete(index); // first: what is registered and not known counts for nothing
    this.#registry.unregister(wrapper);
    this.#agent.calls.settle();
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
    const { loans } = this.#agent.calls;
    loans.add(index, generation, false);
    loans.pay();
  }
}
