/** What the platform lacks, and how to get it. */
import type { Proof } from "./death.js";
import { nodeProcess } from "./life.js";
import { hasLocks } from "./locks.js";

/** One thing that coheap needs and the platform does not give. */
export interface Missing {
  readonly id: "shared-array-buffer" | "cross-origin-isolation" | "atomics" | "wasm" | "wasm-threads" | "wasm-simd";
  /** What that means. */
  readonly why: string;
  /** What to do about it. */
  readonly fix: string;
}

/** What `checkEnvironment` answers. */
export interface Environment {
  readonly ok: boolean;
  readonly missing: readonly Missing[];
  /**
   * What can prove here that a worker does nothing in the heap any more: "exit" in Node and Bun, "lock" in browsers, "fence" everywhere. With the
   * fence alone, as in Deno, the seat of a worker is never used again, and one that computes stays as it is.
   */
  readonly proofs: readonly Proof[];
}

const BROWSER = "Use a current version of Chrome, Edge, Firefox or Safari, or Node 20 or later.";

/** `(memory 1 1 shared)` and an atomic load of it. */
const THREADS = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0,
  26, 11,
];
/** `i8x16.splat`. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11];

/** Whether coheap can run here. Never throws, never blocks, changes nothing. */
export function checkEnvironment(): Environment {
  const missing: Missing[] = [];
  const platform = globalThis as {
    SharedArrayBuffer?: unknown;
    Atomics?: unknown;
    WebAssembly?: unknown;
    crossOriginIsolated?: unknown;
  };
  if (platform.crossOriginIsolated === false) {
    missing.push({
      id: "cross-origin-isolation",
      why: "This page is not cross-origin isolated, so the browser does not let its workers share memory.",
      fix: "Serve the page and its workers over https (or from localhost) with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.",
    });
  }
  if (typeof platform.SharedArrayBuffer !== "function") {
    missing.push({
      id: "shared-array-buffer",
      why: "SharedArrayBuffer does not exist here.",
      fix: `Make the page cross-origin isolated. ${BROWSER}`,
    });
  }
  if (typeof platform.Atomics !== "object") {
    missing.push({ id: "atomics", why: "Atomics does not exist here.", fix: BROWSER });
  }
  if (typeof platform.WebAssembly !== "object") {
    missing.push({
      id: "wasm",
      why: "WebAssembly does not exist here.",
      fix: `${BROWSER} Lockdown modes turn it off.`,
    });
  } else {
    if (!validates(THREADS))
      missing.push({ id: "wasm-threads", why: "WebAssembly has no shared memory or no atomics here.", fix: BROWSER });
    if (!validates(SIMD)) missing.push({ id: "wasm-simd", why: "WebAssembly has no SIMD here.", fix: BROWSER });
  }
  return { ok: missing.length === 0, missing, proofs: proofs() };
}

function proofs(): Proof[] {
  if (nodeProcess() !== undefined) return ["exit", "fence"];
  return hasLocks() ? ["lock", "fence"] : ["fence"];
}

function validates(module: number[]): boolean {
  try {
    return WebAssembly.validate(new Uint8Array(module));
  } catch {
    return false;
  }
}

/** Whether this agent may block: browsers forbid it to the main thread. */
export function mayBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0);
    return true;
  } catch {
    return false;
  }
}
