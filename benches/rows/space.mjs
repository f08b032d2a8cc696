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

const nanoseconds = (work) => {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1e6;
};

/** Nanoseconds of a run of so many pages, taken and freed: when the memory has to grow for it, and when it finds them free. */
async function runs(pages, warm) {
  const { agent, memory } = await freshHeap();
  const take = () => agent.pairs(1, pages * PAGE);
  const before = memory.grow(0);
  const [grown, found] = [nanoseconds(take), nanoseconds(take)];
  if (memory.grow(0) !== before + pages) throw new Error("the memory did not grow once for one run");
  for (let i = 0; i < warm; i++) take();
  return { grown, found };
}

/** Nanoseconds that `memory.grow` alone takes, of a memory that nobody uses. */
function rawGrowth(pages, times) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
  const took = nanoseconds(() => {
    for (let i = 0; i < times; i++) memory.grow(pages);
  });
  return took / times;
}

const growth = {
  name: "growth",
  targets: [],
  async measure({ quick, rounds }) {
    const { agent, memory } = await freshHeap();
    const before = memory.grow(0);
    const { pages, growths } = agent.hold(quick ? 20_000 : 500_000, BLOCK);
    const batch = (pages - before) / growths;
    const samples = { grown: [], found: [], raw: [] };
    // The code is final before anything is counted.
    await runs(Math.round(batch), 10_000);
    for (let round = 0; round < rounds; round++) {
      const { grown, found } = await runs(Math.round(batch), 0);
      samples.grown.push(grown);
      samples.found.push(found);
      samples.raw.push(rawGrowth(Math.round(batch), quick ? 20 : 200));
    }
    const [grown, found, raw] = [samples.grown, samples.found, samples.raw].map(median);
    const measured =
      `${batch.toFixed(1)} pages a growth (${growths} growths); a run of as many, taken and freed, when the memory has to grow for it: ${grown.toFixed(0)} ns, ` +
      `when they are free: ${found.toFixed(0)} ns; memory.grow alone: ${raw.toFixed(0)} ns, ${(raw / batch).toFixed(0)} ns a page`;
    return { measured, values: { batch, grown, found, raw }, samples, problems: [] };
  },
};

export const space = [million, growth];
