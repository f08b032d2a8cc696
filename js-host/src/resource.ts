/** What all wrappers of objects in the heap have in common. */
import type { Agent } from "./agent.js";
import { Calls } from "./calls.js";
import { ERRORS } from "./generated.js";
import type { Handle } from "./handle.js";

/**
 * Where an object lies, and whether its wrapper answers for its life.
 * @internal
 */
export interface Place {
  readonly agent: Agent;
  readonly type: number;
  readonly index: number;
  readonly generation: number;
  /** Anonymous objects belong to the wrapper that made them; names and handles only borrow. */
  readonly owned: boolean;
}

/** An object of the heap, as this agent sees it. */
export abstract class SharedResource {
  readonly #place: Place;
  #calls: Calls;

  /** @internal */
  constructor(place: Place) {
    this.#place = place;
    this.#calls = place.agent.calls;
  }

  /** Plain data that names this object: send it to another agent, which opens it. Never throws. */
  get handle(): Handle<this> {
    const { agent, index, generation } = this.#place;
    return { coheap: agent.token.heap, index, generation };
  }

  /** Whether `dispose` has ended this wrapper. */
  get disposed(): boolean {
    return this.#calls === Calls.disposed;
  }

  /**
   * Ends this wrapper: its later calls throw COHEAP_DISPOSED. An object without a name, disposed through the wrapper that made it,
   * is destroyed at once, and every other agent's calls on it throw COHEAP_STALE_HANDLE. A named object stays until `heap.remove(name)`.
   * Never blocks. Calling it again does nothing, unless it threw (COHEAP_BUSY, or a RangeError at the end of the stack): then the wrapper is
   * as it was, and calling it again is how the object is destroyed.
   */
  dispose(): void {
    if (this.disposed) return;
    const { type, index, generation, owned } = this.#place;
    const calls = this.#calls;
    if (owned && !calls.detached) {
      const status = calls.status(calls.wasm.coheap_release, index, generation, type);
      if (status !== 0 && status !== ERRORS.COHEAP_STALE_HANDLE.number) throw calls.failure(status);
    }
    this.#calls = Calls.disposed;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The handle, so that a wrapper can stand in data that goes through JSON. */
  toJSON(): Handle<this> {
    return this.handle;
  }

  /** @internal */
  protected get calls(): Calls {
    return this.#calls;
  }

  /** @internal */
  protected get place(): Place {
    return this.#place;
  }
}
