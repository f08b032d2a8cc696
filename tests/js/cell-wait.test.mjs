import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { SharedHeap } from "../../js-host/dist/index.js";
import { attach } from "../../js-host/dist/worker.js";
import { cases, RemoteAgent, refuses, watchdog, withoutWaitAsync } from "./support.mjs";

watchdog(120);

test("wait_async_sees_a_change_by_another_agent", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const cell = heap.cell("x");
  const rounds = 500;
  for (let round = 0; round < rounds; round++) {
    const change = cell.waitAsync(round);
    const set = agent.run((other, value) => other.cell("x").set(value), round + 1);
    assert.equal(await change, "changed");
    await set;
  }
  await agent.stop();
  cases("wait_async_sees_a_change_by_another_agent", rounds);
});

test("wait_async_of_many_waiters_wakes_all", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const waits = Array.from({ length: 1000 }, (_, i) => (i % 2 ? heap : other).cell("x").waitAsync(0));
  other.cell("x").add(1);
  assert.deepEqual(new Set(await Promise.all(waits)), new Set(["changed"]));
  cases("wait_async_of_many_waiters_wakes_all", waits.length);
});

test("wait_async_answers_at_once_when_the_number_differs", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  for (const old of [1, -0, NaN, Infinity]) assert.equal(await cell.waitAsync(old), "changed");
  assert.equal(await cell.waitAsync(0, { timeout: 0 }), "timed-out");
});

test("wait_async_times_out_and_waits_on", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  assert.equal(await cell.waitAsync(0, { timeout: 20 }), "timed-out");
  const [short, long] = [cell.waitAsync(0, { timeout: 20 }), cell.waitAsync(0, { timeout: 60_000 })];
  assert.equal(await short, "timed-out");
  cell.set(0); // the same number: nobody notices
  cell.set(1);
  assert.equal(await long, "changed");
});

test("wait_async_ends_by_its_signal", async () => {
  const heap = await SharedHeap.create();
  const cell = heap.cell();
  const control = new AbortController();
  const wait = cell.waitAsync(0, { signal: control.signal });
  control.abort(new Error("enough"));
  await assert.rejects(wait, /enough/);
  await assert.rejects(cell.waitAsync(0, { signal: control.signal }), /enough/);
});

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

test("wait_async_that_cannot_begin_leaves_no_timer", async () => {
  const { waitAsync } = Atomics;
  Atomics.waitAsync = () => {
    throw new RangeError("no room");
  };
  try {
    const { SharedHeap: Failing } = await import("../../js-host/dist/index.js?failing");
    const cell = (await Failing.create()).cell();
    const before = timers();
    await assert.rejects(cell.waitAsync(0, { timeout: 60_000 }), /no room/);
    const signal = Object.assign(new EventTarget(), {
      aborted: false,
      addEventListener() {
        throw new Error("no listeners");
      },
    });
    await assert.rejects(cell.waitAsync(0, { timeout: 60_000, signal }), /no listeners/);
    assert.equal(timers(), before);
  } finally {
    Atomics.waitAsync = waitAsync;
  }
});

test("wait_async_at_the_end_of_the_stack_waits_or_leaves_no_timer", () => {
  const [dist, support] = ["../../js-host/dist/index.js", "./support.mjs"].map(
    (path) => new URL(path, import.meta.url),
  );
  // In a process of its own, because Node writes a line for each promise that is rejected there.
  const text = `
    import { SharedHeap } from ${JSON.stringify(dist.href)};
    import { atTheEndOfTheStack } from ${JSON.stringify(support.href)};
    const heap = await SharedHeap.create();
    const cell = heap.cell();
    const waits = [];
    for (let pad = 0; pad < 10; pad++) {
      let tries = 0;
      atTheEndOfTheStack(pad, () => {
        waits.push(cell.waitAsync(0, { timeout: 600_000 }));
        return ++tries === 1500;
      });
    }
    cell.set(1);
    const outcomes = await Promise.allSettled(waits);
    console.log(JSON.stringify({
      waits: waits.length,
      refused: outcomes.filter(({ reason }) => reason instanceof RangeError).length,
      ended: outcomes.filter(({ value }) => value === "changed").length,
      timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
    }));
    process.exit();`;
  const stdio = ["ignore", "pipe", "ignore"];
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], { encoding: "utf8", stdio });
  const { waits, refused, ended, timers } = JSON.parse(stdout);
  assert.ok(refused > 0 && ended > 0, stdout);
  assert.equal(refused + ended, waits);
  assert.equal(timers, 0);
  cases("wait_async_at_the_end_of_the_stack_waits_or_leaves_no_timer", waits);
});

