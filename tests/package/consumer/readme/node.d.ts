// As much of Node's types as the README's blocks need.

declare module "node:worker_threads" {
  export class Worker {
    constructor(file: URL, options?: { workerData?: unknown });
    once(event: "exit", listener: (code: number) => void): this;
    postMessage(message: unknown): void;
    terminate(): Promise<number>;
  }
  // biome-ignore lint/suspicious/noExplicitAny: as it is in Node's
  export const workerData: any;
}
