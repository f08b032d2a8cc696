import assert from "node:assert/strict";
import { test } from "node:test";
import { inPage } from "./page.mjs";

const timeout = 300_000;

test("browser_page_and_worker_share_a_cell", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const cell = heap.cell("hits");
    cell.set(40);
    const agent = await globalThis.start(heap);
    const added = await agent.run((other) => other.cell("hits").add(2));
    const block = heap.bytes("block", 100_000);
    block.write(10, new Uint8Array(50_000).fill(3));
    const sum = await agent.run((other) => other.bytes("block", 100_000).sum());
    await agent.run((other) => other.bytes("block", 100_000).write(99_999, Uint8Array.of(7)));
    const response = new Response(block.read(99_990)); // a private copy: web APIs take it
    const { agents } = await heap.audit();
    return { added, read: cell.get(), sum, last: new Uint8Array(await response.arrayBuffer()).at(-1), agents };
  });
  assert.deepEqual(result, { added: 42, read: 42, sum: 150_000, last: 7, agents: 2 });
});

test("browser_page_and_worker_share_a_map", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const map = heap.map("words");
    const plain = new Map();
    const units = ["k", "é", "名", "\ud800"];
    for (const length of [0, 1, 5, 6, 13, 64, 65, 513, 3000, 6145, 20_000]) {
      for (const unit of units) {
        const [key, value] = [unit.repeat(length), `${unit.repeat(length)}|`];
        map.set(key, value);
        plain.set(key, value);
      }
    }
    const agent = await globalThis.start(heap);
    const counting = agent.run((other) => {
      const map = other.map("sums");
      for (let i = 0; i < 20_000; i++) map.add(`word ${i % 7}`);
      return [...other.map("words")].map(([key, value]) => `${key}|` === value);
    });
    const sums = heap.map("sums");
    for (let i = 0; i < 20_000; i++) sums.add(`word ${i % 7}`);
    const seen = await counting;
    let sum = 0;
    for (const value of sums.values()) sum += value;
    await agent.run((other) => other.map("words").clear());
    const same = [...plain].every(
      ([key, value], i) => seen[i] && map.get(key) === undefined && value.length > key.length,
    );
    for (const [key, value] of plain) map.set(key, value);
    const read = [0, 1, 2].every(() => [...plain].every(([key, value]) => map.get(key) === value));
    await heap.audit();
    return {
      sum,
      same,
      read,
      size: map.size === plain.size,
      order: [...map.keys()].join() === [...plain.keys()].join(),
    };
  });
  assert.deepEqual(result, { sum: 40_000, same: true, read: true, size: true, order: true });
});

test("browser_wrapper_in_a_message_is_refused_and_its_handle_is_not", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const { port1, port2 } = new MessageChannel();
    const received = new Promise((resolve) => {
      port2.onmessage = ({ data }) => resolve(data);
    });
    const wrappers = [heap.cell(), heap.bytes(undefined, 3), heap.fields(), heap.map(), heap.list(), heap.pipe()];
    const thrown = wrappers.map((wrapper) => {
      try {
        return port1.postMessage({ deep: [wrapper] }) ?? "sent";
      } catch (error) {
        return error.name;
      }
    });
    port1.postMessage(wrappers.map(({ handle }) => handle));
    const opened = (await received).map((handle) => heap.open(handle));
    port1.close();
    return { thrown: [...new Set(thrown)], same: wrappers.every((wrapper, i) => wrapper === opened[i]) };
  });
  assert.deepEqual(result, { thrown: ["DataCloneError"], same: true });
});

test("browser_views_are_never_stale", { timeout }, async () => {
  const { rounds, old } = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const [perHeap, size] = [200, 17 * 65_536]; // as in tests/js/stale-views.test.mjs: each round grows the memory
    let rounds = 0;
    let old = 0;
    while (rounds < 10_000) {
      const heap = await SharedHeap.create({ maximum: "256MiB" });
      const { memory } = heap.token();
      const agent = await globalThis.start(heap);
      const flags = new SharedArrayBuffer(12);
      const words = new Int32Array(flags);
      let length = memory.grow(0) * 65_536;
      const grower = (other, perHeap, size, flags) => {
        const words = new Int32Array(flags);
        const { memory } = other.token();
        for (let round = 1; round <= perHeap; round++) {
          while (Atomics.load(words, 0) !== round) Atomics.wait(words, 0, round - 1, 1000);
          other.bytes(`block ${round}`, size).write(size - 1, Uint8Array.of(round & 255));
          other.cell(`cell ${round}`).set(round);
          words[2] = memory.grow(0) * 65_536;
          Atomics.store(words, 1, round);
        }
      };
      const growing = agent.run(grower, perHeap, size, flags);
      const waits = [];
      for (let round = 1; round <= perHeap; round++, rounds++) {
        Atomics.store(words, 0, round);
        Atomics.notify(words, 0);
        while (Atomics.load(words, 1) !== round);
        if (memory.buffer.byteLength < words[2]) old++;
        if (words[2] <= length) throw new Error(`round ${round} did not grow the memory`);
        length = words[2];
        const [byte] = heap.bytes(`block ${round}`, size).read(size - 1);
        const cell = heap.cell(`cell ${round}`);
        if (byte !== (round & 255) || cell.get() !== round) throw new Error(`round ${round}: ${byte}, ${cell.get()}`);
        waits.push(cell.waitAsync(round));
        cell.set(-round);
      }
      await growing;
      if ((await Promise.all(waits)).some((outcome) => outcome !== "changed"))
        throw new Error("a wait ended otherwise");
      await agent.run((other) => other.detach());
      await heap.audit();
    }
    return { rounds, old };
  });
  console.log(`the memory grew in ${rounds} rounds; memory.buffer had an old length after that in ${old} of them`);
  assert.equal(rounds, 10_000);
  console.log(`cases browser_views_are_never_stale ${rounds}`);
});

