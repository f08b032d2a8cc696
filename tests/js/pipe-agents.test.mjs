// Pipes between real workers: blocked and woken, hosts that never block, agents that leave.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, RemoteAgent, refuses, watchdog } from "./support.mjs";

watchdog(180);

/** Starts `count` workers. */
const start = (heap, count) => Promise.all(Array.from({ length: count }, () => RemoteAgent.start(heap)));
const stop = (agents) => Promise.all(agents.map((agent) => agent.stop()));

test("pipe_between_workers_loses_and_mixes_nothing", async () => {
  const heap = await SharedHeap.create();
  const [writers, readers, each] = [3, 3, 20_000];
  const agents = await start(heap, writers + readers);
  const pipe = heap.pipe("lines", { capacity: 65_536 });
  const writing = agents.slice(0, writers).map((agent, number) =>
    agent.run(
      (heap, number, each) => {
        const pipe = heap.pipe("lines");
        for (let count = 0; count < each; count++) {
          const padding = "é".repeat((count * 7) % 100);
          pipe.writeSync(`${number} ${count} ${padding} ${padding.length}\n`);
        }
      },
      number,
      each,
    ),
  );
  const reading = agents.slice(writers).map((agent, number) =>
    agent.run((heap, number) => {
      const pipe = heap.pipe("lines");
      const decoder = new TextDecoder();
      const lines = [];
      for (;;) {
        let bytes;
        if (number === 0) {
          bytes = pipe.readSync({ until: "\n", max: 10_000 });
          if (bytes === null) return lines;
        } else {
          const lease = pipe.leaseSync({ until: 10, max: 3_000 });
          if (lease === null) return lines;
          bytes = lease.bytes;
          if (lease.bytes.length % 4 === 0) {
            lease.dispose();
            continue;
          }
          lease.commit();
        }
        for (const line of decoder.decode(bytes).split("\n").slice(0, -1)) {
          const [writer, count, padding, length] = line.split(" ");
          if (padding.length !== Number(length)) throw new Error(`mixed: ${line}`);
          lines.push([Number(writer), Number(count)]);
        }
      }
    }, number),
  );
  await Promise.all(writing);
  pipe.close();
  const read = await Promise.all(reading);
  const seen = Array.from({ length: writers }, () => new Set());
  let lines = 0;
  for (const [writer, count] of read.flat()) {
    seen[writer].add(count);
    lines++;
  }
  assert.equal(lines, writers * each, "each line once");
  for (const counts of seen) assert.equal(counts.size, each);
  assert.ok(
    read.every((lines) => lines.length > 0),
    `${read.map((lines) => lines.length)}`,
  );
  await stop(agents);
  await heap.audit();
  cases("pipe_between_workers_loses_and_mixes_nothing", lines);
});

test("pipe_writes_of_4096_bytes_stand_together_and_longer_ones_in_order", async () => {
  const heap = await SharedHeap.create();
  const agents = await start(heap, 2);
  const pipe = heap.pipe("p", { capacity: 10_000 });
  const rounds = 300;
  const writing = agents.map((agent, number) =>
    agent.run(
      (heap, number, rounds) => {
        const pipe = heap.pipe("p");
        for (let round = 0; round < rounds; round++) {
          if (number === 0) pipe.writeSync(new Uint8Array(4096).fill(1));
          else pipe.writeSync(new Uint8Array(20_000).fill(2));
        }
      },
      number,
      rounds,
    ),
  );
  const all = Promise.all(writing).then(() => pipe.close());
  let [run, value, ones, twos] = [0, 0, 0, 0];
  for await (const bytes of pipe) {
    for (const byte of bytes) {
      if (byte !== value) {
        if (value === 1) assert.equal(run % 4096, 0, "a small write is whole");
        [run, value] = [0, byte];
      }
      run++;
      if (byte === 1) ones++;
      else twos++;
    }
  }
  await all;
  assert.deepEqual([ones, twos], [rounds * 4096, rounds * 20_000]);
  await stop(agents);
  cases("pipe_writes_of_4096_bytes_stand_together_and_longer_ones_in_order", rounds * 2);
});

