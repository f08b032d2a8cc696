// Pipes on one thread: bytes, tokens, leases, streams, and what is refused.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { inspect } from "node:util";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, refuses, seededRandom, watchdog } from "./support.mjs";

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

test("pipe_alone_does_not_keep_node_alive_but_a_pending_read_does", () => {
  const index = new URL("../../js-host/dist/index.js", import.meta.url).href;
  const run = (body) => {
    const script = `import { SharedHeap } from ${JSON.stringify(index)};
      const heap = await SharedHeap.create(); const pipe = heap.pipe(); ${body}`;
    return spawnSync(process.execPath, ["--input-type=module", "-e", script], { timeout: 30_000, encoding: "utf8" });
  };
  assert.equal(run("pipe.tryWrite('x'); pipe.readable; pipe.writable;").status, 0);
  const pending = run("pipe.read({ timeout: 300 }).catch((error) => console.log(error.code));");
  assert.equal(pending.stdout.trim(), "COHEAP_TIMED_OUT", pending.stderr);
});
