/**
 * Lives: what ends at once with a thread, for all agents in it. Each seat of a heap says whose life it is.
 *
 * Node numbers its threads and tells who has started them, and Bun does as Node: there a life is the number of the thread. Elsewhere it is the nonce of
 * the first token that the thread attached with, and a browser's lock of that name says for how long it lasts. Deno numbers its threads, too, but
 * says "exit" of one that runs on.
 */
import type { HeapToken } from "./token.js";

/** 64 bits, as two unsigned numbers. */
export interface Life {
  readonly high: number;
  readonly low: number;
}

interface ThreadsOfNode {
  readonly threadId: number;
}

interface NodeProcess {
  readonly versions?: { readonly node?: string; readonly bun?: string };
  getBuiltinModule?(name: string): ThreadsOfNode | undefined;
  on?(event: "worker", listener: (worker: unknown) => void): unknown;
}

/** Where a life is told from a nonce: "Node". */
const NODE = 0x4e6f6465;
const LIFE: unique symbol = Symbol.for("coheap.life") as never;
const thread = globalThis as {
  [LIFE]?: Life;
  readonly process?: NodeProcess;
  readonly Deno?: unknown;
};

/** Node's process, or Bun's: nowhere else is it true what is said of threads. */
export function nodeProcess(): NodeProcess | undefined {
  const { process, Deno } = thread;
  return Deno === undefined && process?.versions?.node !== undefined ? process : undefined;
}

export function isBun(): boolean {
  return thread.process?.versions?.bun !== undefined;
}

/** The life of this thread, for every copy of coheap in it; `token` is one that it attaches with. */
export function lifeOf({ nonceHigh, nonceLow }: HeapToken): Life {
  thread[LIFE] ??= ownNumber() ?? { high: nonceHigh, low: nonceLow };
  return thread[LIFE];
}

function ownNumber(): Life | undefined {
  const threads = nodeProcess()?.getBuiltinModule?.("node:worker_threads");
  return threads === undefined ? undefined : lifeOfThread(threads.threadId);
}

/** The life of the thread with this number, in Node and Bun. */
export function lifeOfThread(number: number): Life {
  return { high: NODE, low: number + 1 };
}

export function isSameLife(one: Life, other: Life): boolean {
  return one.high === other.high && one.low === other.low;
}
