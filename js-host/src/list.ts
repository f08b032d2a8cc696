/** A list of values, for every agent. */

import { checkInteger, checkIterable, invalid } from "./check.js";
import { ENDED, Opening } from "./opening.js";
import type { Js } from "./plain.js";
import { type Place, type PlainForm, type Seen, SharedResource } from "./resource.js";
import { LARGEST_SHOWN, type Shown, shown } from "./shown.js";
import type { Staged } from "./staging.js";
import { BYTES } from "./types.js";
import { checkValue, roomOf, type Value } from "./value.js";
import { CROSSING, RECORD, type Values, valuesOf } from "./values.js";

/** Values that cross together at most, as in wasm. */
const MOST = 64;
/** Where a batch of values begins in the transfer buffer: behind the next place, and how much the first value needs. */
const BATCH = 16;
/** Where a value is put behind all others. */
const PUSH = -1;
/** Details of an edit: where it was, and the region with a value that is too long. */
const PLACE = 0;
const REGION = 1;
const REGION_GENERATION = 2;

/**
 * A list in the heap, with the names and semantics of `Array`: values are what a cell holds and other structures, which live as long as a list
 * has them, or anybody else. Each call is one step for all agents, unless it says otherwise, and never blocks; if the caller dies in it, the list
 * is the old one or the new one. `at`, `set` and `push` take the same time however long the list is; calls that take values out or
 * put them between others copy a table of 16 bytes for each 1,024 values, and for each place where that was done before.
 *
 * Every call throws COHEAP_STALE_HANDLE once the list was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`, COHEAP_INVALID_ARGUMENT for a place that is no whole number; those that take values COHEAP_UNSUPPORTED_VALUE for another object,
 * a function or a symbol; those that change it COHEAP_OUT_OF_MEMORY if there is no room (also `pop` and `clear`, which need a little: `set` to a number needs
 * none); those that take a structure, or open one,
 * COHEAP_TOO_MANY_REFERENCES for one that has 65,535 already. What throws has changed nothing, unless it has several steps.
 */
export class SharedList<V extends Value = Value> extends SharedResource implements Iterable<V> {
  readonly #index: number;
  readonly #generation: number;
  readonly #values: Values;
  /** How often this agent changed the list: iterators have read ahead. */
  #changes = 0;
  readonly #opening = new Opening();

  /** @internal */
  constructor(place: Place) {
    super(place);
    this.#index = place.index;
    this.#generation = place.generation;
    this.#values = valuesOf(place.agent);
  }

