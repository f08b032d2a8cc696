/** Walks through the entries of a map. */
import type { SharedMap } from "./map.js";
import { type Batch, MOST } from "./map-crossing.js";
import type { Key, Value } from "./value.js";

/** What a walk hands out, as the place of it in an entry. */
export const KEYS = 0;
export const VALUES = 1;
export const ENTRIES = 2;

/** What all iterators of the language have. */
const iteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

/** Goes through the entries in batches, which it reads ahead. */
export class SharedMapIterator<K extends Key, V extends Value> {
  static {
    Object.setPrototypeOf(SharedMapIterator.prototype, iteratorPrototype);
  }

  #map: SharedMap<K, V> | undefined;
  readonly #what: number;
  #batch: Batch = { items: [], positions: [], next: 0 };
  /** Where the batch began, and how many of its entries were handed out. */
  #from = 0;
  #done = 0;
  #limit = MOST;
  #changes: number;
  #clears: number;

  constructor(map: SharedMap<K, V>, what: number) {
    this.#map = map;
    this.#what = what;
    this.#changes = map.changes;
    this.#clears = map.clears;
    this.#read(map, 0);
  }

  next(): IteratorResult<unknown, undefined> {
    const map = this.#map;
    if (map === undefined) return { value: undefined, done: true };
    if (map.changes !== this.#changes || map.disposed) this.#readAgain(map);
    else if (2 * this.#done === this.#batch.items.length) this.#read(map, this.#batch.next);
    const { items } = this.#batch;
    const at = 2 * this.#done++;
    if (at === items.length) {
      this.#map = undefined;
      return { value: undefined, done: true };
    }
    if (this.#what === ENTRIES) return { value: [items[at], items[at + 1]], done: false };
    return { value: items[at + this.#what], done: false };
  }

  [Symbol.iterator](): this {
    return this;
  }

  get [Symbol.toStringTag](): string {
    return "SharedMap Iterator";
  }

  #read(map: SharedMap<K, V>, from: number): void {
    this.#batch = map.batch(from, this.#limit);
    this.#from = from;
    this.#done = 0;
    this.#limit = Math.min(2 * this.#limit, MOST);
  }

  /** This agent has changed the map: what was read ahead may be gone, or be another value now. */
  #readAgain(map: SharedMap<K, V>): void {
    const low = this.#batch.positions[this.#done];
    let from = this.#batch.next;
    // The whole position: at most 2³² behind that of the batch.
    if (low !== undefined) from = this.#from + ((low - (this.#from % 2 ** 32)) >>> 0);
    if (map.clears !== this.#clears) from = 0; // positions begin anew
    this.#changes = map.changes;
    this.#clears = map.clears;
    this.#limit = 1; // whoever changes the map at each step reads each entry but once
    this.#read(map, from);
  }
}
