// A runtime's own Worker, which gets its data by a message: Bun loses one that comes before the worker listens.

/** Starts the module, which says that it is ready, and posts it `data`. Errors go to `hear`. */
export async function startWorker(file, data, hear = () => {}) {
  const worker = new Worker(new URL(file, import.meta.url), { type: "module" });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    hear(event);
  });
  await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
  worker.postMessage(data);
  return worker;
}
