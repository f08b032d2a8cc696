/** What an agent remembers of a map: where it found values, for as long as the map leaves them there. */
import type { Key, Value } from "./value.js";

/** Bytes of an answer that say where a value was found, before its record. */
export const LOCATED = 32;
/** So many keys are remembered. */
const MOST = 4096;
/** Units of a text that is remembered, at most. */
const LONGEST = 512;

/** Where a key's value was found, and which it was. Integers as wasm takes them, with a sign. */
export interface Known {
  /** In which state of the map, as this agent counts them. */
  readonly state: number;
  readonly entry: number;
  value: Value;
  low: number;
  middle: number;
  high: number;
}

/** Remembers the value that was found there, unless there is none, or it is long, or has to be another object each time. */
export function learn<K extends Key>(entries: Map<K, Known>, key: K, known: Known | undefined, value: Value): void {
  const isLearned = known !== undefined && (typeof value !== "object" || value === null);
  if (!isLearned || isLong(key) || isLong(value) || typeof value === "bigint") {
    entries.delete(key);
    return;
  }
  known.value = value;
  if (entries.size >= MOST) entries.clear();
  entries.set(key, known);
}

/** Whether it is too long to be remembered. */
export function isLong(part: Value): boolean {
  return typeof part === "string" && part.length > LONGEST;
}
