/** A map from strings and numbers to values, for every agent. */

import { Additions } from "./additions.js";
import type { Calls } from "./calls.js";
import { checkIterable, checkKey, checkNumber, checkOptions, invalid } from "./check.js";
import { SharedLease } from "./lease.js";
import { type Batch, MapCrossing, pairs } from "./map-crossing.js";
import { ENTRIES, KEYS, SharedMapIterator, VALUES } from "./map-iterator.js";
import { isLong, type Known, LOCATED, learn } from "./map-known.js";
import { ENDED, Opening } from "./opening.js";
import type { Js } from "./plain.js";
import { type Place, type PlainForm, type Seen, SharedResource } from "./resource.js";
import { LARGEST_SHOWN, type Shown, shown } from "./shown.js";
import type { Staged } from "./staging.js";
import type { Key, Value } from "./value.js";
import { ABSENT, type Values, valuesOf, wordOf } from "./values.js";
import type { HeapExports } from "./wasm.js";

/** The detail with the status of an addition whose sum is NaN. */
const ADDED = 3;
/** Room for a value where a key and another value cross with it. */
const THIRD = 7 * 1024;

/** What stands where a call takes a loan of a pipe. */
const NO_LOAN = [0, 0, 0, 0, 0, 0] as const;

/** One of so many keys that were searched for, or written, is remembered, and what was remembered already. */
const LEARNED = 8;

/**
 * A map in the heap, with the names and semantics of `Map`: keys are strings and numbers (1 and "1" differ, -0 is 0, NaN is one key), values
 * what a cell holds and other structures, entries in the order in which they came. Each call but `getMany` and `setMany` is one step for all
 * agents and never blocks; if the caller dies in it, the map is the old one or the new one. It takes the same time however many entries there
 * are, but for the insertion that doubles them: the first beyond 2^n entries zeroes 2^(n - 6) bytes, 16 KiB at 2^20 and 2 MiB at 2^27.
 *
 * A structure that is a value lives as long as a map has it, or anybody else: to read it is to open it, as `heap.open` does. Structures that
 * hold each other in a circle keep each other alive: take one out before the last wrapper of them goes.
 *
 * Every call throws COHEAP_STALE_HANDLE once the map was destroyed, COHEAP_DISPOSED after `dispose`, COHEAP_DETACHED after the heap's
 * `detach`, COHEAP_INVALID_ARGUMENT for a key that is none; those that take a value COHEAP_UNSUPPORTED_VALUE for another object, a
 * function or a symbol, COHEAP_OUT_OF_MEMORY if there is no room; those that take a structure, or open one, COHEAP_TOO_MANY_REFERENCES for one
 * that has 65,535 already. What throws has changed nothing.
 */