  /** How many values there are. */
  get length(): number {
    const { calls } = this;
    return calls.count(calls.status(calls.wasm.coheap_list_get, this.#index, this.#generation, Infinity));
  }

  /** The value at a place, counted from the end if it is below 0; undefined if there are not so many. Bytes as a private copy. */
  at(index: number): V | undefined {
    const { calls } = this;
    const place = checkPlace("index", index);
    if (place === Infinity) return undefined;
    const { coheap_list_get } = calls.wasm;
    let found: number;
    calls.enter();
    try {
      found = coheap_list_get(this.#index, this.#generation, place);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    // What is no number is NaN.
    if (!Number.isNaN(found)) return found as V;
    return this.batch(place, 1).items[0] as V | undefined;
  }

  /** Gives the value at a place another one. COHEAP_OUT_OF_RANGE if there are not so many. Bytes are copied. */
  set(index: number, value: V): void {
    this.#put(checkInteger("index", index, 0, Number.MAX_SAFE_INTEGER), [checkValue(value)]);
  }

  /**
   * Puts values behind all others, in their order, and answers how many there are then: each is a step of its own, up to 64, of at most 24 KiB
   * together, in one crossing. If memory runs out, or the caller dies, those before are there.
   */
  push(...values: V[]): number {
    return this.pushAll(values.map(checkValue));
  }

  /** As `push`, for more values than a call can have arguments. Nothing is pushed if one of them is none. */
  pushMany(values: Iterable<V>): number {
    return this.pushAll(Array.from(checkIterable("values", values), checkValue));
  }

  /** Takes the last value out; undefined if there is none. A structure is opened. */
  pop(): V | undefined {
    return this.#edit(-1, 1, [])[0];
  }

  /** As `splice(index, 0, ...values)`. */
  insert(index: number, ...values: V[]): void {
    this.#edit(checkPlace("index", index), 0, values.map(checkValue));
  }

  /**
   * Takes `deleteCount` values out from `start` on (all that follow, without it), which is counted from the end if it is below 0, puts others
   * in their place, and answers what was taken out. One step for up to 64 values, of at most 24 KiB together, that come in, and as many that
   * go; what is more, and each structure that goes, is a step of its own.
   */
  splice(start: number, ...rest: [deleteCount?: number, ...values: V[]]): V[] {
    const from = checkPlace("start", start);
    const [deleteCount = rest.length === 0 ? Infinity : 0, ...values] = rest;
    const count = Math.max(0, checkPlace("deleteCount", deleteCount));
    return this.#edit(from, count, (values as V[]).map(checkValue));
  }

  /** Takes every value out, in one step. */
  clear(): void {
    const { calls } = this;
    this.#changes++;
    calls.count(
      calls.statusOf(calls.wasm.coheap_list_splice, this.#index, this.#generation, 0, Number.MAX_SAFE_INTEGER, 0),
    );
  }

  /** The values from a place to the one before another, both counted from the end if they are below 0: as `values` has them. O(values). */
  slice(start?: number, end?: number): V[] {
    const length = this.length;
    const place = (argument: string, given: number | undefined, absent: number) => {
      const index = given === undefined ? absent : checkPlace(argument, given);
      return Math.min(Math.max(index < 0 ? index + length : index, 0), length);
    };
    const [from, to] = [place("start", start, 0), place("end", end, length)];
    const found: V[] = [];
    while (from + found.length < to) {
      const { items } = this.batch(from + found.length, to - from - found.length);
      if (items.length === 0) break;
      for (const item of items) found.push(item as V);
    }
    return found;
  }

  /**
   * The values, in their order, up to 64, or 28 KiB of them, in one crossing: each is read as `at` would have, so what stays at its
   * place is seen exactly once. What this agent changes meanwhile is seen at once, as by an `Array`'s.
   */
  *values(): IterableIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** Places and values, as `values` has them. */
  *entries(): IterableIterator<[number, V]> {
    let items: readonly Value[] = [];
    let [first, changes] = [0, -1];
    for (let index = 0, limit = MOST; ; index++) {
      if (changes !== this.#changes || index - first === items.length) {
        // Who changes the list at each step reads each value but once.
        if (changes !== this.#changes) limit = changes < 0 ? MOST : 1;
        changes = this.#changes;
        items = this.batch(index, limit).items;
        limit = Math.min(2 * limit, MOST);
        first = index;
        if (items.length === 0) return;
      }
      yield [index, items[index - first] as V];
    }
  }

  [Symbol.iterator](): IterableIterator<V> {
    return this.values();
  }

  /** Calls `callback` with each value, as `values` has them. */
  forEach(callback: (value: V, index: number, list: this) => void, self?: unknown): void {
    if (typeof callback !== "function") throw invalid("callback", "a function", callback);
    for (const [index, value] of this.entries()) callback.call(self, value, index, this);
  }

  /** An array of the values, as `values` has them: a private copy, also of the structures in it. O(size of all). */
  toJS(): Js<V>[] {
    return this.plain(new Map(), "js") as Js<V>[];
  }

  /** An array of the values, for `JSON.stringify`. What names the list is its `handle`. O(size of all). */
  override toJSON(): unknown[] {
    return this.plain(new Map(), "json");
  }

  /** @internal */
  override plain(seen: Seen, form: PlainForm): unknown[] {
    const copy: unknown[] = [];
    seen.set(this, copy); // before its values: it may be one of them
    for (const value of this) {
      const isSeen = value instanceof SharedResource && seen.has(value);
      if (isSeen) copy.push(seen.get(value));
      else copy.push(value instanceof SharedResource ? value.plain(seen, form) : value);
    }
    return copy;
  }

  get [Symbol.toStringTag](): string {
    return "SharedList";
  }

  /** @internal */
  override get [shown](): Shown {
    return { size: this.length, isArray: true, contents: () => this.slice(0, LARGEST_SHOWN) };
  }

  /**
   * Pushes values that were checked.
   * @internal
   */
  pushAll(values: readonly Value[]): number {
    return values.length === 0 ? this.length : this.#put(PUSH, values);
  }

  /** Pushes values, or sets the one at a place. */
  #put(place: number, given: readonly Value[]): number {
    const { calls } = this;
    const { coheap_list_put } = calls.wasm;
    const [index, generation] = [this.#index, this.#generation];
    this.#changes++;
    const [first] = given;
    if (given.length === 1 && typeof first === "number") {
      return calls.count(calls.statusOf(coheap_list_put, index, generation, place, 0, first));
    }
    let length = 0;
    for (let done = 0; done < given.length; ) {
      const [count, , staged] = this.#write(given, done);
      try {
        length = calls.count(calls.status(coheap_list_put, index, generation, place, count));
        done += count;
      } finally {
        this.#values.unstage(staged, calls);
      }
    }
    return length;
  }

  /**
   * The values from a place on, `limit` at most; none at the end.
   * @internal
   */
  batch(from: number, limit: number): { readonly items: readonly Value[] } {
    const { calls } = this;
    const values = this.#values;
    let most = Math.min(limit, MOST);
    // Another round: a structure had ended, and the list has another value in its place.
    for (;;) {
      calls.beginTurn(); // what is answered stands in the transfer buffer
      const { coheap_list_values } = calls.wasm;
      const count = calls.count(calls.statusOf(coheap_list_values, this.#index, this.#generation, from, most, 0));
      const needed = values.numberAt(8);
      if (count === 0) return { items: needed > 0 ? this.#long(from, needed) : [] };
      const items = this.#opening.open(() => values.valuesAt(BATCH, count, calls, this.place.wrappers));
      if (items !== ENDED) return { items };
      most = 1; // many at once may never be there together
    }
  }

  /** The value at a place that is too long for the transfer buffer. */
  #long(from: number, room: number): readonly Value[] {
    const { calls } = this;
    const values = this.#values;
    const { coheap_open, coheap_list_values } = calls.wasm;
    calls.make(coheap_open, BYTES, 0, room);
    const region = calls.take();
    try {
      calls.beginTurn();
      const { index, generation } = region;
      const count = calls.statusOf(coheap_list_values, this.#index, this.#generation, from, 1, index, generation);
      if (calls.count(count) === 0) {
        values.checkGrown(room);
        return this.batch(from, 1).items;
      }
      const items = this.#opening.open(() => [values.valueOf(region, 0, calls, this.place.wrappers)[0]]);
      return items === ENDED ? this.batch(from, 1).items : items;
    } finally {
      region.used = false;
      calls.settle();
    }
  }

  /** Writes the records of as many values as cross together: how many, where they end, and the region that a long one is in. */
  #write(given: readonly Value[], from: number): [count: number, end: number, staged: Staged | undefined] {
    const { calls, place } = this;
    const values = this.#values;
    for (let i = from; i < given.length && i < from + MOST; i++) {
      const value = given[i];
      if (value instanceof SharedResource) value.placeFor(place.agent);
    }
    let [end, count] = [0, 0];
    let staged: Staged | undefined;
    if (from < given.length && RECORD + roomOf(given[from]) > CROSSING) {
      staged = values.stageValue(given[from], calls);
      values.beginRecords(calls);
      end = values.writeValue(given[from], 0, calls, staged);
      return [1, end, staged];
    }
    values.beginRecords(calls);
    while (count < MOST && from + count < given.length && end + RECORD + roomOf(given[from + count]) <= CROSSING) {
      end = values.writeValue(given[from + count], end, calls);
      count++;
    }
    return [count, end, staged];
  }

  /** Takes values out and puts others in their place, in as many steps as that needs. */
  #edit(start: number, remove: number, given: readonly Value[]): V[] {
    const { calls } = this;
    const { coheap_list_splice } = calls.wasm;
    const removed: V[] = [];
    let [from, left, done] = [start, remove, 0];
    do {
      const [count, end, staged] = this.#write(given, done);
      let taken: number;
      const at = Math.max(end, RECORD);
      try {
        this.#changes++;
        taken = calls.count(calls.statusOf(coheap_list_splice, this.#index, this.#generation, from, left, count, at));
      } finally {
        this.#values.unstage(staged, calls);
      }
      from = calls.detail(PLACE) + count;
      done += count;
      left = taken === 0 ? 0 : left - taken;
      if (taken > 0) for (const value of this.#taken(at, taken)) removed.push(value as V);
    } while (done < given.length || left > 0);
    return removed;
  }

  /** What the last edit took out: this agent has a reference to a structure, or to the region with what is long, that nobody answers for yet. */
  #taken(at: number, count: number): readonly Value[] {
    const { calls } = this;
    const values = this.#values;
    const { wrappers } = this.place;
    const [index, generation] = [calls.detail(REGION), calls.detail(REGION_GENERATION)];
    const isStructure = index === 0 && values.isReferenceAt(at);
    if (index === 0 && !isStructure) return values.valuesAt(at, count, calls, wrappers);
    const loan = isStructure
      ? calls.loans.add(values.halfAt(at + RECORD), values.halfAt(at + RECORD + 4), true)
      : calls.loans.add(index, generation, true);
    try {
      if (isStructure) return [wrappers.open(loan.index, loan.generation)];
      const found: Value[] = [];
      for (let from = 0; found.length < count; ) {
        const [value, end] = values.valueOf(loan, from, calls, wrappers);
        found.push(value);
        from = end;
      }
      return found;
    } finally {
      loan.used = false;
      calls.settle();
    }
  }
}

/** A place as `Array` takes it: cut to a whole number; an infinity is one. */
function checkPlace(argument: string, value: unknown): number {
  if (typeof value !== "number" || Number.isNaN(value)) throw invalid(argument, "a whole number", value);
  return Math.trunc(value);
}
