// The message way: questions by postMessage, each answered through shared bytes and Atomics.notify. Runs in Node and in browsers.
import { startWorker } from "./workers.mjs";

/** Starts the other side; `ask(content)` comes back when the answer is there. */
export async function startMessages() {
  const shared = new SharedArrayBuffer(16);
  const words = new Int32Array(shared);
  const numbers = new Float64Array(shared);
  let index = 0;
  const worker = await startWorker("./echo-worker.mjs", { shared });
  return {
    ask(content) {
      const before = Atomics.load(words, 0);
      worker.postMessage({ index, content });
      Atomics.wait(words, 0, before);
      if (numbers[1] !== index + 0.5) throw new Error("the message way answered another question");
      index += 1;
    },
    stop: () => worker.terminate(),
  };
}
