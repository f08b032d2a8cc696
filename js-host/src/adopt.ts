/** Which worker attaches with which token. */
import { invalid } from "./check.js";
import { CoheapError } from "./errors.js";
import { isSameLife, type Life } from "./life.js";
import type { SharedPipe } from "./pipe.js";
import type { HeapToken } from "./token.js";
import { isNodeWorker, meet } from "./workers.js";

/** A worker of any platform's. */
export interface AdoptableWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
}

/** A token that a worker has. @internal */
export interface Adoption {
  readonly nonceHigh: number;
  readonly nonceLow: number;
  /** Of a worker whose thread is numbered, and whose end is told. */
  readonly life: Life | undefined;
  /** What cannot go on without the worker, while it has not ended. */
  readonly pipes: SharedPipe[];
  /** Its end is proven, and the worker never runs again. */
  ended: boolean;
}

/** The workers of one agent. Holds no worker: one that ended can be collected. @internal */
export class Adoptions {
  readonly #byNonce = new Map<string, Adoption>();
  /** What each worker was adopted with. */
  readonly #all: Adoption[][] = [];
  readonly #byWorker = new WeakMap<object, Adoption[]>();

  /** Ties `worker` to the slot that the attaching agent with this token takes, now or later. */
  adopt(worker: unknown, token: HeapToken, pipes: SharedPipe[]): Adoption {
    if (!isWorker(worker)) throw invalid("worker", "a Worker", worker);
    const key = `${token.nonceHigh}:${token.nonceLow}`;
    if (this.#byNonce.has(key)) throw new CoheapError("COHEAP_ADOPTED", {});
    const former = this.#byWorker.get(worker);
    const isNode = isNodeWorker(worker);
    const life = former?.[0]?.life ?? (isNode ? meet(worker) : undefined);
    const { nonceHigh, nonceLow } = token;
    const adoption = { nonceHigh, nonceLow, life, pipes, ended: former?.[0]?.ended ?? (isNode && life === undefined) };
    this.#byNonce.set(key, adoption);
    if (former !== undefined) former.push(adoption);
    else {
      const first = [adoption];
      this.#byWorker.set(worker, first);
      this.#all.push(first);
    }
    return adoption;
  }

  /** What each worker was adopted with, one after the other. */
  get all(): readonly (readonly Adoption[])[] {
    return this.#all;
  }

  /** What a worker was adopted with; undefined: it was not. */
  of(worker: unknown): readonly Adoption[] | undefined {
    return isWorker(worker) ? this.#byWorker.get(worker) : undefined;
  }

  /** What the thread of this life was adopted with; `lifeOf` says whose an adoption is. */
  ofLife(life: Life, lifeOf: (adoption: Adoption) => Life | undefined): Adoption[] {
    const isOf = (found: Life | undefined) => found !== undefined && isSameLife(found, life);
    return [...this.#byNonce.values()].filter((adoption) => isOf(lifeOf(adoption)));
  }

  get counts(): { adopted: number; exited: number } {
    let exited = 0;
    for (const adoption of this.#byNonce.values()) if (adoption.ended) exited++;
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
