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

/** A token that a worker has. */
export interface Adoption {
  readonly nonceHigh: number;
  readonly nonceLow: number;
  /** Node says so, and the worker never runs again. Browsers never say. */
  exited: boolean;
}

/** The workers of one agent. Holds no worker: one that ended can be collected. */
export class Adoptions {
  readonly #byNonce = new Map<string, Adoption>();
  readonly #byWorker = new WeakMap<object, Adoption[]>();
  readonly #ended: (adoptions: readonly Adoption[]) => void;

  /** `ended` hears of each worker of Node's that ended, with all that it was adopted with. */
  constructor(ended: (adoptions: readonly Adoption[]) => void) {
    this.#ended = ended;
  }

  /** Ties `worker` to the slot that the attaching agent with this token takes, now or later. */
  adopt(worker: unknown, token: HeapToken): void {
    if (!isWorker(worker)) throw invalid("worker", "a Worker", worker);
    const key = `${token.nonceHigh}:${token.nonceLow}`;
    if (this.#byNonce.has(key)) throw new CoheapError("COHEAP_ADOPTED", {});
    const adoption: Adoption = { nonceHigh: token.nonceHigh, nonceLow: token.nonceLow, exited: false };
    this.#byNonce.set(key, adoption);
    const former = this.#byWorker.get(worker);
    if (former !== undefined) {
      adoption.exited = former[0]!.exited;
      former.push(adoption);
      if (adoption.exited) this.#ended([adoption]);
      return;
    }
    const all = [adoption];
    this.#byWorker.set(worker, all);
    if (!isNodeWorker(worker)) return;
    const exited = () => {
      for (const each of all) each.exited = true;
      this.#ended(all);
    };
    // Ended before it was adopted: no event will come.
    if (worker.threadId === -1) exited();
    else worker.once("exit", exited); // a listener does not keep Node alive
  }

  /** What a worker was adopted with; undefined: it was not. */
  of(worker: unknown): readonly Adoption[] | undefined {
    return isWorker(worker) ? this.#byWorker.get(worker) : undefined;
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

/** Whether a worker says when it has ended. */
export function isNodeWorker(worker: AdoptableWorker): worker is NodeWorker {
  return typeof (worker as NodeWorker).once === "function" && typeof (worker as NodeWorker).threadId === "number";
}
