// What agents do about the ends of others, by the calls below `heap.adopt` and `heap.terminate`: those need threads.

/** Nobody's, and that of whoever is there to be lost. */
const NOBODY = { low: 0, high: 0 };
const lost = (_, { victim }) => victim?.life ?? NOBODY;
const worker = { low: 77, high: 7 };
const nothing = () => undefined;
const adopt = (_, __, { calls }) => calls.coheap_adopt(worker.low, worker.high, 1);

export const deaths = [
  { what: "heap.adopt", open: nothing, step: adopt },
  { what: "heap.adopt once more", open: (heap, agent) => adopt(undefined, heap, agent), step: adopt },
  {
    what: "an adopted worker that has ended",
    open: (heap, agent) => adopt(undefined, heap, agent),
    step: (_, __, { calls }) => calls.coheap_adopt(worker.low, worker.high, 0),
  },
  {
    what: "an agent that is condemned",
    hasVictim: true,
    open: lost,
    step: ({ low, high }, _, { calls }) => calls.coheap_condemn(low, high),
  },
  {
    what: "an agent whose lock was seen",
    hasVictim: true,
    open: lost,
    step: ({ low, high }, _, { calls }) => calls.coheap_locked(low, high),
  },
  { what: "pipe that needs who is lost", open: (heap) => heap.pipe("pipe"), step: (pipe) => pipe.lose(7) },
  { what: "full pipe that needs who is lost", open: (heap) => heap.pipe("full"), step: (pipe) => pipe.lose(7) },
];
