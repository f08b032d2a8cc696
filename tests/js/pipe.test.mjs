// Pipes on one thread: bytes, tokens, leases, streams, and what is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, refuses, seededRandom, watchdog, withoutWaitAsync } from "./support.mjs";

watchdog(120);

const text = (bytes) => (bytes instanceof Uint8Array ? new TextDecoder().decode(bytes) : bytes);

async function blocking() {
  const heap = await SharedHeap.create();
  return attach(heap.token());
}

test("pipe_hands_on_bytes_and_texts_and_ends", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("p", { capacity: 10_000 });
  assert.equal(heap.pipe("p", { capacity: 4096 }), pipe);
  assert.equal(pipe.capacity, 10_000);
  assert.equal(pipe.tryRead(), undefined);
  assert.equal(pipe.tryWrite("grüße, "), 9);
  await pipe.write(new Uint8Array([119, 101, 108, 116]));
  assert.equal(pipe.available, 13);
  const bytes = await pipe.read();
  assert.equal(text(bytes), "grüße, welt");
  assert.equal(bytes.buffer.constructor, ArrayBuffer, "a private copy");
  const pending = pipe.read();
  pipe.tryWrite("last");
  pipe.close();
  assert.equal(text(await pending), "last");
  assert.equal(await pipe.read(), null);
  assert.equal(pipe.tryRead(), null);
  refuses(() => pipe.tryWrite("more"), "COHEAP_PIPE_CLOSED");
  await refuses(() => pipe.write("more"), "COHEAP_PIPE_CLOSED");
  await heap.audit();
});

test("pipe_that_is_full_makes_writers_wait_and_none_is_lost", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe(undefined, { capacity: 4096 });
  const sent = new Uint8Array(300_000).map((_, index) => index * 7);
  const writing = pipe.write(sent).then(() => pipe.close());
  const received = [];
  for await (const bytes of pipe) received.push(...bytes);
  await writing;
  assert.deepEqual(Uint8Array.from(received), sent);
  const full = heap.pipe(undefined, { capacity: 4096 });
  while (full.tryWrite("x".repeat(1000)) > 0);
  const error = await refuses(() => full.write("y", { timeout: 20 }), "COHEAP_TIMED_OUT");
  assert.deepEqual(error.details, { milliseconds: 20, written: 0 });
  const part = await refuses(() => heap.pipe().write("z".repeat(100_000), { timeout: 5 }), "COHEAP_TIMED_OUT");
  assert.ok(part.details.written >= 65_536, `${part.details.written}`);
  const control = new AbortController();
  const aborted = full.write("y", { signal: control.signal });
  control.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  await assert.rejects(full.read({ signal: control.signal }), /enough/);
  await refuses(() => heap.pipe().read({ timeout: 5 }), "COHEAP_TIMED_OUT");
});

test("pipe_read_until_takes_whole_tokens_of_every_kind", async () => {
  const random = seededRandom();
  const worker = await blocking();
  // Words of 1 to 200 bytes, letters of several bytes, CRLF, no final newline.
  const letters = ["a", "é", "→", "𝄞", "\r\n", "\n", "\r"];
  let tokens = 0;
  for (const until of ["\n", "\r\n", " ", "→", 0x61, new Uint8Array([0xc3])]) {
    for (let round = 0; round < 20; round++) {
      let whole = "";
      for (let word = 0; word < 200; word++) {
        for (let letter = random(200); letter >= 0; letter--) whole += letters[random(random(20) === 0 ? 7 : 2)];
        whole += random(3) === 0 ? " " : letters[4 + random(3)];
      }
      whole += "end";
      const bytes = new TextEncoder().encode(whole);
      const delimiter = Buffer.from(typeof until === "number" ? [until] : until);
      const pipe = worker.pipe(undefined, { capacity: 4096 * (1 + random(20)) });
      const read = [];
      let at = 0;
      while (at < bytes.length || read.at(-1) !== null) {
        if (at < bytes.length) {
          const written = pipe.tryWrite(bytes.subarray(at, at + 1 + random(5000)));
          at += written;
          if (at === bytes.length) pipe.close();
          if (random(2) === 0 && written > 0) continue;
        }
        const found = pipe.tryRead({ until, max: 1 + random(30_000) });
        if (found === undefined) continue;
        read.push(found);
        if (found === null) break;
        tokens++;
        const last = read.length > 0 && at === bytes.length && pipe.available === 0;
        assert.ok(last || Buffer.from(found).subarray(-delimiter.length).equals(delimiter), "ends with a delimiter");
      }
      assert.deepEqual(Buffer.concat(read.slice(0, -1)), Buffer.from(bytes));
      pipe.dispose();
    }
  }
  cases("pipe_read_until_takes_whole_tokens_of_every_kind", tokens);
});

