// One map of strings used by one agent and by two at once: how much more two get done. Beside it the peers that two may use
// without a lock of the caller's.
import { attach, ours, peers } from "../shared-maps.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { ask, startWorker } from "../workers.mjs";
import { check, fill } from "./map-steps.mjs";

const AGENTS = 2;
const STEPS = ["hot get", "hot set", "cold get", "cold set"];
/** The others have no way for two agents without a lock around each step. */
const contenders = [ours, ...peers.filter(({ name }) => name in attach)];

const targets = STEPS.map((key) => {
  const atLeast = key.startsWith("hot") ? 5 : 3;
  return { key, atLeast, text: `${key} of 2 agents ≥ ${atLeast} × the best shared one` };
});

/** A map, filled, and workers that attached to it. */
async function start({ name, create }) {
  const { map, share, close } = await create();
  fill(map);
  const started = Array.from({ length: AGENTS }, (_, index) => {
    return startWorker("./map-agent-worker.mjs", { name, state: share(), index });
  });
  const workers = await Promise.all(started);
  return {
    workers,
    /** Nanoseconds a step takes the slowest of so many agents. */
    async round(what, count, agents) {
      const gate = new SharedArrayBuffer(4);
      const asked = workers.slice(0, agents).map((worker) => ask(worker, { what, count, gate, agents }));
      return Math.max(...(await Promise.all(asked)));
    },
    async stop() {
      fill(map);
      check(map, 0);
      await Promise.all(workers.map((worker) => worker.terminate()));
      await close?.();
    },
  };
}

async function race({ milliseconds, rounds }) {
  const teams = [];
  const problems = [];
  const contestants = {};
  for (const contender of contenders) {
    const { name } = contender;
    try {
      const team = await start(contender);
      teams.push({ name, ...team });
      for (const what of STEPS) {
        const counts = await Promise.all(team.workers.map((worker) => ask(worker, { what, milliseconds })));
        const count = Math.min(...counts);
        for (const agents of [1, AGENTS])
          contestants[`${name}, ${what}, ${agents}`] = () => team.round(what, count, agents);
      }
    } catch (error) {
      problems.push(`${name}: ${error.message}.`);
    }
  }
  const samples = await interleave(contestants, rounds);
  for (const { name, stop } of teams) {
    await stop().catch((error) => problems.push(`${name}: ${error.message}.`));
  }
  return { samples, problems };
}

function outcome({ samples }) {
  const values = {};
  const names = contenders.map(({ name }) => name).filter((name) => samples[`${name}, ${STEPS[0]}, 1`]);
  const texts = STEPS.map((what) => {
    const of = (name, agents) => samples[`${name}, ${what}, ${agents}`];
    const beside = names.map((name) => {
      const [one, two] = [of(name, 1), of(name, AGENTS)];
      const factor = ratio(two, of(ours.name, AGENTS));
      if (name !== ours.name) values[what] = Math.min(values[what] ?? Number.POSITIVE_INFINITY, factor);
      const times = [one, two].map((took) => Math.round(median(took)).toLocaleString("en")).join(" → ");
      const more = (AGENTS * ratio(one, two)).toFixed(2);
      return `${name} ${times} ns (${more} × the throughput${name === ours.name ? "" : `, ${factor.toFixed(1)} × ours`})`;
    });
    return `${what}: ${beside.join(", ")}`;
  });
  return { measured: `a step of one agent → of each of two: ${texts.join("; ")}`, values };
}

export const contest = {
  file: "map-agents",
  name: "map, 2 agents beside shared peers",
  targets,
  needs: ["peers"],
  race,
  outcome,
};