test("pipe_wakes_who_is_blocked_by_every_change", async () => {
  const heap = await SharedHeap.create();
  const [agent] = await start(heap, 1);
  const pipe = heap.pipe("p", { capacity: 4096 });
  let woken = 0;
  const blocked = async (body, act, ...values) => {
    const answer = agent.run(body, ...values);
    await new Promise((resolve) => setTimeout(resolve, 20));
    act();
    woken++;
    return await answer;
  };
  const read = (heap) => new TextDecoder().decode(heap.pipe("p").readSync());
  for (let round = 0; round < 20; round++) {
    assert.equal(await blocked(read, () => pipe.tryWrite(`round ${round}`)), `round ${round}`);
  }
  while (pipe.tryWrite("x".repeat(500)) > 0);
  const write = (heap) => heap.pipe("p").writeSync("y".repeat(500));
  await blocked(write, () => pipe.tryRead({ max: 1000 }));
  while (pipe.tryRead() !== undefined);
  const until = (heap) => new TextDecoder().decode(heap.pipe("p").readSync({ until: "\n" }));
  pipe.tryWrite("no end");
  assert.equal(await blocked(until, () => pipe.tryWrite(" yet\n")), "no end yet\n");
  pipe.tryWrite("lent");
  const lease = await pipe.lease();
  assert.equal(await blocked(read, () => lease.dispose()), "lent");
  const end = (heap) => heap.pipe("p").readSync();
  assert.equal(await blocked(end, () => pipe.close()), null);
  const other = heap.pipe("q");
  const why = (heap) => {
    try {
      heap.pipe("q").readSync();
      return "nothing was thrown";
    } catch (error) {
      return `${error.code} ${error.details.reason}`;
    }
  };
  assert.equal(await blocked(why, () => other.abort("enough")), "COHEAP_PIPE_ABORTED enough");
  const late = (heap) => {
    const begin = performance.now();
    try {
      heap.pipe("r").readSync({ timeout: 50 });
      return "nothing was thrown";
    } catch (error) {
      return [error.code, error.details.milliseconds, performance.now() - begin >= 50];
    }
  };
  assert.deepEqual(await agent.run(late), ["COHEAP_TIMED_OUT", 50, true]);
  await stop([agent]);
  cases("pipe_wakes_who_is_blocked_by_every_change", woken);
});

test("pipe_of_a_host_is_filled_and_emptied_by_workers_without_blocking_it", async () => {
  const heap = await SharedHeap.create();
  const agents = await start(heap, 2);
  const [there, back] = [heap.pipe("there", { capacity: 20_000 }), heap.pipe("back", { capacity: 20_000 })];
  const copying = agents.map((agent) =>
    agent.run((heap) => {
      const [there, back] = [heap.pipe("there"), heap.pipe("back")];
      for (const bytes of there) back.writeSync(bytes);
    }),
  );
  const sent = 5_000_000;
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const writing = (async () => {
    for (let at = 0; at < sent; at += 10_000) await there.write(new Uint8Array(10_000).fill(at / 10_000));
    there.close();
    await Promise.all(copying);
    back.close();
  })();
  const counts = new Array(256).fill(0);
  for await (const bytes of back) for (const byte of bytes) counts[byte]++;
  await writing;
  clearInterval(timer);
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    sent,
  );
  for (let value = 0; value < 256; value++) {
    assert.equal(counts[value], 10_000 * Math.ceil((sent / 10_000 - value) / 256), `bytes of ${value}`);
  }
  assert.ok(ticks > 0, "the host's timers ran");
  await stop(agents);
  await heap.audit();
  cases("pipe_of_a_host_is_filled_and_emptied_by_workers_without_blocking_it", sent);
});

test("pipe_lease_of_an_agent_that_leaves_goes_to_another", async () => {
  const heap = await SharedHeap.create();
  const pipe = heap.pipe("p");
  const rounds = 50;
  for (let round = 0; round < rounds; round++) {
    const worker = attach(heap.token());
    pipe.tryWrite(`${round};`);
    const lease = worker.pipe("p").leaseSync();
    assert.equal(new TextDecoder().decode(lease.bytes), `${round};`);
    assert.equal(pipe.tryRead(), undefined);
    if (round % 2 === 0) worker.detach();
    else worker.pipe("p").dispose();
    assert.equal(new TextDecoder().decode(pipe.tryRead()), `${round};`);
    refuses(() => lease.commit(), round % 2 === 0 ? "COHEAP_DETACHED" : "COHEAP_DISPOSED");
    worker.detach();
  }
  await heap.audit();
  cases("pipe_lease_of_an_agent_that_leaves_goes_to_another", rounds);
});

