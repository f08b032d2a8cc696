// Agents of which every call is counted: how many rounds the loops of the shipped code took in it (tools/src/fuel.rs).

import { instrumentedBy } from "../crash-points/instance.mjs";

const { module, says: loops } = instrumentedBy("fuel");
console.log(`# ${loops} loops take fuel`);

/** Rounds after which a call is taken for one that would never end. */
const LIMIT = 10_000_000;

/** What the calls of some agents have taken. */
export class Meter {
  calls = 0;
  rounds = 0;
  /** Calls that had no fuel left. */
  endless = 0;
  /** The call that took longest, in milliseconds: also the time in which another process had the processor. */
  longest = { name: "", milliseconds: 0 };
  /** Instances are used again, and so is what stands around them. */
  #instances = new WeakMap();
  #most = [];

  /** What an agent is attached with, so that its calls are counted. */
  get options() {
    return { module, around: (exports) => this.#around(exports) };
  }

  #around(exports) {
    const known = this.#instances.get(exports);
    if (known !== undefined) return known;
    const counted = {};
    for (const [name, value] of Object.entries(exports)) {
      counted[name] = typeof value === "function" ? this.#counted(name, value, exports.fuel) : value;
    }
    this.#instances.set(exports, counted);
    return counted;
  }

  #counted(name, call, fuel) {
    const most = { name, rounds: 0 };
    this.#most.push(most);
    // No export takes more; what is left out is 0.
    return (a, b, c, d, e, f, g, h, i, j) => {
      fuel.value = LIMIT;
      const begun = performance.now();
      try {
        return call(a, b, c, d, e, f, g, h, i, j);
      } finally {
        const milliseconds = performance.now() - begun;
        if (milliseconds > this.longest.milliseconds) this.longest = { name, milliseconds };
        const rounds = LIMIT - fuel.value;
        this.calls++;
        this.rounds += rounds;
        if (rounds > most.rounds) most.rounds = rounds;
        if (rounds === LIMIT) this.endless++;
      }
    };
  }

  /** By export: the most rounds that one call took, the longest first. */
  get most() {
    const most = new Map();
    for (const { name, rounds } of this.#most.sort((a, b) => b.rounds - a.rounds)) {
      if (!most.has(name)) most.set(name, rounds);
    }
    return most;
  }
}
