/** Entries of a map on their way into the heap and out of it, many at once. */
import type { Calls } from "./calls.js";
import { checkKey, invalid } from "./check.js";
import type { SharedMap } from "./map.js";
import { ENDED, type Opening } from "./opening.js";
import { type Place, SharedResource } from "./resource.js";
import { ROOM } from "./staging.js";
import { BYTES } from "./types.js";
import { checkValue, type Key, roomOf, type Value } from "./value.js";
import { CROSSING, RECORD, type Values } from "./values.js";

/** Entries that cross together at most, as in wasm. */
export const MOST = 64;
/** Where a batch of entries begins in the transfer buffer: behind the next position, and how much the first entry needs. */
const FIRST = 16;

/** Entries that crossed together: keys and values in turn. */
export interface Batch {
  readonly items: readonly Value[];
  /** The low halves of the entries' positions. */
  readonly positions: readonly number[];
  /** Where the next batch begins. */
  readonly next: number;
}

/** The crossings of one map, for one agent. @internal */
export class MapCrossing {
  readonly #place: Place;
  readonly #values: Values;
  readonly #opening: Opening;

  constructor(place: Place, values: Values, opening: Opening) {
    this.#place = place;
    this.#values = values;
    this.#opening = opening;
  }

  /** The entries from a position on, `limit` at most; none at the end. */
  batch(position: number, limit: number, calls: Calls): Batch {
    const { index, generation, wrappers } = this.#place;
    const values = this.#values;
    let most = limit;
    // Another round: there was nothing but what is gone.
    for (let at = position; ; ) {
      calls.beginTurn(); // what is answered stands in the transfer buffer
      const count = calls.count(calls.status(calls.wasm.coheap_map_entries, index, generation, at, most));
      const next = values.numberAt(0);
      const needed = values.numberAt(8);
      if (count > 0) {
        const positions: number[] = [];
        let isKey = true;
        const items = this.#opening.open(() =>
          values.valuesAt(FIRST, 2 * count, calls, wrappers, (record) => {
            if (isKey) positions.push(values.halfAt(record + 4));
            isKey = !isKey;
          }),
        );
        if (items !== ENDED) return { items, positions, next };
        most = 1; // many at once may never be there together
        continue;
      }
      if (needed > 0) return this.#batchOfOne(at, needed, calls);
      if (next === at) return { items: [], positions: [], next };
      at = next;
    }
  }

  /** The entry from a position on that is too long for the transfer buffer. */
  #batchOfOne(position: number, room: number, calls: Calls): Batch {
    const { index, generation, wrappers } = this.#place;
    const values = this.#values;
    const { coheap_open, coheap_map_entry_to, coheap_bytes_read } = calls.wasm;
    calls.make(coheap_open, BYTES, 0, room);
    const region = calls.take();
    try {
      calls.beginTurn();
      const to = [region.index, region.generation] as const;
      if (calls.count(calls.statusOf(coheap_map_entry_to, index, generation, position, ...to)) === 0) {
        values.checkGrown(room);
        return this.batch(position, 1, calls);
      }
      const next = values.numberAt(0);
      calls.run(coheap_bytes_read, region.index, region.generation, 0, RECORD);
      const positions = [values.halfAt(4)];
      const items = this.#opening.open(() => {
        const [key, end] = values.valueOf(region, 0, calls, wrappers);
        const [value] = values.valueOf(region, end, calls, wrappers);
        return [key, value];
      });
      return items === ENDED ? this.batch(position, 1, calls) : { items, positions, next };
    } finally {
      region.used = false;
      calls.settle();
    }
  }

  /** The values of keys that were checked, in their order. */
  getMany<K extends Key, V extends Value>(map: SharedMap<K, V>, wanted: readonly K[], calls: Calls): (V | undefined)[] {
    const { index, generation, wrappers } = this.#place;
    const values = this.#values;
    const { coheap_map_get_many } = calls.wasm;
    const found: Value[] = [];
    if (wanted.length === 0) calls.count(calls.status(coheap_map_get_many, index, generation));
    while (found.length < wanted.length) {
      values.beginRecords(calls);
      let [end, count] = [0, 0];
      while (count < MOST && found.length + count < wanted.length) {
        const key = wanted[found.length + count]!;
        if (end + RECORD + roomOf(key) > ROOM) break;
        end = values.writeKey(key, end, calls);
        count++;
      }
      if (count > 0) {
        const some = calls.count(calls.status(coheap_map_get_many, index, generation, count, end));
        // Only the first may be too long to have crossed.
        if (some > 1 || !values.isLongAt(end)) {
          const read = this.#opening.open(() => values.valuesAt(end, some, calls, wrappers));
          if (read !== ENDED) {
            found.push(...read);
            continue;
          }
        }
      }
      found.push(map.get(wanted[found.length]!));
    }
    return found as (V | undefined)[];
  }

  /** Sets entries that were checked: keys and values in turn. */
  setMany<K extends Key, V extends Value>(map: SharedMap<K, V>, entries: readonly Value[], calls: Calls): void {
    const { index, generation, agent } = this.#place;
    const values = this.#values;
    const { coheap_map_set_many } = calls.wasm;
    for (const value of entries) if (value instanceof SharedResource) value.placeFor(agent);
    if (entries.length === 0) calls.count(calls.status(coheap_map_set_many, index, generation));
    for (let done = 0; done < entries.length; ) {
      values.beginRecords(calls);
      let [end, count] = [0, 0];
      while (count < MOST && done + 2 * count < entries.length) {
        const key = entries[done + 2 * count] as Key;
        const value = entries[done + 2 * count + 1];
        if (end + 2 * RECORD + roomOf(key) + roomOf(value) > CROSSING) break;
        end = values.writeKey(key, end, calls);
        end = values.writeValue(value, end, calls);
        count++;
      }
      if (count === 0) {
        map.set(entries[done] as K, entries[done + 1] as V);
        done += 2;
        continue;
      }
      map.changes++;
      done += 2 * calls.count(calls.status(coheap_map_set_many, index, generation, count));
    }
  }
}

/** Keys and values in turn, all checked: from here on no code of the user runs. */
export function pairs(argument: string, entries: Iterable<unknown>): Value[] {
  const flat: Value[] = [];
  for (const entry of entries) {
    if (!Array.isArray(entry) || entry.length !== 2) throw invalid(argument, "pairs of a key and a value", entry);
    const [key, value] = entry as [Key, unknown];
    flat.push(checkKey(key), checkValue(value));
  }
  return flat;
}
