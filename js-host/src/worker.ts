/** coheap for agents that may block: everything that "coheap" has but making a heap, and `…Sync` methods. One file that imports nothing. */
import { attach as attachAgent } from "./agent.js";
import { BlockingCell } from "./cell.js";
import { Heap } from "./heap.js";
import { BlockingPipe } from "./pipe-blocking.js";
import type { PipeOptions } from "./pipe-options.js";
import type { Place } from "./resource.js";
import type { HeapToken } from "./token.js";
import type { Scalar } from "./value.js";

/** A heap, as an agent sees it that may block. */
class BlockingHeap extends Heap {
  override cell<V extends Scalar = number>(name?: string, initial?: NoInfer<V>): BlockingCell<V> {
    return super.cell<V>(name, initial) as BlockingCell<V>;
  }

  /** @internal */
  protected override makeCell(place: Place): BlockingCell {
    return new BlockingCell(place);
  }

  override pipe(name?: string, options?: PipeOptions): BlockingPipe {
    return super.pipe(name, options) as BlockingPipe;
  }

  /** @internal */
  protected override makePipe(place: Place): BlockingPipe {
    return new BlockingPipe(place);
  }
}

/**
 * Attaches this agent to the heap of a token; sync, in a millisecond or two. COHEAP_CANNOT_BLOCK on an agent that must not block, such as a
 * page's main thread: use `SharedHeap.attach` of "coheap" there. COHEAP_INVALID_TOKEN (also for one that another agent is attached with),
 * COHEAP_ABI_MISMATCH (two versions of coheap) and COHEAP_NO_SLOT leave every byte of the heap as it was.
 */
export function attach(token: HeapToken): BlockingHeap {
  return new BlockingHeap(attachAgent(token, true));
}

export type { AdoptableWorker } from "./adopt.js";
export type { Audit, BlockKind, Stats } from "./audit.js";
export type { SharedBytes } from "./bytes.js";
export type { BlockingCell, SharedCell, WaitOptions } from "./cell.js";
export type { AgentLost, Recovery } from "./death.js";
export type { Environment, Missing } from "./environment.js";
export { checkEnvironment } from "./environment.js";
export type { Code, Details } from "./errors.js";
export { CoheapError, isCoheapError } from "./errors.js";
export type { FieldsInit, FieldValue, SharedFields } from "./fields.js";
export type { Handle } from "./handle.js";
export type { AdoptOptions, AuditOptions, Heap, ThreadOptions } from "./heap.js";
export type { SharedLease } from "./lease.js";
export type { SharedList } from "./list.js";
export type { SharedMap } from "./map.js";
export type { Bytes, Chunk, SharedPipe } from "./pipe.js";
export type { BlockingPipe } from "./pipe-blocking.js";
export type { PipeOptions, ReadOptions, WriteOptions } from "./pipe-options.js";
export type { Shared } from "./plain.js";
export type { ProgramImports } from "./program.js";
export type { SharedResource } from "./resource.js";
export type { HeapToken } from "./token.js";
export type { Key, Scalar, Value } from "./value.js";
export type { Outcome } from "./wait.js";
export type { BlockingHeap };
