// The same scripts in every runtime: what a structure does is the same everywhere, and how the end of a worker is proven is what SAFETY.md says of each.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cases } from "../js/support.mjs";
import { names, report } from "./runtimes.mjs";

const timeout = 180_000;

/** What proves the end of a worker there that is killed in this place; nothing but the fence or nothing at all: its thread may run on. */
const EXIT = {
  idle: "exit",
  "in operations": "exit",
  waiting: "exit",
  "at work": "exit",
  "in its own loop": "exit",
  "in its own wasm": "exit",
  "in its own wasm, out of the heap": "exit",
};
/** JavaScriptCore does not stop a loop of wasm. */
const BUN = { ...EXIT, "in its own wasm": "none", "in its own wasm, out of the heap": "fence" };
/** Stops no loop at all, and says that it has. */
const DENO = {
  idle: "fence",
  "in operations": "fence",
  waiting: "fence",
  "at work": "fence",
  "in its own loop": "none",
  "in its own wasm": "none",
  "in its own wasm, out of the heap": "fence",
};
const proofs = { bun: BUN, deno: DENO };
const written = (name) => name.replace("-", "_");

for (const name of names) {
  test(`conformance_in_${written(name)}`, { timeout }, async () => {
    const { environment, steps, failures } = await report(name, "conformance.mjs");
    assert.deepEqual(failures, []);
    const counts = Object.values(steps);
    assert.ok(counts.length === 4 && counts.every((count) => count > 40), JSON.stringify(steps));
    assert.deepEqual(environment, { ok: true, missing: [], proofs: name === "deno" ? ["fence"] : ["exit", "fence"] });
    cases(
      `conformance_in_${written(name)}`,
      counts.reduce((sum, count) => sum + count, 0),
    );
  });

  const kinds = name === "bun" || name === "deno" ? ["thread", "web"] : ["thread"];
  for (const kind of kinds) {
    const title = `kills_of_${kind}_workers_in_${written(name)}`;
    test(title, { timeout }, async () => {
      const { kills, errors, before, after } = await report(name, "kills.mjs", kind);
      assert.deepEqual(errors, []);
      assert.equal(kills.length, 20);
      const expected = proofs[name] ?? EXIT;
      let kept = 0;
      for (const { place, proof, reclaimed, quarantined, runs } of kills) {
        assert.equal(proof, expected[place], place);
        // It may have held less than others took meanwhile.
        if (place !== "at work") assert.equal(reclaimed, proof !== "none", place);
        const isLoop = place.startsWith("in its own");
        // A loop that nothing stops runs on. No other thread does anything once it is out of the heap; an idle one may end a moment later.
        if (proof === "exit" || place !== "idle")
          assert.equal(runs, isLoop && proof !== "exit", `${place}, ${proof}: whether its thread runs on`);
        // Without a proof that the thread has ended its seat is not used again; each loop has a heap of its own.
        if (proof !== "exit" && !isLoop) kept++;
        assert.equal(quarantined, isLoop ? Number(proof !== "exit") : kept, place);
      }
      assert.deepEqual(after, { ...before, agents: before.agents + kept, quarantined: kept });
      cases(title, kills.length);
    });
  }

  for (const kind of kinds) {
    const title = `ends_that_nobody_asked_for_of_${kind}_workers_in_${written(name)}`;
    test(title, { timeout }, async () => {
      const { found, left } = await report(name, "ends.mjs", kind);
      const byItself = [kind === "thread" ? "process.exit" : "close", "exception"];
      const withAnother = "terminate of one that has started another";
      if (name === "deno") {
        // Nobody is told of anything, and the thread of one whose starter was terminated runs on: all five are agents still.
        const untold = byItself.map((end) => ({ name: end, runs: false }));
        assert.deepEqual(found, [...untold, { name: withAnother, runs: true }]);
        assert.ok(left.liveBytes > 4 * 50_000);
        assert.deepEqual({ ...left, liveBytes: 0 }, { liveBytes: 0, agents: 5, quarantined: 0 });
      } else {
        const told = byItself.map((end) => ({ name: end, agents: 1, proof: "exit", runs: false }));
        assert.deepEqual(found, [...told, { name: withAnother, agents: 2, proof: "exit", runs: false }]);
        assert.deepEqual(left, { liveBytes: 0, agents: 1, quarantined: 0 });
      }
      cases(title, found.length);
    });
  }
}
