import assert from "node:assert/strict";
import { test } from "node:test";
import { inPage, onPage } from "./page.mjs";

const timeout = 300_000;

/** What is live and who is there, once every seat of the dead is free. */
function giveSettled() {
  globalThis.sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  globalThis.settled = async (heap) => {
    for (;;) {
      const { liveBytes, agents, quarantined } = await heap.audit({ timeout: 20_000 });
      if (quarantined === 0) return { liveBytes, agents };
      globalThis.doing = `audits of ${agents} agents and ${quarantined} in quarantine, after ${globalThis.before}`;
      await globalThis.sleep(50);
    }
  };
  globalThis.nextLost = (heap) => new Promise((resolve) => heap.on("agentlost", resolve));
}

const inSettledPage = (body) =>
  onPage(async (tab) => {
    await tab.evaluate(giveSettled);
    return await tab.evaluate(body);
  });

test("browser_terminated_workers_give_back_all_that_they_had", { timeout }, async () => {
  const found = await inSettledPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const before = await globalThis.settled(heap);
    const states = {
      idle: () => {},
      // In wasm most of the time, and online until its turn ends, which it never does.
      "in operations": (heap) => {
        const beat = heap.cell("beat");
        for (;;) beat.add(1);
      },
      // Online until its turn ends, and computes: nobody can tell that it will not write.
      "in its own loop": (heap, rounds) => {
        const beat = heap.cell("beat");
        for (let i = 0; i < 20; i++) beat.add(1);
        for (;;) rounds[0]++;
      },
      "waiting for a pipe": (heap) => {
        heap.cell("beat").add(1);
        heap.pipe("never").readSync();
      },
      "waiting for a cell": (heap) => {
        const beat = heap.cell("beat");
        beat.add(1);
        heap.cell("never").waitSync(0);
      },
    };
    // Before the last of them a terminated worker is refused the next, and the fence can tell.
    const awaited = { "in its own loop": 20 };
    const found = {};
    for (const [name, state] of Object.entries(states)) {
      const doing = (what) => {
        globalThis.before = globalThis.doing = `${name}: ${what}`;
      };
      doing("start");
      const beat = heap.cell("beat");
      beat.set(0);
      const rounds = new Float64Array(new SharedArrayBuffer(8));
      const agent = await globalThis.start(heap);
      await agent.run((heap) => {
        globalThis.held = [heap.map(), heap.bytes(undefined, 100_000)];
        globalThis.held[0].set("key", "a value of some length".repeat(9));
      });
      if (name !== "idle") {
        agent.run(state, rounds);
        doing("wait for its beat");
        while (beat.get() < (awaited[name] ?? 1)) await globalThis.sleep(1);
      }
      const lost = globalThis.nextLost(heap);
      doing("terminate");
      const recovery = await heap.terminate(agent.thread);
      doing("wait for its loss");
      const count = () => [beat.get(), rounds[0]].join();
      const counted = count();
      const { agents, recovery: told } = await lost;
      await globalThis.sleep(100);
      const isStill = count() === counted;
      for (const name of ["beat", "never"]) heap.remove(name);
      beat.dispose();
      found[name] = {
        proof: recovery.proof,
        reclaimed: recovery.reclaimedBytes > 100_000,
        agents,
        same: told.proof === recovery.proof,
        isStill,
        whole: JSON.stringify(await globalThis.settled(heap)) === JSON.stringify(before),
      };
    }
    return found;
  });
  console.log(JSON.stringify(found));
  for (const [name, { proof, ...rest }] of Object.entries(found)) {
    assert.deepEqual(rest, { reclaimed: true, agents: 1, same: true, isStill: true, whole: true }, name);
    // Of a thread that is online for its whole turn the fence can tell when that was ended by force, as of the others: if the lock comes later.
    assert.ok(proof === "lock" || proof === "fence", `${name}: ${proof}`);
  }
  console.log(`cases browser_terminated_workers_give_back_all_that_they_had ${Object.keys(found).length}`);
});

test("browser_workers_that_end_by_themselves_are_found", { timeout }, async () => {
  const found = await inSettledPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const before = await globalThis.settled(heap);
    const ends = {
      "self.close": ({ run }) => run(() => globalThis.close()),
      "worker.terminate": ({ thread }) => thread.terminate(),
    };
    const found = [];
    for (const [name, end] of Object.entries(ends)) {
      for (const adopt of [true, false]) {
        const agent = await globalThis.start(heap, { adopt });
        await agent.run(async (heap) => {
          globalThis.held = [heap.list(), heap.bytes(undefined, 50_000)];
          await globalThis[Symbol.for("coheap.lock")]; // it holds its lock, and has said so
        });
        const lost = globalThis.nextLost(heap);
        void end(agent);
        const { agents, recovery } = await lost;
        const whole = JSON.stringify(await globalThis.settled(heap)) === JSON.stringify(before);
        found.push([name, adopt, agents, recovery.proof, recovery.reclaimedBytes > 50_000, whole]);
      }
    }
    return found;
  });
  assert.deepEqual(
    found,
    ["self.close", "worker.terminate"].flatMap((name) =>
      [true, false].map((adopt) => [name, adopt, 1, "lock", true, true]),
    ),
  );
  console.log(`cases browser_workers_that_end_by_themselves_are_found ${found.length}`);
});

