// Two workers in one shared memory of one contender; it lives for the whole run, so the code stays compiled.
import { Worker } from "node:worker_threads";
import { newMemory, startAgent } from "./contender.mjs";
import { moduleOf } from "./setup.mjs";
import { answer, ask } from "./workers.mjs";

const AGENTS = 2;

class Team {
  #workers;
  #iterations = new Map();

  constructor(workers) {
    this.#workers = workers;
  }

  /** Milliseconds of the slowest agent. */
  async #round(workload, agents, iterations, argument) {
    const gate = new SharedArrayBuffer(4);
    const answers = this.#workers.slice(0, agents).map((worker, index) => {
      // Another seed for each agent, else they ask for the same sizes in step.
      const own = workload === "pairs" ? argument : argument + index * 7_919;
      return ask(worker, { workload, iterations, argument: own, gate, agents });
    });
    return Math.max(...(await Promise.all(answers)));
  }

  /** Nanoseconds an iteration takes each agent, in a round of about `milliseconds`. */
  async time(workload, agents, argument, milliseconds) {
    const key = `${workload} ${agents}`;
    if (!this.#iterations.has(key)) {
      let iterations = 10_000;
      let took = 0;
      while (took < milliseconds / 4) {
        iterations *= 2;
        took = Number.POSITIVE_INFINITY;
        // The quickest of three: the others may have been interrupted.
        for (let probe = 0; probe < 3; probe++) {
          took = Math.min(took, await this.#round(workload, agents, iterations, argument));
        }
      }
      this.#iterations.set(key, Math.ceil((iterations * milliseconds) / took));
    }
    const iterations = this.#iterations.get(key);
    const took = await this.#round(workload, agents, iterations, argument);
    return (took * 1e6) / iterations;
  }

  async stop() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

async function start(contender) {
  const module = await moduleOf(contender);
  const memory = newMemory();
  const first = startAgent(contender, module, memory, true);
  if (first.pairs(1, 64)) throw new Error(`${contender}: no memory`);
  const workers = Array.from({ length: AGENTS }, () => {
    const workerData = { contender, module, memory };
    return new Worker(new URL("./agent-worker.mjs", import.meta.url), { workerData });
  });
  await Promise.all(workers.map(answer));
  return new Team(workers);
}

const teams = new Map();

/** The team of a contender, built and started at the first call. */
export function teamOf(contender) {
  if (!teams.has(contender)) teams.set(contender, start(contender));
  return teams.get(contender);
}

/** Ends all workers. */
export async function stopTeams() {
  for (const team of teams.values())
    await team.then(
      (team) => team.stop(),
      () => {},
    );
  teams.clear();
}
