// Workers of a contest. Runs in Node and in browsers.

/** Whether this is Node, and not a worker of a page. */
export const inNode = typeof process === "object";

const { Worker } = inNode ? await import("node:worker_threads") : globalThis;

/** Starts the worker of that file with a first message, and waits for its first answer. */
export async function startWorker(file, message) {
  const worker = new Worker(new URL(file, import.meta.url), { type: "module" });
  await new Promise((resolve, reject) => {
    const once = inNode ? worker.once.bind(worker) : worker.addEventListener.bind(worker);
    once("message", resolve);
    once("error", (error) => reject(new Error(`${file} did not start: ${error.message}`)));
    worker.postMessage(message);
  });
  return worker;
}

/** In a worker: hands each message to `answer`, and answers the port. */
export async function receive(answer) {
  if (inNode) {
    const { parentPort } = await import("node:worker_threads");
    parentPort.on("message", answer);
    return parentPort;
  }
  self.onmessage = ({ data }) => answer(data);
  return self;
}
