/** What a thread that blocks looks at meanwhile: it hears of no exit, since that takes its event loop. */
import { CoheapError } from "./errors.js";
import { agentOf } from "./layout.js";
import type { Views } from "./views.js";
import type { Blocking } from "./wasm.js";
import { noteRunning, stopping } from "./workers.js";

/**
 * The ability to block in this heap. A wait ends with COHEAP_AGENT_LOST if a worker that this thread has started is stopping and has a seat in the heap:
 * then the caller's event loop has to turn, so that the worker's end is proven and what it had given back. One that has left the heap, or never
 * came, is no reason.
 */
export function blockingIn(views: Views, control: number): Blocking {
  return {
    begins: noteRunning,
    lasts: () => {
      for (const life of stopping()) {
        const agent = agentOf(views, control, life);
        if (agent !== undefined) throw new CoheapError("COHEAP_AGENT_LOST", { agent });
      }
    },
  };
}
