// Streams of bytes between two threads behind one face, each with room for 256 KiB: coheap's pipe and its peers.
//
// `create()` answers { state, transfer?, close? }: `state(role)` is what that end attaches by. `ends` opens one end in its thread.

const CAPACITY = 256 * 1024;
/** Messages of one call where many can be given at once. */
const AT_ONCE = 256;

async function pipe() {
  const { SharedHeap } = await import("../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  heap.pipe("stream", { capacity: CAPACITY });
  return { state: () => heap.token(), close: () => heap.detach() };
}

async function openPipe(token) {
  const { attach } = await import("../js-host/dist/worker.js");
  return attach(token).pipe("stream");
}

/** Reads until so many bytes have come, and no more. */
function readAll(pipe, count, size) {
  for (let left = count * size; left > 0; ) left -= pipe.readSync().length;
}

const onePipe = async (token) => {
  const pipe = await openPipe(token);
  return {
    write(count, size) {
      const message = new Uint8Array(size).fill(7);
      for (let i = 0; i < count; i++) pipe.writeSync(message);
    },
    read: (count, size) => readAll(pipe, count, size),
  };
};

const manyPipe = async (token) => {
  const pipe = await openPipe(token);
  return {
    write(count, size) {
      const messages = Array.from({ length: AT_ONCE }, () => new Uint8Array(size).fill(7));
      for (let i = 0; i < count; i += AT_ONCE) {
        pipe.writeManySync(count - i < AT_ONCE ? messages.slice(0, count - i) : messages);
      }
    },
    read: (count, size) => readAll(pipe, count, size),
  };
};

async function ring() {
  const { RingBuffer } = await import("ringbuf.js");
  const storage = RingBuffer.getStorageForCapacity(CAPACITY, Uint8Array);
  return { state: () => storage };
}

/** It never blocks, so both ends spin. */
const openRing = async (storage) => {
  const { RingBuffer } = await import("ringbuf.js");
  const ring = new RingBuffer(storage, Uint8Array);
  return {
    write(count, size) {
      const message = new Uint8Array(size).fill(7);
      for (let i = 0; i < count; i++) for (let done = 0; done < size; ) done += ring.push(message, size - done, done);
    },
    read(count, size) {
      const buffer = new Uint8Array(28 * 1024);
      for (let left = count * size; left > 0; ) left -= ring.pop(buffer, Math.min(left, buffer.length), 0);
    },
  };
};

async function messages() {
  const { MessageChannel } = await import("node:worker_threads");
  const { port1, port2 } = new MessageChannel();
  const state = (role) => (role === "write" ? port1 : port2);
  return { state, transfer: (role) => [state(role)] };
}

const openPort = async (port) => ({
  write(count, size) {
    const message = new Uint8Array(size).fill(7);
    for (let i = 0; i < count; i++) port.postMessage(message);
  },
  read: (count) =>
    new Promise((resolve) => {
      let left = count;
      port.on("message", function seen() {
        if (--left > 0) return;
        port.off("message", seen);
        resolve();
      });
    }),
});

export const streams = [
  { name: "coheap", create: pipe },
  { name: "coheap, writeMany", create: pipe },
  { name: "ringbuf.js", create: ring },
  { name: "postMessage", create: messages },
];

/** Opens one end in a worker. */
export const ends = {
  coheap: onePipe,
  "coheap, writeMany": manyPipe,
  "ringbuf.js": openRing,
  postMessage: openPort,
};
