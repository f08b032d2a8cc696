// A map in the heap beside what else threads of JavaScript can share a map of strings by.
import { ours, peers } from "../shared-maps.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { countFor, time } from "../timing.mjs";
import { check, fill, stringSteps } from "./map-steps.mjs";

const STEPS = ["hot get", "hot set", "cold get", "cold set"];

const targets = STEPS.map((key) => {
  const atLeast = key.startsWith("hot") ? 5 : 3;
  return { key, atLeast, text: `${key} ≥ ${atLeast} × the best shared one` };
});

/** An opened map that gave back what was written, twice. */
async function open({ create }) {
  const opened = await create();
  for (const which of [0, 1]) {
    fill(opened.map, which);
    check(opened.map, which);
  }
  return opened;
}

async function race({ milliseconds, rounds }) {
  const problems = [];
  const opened = new Map();
  const contestants = {};
  const drop = (name, error) => {
    opened.delete(name);
    problems.push(`${name}: ${error.message}.`);
    // Its later rounds are no numbers.
    return Number.NaN;
  };
  for (const contender of [ours, ...peers]) {
    const { name } = contender;
    try {
      opened.set(name, await open(contender));
      for (const [what, step] of Object.entries(stringSteps(opened.get(name).map))) {
        const count = countFor(step, milliseconds);
        contestants[`${name}, ${what}`] = () => {
          try {
            return opened.has(name) ? time(step, count) : Number.NaN;
          } catch (error) {
            return drop(name, error);
          }
        };
      }
    } catch (error) {
      drop(name, error);
    }
  }
  const samples = await interleave(contestants, rounds);
  for (const [name, { map, close }] of opened) {
    try {
      fill(map);
      check(map, 0);
      await close?.();
    } catch (error) {
      drop(name, error);
    }
  }
  const raced = Object.entries(samples).filter(([key]) => opened.has(key.split(", ")[0]));
  return { samples: Object.fromEntries(raced), problems };
}

function outcome({ samples }) {
  const values = {};
  const texts = STEPS.map((what) => {
    const own = samples[`${ours.name}, ${what}`];
    if (!own) throw new Error("coheap's map did not come through");
    const raced = peers.map(({ name }) => name).filter((name) => samples[`${name}, ${what}`]);
    const times = raced.map((name) => ({ name, factor: ratio(samples[`${name}, ${what}`], own) }));
    if (times.length > 0) values[what] = Math.min(...times.map(({ factor }) => factor));
    const beside = times.map(({ name, factor }) => {
      const took = Math.round(median(samples[`${name}, ${what}`])).toLocaleString("en");
      return `${name} ${took} (${factor.toFixed(1)} ×)`;
    });
    return `${what} ${Math.round(median(own))} ns, ${beside.join(", ")}`;
  });
  return { measured: texts.join("; "), values };
}

export const contest = {
  file: "map-peers",
  name: "map beside shared peers, 1,000 string keys",
  targets,
  needs: ["peers"],
  race,
  outcome,
};
