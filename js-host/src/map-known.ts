/** What an agent remembers of a map: where it found values, for as long as the map leaves them there. */
import type { Calls } from "./calls.js";
import type { Place } from "./resource.js";
import type { Key, Value } from "./value.js";
import { type Values, wordOf } from "./values.js";
import type { HeapExports } from "./wasm.js";

/** Bytes of an answer that say where a value was found, before its record. */
export const LOCATED = 32;
/** So many keys are remembered. */
const MOST = 4096;
/** Units of a text that is remembered, at most. */
const LONGEST = 512;

/** What stands for the value of a key that was never read, and of one whose value is not there any more. */
export const UNKNOWN: unique symbol = Symbol("unknown");
export const MOVED: unique symbol = Symbol("moved");

/** A state of the map, in which places stay what they are. Integers as wasm takes them, with a sign. */
interface State {
  readonly era: number;
  readonly headLow: number;
  readonly headHigh: number;
}

/** Where a key's value was found, and which it was. */
interface Known {
  readonly state: State;
  readonly entry: number;
  value: Value;
  low: number;
  middle: number;
  high: number;
}

/** What one agent has found in one map: all that it does there again needs no search, and hands over no text. @internal */
export class KnownEntries<K extends Key> {
  readonly #index: number;
  readonly #generation: number;
  readonly #values: Values;
  // Called at places of their own, which engines make faster.
  readonly #numberAt: HeapExports["coheap_map_number_at"];
  readonly #isSameAt: HeapExports["coheap_map_is_same_at"];
  readonly #setAt: HeapExports["coheap_map_set_at"];
  readonly #addAt: HeapExports["coheap_map_add_at"];
  /** By key; to be believed in the present state alone. */
  readonly #entries = new Map<K, Known>();
  #state: State = { era: -1, headLow: 0, headHigh: 0 };

  constructor(place: Place, values: Values) {
    const { wasm } = place.agent.calls;
    this.#index = place.index;
    this.#generation = place.generation;
    this.#values = values;
    this.#numberAt = wasm.coheap_map_number_at;
    this.#isSameAt = wasm.coheap_map_is_same_at;
    this.#setAt = wasm.coheap_map_set_at;
    this.#addAt = wasm.coheap_map_add_at;
  }

  /** The value of a key, if it still has the one that was found. */
  get(key: K, calls: Calls): Value | typeof UNKNOWN | typeof MOVED {
    const known = this.#entries.get(key);
    if (known === undefined) return UNKNOWN;
    if (known.state !== this.#state) return MOVED;
    const { value, entry } = known;
    const { era, headLow, headHigh } = known.state;
    if (typeof value === "number") {
      const numberAt = this.#numberAt;
      let found: number;
      calls.enter();
      try {
        found = numberAt(this.#index, this.#generation, entry, era, headLow, headHigh);
      } catch (error) {
        throw calls.abort(error);
      }
      calls.leave();
      return Number.isNaN(found) ? MOVED : found;
    }
    const isSameAt = this.#isSameAt;
    const { low, middle, high } = known;
    let same: number;
    calls.enter();
    try {
      same = isSameAt(this.#index, this.#generation, entry, era, headLow, headHigh, low, middle, high);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    return same === 1 ? value : MOVED;
  }

  /** Gives a key a value that a word holds, if both are such; whether it did. */
  set(key: K, value: Value, calls: Calls): boolean {
    const known = this.#entries.get(key);
    if (known === undefined || known.state !== this.#state) return false;
    const values = this.#values;
    if (!values.encodeWord(value, calls)) return false;
    const { kind, number } = values;
    const { era, headLow, headHigh } = known.state;
    const setAt = this.#setAt;
    let done: number;
    calls.enter();
    try {
      done = setAt(this.#index, this.#generation, known.entry, era, headLow, headHigh, kind, number);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (done !== 1) return false;
    known.value = value;
    if (typeof value !== "number") [known.low, known.middle, known.high] = wordOf(kind, number);
    return true;
  }

  /** Adds to the number of a key and answers the sum; NaN if that has to be searched for. */
  add(key: K, delta: number, calls: Calls): number {
    const known = this.#entries.get(key);
    if (known === undefined || known.state !== this.#state) return Number.NaN;
    const { era, headLow, headHigh } = known.state;
    const addAt = this.#addAt;
    let sum: number;
    calls.enter();
    try {
      sum = addAt(this.#index, this.#generation, known.entry, era, headLow, headHigh, delta);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    return sum;
  }

  /** Where an answer at `at` of the transfer buffer says that it found the value; undefined if there is none. */
  located(at: number): Known | undefined {
    const values = this.#values;
    const entry = values.halfAt(at) | 0;
    if (entry === 0) return undefined;
    const [headLow, headHigh] = [values.halfAt(at + 16) | 0, values.halfAt(at + 20) | 0];
    const era = values.numberAt(at + 24);
    const state = this.#state;
    if (era !== state.era || headLow !== state.headLow || headHigh !== state.headHigh) {
      this.#state = { era, headLow, headHigh };
    }
    const [low, middle, high] = [values.halfAt(at + 4) | 0, values.halfAt(at + 8) | 0, values.halfAt(at + 12) | 0];
    return { state: this.#state, entry, value: undefined, low, middle, high };
  }

  /** Remembers the value that was found there, unless it is long, or has to be another object each time. */
  learn(key: K, known: Known | undefined, value: Value): void {
    const isLearned = known !== undefined && (typeof value !== "object" || value === null);
    if (!isLearned || isLong(key) || isLong(value) || typeof value === "bigint") {
      this.#entries.delete(key);
      return;
    }
    known.value = value;
    if (this.#entries.size >= MOST) this.#entries.clear();
    this.#entries.set(key, known);
  }
}

/** Whether it is too long to be remembered. */
export function isLong(part: Value): boolean {
  return typeof part === "string" && part.length > LONGEST;
}
