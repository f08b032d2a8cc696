/** The workers that this thread has started, as Node and Bun tell of them: all from the moment on when its first agent attached. */
import { isBun, type Life, lifeOfThread, nodeProcess } from "./life.js";

/** A worker of Node's, or one of Bun's two kinds. */
export interface NodeWorker {
  readonly threadId: number;
  readonly performance?: { eventLoopUtilization(): { readonly idle: number; readonly active: number } };
  once?(event: "exit", listener: () => void): unknown;
  addEventListener?(event: "close", listener: () => void): unknown;
}

/** Who wants to hear of workers. */
export interface Watcher {
  /** A worker is there that ends with this thread at the latest. */
  begun(life: Life): void;
  /** Whether the worker of this life is this watcher's to tell of. */
  adopted(life: Life): boolean;
  /** Nothing of it runs any more, nor of those that it has started. Never rejects. */
  ended(life: Life): Promise<void>;
}

/** A worker that has not ended. Does not keep it alive. */
interface Known {
  readonly life: Life;
  readonly worker: WeakRef<NodeWorker>;
  /** Whether it was seen to run. */
  runs: boolean;
}

const known = new Map<number, Known>();
const watchers = new Set<WeakRef<Watcher>>();
/** Those that were let go without a word. */
const gone = new FinalizationRegistry((watcher: WeakRef<Watcher>) => void watchers.delete(watcher));
let listens = false;

/** Tells `watcher` of every worker that this thread has started or starts, for as long as the watcher lives; what it answers ends that. */
export function watchWorkers(watcher: Watcher): () => void {
  const reference = new WeakRef(watcher);
  watchers.add(reference);
  gone.register(watcher, reference, reference);
  if (!listens) nodeProcess()?.on?.("worker", (worker) => void meet(worker as NodeWorker));
  listens = true;
  for (const { life } of known.values()) watcher.begun(life);
  return () => {
    watchers.delete(reference);
    gone.unregister(reference);
  };
}

/** Whether its end is told, and truly. */
export function isNodeWorker(worker: unknown): worker is NodeWorker {
  const { once, addEventListener, threadId } = worker as NodeWorker;
  const listens = typeof once === "function" || typeof addEventListener === "function";
  return nodeProcess() !== undefined && listens && typeof threadId === "number";
}

/** Calls `listener` when the thread has ended. Does not keep the process alive. */
export function onEnd(worker: NodeWorker, listener: () => void): void {
  if (worker.once !== undefined) worker.once("exit", listener);
  else worker.addEventListener?.("close", listener);
}

/** A worker that the user names, or Node does; its life, if it has not ended yet and Node says which. */
export function meet(worker: NodeWorker): Life | undefined {
  const { threadId } = worker;
  if (threadId === -1) return;
  const life = lifeOfThread(threadId);
  if (known.has(threadId)) return life;
  known.set(threadId, { life, worker: new WeakRef(worker), runs: false });
  onEnd(worker, () => {
    known.delete(threadId);
    void tellEnd(life);
  });
  for (const watcher of all()) watcher.begun(life);
  return life;
}

/** Node tells of a thread that it has stopped only if it was asked while the thread ran. */
export function noteRunning(): void {
  for (const one of known.values()) if (!one.runs) one.runs = (counted(one)?.active ?? 0) > 0;
}

/** Lives whose threads are stopping, as far as a thread can see that blocks, and so hears of no exit. A hint, no proof. */
export function* stopping(): Generator<Life> {
  for (const one of known.values()) {
    // What Node counts of a thread that has stopped is minus one.
    if ((counted(one)?.idle ?? 0) < 0) yield one.life;
  }
}

/** Bun counts nothing, and says so on the terminal. */
function counted({ worker }: Known): { readonly idle: number; readonly active: number } | undefined {
  return isBun() ? undefined : worker.deref()?.performance?.eventLoopUtilization();
}

/** Who has adopted it is first: the others would reap in its place what it is to tell of. */
async function tellEnd(life: Life): Promise<void> {
  const there = all();
  const first = there.filter((watcher) => watcher.adopted(life));
  await Promise.all(first.map((watcher) => watcher.ended(life)));
  for (const watcher of there) if (!first.includes(watcher)) void watcher.ended(life);
}

function all(): Watcher[] {
  const there: Watcher[] = [];
  for (const reference of watchers) {
    const watcher = reference.deref();
    if (watcher !== undefined) there.push(watcher);
  }
  return there;
}