test("pipe_token_of_a_mebibyte_crosses_whole_or_is_refused_and_nothing_is_lost", async () => {
  const worker = await blocking();
  const run = new Uint8Array(2 ** 20).fill(0x78);
  const large = worker.pipe(undefined, { capacity: 2 ** 21 });
  large.writeSync(run);
  assert.equal(large.tryRead({ until: "\n" }), undefined);
  large.writeSync("\nrest");
  const token = large.readSync({ until: "\n" });
  assert.equal(token.length, 2 ** 20 + 1);
  assert.ok(token.subarray(0, -1).every((byte) => byte === 0x78));
  assert.equal(text(large.readSync()), "rest");
  const small = worker.pipe(undefined, { capacity: 65_536 });
  assert.ok(small.tryWrite(run) >= 65_536);
  const error = refuses(() => small.readSync({ until: "\n" }), "COHEAP_TOKEN_TOO_LONG");
  assert.equal(error.details.capacity, 65_536);
  assert.equal(small.available, error.details.length);
  assert.ok(small.readSync().every((byte) => byte === 0x78));
  await worker.audit();
});

test("pipe_token_of_more_writes_than_there_is_room_for_is_refused_with_their_number", async () => {
  const worker = await blocking();
  // By capacity, how many writes there is room for.
  const table = [
    [4096, 127],
    [10_000, 511],
    [65_536, 2047],
    [2 ** 17, 4095],
    [2 ** 20, 4095],
  ];
  for (const [capacity, writes] of table) {
    const pipe = worker.pipe(undefined, { capacity });
    let count = 0;
    while (pipe.tryWrite("x") === 1) count++;
    assert.equal(count, writes);
    const error = refuses(() => pipe.tryRead({ until: "\n" }), "COHEAP_TOKEN_TOO_LONG");
    assert.deepEqual(error.details, { length: writes, capacity, writes });
    assert.match(error.message, new RegExp(`${writes} writes.*write more bytes at a time`));
    assert.equal(text(pipe.tryRead()), "x".repeat(writes));
    // The same bytes in fewer writes.
    pipe.writeManySync([...Array(writes).fill("x"), "\n"]);
    assert.equal(pipe.tryRead({ until: "\n" }).length, writes + 1);
  }
  const many = worker.pipe(undefined, { capacity: 2 ** 20 });
  while (many.tryWrite(new Uint8Array(256)) > 0);
  assert.equal(many.available, 4095 * 256);
  cases("pipe_token_of_more_writes_than_there_is_room_for_is_refused_with_their_number", table.length);
});

test("pipe_lease_goes_back_in_order_unless_it_is_committed", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const pipe = heap.pipe("p");
  const theirs = other.pipe("p");
  pipe.tryWrite("one\ntwo\nthree\nfour\n");
  const first = await pipe.lease({ max: 5, until: 0x0a });
  const second = await theirs.lease({ max: 5, until: "\n" });
  const third = await theirs.lease({ max: 8, until: "\n" });
  assert.deepEqual(
    [first, second, third].map((lease) => [text(lease.bytes), lease.offset]),
    [
      ["one\n", 0n],
      ["two\n", 4n],
      ["three\n", 8n],
    ],
  );
  pipe.close();
  second.commit();
  refuses(() => second.commit(), "COHEAP_LEASE_LOST");
  second.dispose();
  third.dispose();
  third.dispose();
  refuses(() => third.commit(), "COHEAP_LEASE_LOST");
  first[Symbol.dispose]();
  assert.equal(text(await theirs.read({ until: "\n" })), "one\n");
  assert.equal(text(await theirs.read({ until: "\n" })), "three\n");
  const last = await theirs.lease();
  assert.equal(text(last.bytes), "four\n");
  const end = pipe.read();
  // The other agent leaves: what it had on lease is read by who waited for the end.
  other.detach();
  assert.equal(text(await end), "four\n");
  assert.equal(await pipe.read(), null);
  last.dispose();
  await heap.audit();
});

