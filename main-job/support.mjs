// What the acts of the main job share: words on the screen, workers, the file.

import { openSync, readSync } from "node:fs";
import { Worker } from "node:worker_threads";

export const faces = {
  host: new URL("../js-host/dist/index.js", import.meta.url),
  worker: new URL("../js-host/dist/worker.js", import.meta.url),
};
export const MIB = 2 ** 20;
/** How long the message way is measured, in all runs together. */
export const MESSAGE_SECONDS = Number(process.env.COHEAP_MESSAGE_SECONDS ?? 3);
/** What is compared is the median of so many runs, on all sides. */
export const RUNS = 5;

export const say = (text = "") => console.log(text);
export const count = (number) => Math.round(number).toLocaleString("en");

/** A time in nanoseconds, in the unit that suits it. */
export function time(nanoseconds) {
  for (const [unit, size] of [
    ["s", 1e9],
    ["ms", 1e6],
    ["µs", 1e3],
  ]) {
    if (nanoseconds >= size) return `${(nanoseconds / size).toFixed(nanoseconds >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${nanoseconds.toFixed(1)} ns`;
}

/** Nanoseconds of one step: the median of runs of so many steps. */
export function timeSteps(steps, run) {
  return medianOfRuns(() => {
    const begin = process.hrtime.bigint();
    run(steps);
    return Number(process.hrtime.bigint() - begin) / steps;
  });
}

/** The same of steps by messages, each run for its part of the time that they have; and how many steps it was in all. */
export function timeMessages(step) {
  let steps = 0;
  const perStep = medianOfRuns(() => {
    const first = steps;
    const begin = process.hrtime.bigint();
    let took = 0;
    while (took < (MESSAGE_SECONDS / RUNS) * 1e9) {
      step(steps++);
      took = Number(process.hrtime.bigint() - begin);
    }
    return took / (steps - first);
  });
  return { perStep, steps };
}

function medianOfRuns(run) {
  return Array.from({ length: RUNS }, run).sort((a, b) => a - b)[RUNS >> 1];
}

/** Opens a file that has something to read, or says why there is none. */
export function openFile(path) {
  let why = "is empty";
  try {
    const file = openSync(path);
    // A folder opens, but cannot be read.
    if (readSync(file, Buffer.alloc(1), 0, 1, 0) > 0) return file;
  } catch (error) {
    const reasons = { ENOENT: "does not exist", EISDIR: "is a folder", EACCES: "may not be read" };
    why = reasons[error.code] ?? `cannot be read (${error.message})`;
  }
  console.error(`The file ${path} ${why}.`);
  process.exit(1);
}

const exits = new WeakMap();

/** A worker that has attached. */
export async function startWorker(heap, task, data = {}) {
  const token = heap.token();
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), {
    workerData: { ...data, coheap: faces.worker.href, token, task },
  });
  heap.adopt(worker, token);
  // From here on: of a worker that ends soon a busy host hears both in one turn.
  exits.set(worker, new Promise((resolve) => worker.once("exit", resolve)));
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  worker.on("error", (error) => {
    console.error(error);
    process.exit(1);
  });
  return worker;
}

/** When a worker's thread has ended. */
export const ended = (worker) => exits.get(worker);

/** A table whose first row is its head. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  rows.forEach((row, i) => {
    say(
      `   ${row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join("   ")}`,
    );
    if (i === 0) say(`   ${widths.map((width) => "─".repeat(width)).join("   ")}`);
  });
}
