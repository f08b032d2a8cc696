// What the fence costs in each of its modes: going online for one operation, for a turn, or as the host glue mixes them.
import { readFile } from "node:fs/promises";
import { CELL, rawAgent } from "../raw-agent.mjs";
import { builtPackage } from "../setup.mjs";
import { interleave, median } from "../statistics.mjs";

/** Nanoseconds a call takes in one turn of the event loop. */
function loop(count, call) {
  const start = performance.now();
  for (let i = 0; i < count; i++) call(i);
  return ((performance.now() - start) * 1e6) / count;
}

/** Nanoseconds a turn takes that makes one call. */
async function turns(count, call) {
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    call(i);
    await null;
  }
  return ((performance.now() - start) * 1e6) / count;
}

async function measure({ milliseconds, rounds }) {
  const files = await builtPackage();
  const raw = rawAgent(new WebAssembly.Module(await readFile(files.wasm)));
  const { index, generation } = raw.open(CELL);
  const { coheap_cell_get, coheap_cell_set, coheap_turn_begin, coheap_turn_end } = raw.exports;
  const { SharedHeap } = await import(files.index);
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  cell.set(0);

  const get = () => coheap_cell_get(index, generation);
  const set = (i) => coheap_cell_set(index, generation, i);
  const endTurn = () => void coheap_turn_end();
  const sticky = (call) => (count) => {
    coheap_turn_begin();
    const took = loop(count, call);
    coheap_turn_end();
    return took;
  };
  const contestants = {
    "precise get": (count) => loop(count, get),
    "precise set": (count) => loop(count, set),
    "sticky get": sticky(get),
    "sticky set": sticky(set),
    "hybrid get": (count) => loop(count, () => cell.get()),
    "hybrid set": (count) => loop(count, (i) => cell.set(i)),
    "empty turn": (count) => turns(count, () => {}),
    "precise get a turn": (count) => turns(count, get),
    "sticky get a turn": (count) =>
      turns(count, () => {
        coheap_turn_begin();
        queueMicrotask(endTurn);
        get();
      }),
    "hybrid get a turn": (count) => turns(count, () => cell.get()),
  };
  const count = Math.ceil(milliseconds * 20_000);
  const timed = Object.fromEntries(
    Object.entries(contestants).map(([name, contestant]) => [name, () => contestant(count)]),
  );
  await interleave(timed, 2); // warms up
  const samples = await interleave(timed, rounds);
  heap.detach();

  const values = Object.fromEntries(Object.entries(samples).map(([name, list]) => [name, median(list)]));
  const parts = ["precise", "sticky", "hybrid"].map((mode) => {
    const alone = values[`${mode} get a turn`] - values["empty turn"];
    return `${mode}: get ${values[`${mode} get`].toFixed(1)}, set ${values[`${mode} set`].toFixed(1)}, the only get of a turn ${alone.toFixed(1)} ns`;
  });
  return { measured: parts.join("; "), values, samples, problems: [] };
}

export const fence = [{ name: "fence: precise, sticky, hybrid", targets: [], measure }];
