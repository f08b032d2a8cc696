/** Plain data that names an object of a heap. */
import { invalid, isUint32 } from "./check.js";
import { CoheapError } from "./errors.js";

declare const resource: unique symbol;

/**
 * Names an object: JSON-safe and structured-cloneable, so it can be sent to any agent of the heap, which gives it to `heap.open`.
 * It does not keep the object alive. Not a capability: who has the token can read everything anyway.
 */
export interface Handle<T = unknown> {
  /** Which heap. */
  readonly coheap: string;
  readonly index: number;
  readonly generation: number;
  readonly [resource]?: T;
}

/** A private copy of `value` if it is a handle of the heap named `heap`. */
export function checkHandle(value: unknown, heap: string): Handle {
  if (typeof value !== "object" || value === null) throw invalid("handle", "a handle", value);
  const { coheap, index, generation } = value as Record<string, unknown>;
  const own = ["coheap", "index", "generation"].every((name) => Object.hasOwn(value, name));
  if (!own || typeof coheap !== "string" || !isUint32(index) || !isUint32(generation)) {
    throw invalid("handle", "a handle: {coheap, index, generation}", value);
  }
  if (coheap !== heap) throw new CoheapError("COHEAP_FOREIGN_HANDLE", { expected: heap, found: coheap });
  return { coheap, index, generation };
}
