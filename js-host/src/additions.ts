/** Additions on their way into a map: all of them cross before the one call that makes them. */
import type { Calls } from "./calls.js";
import { checkKey, checkNumber, invalid } from "./check.js";
import type { Staged } from "./staging.js";
import { type Key, roomOf } from "./value.js";
import { CROSSING, RECORD, type Values } from "./values.js";

/** Additions of one step at most, as in wasm. */
const MOST = 65_536;

/** Keys and numbers that were checked: from here on no code of the user runs. */
export class Additions {
  readonly #keys: Key[] = [];
  readonly #deltas: number[] = [];

  constructor(entries: Iterable<unknown>) {
    for (const entry of entries) {
      if (!Array.isArray(entry) || entry.length !== 2) throw invalid("entries", "pairs of a key and a number", entry);
      const [key, delta] = entry as [unknown, unknown];
      this.#keys.push(checkKey(key));
      this.#deltas.push(checkNumber("entries", delta));
      if (this.#keys.length > MOST) throw invalid("entries", `at most ${MOST} pairs`, this.#keys.length);
    }
  }

  get count(): number {
    return this.#keys.length;
  }

  /** Calls `run` with the region in which all of them stand, or with 0 and 0: in the transfer buffer. */
  cross(values: Values, calls: Calls, run: (index: number, generation: number) => void): void {
    const long = new Map<number, Staged>();
    let region: Staged | undefined;
    try {
      let size = 0;
      this.#keys.forEach((key, at) => {
        const staged = values.stageKey(key, calls);
        if (staged !== undefined) long.set(at, staged);
        size += 2 * RECORD + (staged === undefined ? roomOf(key) : STAGED);
      });
      let done = 0;
      const fill = () => {
        let end = 0;
        while (done < this.count) {
          const [key, staged] = [this.#keys[done]!, long.get(done)];
          if (end + 2 * RECORD + (staged === undefined ? roomOf(key) : STAGED) > CROSSING) break;
          end = values.writeKey(key, end, calls, staged);
          end = values.writeValue(this.#deltas[done]!, end, calls);
          done++;
        }
        return end;
      };
      if (size > CROSSING) {
        region = values.staging.records(size, calls, fill);
        run(region.loan.index, region.loan.generation);
      } else {
        values.beginRecords(calls);
        fill();
        run(0, 0);
      }
    } finally {
      values.unstage(region, calls);
      for (const staged of long.values()) values.unstage(staged, calls);
    }
  }
}

/** Bytes that say where a key is that is too long to cross. */
const STAGED = 8;
