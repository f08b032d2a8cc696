/** Which worker sits in which slot. */
import { invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import type { HeapToken } from "./token.js";

/** A worker of the browser's or of Node's. */
export interface AdoptableWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
}

interface NodeWorker extends AdoptableWorker {
  readonly threadId: number;
  once(event: "exit", listener: () => void): unknown;
}

interface Adoption {
  readonly nonceHigh: number;
  readonly nonceLow: number;
  /** Node says so, and the worker never runs again. Browsers never say. */
  exited: boolean;
}

/** The workers of one agent. Holds no worker: one that ended can be collected. */
export class Adoptions {
  readonly #byNonce = new Map<string, Adoption>();

  /** Ties `worker` to the slot that the attaching agent with this token takes, now or later. */
  adopt(worker: unknown, token: HeapToken): void {
    if (!isWorker(worker)) throw invalid("worker", "a Worker", worker);
    const key = `${token.nonceHigh}:${token.nonceLow}`;
    if (this.#byNonce.has(key)) throw new CoheapError("COHEAP_ADOPTED", {});
    const adoption: Adoption = { nonceHigh: token.nonceHigh, nonceLow: token.nonceLow, exited: false };
    this.#byNonce.set(key, adoption);
    if (isNodeWorker(worker)) {
      // Ended before it was adopted: no event will come.
      if (worker.threadId === -1) adoption.exited = true;
      else worker.once("exit", () => (adoption.exited = true)); // a listener does not keep Node alive
    }
  }

  get counts(): { adopted: number; exited: number } {
    let exited = 0;
    for (const adoption of this.#byNonce.values()) if (adoption.exited) exited++;
    return { adopted: this.#byNonce.size, exited };
  }
}

function isWorker(value: unknown): value is AdoptableWorker {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as AdoptableWorker).postMessage === "function" &&
    typeof (value as AdoptableWorker).terminate === "function"
  );
}

function isNodeWorker(worker: AdoptableWorker): worker is NodeWorker {
  return typeof (worker as NodeWorker).once === "function" && typeof (worker as NodeWorker).threadId === "number";
}
