// What an agent that stands still in an operation costs the others.
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { root } from "../../tools/process.mjs";
import { builtPackage, here } from "../setup.mjs";
import { median } from "../statistics.mjs";

const WORKER = new URL("../standing-worker.mjs", import.meta.url);
const AGENTS = 8;
const [GO, STANDS] = [0, 1];

/** The shipped module, asking before each change of shared memory. */
function asking(wasm) {
  const folder = join(here, "target");
  mkdirSync(folder, { recursive: true });
  const output = join(folder, "heap.crash-points.wasm");
  const cargo = ["run", "--quiet", "--package", "coheap-tools", "--bin", "crash-points", "--", wasm, output];
  const { status, stderr } = spawnSync("cargo", cargo, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return new WebAssembly.Module(readFileSync(output));
}

/** Keys that seven of eight agents set in a while; the eighth does so, too, or stands still in the middle of it. */
async function keysSet(SharedHeap, face, module, milliseconds) {
  const heap = await SharedHeap.create();
  const shared = new SharedArrayBuffer(8);
  const words = new Int32Array(shared);
  const workers = Array.from({ length: AGENTS }, (_, number) => {
    const stands = number === 0 && module !== undefined;
    const token = stands ? { ...heap.token(), module } : heap.token();
    return new Worker(WORKER, { workerData: { face, token, shared, number, stands } });
  });
  await Promise.all(workers.map((worker) => once(worker, "message")));
  const [first, ...others] = workers;
  words[GO] = 1;
  first.postMessage(milliseconds);
  if (module !== undefined) await Atomics.waitAsync(words, STANDS, 0).value;
  const answers = others.map((worker) => once(worker, "message"));
  for (const worker of others) worker.postMessage(milliseconds);
  const done = await Promise.all(answers);
  await Promise.all(workers.map((worker) => worker.terminate()));
  heap.detach();
  return done.reduce((sum, [each]) => sum + each, 0);
}

const standing = {
  name: "one of eight agents stands still in an operation",
  targets: [{ key: "share", atLeast: 0.9, text: "the others ≥ 90 % of what they do beside a working one" }],
  async measure({ quick }) {
    const { index, worker: face } = await builtPackage();
    const { SharedHeap } = await import(index);
    const module = asking(join(root, "js-host", "dist", "heap.wasm"));
    const milliseconds = quick ? 20 : 300;
    const samples = { beside: [], standing: [] };
    for (let round = 0; round < (quick ? 2 : 9); round++) {
      samples.beside.push((await keysSet(SharedHeap, face, undefined, milliseconds)) / milliseconds);
      samples.standing.push((await keysSet(SharedHeap, face, module, milliseconds)) / milliseconds);
    }
    const [beside, stood] = [median(samples.beside), median(samples.standing)];
    const values = { beside, standing: stood, share: stood / beside };
    const measured = `seven others set ${beside.toFixed(0)} keys of a map a millisecond beside a working one, ${stood.toFixed(0)} beside one that stands still in a set`;
    return { measured, values, samples, problems: [] };
  },
};

export const standings = [standing];
