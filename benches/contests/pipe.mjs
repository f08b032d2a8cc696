// A stream from one thread to another, beside ringbuf.js (one writer, one reader, both spin) and postMessage.
import { Worker } from "node:worker_threads";
import { interleave, median, ratio } from "../statistics.mjs";
import { streams } from "../streams.mjs";
import { answer, ask } from "../workers.mjs";

const SIZES = [16, 1024, 65_536];

const targets = [
  { key: "one", atLeast: 1.5, text: "16 B one by one ≥ 1.5 × the messages/s of postMessage" },
  { key: "many", atLeast: 10, text: "16 B by writeMany ≥ 10 ×" },
  { key: "bytes", atLeast: 2, text: "1 KiB ≥ 2 × its bytes/s" },
];

async function start({ name, create }) {
  const { state, transfer, close } = await create();
  const file = new URL("../pipe-agent-worker.mjs", import.meta.url);
  const workers = ["write", "read"].map(
    (role) => new Worker(file, { workerData: { name, state: state(role), role }, transferList: transfer?.(role) }),
  );
  await Promise.all(workers.map(answer));
  return {
    /** Nanoseconds a message, as the reader sees it. */
    async round(count, size) {
      const gate = new SharedArrayBuffer(4);
      const [, read] = await Promise.all(workers.map((worker) => ask(worker, { count, size, gate })));
      return read;
    },
    async stop() {
      await Promise.all(workers.map((worker) => worker.terminate()));
      await close?.();
    },
  };
}

async function race({ milliseconds, rounds }) {
  const [started, problems, contestants] = [[], [], {}];
  for (const stream of streams) {
    try {
      const team = await start(stream);
      started.push(team);
      for (const size of SIZES) {
        if (stream.name === "coheap, writeMany" && size !== 16) continue;
        let count = 64;
        // The engines compile first.
        while ((await team.round(count, size)) * count < milliseconds * 2e6) count *= 2;
        contestants[`${stream.name}, ${size}`] = () => team.round(count, size);
      }
    } catch (error) {
      problems.push(`${stream.name}: ${error.message}.`);
    }
  }
  const samples = await interleave(contestants, rounds);
  for (const { stop } of started) await stop();
  return { samples, problems };
}

function outcome({ samples }) {
  const of = (name, size) => samples[`${name}, ${size}`];
  const values = {
    one: ratio(of("postMessage", 16), of("coheap", 16)),
    many: ratio(of("postMessage", 16), of("coheap, writeMany", 16)),
    bytes: ratio(of("postMessage", 1024), of("coheap", 1024)),
  };
  const texts = SIZES.map((size) => {
    const beside = streams
      .filter(({ name }) => of(name, size))
      .map(({ name }) => {
        const took = median(of(name, size));
        return `${name} ${took < 1e4 ? took.toFixed(took < 100 ? 1 : 0) : `${(took / 1e3).toFixed(0)}k`} ns (${(size / took).toFixed(2)} GB/s)`;
      });
    return `${size.toLocaleString("en")} B: ${beside.join(", ")}`;
  });
  const ratios = Object.values(values).map((value) => value.toFixed(1));
  const measured = `a message: ${texts.join("; ")}; beside postMessage ${ratios.join(", ")} ×`;
  return { measured, values };
}

export const contest = {
  file: "pipe",
  name: "pipe between two agents",
  targets,
  needs: ["peers"],
  race,
  outcome,
};
