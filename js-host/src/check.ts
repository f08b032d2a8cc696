/**
 * Checks of what users pass in, before anything enters wasm.
 *
 * A call into wasm turns its arguments into numbers silently: 2³² + 5 becomes 5, NaN becomes 0, and an object's `valueOf` runs.
 * So nothing gets there unchecked.
 */
import { CoheapError, describe } from "./errors.js";

export const PAGE = 65_536;
const UINT32_MAX = 0xffff_ffff;

/** The error for an argument that is of the wrong kind or out of its bounds. */
export function invalid(argument: string, expected: string, found: unknown): CoheapError {
  return new CoheapError("COHEAP_INVALID_ARGUMENT", { argument, expected, found: describe(found) });
}

/** A whole number from `least` to `most`; anything else, of any type, is refused. -0 counts as 0. */
export function checkInteger(argument: string, value: unknown, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw invalid(argument, `a whole number from ${least} to ${most}`, value);
  }
  return value + 0;
}

/** Whether `value` is a whole number of 32 bits without a sign. */
export function isUint32(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= UINT32_MAX;
}

/** A time span in milliseconds: a number ≥ 0, Infinity included; undefined means for ever. */
export function checkMilliseconds(argument: string, value: unknown): number {
  if (value === undefined) return Infinity;
  if (typeof value !== "number" || !(value >= 0)) throw invalid(argument, "a number of milliseconds ≥ 0", value);
  return value;
}

/** A number, NaN and the infinities included. */
export function checkNumber(argument: string, value: unknown): number {
  if (typeof value !== "number") throw invalid(argument, "a number", value);
  return value;
}

/** A key of a map. */
export function checkKey<K>(key: K): K & (string | number) {
  if (typeof key !== "string" && typeof key !== "number") throw invalid("key", "a string or a number", key);
  return key;
}

/** An iterable object, which is not run yet. */
export function checkIterable<T>(argument: string, value: Iterable<T>): Iterable<T> {
  if (typeof value !== "object" || value === null || typeof value[Symbol.iterator] !== "function") {
    throw invalid(argument, "an iterable object", value);
  }
  return value;
}

/** An options bag: undefined or an object. Only its own properties count, so a polluted `Object.prototype` changes nothing. */
export function checkOptions<K extends string>(
  value: unknown,
  names: readonly K[],
): { readonly [Name in K]?: unknown } {
  const options: { [Name in K]?: unknown } = Object.create(null);
  if (value === undefined) return options;
  if (typeof value !== "object" || value === null) throw invalid("options", "an object", value);
  for (const name of names) {
    if (Object.hasOwn(value, name)) options[name] = (value as { [Name in K]?: unknown })[name];
  }
  return options;
}

const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);
const getter = (name: PropertyKey): ((this: unknown) => unknown) =>
  Object.getOwnPropertyDescriptor(typedArray, name)!.get!;
const tag = getter(Symbol.toStringTag);
const bufferOf = getter("buffer");
const offsetOf = getter("byteOffset");
const lengthOf = getter("byteLength");

/** Whether `value` is a `Uint8Array`, of any realm. Runs no code of its owner. */
export function isBytes(value: unknown): boolean {
  return tag.call(value) === "Uint8Array";
}

/**
 * A plain `Uint8Array` over the same bytes as `value`, which must be one (of any realm, `Buffer` included).
 * Read through the intrinsic getters, so a subclass cannot lie about its length or run code later.
 */
export function checkBytes(argument: string, value: unknown): Uint8Array {
  if (!isBytes(value)) throw invalid(argument, "a Uint8Array", value);
  try {
    return new Uint8Array(
      bufferOf.call(value) as ArrayBuffer,
      offsetOf.call(value) as number,
      lengthOf.call(value) as number,
    );
  } catch {
    throw invalid(argument, "a Uint8Array whose buffer is not detached", value);
  }
}

/** An AbortSignal, of any realm, or undefined. */
export function checkSignal(argument: string, value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const signal = value as AbortSignal | null;
  const is =
    typeof signal === "object" &&
    signal !== null &&
    typeof signal.aborted === "boolean" &&
    typeof signal.addEventListener === "function" &&
    typeof signal.removeEventListener === "function";
  if (!is) throw invalid(argument, "an AbortSignal", value);
  return signal;
}

const memoryBuffer =
  typeof WebAssembly === "object"
    ? Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, "buffer")?.get
    : undefined;

/** The buffer of `value` if that is a shared `WebAssembly.Memory` of any realm. */
export function sharedBuffer(value: unknown): SharedArrayBuffer | undefined {
  try {
    const buffer: unknown = memoryBuffer?.call(value);
    return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]"
      ? (buffer as SharedArrayBuffer)
      : undefined;
  } catch {
    return undefined;
  }
}
