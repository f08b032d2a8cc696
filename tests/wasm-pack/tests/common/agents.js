// A function of texts of the package's files and the bytes of heap.wasm, for pages, which have no
// package. Answers how to make a heap, and how to start another agent of it in a worker, which runs what it is sent.

(index, worker, wasm) => {
  const serve = `async (heap, { body, values }) => {
  try {
    return { result: await eval("(" + body + ")")(heap, ...values) };
  } catch (error) {
    return { error: String(error?.stack ?? error) };
  }
}`;

  const inNode = typeof process === "object" && typeof process.versions?.node === "string";

  function inWorkerOfNode(token) {
    const { Worker } = process.mainModule.require("node:worker_threads");
    const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    const heap = require("coheap/worker").attach(workerData);
    parentPort.on("message", async (message) => parentPort.postMessage(await (${serve})(heap, message)));
    parentPort.postMessage({});`;
    const thread = new Worker(code, { eval: true, workerData: token });
    return {
      thread,
      listen: (name, listener) => thread.on(name, (data) => listener({ data, message: data?.message })),
    };
  }

  const url = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));

  function inWorkerOfPage(token) {
    const code = `
    import { attach } from ${JSON.stringify(url(worker))};
    let heap;
    onmessage = async ({ data }) => {
      if (heap === undefined) {
        heap = attach(data);
        postMessage({});
      } else postMessage(await (${serve})(heap, data));
    };`;
    const thread = new Worker(url(code), { type: "module" });
    thread.postMessage(token);
    return { thread, listen: (name, listener) => thread.addEventListener(name, listener) };
  }

  return {
    async create() {
      if (inNode) return process.mainModule.require("coheap").SharedHeap.create();
      const { SharedHeap } = await import(url(index));
      return SharedHeap.create({ wasm });
    },

    async start(heap) {
      const token = heap.token();
      const { thread, listen } = inNode ? inWorkerOfNode(token) : inWorkerOfPage(token);
      heap.adopt(thread, token);
      const waiting = [];
      const answer = () => new Promise((resolve, reject) => waiting.push({ resolve, reject }));
      listen("message", ({ data }) => {
        const { resolve, reject } = waiting.shift();
        if (data.error === undefined) resolve(data.result);
        else reject(new Error(data.error));
      });
      listen("error", ({ message }) => {
        for (const { reject } of waiting.splice(0)) reject(new Error(message));
      });
      await answer();
      return {
        run(body, value) {
          thread.postMessage({ body, values: [value] });
          return answer();
        },
        thread,
        stop: () => thread.terminate(),
      };
    },
  };
};
