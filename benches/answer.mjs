// What a worker of Node says next.

export function answer(worker) {
  return new Promise((resolve, reject) => {
    const settle = (done) => (value) => {
      worker.off("message", onMessage);
      worker.off("error", onError);
      done(value);
    };
    const onMessage = settle(resolve);
    const onError = settle(reject);
    worker.on("message", onMessage);
    worker.on("error", onError);
  });
}

/** Posts a question; what the worker says next answers it. */
export function ask(worker, question) {
  const answered = answer(worker);
  worker.postMessage(question);
  return answered;
}