export class SharedMap<K extends Key = string, V extends Value = Value>
  extends SharedResource
  implements Iterable<[K, V]>
{
  readonly #index: number;
  readonly #generation: number;
  readonly #values: Values;
  // Called at places of their own, with what stands in this object: engines make that faster.
  readonly #numberAt: HeapExports["coheap_map_number_at"];
  readonly #isSameAt: HeapExports["coheap_map_is_same_at"];
  readonly #setWordAt: HeapExports["coheap_map_set_at"];
  readonly #addAt: HeapExports["coheap_map_add_at"];
  /** Whether the value that was read last was a number: those have a way of their own. */
  #numbers = true;
  /** What this agent has read, and the state of the map in which that is true: its head and its era. */
  readonly #known = new Map<K, Known>();
  #state = 0;
  #headLow = 0;
  #headHigh = 0;
  #era = -1;
  readonly #opening = new Opening();
  readonly #crossing: MapCrossing;
  #reads = 0;
  #writes = 0;
  /**
   * How often this agent changed the map, and cleared it: iterators have read ahead.
   * @internal
   */
  changes = 0;
  /** @internal */
  clears = 0;

  /** @internal */
  constructor(place: Place) {
    super(place);
    this.#index = place.index;
    this.#generation = place.generation;
    this.#values = valuesOf(place.agent);
    const { wasm } = place.agent.calls;
    this.#numberAt = wasm.coheap_map_number_at;
    this.#isSameAt = wasm.coheap_map_is_same_at;
    this.#setWordAt = wasm.coheap_map_set_at;
    this.#addAt = wasm.coheap_map_add_at;
    this.#crossing = new MapCrossing(place, this.#values, this.#opening);
  }

  /** How many entries there are. An insertion that is under way may count already. */
  get size(): number {
    const { calls } = this;
    return calls.count(calls.status(calls.wasm.coheap_map_size, this.#index, this.#generation));
  }

  /** The value of a key; undefined if it is not there. Bytes as a private copy. Writes nothing that other agents read. */
  get(key: K): V | undefined {
    const known = this.#known.get(key);
    if (known === undefined || known.state !== this.#state) return this.#find(key, known !== undefined);
    const { calls } = this;
    const { value, entry } = known;
    const index = this.#index;
    const generation = this.#generation;
    if (typeof value === "number") {
      let found: number;
      calls.enter();
      try {
        found = this.#numberAt(index, generation, entry, this.#era, this.#headLow, this.#headHigh);
      } catch (error) {
        throw calls.abort(error);
      }
      calls.leave();
      if (!Number.isNaN(found)) return found as V;
    } else {
      let same: number;
      const { low, middle, high } = known;
      calls.enter();
      try {
        same = this.#isSameAt(index, generation, entry, this.#era, this.#headLow, this.#headHigh, low, middle, high);
      } catch (error) {
        throw calls.abort(error);
      }
      calls.leave();
      if (same === 1) return value as V;
    }
    return this.#find(key, true);
  }

  /** The value of a key, which is searched for, and remembered if it was before. */
  #find(key: K, wasKnown: boolean): V | undefined {
    const { calls } = this;
    const values = this.#values;
    const staged = values.stageKey(key, calls);
    try {
      values.encodeKey(key, staged, calls);
      const learns = wasKnown || ++this.#reads % LEARNED === 0;
      if (this.#numbers && !learns) {
        const { coheap_map_get } = calls.wasm;
        const value = calls.status(coheap_map_get, this.#index, this.#generation, values.kind, values.number);
        // What is no number is NaN.
        if (!Number.isNaN(value)) return value as V;
      }
      return this.#take(calls, learns ? key : undefined) as V | undefined;
    } finally {
      values.unstage(staged, calls);
    }
  }

  /** Whether there is an entry of this key. */
  has(key: K): boolean {
    return this.#ask(key, this.calls.wasm.coheap_map_has) === 1;
  }

  /** Gives a key this value. A new key comes last. Bytes are copied. */
  set(key: K, value: V): this {
    const known = this.#known.get(key);
    if (known !== undefined && known.state === this.#state && this.#setAt(known, value)) return this;
    const { calls } = this;
    const values = this.#values;
    const first = values.stageKey(key, calls);
    let second: Staged | undefined;
    try {
      second = values.stageValue(value, calls);
      values.encodeKey(key, first, calls);
      const { kind, number, end } = values;
      values.encodeValue(value, end, second, calls);
      this.changes++;
      const { coheap_map_set } = calls.wasm;
      calls.count(
        -calls.statusOf(coheap_map_set, this.#index, this.#generation, kind, number, values.kind, values.number),
      );
    } finally {
      values.unstage(first, calls);
      values.unstage(second, calls);
    }
    this.#learnWritten(key);
    return this;
  }

  /** Gives a key that is remembered this value, if that is one that a word holds; whether it did. */
  #setAt(known: Known, value: V): boolean {
    const { calls } = this;
    const values = this.#values;
    if (!values.encodeWord(value, calls)) return false;
    const { kind, number } = values;
    this.changes++;
    let done: number;
    calls.enter();
    try {
      const setAt = this.#setWordAt;
      done = setAt(this.#index, this.#generation, known.entry, this.#era, this.#headLow, this.#headHigh, kind, number);
    } catch (error) {
      throw calls.abort(error);
    }
    calls.leave();
    if (done !== 1) return false;
    known.value = value;
    if (typeof value !== "number") [known.low, known.middle, known.high] = wordOf(kind, number);
    return true;
  }

  /** After a key was written: one of so many is remembered. Never throws, because what was written is written. */
  #learnWritten(key: K): void {
    if (++this.#writes % LEARNED !== 0 || isLong(key)) return;
    const { calls } = this;
    const values = this.#values;
    try {
      values.encodeKey(key, undefined, calls);
      const { kind, number, end } = values;
      calls.beginTurn(); // what is answered stands in the transfer buffer
      const { coheap_map_take } = calls.wasm;
      if (calls.statusOf(coheap_map_take, this.#index, this.#generation, kind, number, end) !== 0) return;
      const at = end + LOCATED;
      const known = this.#located(end);
      // To open a structure is for who asks for it.
      if (!values.isLongAt(at) && !values.isReferenceAt(at)) {
        learn(this.#known, key, known, values.valueAt(at, calls, this.place.wrappers));
      }
    } catch {
      // At the end of the stack.
    }
  }

  /** Removes a key. Answers whether it was there. */
  delete(key: K): boolean {
    this.changes++;
    return this.#ask(key, this.calls.wasm.coheap_map_delete) === 1;
  }

  /** Removes every entry, in one step whatever their number. */
  clear(): void {
    const { calls } = this;
    this.changes++;
    this.clears++;
    calls.run(calls.wasm.coheap_map_clear, this.#index, this.#generation);
  }

  /** The value of a key, which is `value` if the key was not there, as one step. */
  getOrInsert(key: K, value: V): V {
    const { calls } = this;
    const values = this.#values;
    const first = values.stageKey(key, calls);
    let second: Staged | undefined;
    try {
      second = values.stageValue(value, calls);
      // Another round: the value had to be read again, and then the key was gone.
      for (;;) {
        values.encodeKey(key, first, calls);
        const { kind, number, end } = values;
        values.encodeValue(value, end, second, calls);
        const at = values.end;
        calls.beginTurn(); // what is answered stands in the transfer buffer
        this.changes++;
        const { coheap_map_insert } = calls.wasm;
        const inserted = calls.statusOf(
          coheap_map_insert,
          this.#index,
          this.#generation,
          kind,
          number,
          values.kind,
          values.number,
          at,
        );
        if (calls.count(inserted) === 1) return value;
        if (!values.isLongAt(at)) {
          const there = this.#opening.open(() => values.valueAt(at, calls, this.place.wrappers));
          if (there !== ENDED) return there as V;
        }
        values.encodeKey(key, first, calls);
        const found = this.#take(calls);
        if (found !== undefined) return found as V;
      }
    } finally {
      values.unstage(first, calls);
      values.unstage(second, calls);
    }
  }

  /** Adds to the number of a key, which is 0 if it is not there, as one step, and answers the sum. COHEAP_NOT_A_NUMBER for another value. */
  add(this: SharedMap<K, number>, key: K, delta: number = 1): number {
    checkNumber("delta", delta);
    const { calls } = this;
    const known = this.#known.get(key);
    if (known !== undefined && known.state === this.#state) {
      this.changes++;
      let sum: number;
      calls.enter();
      try {
        sum = this.#addAt(this.#index, this.#generation, known.entry, this.#era, this.#headLow, this.#headHigh, delta);
      } catch (error) {
        throw calls.abort(error);
      }
      calls.leave();
      if (!Number.isNaN(sum)) return sum;
    }
    const values = this.#values;
    const staged = values.stageKey(key, calls);
    try {
      values.encodeKey(key, staged, calls);
      this.changes++;
      const { kind, number } = values;
      const sum = calls.statusOf(calls.wasm.coheap_map_add, this.#index, this.#generation, kind, number, delta);
      if (Number.isNaN(sum)) calls.count(-calls.detail(ADDED));
      this.#learnWritten(key);
      return sum;
    } finally {
      values.unstage(staged, calls);
    }
  }

  /**
   * Adds to the numbers of keys, which are 0 where they are not there, at most 65,536, all as one step: whoever reads sees all of it or nothing.
   * With `settle` the lease is committed by the same step. If the caller dies in it, or something throws, nothing was added and the lease is as
   * it was, or all was added and the lease committed. Agents that need the same keys may make it begin anew. Keys that are new come in any order
   * among each other, and count in `size` while it is under way. O(n log n).
   * COHEAP_NOT_A_NUMBER for a key with another value, COHEAP_LEASE_LOST, COHEAP_OUT_OF_MEMORY, COHEAP_BUSY after 64 of those.
   */
  addMany(
    this: SharedMap<K, number>,
    entries: Iterable<readonly [key: K, delta: number]>,
    options?: { readonly settle?: SharedLease },
  ): void {
    const { settle } = checkOptions(options, ["settle"]);
    if (settle !== undefined && !(settle instanceof SharedLease)) throw invalid("settle", "a lease of a pipe", settle);
    const additions = new Additions(checkIterable("entries", entries));
    const { calls, place } = this;
    const loan = settle?.loanFor(place.agent) ?? NO_LOAN;
    this.changes++;
    additions.cross(this.#values, calls, (region, generation) => {
      const { coheap_map_add_many } = calls.wasm;
      calls.runLong(coheap_map_add_many, this.#index, this.#generation, additions.count, region, generation, ...loan);
    });
    settle?.over();
  }

  /**
   * Gives a key this value if it has the value `expected`, as one step: values are compared as `Object.is` does, bytes by their contents.
   * `undefined` stands for a key that is not there: expected, it is one that is not there (or has the value undefined); as the new value it
   * removes the key. Answers whether it did.
   */
  compareAndSet(key: K, expected: V | undefined, value: V | undefined): boolean {
    const { calls } = this;
    const values = this.#values;
    const staged: (Staged | undefined)[] = [];
    try {
      const first = values.stageKey(key, calls);
      staged.push(first);
      const second = values.stageValue(expected, calls, THIRD);
      staged.push(second);
      const third = values.stageValue(value, calls, THIRD);
      staged.push(third);
      values.encodeKey(key, first, calls);
      const given = [values.kind, values.number];
      this.#encodeOptional(expected, second, calls);
      given.push(values.kind, values.number);
      this.#encodeOptional(value, third, calls);
      this.changes++;
      const { coheap_map_compare_and_set } = calls.wasm;
      const [kind, number, expectedKind, expectedNumber] = given as [number, number, number, number];
      const done = calls.statusOf(
        coheap_map_compare_and_set,
        this.#index,
        this.#generation,
        kind,
        number,
        expectedKind,
        expectedNumber,
        values.kind,
        values.number,
      );
      return calls.count(done) === 1;
    } finally {
      for (const one of staged) values.unstage(one, calls);
    }
  }

  /**
   * The values of keys, in their order, as `get` answers them: each is read in a step of its own, up to 64, or 28 KiB of them, in one
   * crossing.
   * O(keys).
   */
  getMany(keys: Iterable<K>): (V | undefined)[] {
    const wanted = Array.from(checkIterable("keys", keys), checkKey);
    return this.#crossing.getMany(this, wanted, this.calls);
  }

  /**
   * Sets entries, in their order: each is a step of its own, up to 64, of at most 24 KiB together, in one crossing. Nothing is set if one of them
   * is none; if memory runs out, a structure can have no more references, or the caller dies, those before are set. O(entries).
   */
  setMany(entries: Iterable<readonly [K, V]>): void {
    this.setAll(pairs("entries", checkIterable("entries", entries)));
  }

  /**
   * Sets entries that were checked: keys and values in turn.
   * @internal
   */
  setAll(entries: readonly Value[]): void {
    this.#crossing.setMany(this, entries, this.calls);
  }

  /**
   * The entries, in the order in which they came: one that is there from beginning to end is seen exactly once, others at most once, and a key
   * is seen with a value that it had. Up to 64, or 28 KiB of them, in one crossing; what this agent changes meanwhile is seen
   * at once, as by a `Map`'s.
   */
  entries(): IterableIterator<[K, V]> {
    return new SharedMapIterator(this, ENTRIES) as unknown as IterableIterator<[K, V]>;
  }

  /** The keys, as `entries` has them. */
  keys(): IterableIterator<K> {
    return new SharedMapIterator(this, KEYS) as unknown as IterableIterator<K>;
  }

  /** The values, as `entries` has them. */
  values(): IterableIterator<V> {
    return new SharedMapIterator(this, VALUES) as unknown as IterableIterator<V>;
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries();
  }

  /** Calls `callback` with each entry, as `entries` has them. */
  forEach(callback: (value: V, key: K, map: this) => void, self?: unknown): void {
    if (typeof callback !== "function") throw invalid("callback", "a function", callback);
    for (const [key, value] of this) callback.call(self, value, key, this);
  }

  /**
   * A `Map` of the entries, as `entries` has them: a private copy, also of the structures in it. Maps become such `Map`s, lists arrays, fields pairs of name
   * and value, cells their values, blocks of bytes a `Uint8Array`. O(size of all).
   */
  toJS(): Map<K, Js<V>> {
    return this.plain(new Map(), "js") as Map<K, Js<V>>;
  }

  /**
   * An object of the entries, for `JSON.stringify`: the keys 1 and "1" become one there. What names the map is its `handle`. Structures in it are
   * what JSON makes of them. O(size of all).
   */
  override toJSON(): { [key: string]: unknown } {
    return this.plain(new Map(), "json") as { [key: string]: unknown };
  }

  /** @internal */
  override plain(seen: Seen, form: PlainForm): unknown {
    const copy: object = form === "js" ? new Map() : {};
    seen.set(this, copy); // before its values: it may be one of them
    for (const [key, value] of this) {
      let plain: unknown = value;
      if (value instanceof SharedResource) plain = seen.has(value) ? seen.get(value) : value.plain(seen, form);
      if (copy instanceof Map) copy.set(key, plain);
      // Not an assignment: `__proto__` is a key as any other.
      else Object.defineProperty(copy, key, { value: plain, configurable: true, enumerable: true, writable: true });
    }
    return copy;
  }

  get [Symbol.toStringTag](): string {
    return "SharedMap";
  }

  /** @internal */
  override get [shown](): Shown {
    return { size: this.size, contents: () => this.#firstEntries(LARGEST_SHOWN) };
  }

  /**
   * The entries from a position on, `limit` at most; none at the end.
   * @internal
   */
  batch(from: number, limit: number): Batch {
    return this.#crossing.batch(from, limit, this.calls);
  }

  #firstEntries(limit: number): Map<K, V> {
    const entries = new Map<K, V>();
    for (const [key, value] of this) {
      if (entries.size === limit) break;
      entries.set(key, value);
    }
    return entries;
  }

  /** What an export answers that takes a key alone. */
  #ask(key: K, call: (index: number, generation: number, kind: number, key: number) => number): number {
    const { calls } = this;
    const values = this.#values;
    const staged = values.stageKey(key, calls);
    try {
      values.encodeKey(key, staged, calls);
      return calls.count(calls.status(call, this.#index, this.#generation, values.kind, values.number));
    } finally {
      values.unstage(staged, calls);
    }
  }

  /** The value of the key that was encoded last, whatever it is; `learned`: the key to remember it by. */
  #take(calls: Calls, learned?: K): Value {
    const values = this.#values;
    const { kind, number, end } = values;
    const { coheap_map_take, coheap_map_snapshot } = calls.wasm;
    calls.beginTurn(); // what is answered stands in the transfer buffer
    const status = calls.statusOf(coheap_map_take, this.#index, this.#generation, kind, number, end);
    calls.count(-status);
    const known = learned === undefined ? undefined : this.#located(end);
    let at = end + LOCATED;
    if (values.isLongAt(at)) {
      calls.count(-calls.statusOf(coheap_map_snapshot, this.#index, this.#generation, kind, number, end));
      at = end;
    }
    const value = this.#opening.open(() => values.valueAt(at, calls, this.place.wrappers));
    if (value === ENDED) return this.#take(calls);
    if (value !== undefined) this.#numbers = typeof value === "number";
    if (learned !== undefined) learn(this.#known, learned, known, value);
    return value;
  }

  /** Where `coheap_map_take` says that it found the value; undefined if there is none. */
  #located(at: number): Known | undefined {
    const values = this.#values;
    const entry = values.halfAt(at) | 0;
    if (entry === 0) return undefined;
    const [headLow, headHigh] = [values.halfAt(at + 16) | 0, values.halfAt(at + 20) | 0];
    const era = values.numberAt(at + 24);
    if (era !== this.#era || headLow !== this.#headLow || headHigh !== this.#headHigh) {
      this.#state++;
      [this.#era, this.#headLow, this.#headHigh] = [era, headLow, headHigh];
    }
    const [low, middle, high] = [values.halfAt(at + 4) | 0, values.halfAt(at + 8) | 0, values.halfAt(at + 12) | 0];
    return { state: this.#state, entry, value: undefined, low, middle, high };
  }

  /** Encodes a value behind what was encoded last; `undefined` is none. */
  #encodeOptional(value: unknown, staged: Staged | undefined, calls: Calls): void {
    const values = this.#values;
    if (value !== undefined) {
      values.encodeValue(value, values.end, staged, calls);
      return;
    }
    values.kind = ABSENT;
    values.number = 0;
  }
}
