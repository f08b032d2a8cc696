/**
 * A browser's lock, held for life: the browser lets it go when the thread has really stopped, and no earlier. Only there: Node's locks are not
 * seen by other threads and not let go by a thread that was terminated, and Deno lets go of them before the thread has stopped.
 */
import { isBun, type Life } from "./life.js";

interface Locks {
  request(name: string, held: () => unknown): Promise<unknown>;
  query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>;
}

interface Browser {
  readonly Window?: unknown;
  readonly WorkerGlobalScope?: unknown;
  readonly Deno?: unknown;
  readonly navigator?: { readonly locks?: Locks };
}

const HELD: unique symbol = Symbol.for("coheap.lock") as never;

function locks(): Locks | undefined {
  const { Window, WorkerGlobalScope, Deno, navigator } = globalThis as Browser;
  const isBrowser = (Window !== undefined || WorkerGlobalScope !== undefined) && Deno === undefined && !isBun();
  return isBrowser ? navigator?.locks : undefined;
}

/** Whether a lock says here for how long a thread lives. */
export function hasLocks(): boolean {
  return locks() !== undefined;
}

export function lockOf({ high, low }: Life): string {
  return `coheap ${high.toString(16)} ${low.toString(16)}`;
}

/** Holds the lock of this thread's life for as long as the thread lives; resolves when it has it, in browsers. */
export function holdLock(life: Life): Promise<boolean> {
  const thread = globalThis as { [HELD]?: Promise<boolean> };
  thread[HELD] ??= new Promise((resolve) => {
    const forEver = () => {
      resolve(true);
      return new Promise(() => {});
    };
    const request = locks()?.request(lockOf(life), forEver) ?? Promise.reject();
    // Refused, as on a page that is just going: then nothing is proven.
    request.catch(() => resolve(false));
  });
  return thread[HELD];
}

/** The names of all locks that are held now; undefined where there are none, or nobody may ask. */
export async function heldLocks(): Promise<ReadonlySet<string | undefined> | undefined> {
  try {
    const { held } = (await locks()?.query()) ?? {};
    return held && new Set(held.map(({ name }) => name));
  } catch {
    return undefined;
  }
}
