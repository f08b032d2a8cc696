// A map in the heap beside one of V8's shared structs, which only a flag brings. Its field names are fixed with its type, 999
// at most; there is no map of them, so this is the time of a field whose name is computed.
import { ours } from "../shared-maps.mjs";
import { interleave, median, ratio } from "../statistics.mjs";
import { countFor, time } from "../timing.mjs";
import { check, fill, keys, stringSteps } from "./map-steps.mjs";

const FIELDS = 999;

function sharedStruct() {
  const { SharedStructType } = globalThis;
  if (!SharedStructType) throw new Error("this V8 has no shared structs");
  const struct = new new SharedStructType(keys.slice(0, FIELDS))();
  return {
    get: (key) => struct[key],
    set: (key, value) => {
      struct[key] = value;
    },
  };
}

async function race({ milliseconds, rounds }) {
  const maps = { coheap: (await ours.create()).map, struct: sharedStruct() };
  const contestants = {};
  for (const [name, map] of Object.entries(maps)) {
    fill(map, 0, FIELDS);
    check(map, 0, FIELDS);
    for (const [what, step] of Object.entries(stringSteps(map, FIELDS))) {
      const count = countFor(step, milliseconds);
      contestants[`${name}, ${what}`] = () => time(step, count);
    }
  }
  return { samples: await interleave(contestants, rounds), problems: [] };
}

function outcome({ samples }) {
  const texts = ["hot get", "hot set", "cold get", "cold set"].map((what) => {
    const [own, other] = [samples[`coheap, ${what}`], samples[`struct, ${what}`]];
    return `${what} ${Math.round(median(own))} ns, struct ${Math.round(median(other))} (${ratio(other, own).toFixed(2)} ×)`;
  });
  return { measured: texts.join("; "), values: {} };
}

export const contest = {
  file: "shared-structs",
  name: "map beside V8's shared structs by flag, 999 names",
  targets: [],
  race,
  outcome,
};
