// The message way: questions by postMessage, each answered through shared bytes and Atomics.notify. Runs in Node and in browsers.
const inNode = typeof process === "object";
const { Worker } = inNode ? await import("node:worker_threads") : globalThis;

/** Starts the other side; `ask(content)` comes back when the answer is there. */
export async function startMessages() {
  const worker = new Worker(new URL("./echo-worker.mjs", import.meta.url), { type: "module" });
  const shared = new SharedArrayBuffer(16);
  const words = new Int32Array(shared);
  const numbers = new Float64Array(shared);
  let index = 0;
  await new Promise((resolve, reject) => {
    const once = inNode ? worker.once.bind(worker) : worker.addEventListener.bind(worker);
    once("message", resolve);
    once("error", () => reject(new Error("the echo worker did not start")));
    worker.postMessage({ shared });
  });
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