test("pipe_piece_that_came_back_is_read_as_it_was", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe();
  const lines = () => {
    const found = [];
    for (
      let line = pipe.tryRead({ until: "\n", max: 6 });
      line !== undefined;
      line = pipe.tryRead({ until: "\n", max: 6 })
    )
      found.push(text(line));
    return found;
  };
  pipe.tryWrite("one\ntwo\nthree\n");
  // Who leases tokens gives tokens back.
  for (const until of ["\n", undefined]) (await pipe.lease({ max: 6, until })).dispose();
  assert.deepEqual(lines(), ["one\n", "two\n", "three\n"]);
  pipe.tryWrite("one\ntwo\nthree\n");
  (await pipe.lease({ max: 6 })).dispose();
  assert.deepEqual(lines(), ["one\n", "tw", "o\n", "three\n"]);
  await heap.audit();
});

test("pipe_lease_of_more_than_a_crossing_is_whole", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe(undefined, { capacity: 2 ** 20 });
  const sent = new Uint8Array(500_000).map((_, index) => index * 13);
  await pipe.write(sent);
  const lease = await pipe.lease({ max: 400_000 });
  assert.deepEqual(lease.bytes, sent.subarray(0, 400_000));
  lease.commit();
  pipe.dispose();
  refuses(() => pipe.tryRead(), "COHEAP_DISPOSED");
});

test("pipe_that_was_aborted_says_why_to_all", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const pipe = heap.pipe("p");
  pipe.tryWrite("lost");
  const waiting = other.pipe("q").read();
  other.pipe("q").abort("nobody writes here");
  assert.equal((await refuses(() => waiting, "COHEAP_PIPE_ABORTED")).details.reason, "nobody writes here");
  pipe.abort(`the disk is full ${"!".repeat(2000)}`);
  pipe.abort("later");
  const error = refuses(() => other.pipe("p").tryRead(), "COHEAP_PIPE_ABORTED");
  assert.equal(error.details.reason.length, 1024);
  assert.match(error.message, /the disk is full/);
  await refuses(() => pipe.write("x"), "COHEAP_PIPE_ABORTED");
  pipe.close();
});

test("pipe_has_the_shape_of_a_transform_stream", async () => {
  const heap = await SharedHeap.create();
  const source = () => new Blob(["α".repeat(100_000)]).stream();
  const piped = source().pipeThrough(heap.pipe()).pipeThrough(new TextDecoderStream());
  let found = "";
  for await (const part of piped) found += part;
  assert.equal(found, "α".repeat(100_000));
  const target = heap.pipe();
  const sending = source().pipeTo(target.writable);
  let length = 0;
  for await (const bytes of target.readable) length += bytes.length;
  await sending;
  assert.equal(length, 200_000);
  const cancelled = heap.pipe();
  await cancelled.readable.cancel("no reader is left");
  assert.equal(refuses(() => cancelled.tryWrite("x"), "COHEAP_PIPE_ABORTED").details.reason, "no reader is left");
  const failing = heap.pipe();
  await assert.rejects(
    new ReadableStream({ pull: () => Promise.reject(new Error("the source broke")) }).pipeTo(failing.writable),
  );
  await assert.rejects(failing.read(), /the source broke/);
});

test("pipe_write_many_is_one_step_for_many_and_keeps_each_whole", async () => {
  const heap = await SharedHeap.create();
  const worker = attach(heap.token());
  const pipe = worker.pipe("p", { capacity: 2 ** 20 });
  const chunks = [];
  for (let index = 0; index < 2000; index++) chunks.push(`chunk ${index} ${"é".repeat(index % 90)};`);
  chunks.push(new Uint8Array(100_000).fill(0x61), "", ";", Buffer.from("buffer;"));
  pipe.writeManySync(chunks);
  pipe.close();
  let whole = "";
  const decoder = new TextDecoder();
  for (const bytes of pipe) whole += decoder.decode(bytes, { stream: true });
  assert.equal(whole, chunks.map(text).join(""));
  const second = heap.pipe();
  await second.writeMany(new Set(["a", "b"]));
  assert.equal(text(second.tryRead()), "ab");
});

