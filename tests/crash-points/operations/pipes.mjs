// Pipes and their leases.

import { TEXT } from "../heap-under-test.mjs";

const open = (heap) => heap.pipe("pipe");
const nothing = () => undefined;
const small = { capacity: 4_096 };
const text = new TextEncoder().encode(TEXT);
const long = new Uint8Array(7_000).fill(120);
const lease = (heap) => heap.pipe("pipe").leaseSync({ max: 3_000, timeout: 1 / 128 });
const half = (heap) => heap.pipe("pipe").leaseSync({ max: 3, timeout: 1 / 128 });
const own = (heap) => {
  const pipe = heap.pipe();
  pipe.tryWrite(text);
  return pipe;
};

export const pipes = [
  { what: "pipe without a name", keeps: true, open: nothing, step: (_, heap) => heap.pipe(undefined, small) },
  { what: "pipe of a new name", open: nothing, step: (_, heap) => heap.pipe("new pipe", small) },
  { what: "pipe.available", keeps: true, open, step: (pipe) => pipe.available },
  { what: "pipe.write", open, step: (pipe) => pipe.tryWrite(text) },
  {
    what: "pipe.write of many bytes",
    open,
    step: (pipe) => pipe.tryWrite(long),
    between: [(pipe) => pipe.tryWrite(long.subarray(0, 4_096))],
  },
  {
    what: "pipe.writeMany",
    open,
    step: (pipe) => pipe.writeMany(["one ", TEXT, "three "], { timeout: 5 }),
    between: [(pipe) => pipe.tryWrite("one "), (pipe) => pipe.tryWrite(`one ${TEXT}`)],
  },
  {
    what: "pipe.write to a full pipe",
    keeps: true,
    open: (heap) => heap.pipe("full"),
    step: (pipe) => pipe.tryWrite(text),
  },
  {
    what: "pipe.writeSync that times out",
    refused: "COHEAP_TIMED_OUT",
    open: (heap) => heap.pipe("full"),
    step: (pipe) => pipe.writeSync(text, { timeout: 1 / 128 }),
  },
  { what: "pipe.read", open, step: (pipe) => pipe.tryRead() },
  { what: "pipe.read of a few bytes", open, step: (pipe) => pipe.tryRead({ max: 3 }) },
  { what: "pipe.read up to a delimiter", open, step: (pipe) => pipe.tryRead({ until: " " }) },
  { what: "pipe.read of a full pipe", open: (heap) => heap.pipe("full"), step: (pipe) => pipe.tryRead() },
  {
    what: "pipe.readSync that times out",
    refused: "COHEAP_TIMED_OUT",
    open: (heap) => heap.pipe("empty"),
    step: (pipe) => pipe.readSync({ timeout: 1 / 128 }),
  },
  {
    what: "pipe.read of one that was aborted",
    refused: "COHEAP_PIPE_ABORTED",
    open: (heap) => {
      const pipe = heap.pipe("pipe");
      pipe.abort(TEXT);
      return pipe;
    },
    step: (pipe) => pipe.tryRead(),
  },
  { what: "pipe.lease", keeps: true, open, step: (pipe) => pipe.leaseSync({ max: 3_000, timeout: 1 / 128 }) },
  {
    what: "pipe.lease up to a delimiter",
    keeps: true,
    open,
    step: (pipe) => pipe.leaseSync({ until: " ", timeout: 1 / 128 }),
  },
  { what: "lease.commit", open: lease, step: (lease) => lease?.commit() },
  { what: "lease.commit of a part", open: half, step: (lease) => lease?.commit() },
  { what: "lease.dispose", keeps: true, open: lease, step: (lease) => lease?.dispose() },
  { what: "pipe.close", open, step: (pipe) => pipe.close() },
  { what: "pipe.abort", open, step: (pipe) => pipe.abort(TEXT) },
  { what: "pipe.dispose of the last reference", keeps: true, open: own, step: (pipe) => pipe.dispose() },
  {
    what: "pipe.dispose with a lease",
    keeps: true,
    open: (heap) => [heap.pipe("pipe"), lease(heap)],
    step: ([pipe]) => pipe.dispose(),
  },
];