test("wait_async_ends_whatever_its_signal_throws", async () => {
  const cell = (await SharedHeap.create()).cell();
  const signal = Object.assign(new EventTarget(), {
    aborted: false,
    removeEventListener() {
      throw new Error("no");
    },
  });
  assert.equal(await cell.waitAsync(0, { timeout: 1, signal }), "timed-out");
  const wait = cell.waitAsync(0, { signal });
  signal.aborted = true;
  signal.reason = new Error("enough");
  await assert.rejects(wait, /enough/); // without an event: the waiter looks for itself
});

test("wait_async_rejects_when_the_cell_or_the_seat_goes", async () => {
  const heap = await SharedHeap.create();
  const other = SharedHeap.attach(heap.token());
  const cell = heap.cell("x");
  const removed = cell.waitAsync(0);
  const detached = other.cell("y").waitAsync(0);
  const both = [refuses(() => removed, "COHEAP_STALE_HANDLE"), refuses(() => detached, "COHEAP_DETACHED")];
  heap.remove("x");
  cell.dispose();
  other.detach();
  await Promise.all(both);
});

test("wait_async_without_the_platforms_help_looks_for_itself", async () => {
  await withoutWaitAsync(async (Polling) => {
    const heap = await Polling.create();
    const wait = heap.cell("x").waitAsync(0);
    SharedHeap.attach(heap.token()).cell("x").set(1);
    assert.equal(await wait, "changed");
    assert.equal(await heap.cell("x").waitAsync(1, { timeout: 20 }), "timed-out");
  });
});

test("wait_sync_blocks_a_worker_until_the_change", async () => {
  const heap = await SharedHeap.create();
  const agent = await RemoteAgent.start(heap);
  const rounds = 500;
  const echo = agent.run((other, rounds) => {
    const [ping, pong] = [other.cell("ping"), other.cell("pong")];
    for (let round = 0; round < rounds; round++) {
      if (ping.waitSync(round, 30_000) !== "changed") throw new Error(`round ${round} timed out`);
      pong.set(round + 1);
    }
    return "done";
  }, rounds);
  const [ping, pong] = [heap.cell("ping"), heap.cell("pong")];
  for (let round = 0; round < rounds; round++) {
    const answer = pong.waitAsync(round, { timeout: 30_000 });
    ping.set(round + 1);
    assert.equal(await answer, "changed");
  }
  assert.equal(await echo, "done");
  await agent.stop();
  await heap.audit();
  cases("wait_sync_blocks_a_worker_until_the_change", rounds);
});

test("wait_goes_on_when_the_agent_dies_that_was_to_change_the_cell", async () => {
  const heap = await SharedHeap.create();
  const [doomed, waiting] = await Promise.all([RemoteAgent.start(heap), RemoteAgent.start(heap)]);
  const cell = heap.cell("x");
  let ended = 0;
  const wait = cell.waitAsync(0).finally(() => ended++);
  const blocked = waiting.run((other) => other.cell("x").waitSync(0)).finally(() => ended++);
  const lost = new Promise((resolve) => heap.on("agentlost", resolve));
  await heap.terminate(doomed.thread);
  await lost;
  // What a wait does every 100 ms, it has done by then.
  assert.equal(await heap.cell("y").waitAsync(0, { timeout: 300 }), "timed-out");
  assert.equal(ended, 0);
  cell.set(1);
  assert.deepEqual(await Promise.all([wait, blocked]), ["changed", "changed"]);
  await waiting.stop();
});

test("wait_sync_times_out", async () => {
  const heap = await SharedHeap.create();
  const cell = attach(heap.token()).cell("x");
  assert.equal(cell.waitSync(0, 30), "timed-out");
  assert.equal(cell.waitSync(0, 0), "timed-out");
  assert.equal(cell.waitSync(1), "changed");
});
