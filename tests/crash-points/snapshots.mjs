// What a death at each point of a run would leave, noted while the agent runs on: nothing is done again for each of them.

const PAGE = 65_536;
const BLOCK = 2_048;
/** No store writes more. */
const WIDEST = 16;

/** Where these bytes differ, in blocks. */
export function* differing(some, others, from = 0, to = some.length) {
  for (let page = from; page < to; page += PAGE) {
    const end = Math.min(page + PAGE, to);
    if (some.compare(others, page, end, page, end) === 0) continue;
    for (let at = page; at < end; at += BLOCK) if (some.compare(others, at, at + BLOCK, at, at + BLOCK) !== 0) yield at;
  }
}

function isIn(ranges, address) {
  return ranges.some(([from, to]) => address >= from && address < to);
}

/**
 * Notes what the memory is at each point of a run at which it is another one than at the point before; the shadow stack of `agent` does not
 * count. `end()` notes the last one, after the run. What half of a copy or fill leaves cannot be seen: such a point has `half`.
 */
export class Snapshots {
  /** When the run begins. */
  bytes;
  /** {point, half, changes: [[address, bytes], ...]}, each from the one before. */
  found = [];
  #agent;
  #now;
  #seen;
  #stack;
  /** Where the change goes that comes next, or 0. */
  #next = 0;

  constructor(world, agent) {
    this.#agent = agent;
    this.#stack = agent.stack;
    this.#now = Buffer.from(world.memory.buffer);
    this.#seen = Buffer.from(this.#now);
    this.bytes = Buffer.from(this.#now);
  }

  looks = (half, address) => {
    const { points } = this.#agent;
    const was = this.#next;
    this.#next = address;
    this.#look(was, points);
    if (half) this.found.push({ point: points, half, changes: [] });
  };

  end() {
    this.#look(this.#next, this.#agent.points + 1);
  }

  /** `was`: where a store went since the last look, or 0. */
  #look(was, point) {
    const isFirst = this.found.length === 0;
    if (!isFirst && this.#isOfStack(was)) return;
    const changed = this.#changed(was);
    if (isFirst || changed.some((at) => !this.#isOfStack(at))) this.#note(changed, point);
  }

  #isOfStack(address) {
    return isIn([this.#stack], address);
  }

  #changed(store) {
    const from = store === 0 ? 0 : store - (store % BLOCK);
    const to = store === 0 ? this.#now.length : Math.min(store + WIDEST + BLOCK, this.#now.length);
    return [...differing(this.#now, this.#seen, from, to - (to % BLOCK))];
  }

  #note(changed, point) {
    const ofStack = differing(this.#now, this.#seen, ...this.#stack);
    const changes = [];
    for (const at of new Set([...changed, ...ofStack])) {
      const bytes = Buffer.from(this.#now.subarray(at, at + BLOCK));
      bytes.copy(this.#seen, at);
      changes.push([at, bytes]);
    }
    this.found.push({ point, half: false, changes });
  }
}
