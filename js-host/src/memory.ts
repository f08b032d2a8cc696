/** How much memory a heap may use, and what happens when the platform refuses it. */

import { invalid, PAGE } from "./check.js";
import { CoheapError, describe } from "./errors.js";

export const MIB = 1024 * 1024;
const MAXIMUM_PAGES = 65_536;
/** Control area, page table, slots and one agent's pages, with room for a first few objects. */
const LEAST_MAXIMUM = 1 * MIB;
/** Enough for the module's own data and stack; what the control area needs on top is grown once `__heap_base` is known. */
const INITIAL_PAGES = 4;
const DEFAULT_LADDER = [256 * MIB, 128 * MIB, 64 * MIB, 32 * MIB, 16 * MIB];
const UNITS = { KiB: 1024, MiB: MIB, GiB: 1024 * MIB } as const;

/** A size in bytes, or with its unit: `"64MiB"`. */
export type Size = number | `${number}${keyof typeof UNITS}`;

export interface SizedMemory {
  readonly memory: WebAssembly.Memory;
  readonly maximumPages: number;
}

/** Bytes of a maximum, given as a number or as text with a unit. */
export function checkMaximum(value: unknown): number {
  let bytes = value;
  if (typeof value === "string") {
    const [amount, unit] = [value.slice(0, -3), value.slice(-3)];
    bytes = isDecimal(amount) && Object.hasOwn(UNITS, unit) ? Number(amount) * UNITS[unit as keyof typeof UNITS] : NaN;
  }
  if (typeof bytes !== "number" || !Number.isInteger(bytes) || bytes < LEAST_MAXIMUM || bytes > MAXIMUM_PAGES * PAGE) {
    throw invalid("maximum", 'a number of bytes from 1 MiB to 4 GiB, or text such as "64MiB"', value);
  }
  return bytes;
}

/** Digits, with digits behind a point or without: `Number` takes much more. */
function isDecimal(text: string): boolean {
  const isDigit = (at: number) => text.charAt(at) >= "0" && text.charAt(at) <= "9";
  for (let at = 0; at < text.length; at++) if (!isDigit(at) && text.charAt(at) !== ".") return false;
  return isDigit(0) && isDigit(text.length - 1);
}

/**
 * A shared memory of at most `maximum` bytes (rounded down to whole pages of 64 KiB). Without one, the largest of 256, 128, 64, 32 and
 * 16 MiB that the platform grants: some reserve the whole maximum at once.
 */
export function createMemory(maximum: number | undefined, fixed: boolean, initialPages = INITIAL_PAGES): SizedMemory {
  const ladder = maximum === undefined ? DEFAULT_LADDER : [maximum];
  let cause: unknown;
  for (const bytes of ladder) {
    const maximumPages = Math.floor(bytes / PAGE);
    try {
      const memory = new WebAssembly.Memory({
        initial: fixed ? maximumPages : Math.min(initialPages, maximumPages),
        maximum: maximumPages,
        shared: true,
      });
      return { memory, maximumPages };
    } catch (error) {
      cause = error;
    }
  }
  throw new CoheapError("COHEAP_MAXIMUM_REFUSED", { maximum: ladder.at(-1)!, reason: describeCause(cause) }, { cause });
}

export function describeCause(cause: unknown): string {
  return cause instanceof Error ? cause.message : describe(cause);
}