test("pipe_wrapper_is_shown_moved_and_kept_as_any_other", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe();
  pipe.tryWrite("12345");
  assert.match(inspect(pipe), /SharedPipe.*capacity: 65536, available: 5/s);
  assert.deepEqual(JSON.parse(JSON.stringify({ pipe })), { pipe: pipe.handle });
  const map = heap.map("m");
  map.set("pipe", pipe);
  assert.equal(map.get("pipe"), pipe);
  const opened = heap.open(pipe.move());
  assert.equal(text(opened.tryRead()), "12345");
  assert.throws(() => structuredClone(opened), { name: "DataCloneError" });
});

test("pipe_refuses_what_makes_no_sense", async () => {
  const heap = await SharedHeap.create();
  const worker = attach(heap.token());
  let refused = 0;
  const invalid = (call) => {
    refused++;
    return refuses(call, "COHEAP_INVALID_ARGUMENT");
  };
  for (const capacity of [0, 4095, -1, 1.5, NaN, 2 ** 30 + 1, 2 ** 32 + 4096, "8192", {}, null])
    invalid(() => heap.pipe("x", { capacity }));
  invalid(() => heap.pipe("x", 4096));
  const pipe = worker.pipe();
  for (const chunk of [
    undefined,
    null,
    5,
    {},
    [1],
    new ArrayBuffer(8),
    new Uint16Array(2),
    new DataView(new ArrayBuffer(2)),
  ]) {
    invalid(() => pipe.tryWrite(chunk));
    invalid(() => pipe.writeSync(chunk));
    await invalid(() => pipe.write(chunk));
    invalid(() => pipe.writeManySync([chunk]));
  }
  const gone = new Uint8Array(8);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  invalid(() => pipe.tryWrite(gone));
  for (const chunks of [undefined, null, 5, {}, "text"]) invalid(() => pipe.writeManySync(chunks));
  for (const max of [0, -1, 1.5, NaN, 2 ** 30 + 1, "8", {}]) invalid(() => pipe.tryRead({ max }));
  for (const until of [-1, 256, 1.5, "", "nine bytes", new Uint8Array(), new Uint8Array(9), {}, null, [10]])
    invalid(() => pipe.tryRead({ until }));
  for (const timeout of [-1, NaN, "8", {}]) invalid(() => pipe.readSync({ timeout }));
  await invalid(() => pipe.read({ signal: {} }));
  invalid(() => pipe.abort(5));
  assert.equal(pipe.available, 0);
  refuses(() => heap.map("x") && heap.pipe("x"), "COHEAP_WRONG_TYPE");
  heap.detach();
  refuses(() => heap.pipe(), "COHEAP_DETACHED");
  cases("pipe_refuses_what_makes_no_sense", refused);
});

test("pipe_code_of_users_that_re_enters_the_heap_changes_no_write", async () => {
  const worker = await blocking();
  const pipe = worker.pipe("p");
  const second = worker.pipe("q");
  function* chunks() {
    for (let index = 0; index < 10; index++) {
      second.writeSync(`other ${index}`);
      yield `mine ${index},`;
    }
  }
  pipe.writeManySync(chunks());
  assert.equal(text(pipe.readSync()), [...Array(10).keys()].map((index) => `mine ${index},`).join(""));
});

