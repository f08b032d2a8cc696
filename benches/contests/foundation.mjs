// The calls that are made most often, beside the same calls of the package as it was before the dead were reaped: what survival costs the living.
import { readdirSync } from "node:fs";
import { interleave, median, ratio } from "../statistics.mjs";
import { countFor, time } from "../timing.mjs";

const built = new URL("../target/", import.meta.url);

/** The two packages, by name. */
function faces() {
  const foundation = readdirSync(built).find((name) => name.startsWith("foundation-") && !name.endsWith(".tar"));
  return {
    now: new URL("../../js-host/dist/", import.meta.url),
    before: new URL(`${foundation}/js-host/dist/`, built),
  };
}

/** The same steps, in a heap of each package. */
async function stepsOf(dist) {
  const { SharedHeap } = await import(new URL("index.js", dist));
  const { attach } = await import(new URL("worker.js", dist));
  const heap = await SharedHeap.create();
  const own = attach(heap.token());
  const cell = own.cell();
  const fields = own.fields([["content-type", "text/plain"]]);
  const map = own.map();
  const list = own.list();
  const pipe = own.pipe(undefined, { capacity: 65_536 });
  const message = new Uint8Array(16);
  cell.set(1.5);
  const keys = Array.from({ length: 1000 }, (_, i) => `key ${i}`);
  for (const [i, key] of keys.entries()) {
    map.set(key, `a value of some length ${i}`);
    list.push(i);
  }
  const numbers = own.map();
  for (const [i, key] of keys.entries()) numbers.set(key, i);
  let turn = 0;
  const next = () => {
    turn = (turn + 1) % keys.length;
    return turn;
  };
  const end = () => {
    own.detach();
    heap.detach();
  };
  return {
    steps: {
      "cell get": () => cell.get(),
      "cell set": () => cell.set(2.5),
      "fields get": () => fields.get("content-type"),
      "fields set": () => fields.set("content-type", "text/html"),
      "map get": () => map.get(keys[next()]),
      "map set": () => map.set(keys[next()], "another value of some length"),
      "map add": () => numbers.add(keys[next()], 1),
      "list at": () => list.at(next()),
      "pipe write and read": () => {
        pipe.writeSync(message);
        pipe.readSync();
      },
    },
    end,
  };
}

const NAMES = ["cell get", "cell set", "fields get", "fields set", "map get", "map set", "map add", "list at"].concat(
  "pipe write and read",
);
const targets = NAMES.map((key) => ({ key, atMost: 1.05, text: `${key} ≤ 1.05 ×` }));

async function race({ milliseconds, rounds }) {
  const sides = Object.entries(faces());
  const made = await Promise.all(sides.map(async ([side, dist]) => [side, await stepsOf(dist)]));
  const contestants = {};
  for (const name of NAMES) {
    for (const [side, { steps }] of made) {
      const count = countFor(steps[name], milliseconds);
      contestants[`${name}, ${side}`] = () => time(steps[name], count);
    }
  }
  const samples = await interleave(contestants, rounds);
  for (const [, { end }] of made) end();
  return { samples, problems: [] };
}

function outcome({ samples }) {
  const values = Object.fromEntries(
    NAMES.map((name) => [name, ratio(samples[`${name}, now`], samples[`${name}, before`])]),
  );
  const words = NAMES.map((name) => {
    const [now, before] = ["now", "before"].map((side) => median(samples[`${name}, ${side}`]).toFixed(1));
    return `${name} ${now} ns (before ${before}, ${values[name].toFixed(2)} ×)`;
  });
  return { measured: words.join("; "), values };
}

export const contest = {
  file: "foundation",
  name: "fast paths beside those of the foundation",
  targets,
  needs: ["foundation"],
  race,
  outcome,
};
