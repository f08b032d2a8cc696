// One of everything that an agent can do with a heap, for tests that cut it short.

/** Calls, and lets go of the one error that another agent's change, in between, is answered with. */
function unless(code, call) {
  try {
    return call();
  } catch (error) {
    if (error?.code !== code) throw error;
  }
}

/** Repeatable calls on named structures, by name; several agents may make them at once. Values are too long, or too short, to become atoms, which stay. */
export function everyOperation(heap) {
  const [cell, block, map] = [heap.cell("cell"), heap.bytes("block", 5_000), heap.map("map")];
  const [list, fields] = [heap.list("list"), heap.fields("fields")];
  const pipe = heap.pipe("pipe", { capacity: 4_096 });
  const piece = new Uint8Array(500).fill(1);
  const long = "a value of a block, too long for an atom".repeat(2);
  let count = 0;
  let [kept, lease] = [heap.cell()];
  const key = () => `a key of a block ${count++ % 50}`;
  /** What goes on for ever must not take longer and longer. */
  const short = () => {
    if (list.length > 20) list.clear();
  };
  /** Not left to the collector, which does not come while a stack is deep. */
  const giving = (data, give) => {
    const made = heap.from(data);
    give(made);
    made.dispose();
  };
  const room = () => {
    while (pipe.available > 2_000) pipe.tryRead();
  };
  /** Of agents that may block: others have no such call. */
  const onLease = (end) => () => {
    lease?.dispose();
    if (pipe.available === 0) pipe.tryWrite(long);
    lease = pipe.leaseSync({ max: 10, timeout: 1_000 });
    end(lease);
  };
  const operations = {
    "cell.get": () => cell.get(),
    "cell.set": () => cell.set(1),
    "cell.set of a text": () => cell.set(`${long} ${count++}`),
    "cell.add": () => cell.set(1) ?? unless("COHEAP_NOT_A_NUMBER", () => cell.add(1)),
    "cell.compareAndSet": () => cell.compareAndSet(cell.get(), 2),
    "bytes.write": () => block.write(17, piece),
    "bytes.read": () => block.read(17, 500),
    "bytes.sum": () => block.sum(),
    "map.set": () => map.set(key(), long),
    "map.set of a number": () => map.set(count++ % 50, 1),
    "map.get": () => map.get("a key of a block 7"),
    "map.delete": () => map.delete(key()),
    "map.add": () => map.add(`sum ${count++ % 50}`),
    "map.addMany": () => map.addMany([0, 1, 2, 3].map((number) => [`sum ${(count++ + number) % 60}`, 1])),
    "map.compareAndSet": () => map.compareAndSet(key(), undefined, long),
    "map.getOrInsert": () => map.getOrInsert(key(), 1),
    "map.setMany": () => map.setMany([0, 1, 2].map((number) => [key(), number === 1 ? long : number])),
    "map.getMany": () => map.getMany([key(), key()]),
    "map.entries": () => [...map].length,
    "map.set of a map": () => giving({ a: [1, 2], b: "in" }, (made) => map.set(`inner ${count++ % 5}`, made)),
    "map.get of a map": () => map.get(`inner ${count++ % 5}`)?.dispose?.(),
    "map.clear": () => count++ % 7 === 0 && map.clear(),
    "list.push": () => short() ?? list.push(long, 1, 2),
    "list.push of a list": () => short() ?? giving([1, [2]], (made) => list.push(made)),
    "list.set": () => list.length > 0 && unless("COHEAP_OUT_OF_RANGE", () => list.set(0, count++ % 2 === 0 ? long : 5)),
    "list.at": () => list.at(0),
    "list.pop": () => list.pop(),
    "list.splice": () => short() ?? list.splice(1, 2, long, 7, 8),
    "list.toJS": () => list.toJS().length,
    "list.clear": () => list.push(long) && list.clear(),
    "fields.set": () => fields.set(`x-name-${count++ % 5}`, long),
    "fields.append": () => {
      if (count++ % 9 === 0) fields.delete("x-many");
      fields.append("x-many", "some");
    },
    "fields.get": () => fields.get("x-many"),
    "fields.delete": () => fields.delete("x-many"),
    "fields.clone": () => fields.clone().dispose(),
    "pipe.tryWrite": () => room() ?? pipe.tryWrite(long),
    "pipe.tryRead": () => pipe.tryRead({ max: 30 }),
    "pipe.tryRead of a line": () => pipe.tryWrite("a line\n") && pipe.tryRead({ until: "\n" }),
    "a name that is new": () => heap.cell("a name"),
    "a name that is removed": () => heap.remove("a name"),
    "a region of bytes": () => {
      kept.dispose();
      kept = heap.bytes(undefined, 100 + (count++ % 3) * 40_000);
    },
    "a pipe that ends": () => {
      kept.dispose();
      kept = heap.pipe();
      kept.tryWrite(long);
      kept.close();
    },
  };
  if (pipe.leaseSync !== undefined) {
    operations["lease that is committed"] = onLease(() => lease.commit());
    operations["lease that goes back"] = onLease(() => lease.dispose());
    operations["lease and additions"] = onLease(() => map.addMany([[`sum ${count++ % 60}`, 1]], { settle: lease }));
  }
  return { operations, names: ["cell", "block", "map", "list", "fields", "pipe", "a name"] };
}