test("pipe_wait_that_its_timeout_or_its_signal_ends_says_so_and_leaves_what_it_wrote", async () => {
  const worker = await blocking();
  // Each round has a pipe of its own, of 4,096 bytes. While it is not full it takes a whole step, here of four chunks.
  const chunk = new Uint8Array(1000).fill(7);
  const chunks = Array(10).fill(chunk);
  const long = new Uint8Array(10_000).fill(7);
  const table = [
    ["read", 0, (pipe, options) => pipe.read(options), (pipe, options) => pipe.readSync(options)],
    ["read until", 0, (pipe, options) => pipe.read({ ...options, until: "\n" })],
    ["lease", 0, (pipe, options) => pipe.lease(options), (pipe, options) => pipe.leaseSync(options)],
    ["write", 4096, (pipe, options) => pipe.write(long, options), (pipe, options) => pipe.writeSync(long, options)],
    [
      "writeMany",
      8000,
      (pipe, options) => pipe.writeMany(chunks, options),
      (pipe, options) => pipe.writeManySync(chunks, options),
    ],
  ];
  let ended = 0;
  const round = async (name, written, end) => {
    const pipe = worker.pipe(undefined, { capacity: 4096 });
    await end(pipe);
    assert.equal(pipe.available, written, name);
    // Whoever comes next has what is in it; the wait is over and takes none.
    for (const byte of pipe.tryRead() ?? []) assert.equal(byte, 7);
    assert.equal(pipe.tryWrite("next"), 4);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(text(pipe.tryRead()), "next", name);
    pipe.dispose();
    ended++;
  };
  for (const [name, written, wait, block] of table) {
    for (const milliseconds of [0, 15]) {
      for (const call of [wait, block].filter(Boolean)) {
        await round(`${name} ${milliseconds}`, written, async (pipe) => {
          const error = await refuses(() => call(pipe, { timeout: milliseconds }), "COHEAP_TIMED_OUT", name);
          assert.deepEqual(error.details, { milliseconds, written }, name);
        });
      }
    }
    await round(`${name}, aborted before`, 0, async (pipe) => {
      const signal = AbortSignal.abort(new Error("before it began"));
      await assert.rejects(wait(pipe, { signal }), signal.reason);
    });
    await round(`${name}, aborted`, written, async (pipe) => {
      const control = new AbortController();
      const pending = wait(pipe, { signal: control.signal, timeout: 30_000 });
      control.abort(new Error("enough"));
      await assert.rejects(pending, (error) => error === control.signal.reason);
    });
    await round(`${name}, aborted by a timer`, written, async (pipe) => {
      await assert.rejects(wait(pipe, { signal: AbortSignal.timeout(15) }), { name: "TimeoutError" });
    });
  }
  // As many leases as there can be: the next waits for one to end, not for bytes.
  const pipe = worker.pipe();
  pipe.writeSync("x".repeat(100));
  const leases = Array.from({ length: 31 }, () => pipe.leaseSync({ max: 1 }));
  for (const call of [() => pipe.leaseSync({ timeout: 15 }), () => pipe.lease({ timeout: 15 })]) {
    assert.deepEqual((await refuses(call, "COHEAP_TIMED_OUT")).details, { milliseconds: 15, written: 0 });
    ended++;
  }
  const pending = pipe.lease({ max: 1 });
  leases[0].commit();
  assert.equal((await pending).offset, 31n);
  await worker.audit();
  cases("pipe_wait_that_its_timeout_or_its_signal_ends_says_so_and_leaves_what_it_wrote", ended);
});

test("pipe_without_the_platforms_help_looks_for_itself", async () => {
  await withoutWaitAsync(async (Polling) => {
    const heap = await Polling.create();
    const other = SharedHeap.attach(heap.token());
    const pipe = heap.pipe("p", { capacity: 4096 });
    const theirs = other.pipe("p");
    const read = pipe.read({ until: "\n" });
    theirs.tryWrite("no end");
    theirs.tryWrite(" yet\n");
    assert.equal(text(await read), "no end yet\n");
    const lease = pipe.lease();
    theirs.tryWrite("lent");
    assert.equal(text((await lease).bytes), "lent");
    const back = pipe.read();
    (await lease).dispose();
    assert.equal(text(await back), "lent");
    const writing = pipe.write(new Uint8Array(20_000));
    let length = 0;
    while (length < 20_000) length += (await theirs.read()).length;
    await writing;
    await refuses(() => pipe.read({ timeout: 10 }), "COHEAP_TIMED_OUT");
    const end = pipe.read();
    theirs.close();
    assert.equal(await end, null);
  });
});
