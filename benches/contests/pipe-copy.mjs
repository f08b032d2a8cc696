// `cat`: bytes from the host to a worker and back, neither of which ever has all of them; beside messages with copies.
import { Worker } from "node:worker_threads";
import { interleave, median, ratio } from "../statistics.mjs";
import { answer } from "../workers.mjs";

const PIECE = 64 * 1024;
const CAPACITY = 2 ** 20;
/** Messages on their way at once: as many bytes as a pipe has room for. */
const WINDOW = CAPACITY / PIECE;

const targets = [];

async function race({ milliseconds, rounds }) {
  const { SharedHeap } = await import("../../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  const [there, back] = ["there", "back"].map((name) => heap.pipe(name, { capacity: CAPACITY }));
  const worker = new Worker(new URL("../cat-worker.mjs", import.meta.url), { workerData: { token: heap.token() } });
  await answer(worker);
  const piece = new Uint8Array(PIECE).fill(7);
  const ways = {
    async pipe(count) {
      const writing = (async () => {
        for (let i = 0; i < count; i++) await there.write(piece);
      })();
      for (let left = count * PIECE; left > 0; ) left -= (await back.read({ max: PIECE })).length;
      await writing;
    },
    messages: (count) =>
      new Promise((resolve) => {
        let [sent, seen] = [0, 0];
        const send = () => {
          while (sent < count && sent - seen < WINDOW) {
            worker.postMessage(piece);
            sent++;
          }
        };
        worker.on("message", function echo() {
          seen++;
          if (seen < count) return send();
          worker.off("message", echo);
          resolve();
        });
        send();
      }),
  };
  const run = async (name, count) => {
    const begun = performance.now();
    await ways[name](count);
    return ((performance.now() - begun) * 1e6) / (count * PIECE);
  };
  try {
    const contestants = {};
    for (const name of Object.keys(ways)) {
      let count = 16;
      while ((await run(name, count)) * count * PIECE < milliseconds * 2e6) count *= 2;
      contestants[name] = () => run(name, count);
    }
    return { samples: await interleave(contestants, rounds), problems: [] };
  } finally {
    there.close();
    await worker.terminate();
    heap.detach();
  }
}

function outcome({ samples }) {
  const values = { messages: ratio(samples.messages, samples.pipe) };
  const speed = (name) => `${(1 / median(samples[name])).toFixed(2)} GB/s`;
  return {
    measured: `${speed("pipe")} there and back through two pipes of 1 MiB, ${speed("messages")} by messages of 64 KiB (${values.messages.toFixed(1)} ×)`,
    values,
  };
}

export const contest = { file: "pipe-copy", name: "cat: host → worker → host", targets, race, outcome };
