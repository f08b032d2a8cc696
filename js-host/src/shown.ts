/** What consoles show of the heap and of the objects in it: how many items they hold, and the first hundred of them. */

/** Items that are read to be shown. */
export const LARGEST_SHOWN = 100;

/**
 * Where a heap or an object in it says what is shown of it; may throw what a read throws. A registered symbol, so that "coheap/devtools"
 * knows the objects of every copy of this package.
 */
export const shown: unique symbol = Symbol.for("coheap.shown") as never;

/** What is shown of something. */
export interface Shown {
  /** How many items there are, if it has items. */
  readonly size?: number;
  /** Whether an array of contents is of items, and not of pairs. */
  readonly isArray?: boolean;
  /** Reads the first of them: a `Map`, pairs, bytes, or an object of what has no items. May throw what a read throws. */
  readonly contents: () => object;
}

export function titleOf(name: string, { size }: Shown): string {
  return size === undefined ? name : `${name}(${size})`;
}

/** How many items are not among the contents. */
export function hiddenOf({ size = 0 }: Shown): number {
  return Math.max(0, size - LARGEST_SHOWN);
}

/**
 * What the error says of the state of what was to be shown; nothing if it is not one of coheap's. Goes by the code alone, so that
 * "coheap/devtools" is without the table of errors. Never throws.
 */
export function reason(error: unknown): string | undefined {
  try {
    const { code } = error as { code?: unknown };
    if (typeof code !== "string" || !code.startsWith("COHEAP_")) return undefined;
    return code.slice("COHEAP_".length).toLowerCase().replaceAll("_", " ");
  } catch {
    return undefined; // a proxy that throws is no error of ours
  }
}
