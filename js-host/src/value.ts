/** What a value is, wherever it stands: its types, and what is asked of it before it crosses. */
import { checkBytes, isBytes } from "./check.js";
import { CoheapError } from "./errors.js";
import { SharedResource } from "./resource.js";

/** What a cell holds. Bytes are copied in and out. */
export type Scalar = undefined | null | boolean | number | bigint | string | Uint8Array;

/** What a structure holds: what a cell holds, and other structures, which stay as long as one of them does. */
export type Value = Scalar | SharedResource;

/** What a map's entries are found by. */
export type Key = string | number;

const LARGEST_WORD = 2n ** 64n;

/** The next multiple of eight. */
export function align(end: number): number {
  return (end + 7) & ~7;
}

/** The bytes of the one kind of object that has a place in a word. */
export function contents(value: unknown): Uint8Array {
  if (!isBytes(value)) throw new CoheapError("COHEAP_UNSUPPORTED_VALUE", { type: typeof value });
  return checkBytes("value", value);
}

/** A value of a structure, read without code of its owner's. COHEAP_UNSUPPORTED_VALUE for others. */
export function checkValue(value: unknown): Value {
  return value instanceof SharedResource ? value : checkScalar(value);
}

/** A value that has a place in a word, read without code of its owner's: bytes as a plain view. COHEAP_UNSUPPORTED_VALUE for others. */
export function checkScalar(value: unknown): Scalar {
  switch (typeof value) {
    case "function":
    case "symbol":
      throw new CoheapError("COHEAP_UNSUPPORTED_VALUE", { type: typeof value });
    case "object":
      return value === null ? null : contents(value);
    default:
      return value as Scalar;
  }
}

/** Bytes at most that the contents of a value take in the transfer buffer; infinitely many for those that are measured by writing them. */
export function roomOf(value: Value): number {
  switch (typeof value) {
    case "string":
      return align(2 * value.length);
    case "bigint":
      return isWord(value) ? 8 : Infinity;
    case "object":
      if (value === null) return 0;
      return value instanceof SharedResource ? 8 : align(value.length);
    default:
      return 0;
  }
}

/** Whether its magnitude has at most eight bytes. */
export function isWord(value: bigint): boolean {
  return -LARGEST_WORD < value && value < LARGEST_WORD;
}

/** The magnitude in words of eight bytes, the lowest first. */
export function bytesOf(value: bigint): Uint8Array {
  const digits = (value < 0n ? -value : value).toString(16);
  const words = new BigUint64Array(Math.ceil(digits.length / 16));
  for (let i = 0, end = digits.length; end > 0; i++, end -= 16) {
    words[i] = BigInt(`0x${digits.slice(Math.max(0, end - 16), end)}`);
  }
  return new Uint8Array(words.buffer);
}

/** As `bytesOf`, backwards. */
export function integerOf(bytes: Uint8Array, negative: boolean): bigint {
  const words = new BigUint64Array(bytes.buffer, 0, bytes.length >> 3);
  let magnitude = words[0] ?? 0n;
  if (words.length > 1) {
    const digits = Array.from(words, (word) => word.toString(16).padStart(16, "0"));
    magnitude = BigInt(`0x${digits.reverse().join("")}`);
  }
  return negative ? -magnitude : magnitude;
}