test("browser_wait_async_on_the_page_sees_the_workers_change", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const agent = await globalThis.start(heap);
    const [ping, pong] = [heap.cell("ping"), heap.cell("pong")];
    const echo = agent.run((other) => {
      for (let round = 0; round < 300; round++) {
        if (other.cell("ping").waitSync(round, 30_000) !== "changed") return "timed out";
        other.cell("pong").set(round + 1);
      }
      return "done";
    });
    for (let round = 0; round < 300; round++) {
      const change = pong.waitAsync(round, { timeout: 30_000 });
      ping.set(round + 1);
      if ((await change) !== "changed") throw new Error(`round ${round} timed out`);
    }
    return [await echo, await pong.waitAsync(300, { timeout: 30 }), "waitSync" in pong];
  });
  assert.deepEqual(result, ["done", "timed-out", false]);
  console.log("cases browser_wait_async_on_the_page_sees_the_workers_change 300");
});

test("browser_pipe_carries_streams_from_the_page_to_a_worker_and_back", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const pipe = (name) => heap.pipe(name, { capacity: 4096 });
    const agent = await globalThis.start(heap);
    const text = "αβ".repeat(50_000);
    const iterating = agent.run(async (other) => {
      const decoder = new TextDecoder();
      let found = "";
      for await (const bytes of other.pipe("there")) found += decoder.decode(bytes, { stream: true });
      return found;
    });
    await new Response(text).body.pipeTo(pipe("there").writable);
    const isIterated = (await iterating) === text;
    pipe("in");
    pipe("out");
    const transforming = agent.run(async (other) => {
      const upper = { transform: (text, controller) => controller.enqueue(text.toUpperCase()) };
      const decoded = other.pipe("in").readable.pipeThrough(new TextDecoderStream());
      await decoded.pipeThrough(new TransformStream(upper)).pipeTo(other.pipe("out").writable);
    });
    const sending = new Response(text).body.pipeTo(pipe("in").writable);
    const isTransformed = (await new Response(pipe("out").readable).text()) === text.toUpperCase();
    await Promise.all([sending, transforming]);
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)) });
    const refused = endless.pipeTo(pipe("cancelled").writable).catch(({ code, details }) => [code, details.reason]);
    await agent.run((other) => other.pipe("cancelled").readable.cancel("the worker has enough"));
    const broken = new ReadableStream({ pull: () => Promise.reject(new Error("the page broke")) });
    const reading = agent.run(async (other) => {
      try {
        for await (const _ of other.pipe("broken"));
      } catch ({ code, details }) {
        return [code, details.reason];
      }
    });
    await broken.pipeTo(pipe("broken").writable).catch(() => {});
    return { isIterated, isTransformed, cancelled: await refused, broken: await reading };
  });
  assert.deepEqual(result, {
    isIterated: true,
    isTransformed: true,
    cancelled: ["COHEAP_PIPE_ABORTED", "the worker has enough"],
    broken: ["COHEAP_PIPE_ABORTED", "the page broke"],
  });
});

test("browser_main_thread_attaches_without_blocking_and_is_refused_by_the_worker_face", { timeout }, async () => {
  const result = await inPage(async () => {
    const { SharedHeap, isCoheapError } = await import("/js-host/dist/index.js");
    const { attach } = await import("/js-host/dist/worker.js");
    const heap = await SharedHeap.create();
    const { wait } = Atomics;
    let waits = 0;
    Atomics.wait = (...given) => {
      waits++;
      return wait(...given);
    };
    const other = SharedHeap.attach(heap.token());
    for (let i = 0; i < 1000; i++) other.cell("x").add(1);
    await other.audit();
    const seen = [waits, heap.cell("x").get()];
    Atomics.wait = wait;
    try {
      attach(heap.token());
    } catch (error) {
      return [...seen, isCoheapError(error, "COHEAP_CANNOT_BLOCK"), heap.stats().agents];
    }
  });
  assert.deepEqual(result, [0, 1000, true, 2]);
});

test("browser_page_without_isolation_is_told_what_is_missing", { timeout }, async () => {
  const result = await inPage(
    async () => {
      const { SharedHeap, checkEnvironment } = await import("/js-host/dist/index.js");
      const { ok, missing } = checkEnvironment();
      const error = await SharedHeap.create().catch((error) => error);
      return {
        ok,
        ids: missing.map(({ id }) => id),
        code: error.code,
        headers: missing[0].fix.includes("Cross-Origin-Opener-Policy"),
      };
    },
    undefined,
    { isolated: false },
  );
  assert.deepEqual(result, {
    ok: false,
    ids: ["cross-origin-isolation", "shared-array-buffer"],
    code: "COHEAP_NOT_ISOLATED",
    headers: true,
  });
});

test("browser_wasm_that_is_not_found_is_a_clear_error", { timeout }, async () => {
  const codes = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const sources = [
      new URL("/missing.wasm", location.href),
      new URL("/", location.href),
      fetch("/missing.wasm"),
      fetch("/"),
    ];
    return await Promise.all(
      sources.map((wasm) =>
        SharedHeap.create({ wasm }).then(
          () => "made",
          ({ code }) => code,
        ),
      ),
    );
  });
  assert.deepEqual(codes, Array(4).fill("COHEAP_WASM_UNAVAILABLE"));
});
