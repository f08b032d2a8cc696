// What blocks cost in memory, and what growing costs in time.
import { startAgent } from "../contender.mjs";
import { moduleOf } from "../setup.mjs";
import { median } from "../statistics.mjs";

const PAGE = 65_536;
const BLOCK = 64;

/** A heap that nobody else uses, in the smallest memory. */
async function freshHeap() {
  const module = await moduleOf("coheap");
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 8_192, shared: true });
  return { memory, agent: startAgent("coheap", module, memory, true) };
}

const million = {
  name: "one million 64-byte blocks",
  targets: [{ key: "overhead", atMost: 1.15, text: "≤ 1.15 × their bytes by memory.size" }],
  async measure() {
    const count = 1_000_000;
    const { agent } = await freshHeap();
    const { pages } = agent.hold(count, BLOCK);
    const overhead = (pages * PAGE) / (count * BLOCK);
    const measured = `${overhead.toFixed(3)} × (${pages} pages)`;
    return { measured, values: { overhead }, samples: { pages: [pages] }, problems: [] };
  },
};

const growth = {
  name: "growth",
  targets: [],
  async measure({ quick, rounds }) {
    const { agent, memory } = await freshHeap();
    const before = memory.grow(0);
    const { pages, growths } = agent.hold(quick ? 20_000 : 500_000, BLOCK);
    const batch = (pages - before) / growths;
    const samples = [];
    for (let round = 0; round < rounds; round++) {
      const raw = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
      const count = quick ? 20 : 200;
      const start = performance.now();
      for (let i = 0; i < count; i++) raw.grow(Math.round(batch));
      samples.push(((performance.now() - start) * 1e6) / count);
    }
    const took = median(samples);
    const measured = `${batch.toFixed(1)} pages a growth (${growths} growths); memory.grow of as many: ${took.toFixed(0)} ns, ${(took / batch).toFixed(0)} ns a page`;
    return { measured, values: { batch, took }, samples: { took: samples }, problems: [] };
  },
};

export const space = [million, growth];
