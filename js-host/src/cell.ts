/** A named number that every agent reads and writes. */

import type { Calls } from "./calls.js";
import { checkMilliseconds, checkNumber, checkOptions, invalid } from "./check.js";
import { type Place, SharedResource } from "./resource.js";
import { type Outcome, waitForChange } from "./wait.js";

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds; for ever when absent. */
  readonly timeout?: number;
  /** Ends the wait: its promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * One number in the heap. Each call is atomic, costs nanoseconds and never blocks; if the caller dies in it, the cell holds the old
 * number or the new one. Numbers are compared as `Object.is` does: NaN is equal to NaN, and -0 is not 0.
 *
 * Every call throws COHEAP_STALE_HANDLE once the cell was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`.
 */
export class SharedCell<V extends number = number> extends SharedResource {
  readonly #index: number;
  readonly #generation: number;

  /** @internal */
  constructor(place: Place) {
    super(place);
    this.#index = place.index;
    this.#generation = place.generation;
  }

  /** The number. Stores nothing in shared memory. */
  get(): V {
    const value = this.calls.get(this.#index, this.#generation);
    return (Number.isNaN(value) ? this.#read(this.calls) : value) as V;
  }

  /** Replaces the number. */
  set(value: V): void {
    checkNumber(value);
    const { calls } = this;
    calls.run(calls.wasm.coheap_cell_set, this.#index, this.#generation, value);
  }

  /** Adds, as one step, and answers the sum. */
  add(delta: number = 1): number {
    checkNumber(delta);
    const { calls } = this;
    calls.run(calls.wasm.coheap_cell_add, this.#index, this.#generation, delta);
    return calls.detail(0);
  }

  /** Replaces the number if it is `expected`, as one step. Answers whether it did. */
  compareAndSet(expected: V, value: V): boolean {
    checkNumber(expected);
    checkNumber(value);
    const { calls } = this;
    calls.run(calls.wasm.coheap_cell_compare_and_set, this.#index, this.#generation, expected, value);
    return calls.detail(0) === 1;
  }

  /**
   * Waits until the number is not `old` any more: "changed", at once if it differs already, or "timed-out". Blocks nobody.
   * A number that changes and changes back may go unnoticed. While the promise is pending, Node stays alive.
   * Rejects with COHEAP_STALE_HANDLE when the cell is destroyed meanwhile, with COHEAP_DETACHED when the heap is detached.
   */
  async waitAsync(old: V, options?: WaitOptions): Promise<Outcome> {
    checkNumber(old);
    const { timeout, signal } = checkOptions(options, ["timeout", "signal"]);
    const milliseconds = checkMilliseconds("timeout", timeout);
    if (signal !== undefined && !isSignal(signal)) throw invalid("signal", "an AbortSignal", signal);
    const { calls } = this;
    const watch = () => {
      calls.run(calls.wasm.coheap_cell_watch, this.#index, this.#generation, old);
      const address = calls.detail(0);
      return address === 0 ? undefined : { address, expected: calls.detail(1) };
    };
    return await waitForChange(this.place.agent, watch, milliseconds, signal);
  }

  /** The careful read: tells a NaN in the cell from a failure. */
  #read(calls: Calls): number {
    calls.run(calls.wasm.coheap_cell_read, this.#index, this.#generation);
    return calls.detail(0);
  }
}

/** A cell as an agent sees it that may block. */
export class BlockingCell<V extends number = number> extends SharedCell<V> {
  /**
   * Blocks this agent until the number is not `old` any more: "changed", at once if it differs already, or "timed-out".
   * @param timeoutMs milliseconds; for ever when absent.
   */
  waitSync(old: V, timeoutMs?: number): Outcome {
    checkNumber(old);
    const milliseconds = checkMilliseconds("timeoutMs", timeoutMs);
    const { calls, place } = this;
    calls.run(calls.wasm.coheap_cell_wait, place.index, place.generation, old, milliseconds);
    return calls.detail(0) === 0 ? "changed" : "timed-out";
  }
}

function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as AbortSignal).aborted === "boolean" &&
    typeof (value as AbortSignal).addEventListener === "function" &&
    typeof (value as AbortSignal).removeEventListener === "function"
  );
}
