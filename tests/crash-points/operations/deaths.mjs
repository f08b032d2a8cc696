// What agents do about the ends of others, by the calls below `heap.adopt` and `heap.terminate`: those need threads.

import { TEXT } from "../heap-under-test.mjs";

/** Nobody's, and that of whoever is there to be lost. */
const NOBODY = { low: 0, high: 0 };
const lost = (_, { victim }) => victim?.life ?? NOBODY;
const worker = { low: 77, high: 7 };
const nothing = () => undefined;
/** A text is set in a map, and an exception leaves that at its point number `at`. */
const cutShort = (at) => ({
  what: `map.set that an exception leaves at point ${at}, and what comes then`,
  keeps: true,
  open: (heap) => heap.map("map"),
  step: (map, heap, agent) => {
    agent.interrupt(at, () => map.set("text", `${TEXT}, another`));
    heap.stats();
  },
});
const adopt = (_, __, { calls }) => calls.coheap_adopt(worker.low, worker.high, 1);

export const deaths = [
  ...[1, 6, 11, 16, 21, 26].map(cutShort),
  {
    what: "an agent that broke",
    keeps: true,
    open: nothing,
    step: (_, __, { calls }) => calls.coheap_surrender(),
  },
  {
    what: "who sits where",
    keeps: true,
    hasVictim: true,
    open: lost,
    step: ({ low, high }, _, { calls }) => {
      for (const look of [calls.coheap_occupied, calls.coheap_live]) {
        let from = 0;
        do from = look(from);
        while (from !== 0);
      }
      calls.coheap_adopted(low, high, 0);
      calls.coheap_life(low, high);
      calls.coheap_lost(low, high);
    },
  },
  { what: "heap.adopt", keeps: true, open: nothing, step: adopt },
  { what: "heap.adopt once more", keeps: true, open: (heap, agent) => adopt(undefined, heap, agent), step: adopt },
  {
    what: "an adopted worker that has ended",
    keeps: true,
    open: (heap, agent) => adopt(undefined, heap, agent),
    step: (_, __, { calls }) => calls.coheap_adopt(worker.low, worker.high, 0),
  },
  {
    what: "an agent that is condemned",
    keeps: true,
    hasVictim: true,
    open: lost,
    step: ({ low, high }, _, { calls }) => calls.coheap_condemn(low, high),
  },
  {
    what: "an agent whose lock was seen",
    keeps: true,
    hasVictim: true,
    open: lost,
    step: ({ low, high }, _, { calls }) => calls.coheap_locked(low, high),
  },
  { what: "pipe that needs who is lost", open: (heap) => heap.pipe("pipe"), step: (pipe) => pipe.lose(7) },
  { what: "full pipe that needs who is lost", open: (heap) => heap.pipe("full"), step: (pipe) => pipe.lose(7) },
];
