/** What all wrappers of objects in the heap have in common. */
import type { Agent } from "./agent.js";
import { Calls } from "./calls.js";
import { invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import type { Handle } from "./handle.js";
import { inspectAs, inspectCustom } from "./inspect.js";
import { type Shown, shown } from "./shown.js";
import type { Wrappers } from "./wrappers.js";

/**
 * Where an object lies, and who answers for this agent's reference to it.
 * @internal
 */
export interface Place {
  readonly agent: Agent;
  readonly wrappers: Wrappers;
  readonly type: number;
  readonly index: number;
  readonly generation: number;
}

/**
 * Objects that were met on the way, and what they became.
 * @internal
 */
export type Seen = Map<SharedResource, unknown>;

/**
 * Plain data for JavaScript, or for JSON.
 * @internal
 */
export type PlainForm = "js" | "json";

/** No function can be cloned: so `postMessage` of a wrapper throws a DataCloneError, whose message is the text of this one. */
function send_its_handle_or_what_its_move_answers() {}

/**
 * An object of the heap, as this agent sees it. There is one wrapper for each object and agent. While it is there, the object is:
 * `dispose`, the garbage collector and `heap.detach` give its reference back, and with the last reference of all agents the object
 * is destroyed, unless it has a name.
 */
export abstract class SharedResource {
  /** @internal */
  readonly cannotBeCloned: () => void = send_its_handle_or_what_its_move_answers;
  readonly #place: Place;
  #calls: Calls;

  /** @internal */
  constructor(place: Place) {
    this.#place = place;
    this.#calls = place.agent.calls;
  }

  /** Plain data that names this object: send it to another agent, which opens it. Does not keep the object alive. Never throws. */
  get handle(): Handle<this> {
    const { agent, index, generation } = this.#place;
    return { coheap: agent.token.heap, index, generation };
  }

  /** Whether `dispose` has ended this wrapper. */
  get disposed(): boolean {
    return this.#calls === Calls.disposed;
  }

  /**
   * Ends this wrapper: its later calls throw COHEAP_DISPOSED. The object is destroyed with the last wrapper of all agents, if it has no
   * name; then calls with its handle throw COHEAP_STALE_HANDLE. Never blocks. Calling it again does nothing, unless it threw: then that is how
   * the wrapper is disposed of. After COHEAP_BUSY it is as it was; after a RangeError at the end of the stack its reference may have been
   * given back already, and its other calls throw COHEAP_STALE_HANDLE if that was the last one.
   */
  dispose(): void {
    if (this.disposed) return;
    const { wrappers, index, generation } = this.#place;
    const status = wrappers.release(index, generation);
    if (status !== 0) throw this.#calls.failure(status);
    this.#end();
  }

  /**
   * Gives this agent's reference away and ends this wrapper: the object stays until somebody opens the handle that this answers, and that
   * agent has the reference then. Opened by nobody, it stays for ever. Throws what `dispose` throws, COHEAP_DISPOSED and COHEAP_DETACHED.
   */
  move(): Handle<this> {
    const { handle } = this;
    const { index, generation } = this.#place;
    const calls = this.#calls;
    calls.run(calls.wasm.coheap_move, index, generation);
    this.#end();
    return handle;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What `JSON.stringify` takes: the contents as plain data, or the handle of what has none. Throws what a read throws. */
  toJSON(): unknown {
    return this.handle;
  }

  /** @internal */
  [inspectCustom](depth: unknown, options: unknown, inspect: unknown): string {
    const name = this.constructor.name;
    return inspectAs(this, name, () => this[shown], depth, options, inspect);
  }

  /**
   * What consoles show. May throw what a read throws.
   * @internal
   */
  abstract get [shown](): Shown;

  /**
   * Where this object is, for `agent`, which is about to put it into a structure.
   * @internal
   */
  placeFor(agent: Agent, argument: string = "value"): Place {
    const place = this.#place;
    this.#calls.checkUsable();
    const [expected, found] = [agent.token.heap, place.agent.token.heap];
    if (found !== expected) throw new CoheapError("COHEAP_FOREIGN_HANDLE", { expected, found });
    if (place.agent !== agent)
      throw invalid(argument, "of a structure that the agent whose map this is has opened", this);
    return place;
  }

  /**
   * The contents as plain data, in which each object stands once. What has none is its handle.
   * @internal
   */
  plain(_seen: Seen, _form: PlainForm): unknown {
    return this.handle;
  }

  #end(): void {
    this.#place.wrappers.forget(this, this.#place.index);
    this.#calls = Calls.disposed; // last: what is thrown before it leaves a wrapper that can be disposed of again
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
