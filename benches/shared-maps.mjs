// coheap's map and its peers behind one face, each opened as its documentation says, with room for what the rows put in.
//
// `create()` answers { map, close?, share?, bytes?, room? }: `bytes()` is the memory taken, `share(worker)` what a worker attaches by.
// Without `share`: what takes no care of two threads at once, and so asks for a lock; it gets the cheapest there is. Runs in Node and, but for
// lmdb, in browsers.
import { inNode } from "./workers.mjs";

const ROOM = 16 * 2 ** 20;

/** Longest key and value of the rows, for who asks. */
const [KEY_UNITS, VALUE_UNITS] = [16, 48];
const ENTRIES = 2048;

/** A page knows no packages: there each peer is one file, see `bundlePeers` in setup.mjs. */
const peer = (name) => import(inNode ? name : `./target/peers/${name}.js`);

async function coheap() {
  const { SharedHeap } = await import("../js-host/dist/index.js");
  const heap = await SharedHeap.create();
  return {
    map: heap.map("strings"),
    share: () => heap.token(),
    bytes: () => heap.stats().liveBytes,
    close: () => heap.detach(),
  };
}

/** Memory-mapped, without a flush to the disk: only what threads see is of interest here. */
async function openLmdb(path) {
  const { open } = await import("lmdb");
  const database = open({ path, encoding: "string", noSync: true, noMemInit: true });
  return { database, map: { get: (key) => database.get(key), set: (key, value) => database.putSync(key, value) } };
}

async function lmdb() {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const folder = await mkdtemp(join(tmpdir(), "coheap-lmdb-"));
  const { database, map } = await openLmdb(folder);
  return {
    map,
    share: () => folder,
    async close() {
      await database.close();
      await rm(folder, { recursive: true, force: true });
    },
    bytes() {
      const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = database.getStats();
      return pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages);
    },
  };
}

/** A map behind a lock that nobody else wants: two atomic steps. */
function locked(map) {
  const lock = new Int32Array(new SharedArrayBuffer(4));
  const take = () => {
    while (Atomics.compareExchange(lock, 0, 0, 1) !== 0) Atomics.wait(lock, 0, 1);
  };
  return {
    get(key) {
      take();
      const value = map.get(key);
      Atomics.store(lock, 0, 0);
      return value;
    },
    set(key, value) {
      take();
      map.set(key, value);
      Atomics.store(lock, 0, 0);
    },
  };
}

async function shareableMap() {
  const { ShareableMap } = await peer("shared-memory-datastructures");
  const map = new ShareableMap({ expectedSize: ENTRIES, averageBytesPerValue: 2 * VALUE_UNITS });
  const buffers = () => Object.values(map.toTransferableState());
  return {
    map: locked(map),
    bytes: () => buffers().reduce((sum, { byteLength }) => sum + byteLength, 0),
    room: ENTRIES,
  };
}

async function sharedMap() {
  const { default: SharedMap } = await peer("sharedmap");
  const map = new SharedMap(ENTRIES, KEY_UNITS, VALUE_UNITS);
  return { map, share: () => map, bytes: () => map.storage.byteLength, room: ENTRIES };
}

/** What keeps its entries as properties. */
function properties(object) {
  return {
    get: (key) => object[key],
    set: (key, value) => {
      object[key] = value;
    },
  };
}

async function jsonBuffer() {
  // Its package asks for this as it is loaded, and Node has it from 21 on.
  globalThis.navigator ??= { hardwareConcurrency: 2 };
  const { SharedJsonBuffer } = await peer("multithreading");
  return { map: locked(properties(new SharedJsonBuffer({}, { size: ROOM }))) };
}

async function objectBuffer() {
  const module = await peer("@bnaya/objectbuffer");
  const { createObjectBuffer, spaceLeft } = module.default ?? module;
  const coders = { textEncoder: new TextEncoder(), textDecoder: new TextDecoder() };
  const object = createObjectBuffer(coders, ROOM, {}, { useSharedArrayBuffer: true });
  return { map: locked(properties(object)), bytes: () => ROOM - spaceLeft(object) };
}

/** Opens in a worker what `share` answered. */
export const attach = {
  coheap: async (token) => (await import("../js-host/dist/worker.js")).attach(token).map("strings"),
  lmdb: async (folder) => (await openLmdb(folder)).map,
  sharedmap: async (map) => Object.setPrototypeOf(map, (await peer("sharedmap")).default.prototype),
};

export const ours = { name: "coheap", create: coheap };

export const peers = [
  // Of native code.
  ...(inNode ? [{ name: "lmdb", create: lmdb }] : []),
  { name: "shared-memory-datastructures", create: shareableMap },
  { name: "sharedmap", create: sharedMap },
  { name: "SharedJsonBuffer", create: jsonBuffer },
  { name: "objectbuffer", create: objectBuffer },
];
