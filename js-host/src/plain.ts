/** Plain data on its way into a map. */

import { invalid } from "./check.js";
import { CoheapError, isCoheapError } from "./errors.js";
import { checkScalar, type Key, type Scalar } from "./values.js";

/** What `heap.from` takes: an object or an array of values, or a `Map`. */
export type Plain<V extends Scalar = Scalar> = readonly V[] | ReadonlyMap<Key, V> | { readonly [key: string]: V };

/** Keys and values in turn, all checked: from here on no code of the user runs. */
export function flatten(data: unknown): Scalar[] {
  if (typeof data !== "object" || data === null) throw invalid("data", "an object or an array", data);
  const flat: Scalar[] = [];
  if (data instanceof Map) {
    for (const [key, value] of Map.prototype.entries.call(data)) {
      if (typeof key !== "string" && typeof key !== "number") throw invalid("key", "a string or a number", key);
      flat.push(key, scalar(value, key));
    }
    return flat;
  }
  if (Array.isArray(data)) {
    for (let i = 0; i < data.length; i++) flat.push(i, scalar(data[i], i));
    return flat;
  }
  const prototype: unknown = Object.getPrototypeOf(data);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) throw unsupported(nameOf(data), "");
  for (const [key, value] of Object.entries(data)) flat.push(key, scalar(value, key));
  return flat;
}

function scalar(value: unknown, key: Key): Scalar {
  try {
    return checkScalar(value);
  } catch (error) {
    if (!isCoheapError(error, "COHEAP_UNSUPPORTED_VALUE")) throw error;
    const type = typeof value === "object" ? nameOf(value) : typeof value;
    throw unsupported(type, typeof key === "number" ? `[${key}]` : pathOf(key));
  }
}

/** The error for what no map holds (yet), which says where it stands. */
function unsupported(type: string, path: string): CoheapError {
  return new CoheapError("COHEAP_UNSUPPORTED_VALUE", { type: `${type} (at data${path})` });
}

/** How JavaScript writes the property. */
function pathOf(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** What an object is called, without running code of its own. */
function nameOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  for (const [type, name] of [
    [Date, "Date"],
    [Map, "Map"],
    [Set, "Set"],
  ] as const) {
    if (value instanceof type) return name;
  }
  return "object";
}
