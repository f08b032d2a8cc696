// A worker of kills.test.mjs: is for ever where it is told to be, also when it was terminated: as long as its thread runs it tries to go on.

import { attach } from "/js-host/dist/worker.js";
import { randomFrom } from "/tests/js/random.mjs";
import { countForEver } from "/tests/runtimes/endless-wasm.mjs";

/** What others may have changed meanwhile, and what it hears when it was terminated. */
const MET = ["COHEAP_TIMED_OUT", "COHEAP_NOT_A_NUMBER", "COHEAP_OUT_OF_MEMORY"];
const LOST = "COHEAP_AGENT_LOST";

addEventListener("message", ({ data }) => run(data), { once: true });

async function run({ token, place, seed, own }) {
  const counts = new Int32Array(own.buffer);
  const heap = attach(token);
  await globalThis[Symbol.for("coheap.lock")]; // a worker whose event loop never turns may never come to hold it
  const random = randomFrom(seed);
  const [map, list, cell, fields] = [heap.map("map"), heap.list("list"), heap.cell("cell"), heap.fields("fields")];
  const pipe = heap.pipe("pipe");
  const never = heap.cell("never");
  globalThis.held = [heap.map(), heap.bytes(undefined, 100_000), heap.bytes(undefined, 20_000)];
  globalThis.held[0].set("key", "a value of some length".repeat(9));

  const text = (length) => `${random(1000)} `.padEnd(70 + random(length), "t");
  const steps = [
    () => map.set(`key ${random(200)}`, text(2_000)),
    () => map.delete(`key ${random(200)}`),
    () => map.set(`inner ${random(5)}`, heap.from({ a: [1, 2, 3], b: text(100) })),
    () => list.push(text(100)),
    () => list.splice(random(20), random(30), text(3_000), text(10)),
    () => fields.set(`x-name-${random(5)}`, text(300)),
    () => pipe.tryWrite(text(3_000)),
    () => pipe.available > 0 && pipe.readSync({ max: 1 + random(4_000), timeout: 1 }),
    () => cell.set(text(20_000)),
    () => globalThis.held[0].set(`own ${random(50)}`, text(5_000)),
    () => globalThis.held[1].write(random(50_000), new Uint8Array(random(50_000)).fill(random(256))),
    () => {
      globalThis.held[2] = heap.bytes(undefined, 20_000 + random(200_000));
    },
  ];

  /** So that the dead leave the processor to the living, mostly. */
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  const nap = () => void Atomics.wait(sleeping, 0, 0, 1);

  /** Counts what it does, and what of it is refused since it was terminated. */
  const goOn = (step) => {
    for (;;) {
      try {
        step();
      } catch (error) {
        if (error.code === LOST) {
          Atomics.add(counts, 1, 1);
          nap();
        } else if (!MET.includes(error.code)) postMessage(error.stack);
      }
      Atomics.add(counts, 0, 1);
    }
  };
  // Online until its turn ends, which it never does.
  const stay = () => {
    for (let i = 0; i < 20; i++) cell.set(i);
  };
  const places = {
    "in operations": () => goOn(() => steps[random(steps.length)]()),
    "waiting for a cell": () => goOn(() => never.waitSync(0, 10)),
    "waiting for a pipe": () => goOn(() => heap.pipe("silent").readSync({ timeout: 10 })),
    "in its own loop": () => {
      stay();
      goOn(() => {});
    },
    "in its own wasm": () => {
      stay();
      countForEver(own);
    },
    "in its own loop, out of the heap": () => setTimeout(goOn, 50, nap),
  };
  places[place]();
}