/** What `terminate` and those who listen say of a worker that computes, by clocks that go forward by ten seconds once it has begun to wait. */
const terminateComputing = (locks) =>
  onPage(async (tab) => {
    await tab.evaluate(giveSettled);
    return await tab.evaluate(async (locks) => {
      const now = performance.now.bind(performance);
      let later = 0;
      performance.now = () => now() + later;
      const { SharedHeap } = await import("/js-host/dist/index.js");
      const heap = await SharedHeap.create();
      const told = [];
      heap.on("agentlost", ({ agents, recovery }) => told.push([agents, recovery.proof]));
      const beat = heap.cell("beat");
      const agent = await globalThis.start(heap, { locks });
      const rounds = new Float64Array(new SharedArrayBuffer(8));
      const compute = (heap, rounds) => {
        for (let i = 0; i < 20; i++) heap.cell("beat").add(1);
        for (;;) rounds[0]++;
      };
      agent.run(compute, rounds);
      while (beat.get() < 20) await globalThis.sleep(1);
      const ended = heap.terminate(agent.thread);
      await globalThis.sleep(500);
      later = 10_000;
      const { proof } = await ended;
      const counted = rounds[0];
      await globalThis.sleep(100);
      const isStill = counted === rounds[0];
      if (locks) await globalThis.settled(heap);
      return { proof, told, isStill, quarantined: heap.stats().quarantined };
    }, locks);
  });

test("browser_that_takes_its_time_to_stop_a_worker_is_waited_for", { timeout }, async () => {
  const { proof, ...found } = await terminateComputing(true);
  // A turn that was ended by force is over: the fence may be quicker than the lock.
  assert.ok(proof === "lock" || proof === "fence", proof);
  assert.deepEqual(found, { told: [[1, proof]], isStill: true, quarantined: 0 });
});

test("browser_worker_whose_end_nothing_can_prove_is_given_up_and_counted", { timeout }, async () => {
  const { isStill, ...found } = await terminateComputing(false);
  assert.deepEqual(found, { proof: "none", told: [[1, "none"]], quarantined: 1 });
});

test("browser_worker_that_somebody_reaps_by_the_way_is_told_of_to_who_terminates_it", { timeout }, async () => {
  const found = await inSettledPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    let other;
    const auditing = { "this agent": () => heap.audit(), "another agent": () => other.run((heap) => heap.audit()) };
    const found = [];
    for (const [name, audit] of Object.entries(auditing)) {
      // Not before: it looks for itself, once a second.
      if (name === "another agent") other = await globalThis.start(heap);
      const agent = await globalThis.start(heap);
      await agent.run(async (heap) => {
        globalThis.held = heap.bytes(undefined, 100_000);
        await globalThis[Symbol.for("coheap.lock")];
      });
      agent.run((heap) => {
        for (;;) {
          try {
            heap.cell("beat").add(1);
          } catch {
            // It goes on until the browser stops it.
          }
        }
      });
      const beat = heap.cell("beat");
      while (beat.get() === 0) await globalThis.sleep(1);
      const told = [];
      const listening = heap.on("agentlost", ({ agents, recovery }) => told.push([agents, recovery.proof]));
      const ended = heap.terminate(agent.thread);
      // An audit reaps what it finds to be due.
      while (told.length === 0) await audit().catch(() => {});
      const { proof, reclaimedBytes } = await ended;
      listening[Symbol.dispose]();
      beat.set(0);
      found.push({ name, proof, told, reclaimed: reclaimedBytes > 100_000 });
    }
    return found;
  });
  console.log(JSON.stringify(found));
  for (const { name, proof, told, reclaimed } of found) {
    assert.deepEqual(told, [[1, proof]], name);
    // What another agent gives back it does not count for this one.
    assert.ok(reclaimed || name === "another agent", name);
  }
});

test("browser_worker_that_another_agent_reaps_is_told_of_to_who_adopted_it", { timeout }, async () => {
  const found = await inSettledPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const pipe = heap.pipe("pipe");
    const told = [];
    heap.on("agentlost", ({ agents, recovery }) => told.push([agents, recovery]));
    await globalThis.start(heap);
    const agent = await globalThis.start(heap, { pipes: [pipe] });
    await agent.run(async () => await globalThis[Symbol.for("coheap.lock")]);
    // Until then this agent does not come to look who holds a lock.
    const { query } = LockManager.prototype;
    let isLate;
    const late = new Promise((resolve) => {
      isLate = resolve;
    });
    LockManager.prototype.query = async function () {
      await late;
      return await query.call(this);
    };
    const reading = pipe.read().catch(({ code }) => code);
    agent.thread.terminate();
    while (heap.stats().agents === 3) await globalThis.sleep(10);
    const before = told.length;
    isLate();
    return { before, reading: await reading, told };
  });
  assert.deepEqual(found, {
    before: 0,
    reading: "COHEAP_AGENT_LOST",
    told: [[1, { proof: "lock", reclaimedBytes: 0, repaired: 0 }]],
  });
});

test("browser_worker_that_never_attached_can_be_terminated", { timeout }, async () => {
  const found = await inPage(async () => {
    const { SharedHeap } = await import("/js-host/dist/index.js");
    const heap = await SharedHeap.create();
    const worker = new Worker("/tests/browser/agent-worker.mjs", { type: "module" });
    heap.adopt(worker);
    const recovery = await heap.terminate(worker);
    return { ...recovery, agents: heap.stats().agents };
  });
  assert.deepEqual(found, { proof: "none", reclaimedBytes: 0, repaired: 0, agents: 1 });
});
