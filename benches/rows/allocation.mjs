// Pairs and churn inside one operation, beside three allocators compiled to the same kind of shared memory; and a threaded program
// whose allocator is coheap's or std's own.
import { interleave, median, ratio } from "../statistics.mjs";
import { teamOf } from "../team.mjs";

const PEERS = { talc: "talc + spin lock", dlmalloc: "dlmalloc + TAS", mimalloc: "mimalloc" };
const ARGUMENTS = { pairs: 64, churn: 12_345, words: 12_345, exchange: 0 };
/** What a threaded program does in an iteration, and in how many threads. */
const STEPS = [
  { workload: "pairs", title: "a Box of 64 B", threads: [1, 2] },
  { workload: "churn", title: "a Vec of 16–512 B", threads: [1, 2] },
  { workload: "words", title: "a word counted in a HashMap", threads: [1, 2] },
  { workload: "exchange", title: "a Box that the other thread drops", threads: [2] },
];

/** The teams that could be built, and why the others could not. */
async function assemble(contenders) {
  const teams = {};
  const problems = [];
  for (const contender of contenders) {
    try {
      teams[contender] = await teamOf(contender);
    } catch (error) {
      problems.push(`${PEERS[contender] ?? contender} not measured: ${error.message}`);
    }
  }
  return { teams, problems };
}

async function race(contenders, workload, agents, { milliseconds, rounds }) {
  const { teams, problems } = await assemble(contenders);
  const contestants = Object.fromEntries(
    Object.entries(teams).map(([name, team]) => [
      name,
      () => team.time(workload, agents, ARGUMENTS[workload], milliseconds),
    ]),
  );
  return { samples: await interleave(contestants, rounds), problems };
}

function besidePeers(name, workload, agents, targets) {
  return {
    name,
    targets: Object.entries(targets).map(([peer, atLeast]) => ({ key: peer, atLeast, text: `≥ ${atLeast} × ${peer}` })),
    async measure(options) {
      const { samples, problems } = await race(["coheap", ...Object.keys(PEERS)], workload, agents, options);
      const values = {};
      const parts = [];
      if (samples.coheap) parts.push(`coheap ${median(samples.coheap).toFixed(1)} ns`);
      for (const [peer, title] of Object.entries(PEERS)) {
        if (!samples[peer]) continue;
        const part = `${title} ${median(samples[peer]).toFixed(1)} ns`;
        if (samples.coheap) values[peer] = ratio(samples[peer], samples.coheap);
        parts.push(samples.coheap ? `${part} (${values[peer].toFixed(1)} ×)` : part);
      }
      return { measured: parts.join("; "), values, samples, problems };
    },
  };
}

/** What a record at the same address bits 6–11 as the slab's metadata would cost. */
const uncoloured = {
  name: "pairs, uncoloured record",
  targets: [],
  async measure(options) {
    const { samples, problems } = await race(["coheap", "uncoloured"], "pairs", 1, options);
    if (problems.length) return { measured: "", values: {}, samples, problems };
    const slower = ratio(samples.uncoloured, samples.coheap);
    const measured = `${median(samples.uncoloured).toFixed(1)} ns; coloured ${median(samples.coheap).toFixed(1)} ns (${slower.toFixed(2)} ×)`;
    return { measured, values: { uncoloured: slower }, samples, problems };
  },
};

/** One program of std's boxes, vectors, strings and maps, with either allocator. */
const program = {
  name: "GlobalAlloc beside std's own",
  targets: [],
  async measure(options) {
    const [values, samples, parts] = [{}, {}, []];
    for (const { workload, title, threads } of STEPS) {
      const texts = [];
      for (const agents of threads) {
        const raced = await race(["program-coheap", "program-std"], workload, agents, options);
        if (raced.problems.length) return { measured: "", values, samples, problems: raced.problems };
        const { "program-coheap": own, "program-std": std } = raced.samples;
        const key = `${workload}, ${agents}`;
        samples[key] = own;
        samples[`${key}, std`] = std;
        values[key] = ratio(std, own);
        const times = `${median(own).toFixed(1)} ns (std ${median(std).toFixed(1)}, ${values[key].toFixed(2)} ×)`;
        texts.push(`${agents} ${agents === 1 ? "thread" : "threads"} ${times}`);
      }
      parts.push(`${title}: ${texts.join(", ")}`);
    }
    return { measured: parts.join("; "), values, samples, problems: [] };
  },
};

export const allocation = [
  besidePeers("pairs 64 B, 1 agent", "pairs", 1, { talc: 4, dlmalloc: 4, mimalloc: 2 }),
  besidePeers("pairs 64 B, 2 agents", "pairs", 2, { talc: 35, dlmalloc: 35, mimalloc: 2 }),
  besidePeers("churn 16–512 B, 1 agent", "churn", 1, { mimalloc: 1.3 }),
  besidePeers("churn 16–512 B, 2 agents", "churn", 2, { mimalloc: 1.3 }),
  uncoloured,
  program,
];
