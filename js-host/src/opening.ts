/** Reads of structures in a structure: one may have ended since, because another value has its place. */
import { isCoheapError } from "./errors.js";

/** What stands for values that have to be read again. */
export const ENDED: unique symbol = Symbol("ended");

/** The reads of one structure, by one agent. @internal */
export class Opening {
  /** The structure that had ended when it was to be opened, if that is what came last. */
  #ended = "";

  /** What `read` reads; ENDED if a structure of it has ended since. Twice the same one is no race: then what `read` throws. */
  open<T>(read: () => T): T | typeof ENDED {
    try {
      const found = read();
      this.#ended = "";
      return found;
    } catch (error) {
      if (!isCoheapError(error, "COHEAP_STALE_HANDLE")) throw error;
      const ended = `${error.details.index}.${error.details.generation}`;
      if (ended === this.#ended) throw error;
      this.#ended = ended;
      return ENDED;
    }
  }
}