/** Text of 200,000 bytes, far more than the pipes below have room for. */
const greek = "αβ".repeat(50_000);

test("pipe_carries_streams_from_agent_to_agent", async () => {
  const heap = await SharedHeap.create();
  const agents = await start(heap, 2);
  const [iterating, transforming] = agents;
  const capacity = 4096;
  const pipe = (name) => heap.pipe(name, { capacity });
  const iterated = iterating.run(async (heap) => {
    const decoder = new TextDecoder();
    let found = "";
    for await (const bytes of heap.pipe("there")) found += decoder.decode(bytes, { stream: true });
    return found;
  });
  await new Blob([greek]).stream().pipeTo(pipe("there").writable);
  assert.ok((await iterated) === greek, "all came, in order");
  pipe("in");
  pipe("out");
  const transformed = transforming.run(async (heap) => {
    const upper = { transform: (text, controller) => controller.enqueue(text.toUpperCase()) };
    await heap
      .pipe("in")
      .readable.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TransformStream(upper))
      .pipeTo(heap.pipe("out").writable);
  });
  const sent = new Blob([greek]).stream().pipeTo(pipe("in").writable);
  assert.ok((await new Response(pipe("out").readable).text()) === greek.toUpperCase(), "all came through");
  await Promise.all([sent, transformed]);
  await stop(agents);
  await heap.audit();
});

test("pipe_carries_the_error_and_the_cancel_of_a_stream_to_the_other_agent", async () => {
  const heap = await SharedHeap.create();
  const [agent] = await start(heap, 1);
  /** What a worker that reads pipe `name` to its end is told. */
  const reading = (name) =>
    agent.run(async (heap, name) => {
      try {
        for await (const _ of heap.pipe(name));
        return "it ended";
      } catch ({ code, details }) {
        return `${code}: ${details.reason}`;
      }
    }, name);
  const broken = new ReadableStream({ pull: () => Promise.reject(new Error("the source broke")) });
  const first = reading("broken");
  await assert.rejects(broken.pipeTo(heap.pipe("broken").writable), /the source broke/);
  assert.equal(await first, "COHEAP_PIPE_ABORTED: the source broke");
  const endless = () => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)) });
  const control = new AbortController();
  const sending = endless().pipeTo(heap.pipe("stopped").writable, { signal: control.signal });
  const second = reading("stopped");
  control.abort(new Error("the sender has enough"));
  await assert.rejects(sending, /the sender has enough/);
  assert.equal(await second, "COHEAP_PIPE_ABORTED: the sender has enough");
  // Here the sender waits for room when it is told.
  const cancelled = endless().pipeTo(heap.pipe("cancelled", { capacity: 4096 }).writable);
  const refused = refuses(() => cancelled, "COHEAP_PIPE_ABORTED");
  await agent.run(async (heap) => {
    const reader = heap.pipe("cancelled").readable.getReader();
    await reader.read();
    await reader.cancel("the reader has enough");
  });
  assert.equal((await refused).details.reason, "the reader has enough");
  // A transformer that throws ends what is before it, and what is behind it.
  const before = endless().pipeTo(heap.pipe("before").writable);
  const behind = new Response(heap.pipe("behind").readable).text();
  const transforming = agent.run(async (heap) => {
    const failing = {
      transform: () => {
        throw new Error("no such letter");
      },
    };
    const through = heap.pipe("before").readable.pipeThrough(new TransformStream(failing));
    await through.pipeTo(heap.pipe("behind").writable);
  });
  const told = await Promise.allSettled([before, behind, transforming]);
  assert.deepEqual(
    told.map(({ reason }) => reason?.details?.reason ?? reason?.message),
    ["no such letter", "no such letter", "no such letter"],
  );
  await stop([agent]);
  await heap.audit();
});
