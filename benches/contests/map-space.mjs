// What an entry of a map takes of memory, in all: by the heap's count of live bytes, or as the peer can say it.
import { ours, peers } from "../shared-maps.mjs";
import { fill, KEYS, keys } from "./map-steps.mjs";

const writers = {
  strings: fill,
  numbers: (map, which) => {
    for (const [i, key] of keys.entries()) map.set(key, i + which);
  },
};

/** Bytes an entry takes after all were made, and after each value was changed. */
function perEntry({ map, bytes, room }, write) {
  const empty = room ? 0 : bytes();
  return [0, 1].map((which) => {
    write(map, which);
    return (bytes() - empty) / (room ?? KEYS);
  });
}

async function race() {
  const samples = {};
  const problems = [];
  for (const { name, create } of [ours, ...peers]) {
    for (const [kind, write] of Object.entries(writers)) {
      let opened;
      try {
        opened = await create();
        if (!opened.bytes) throw new Error("says nothing of what it uses of its buffer");
        samples[`${name}, ${kind}`] = perEntry(opened, write);
      } catch (error) {
        problems.push(`${name}, ${kind}: ${error.message}.`);
      }
      await opened?.close?.();
    }
  }
  return { samples, problems };
}

function outcome({ samples }) {
  const contenders = [ours, ...peers].filter(({ name }) => samples[`${name}, strings`]);
  const texts = contenders.map(({ name }) => {
    const kinds = Object.keys(writers).filter((kind) => samples[`${name}, ${kind}`]);
    const taken = kinds.map((kind) => {
      const [made, changed] = samples[`${name}, ${kind}`].map((bytes) => bytes.toFixed(0));
      return `${kind} ${made}${changed === made ? "" : ` (${changed} once each was changed)`}`;
    });
    return `${name} ${taken.join(", ")}`;
  });
  return { measured: `bytes: ${texts.join("; ")}`, values: {} };
}

export const contest = {
  file: "map-space",
  name: "bytes an entry of a map, 1,000 string keys",
  targets: [],
  needs: ["peers"],
  race,
  outcome,
};
