// The explorer itself, on protocols whose answers are known.
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import assert from "node:assert/strict";
import test from "node:test";
import { explore, own, pack, words } from "./explore.mjs";

/** Two agents add one to a word: by a load and a store, or by compare-exchange. */
function addition({ exchange, mark = (step) => step }) {
  const s = words({ word: 1, seen: 2, ready: 2 });
  const agent = (a) => ({
    name: `agent ${a}`,
    start: "prepare",
    steps: {
      prepare: mark(() => ((s.ready[a] = 1), "load")),
      load: () => ((s.seen[a] = s.word[0]), "store"),
      store: () => {
        if (exchange && s.word[0] !== s.seen[a]) return "load";
        s.word[0] = s.seen[a] + 1;
        return "end";
      },
    },
  });
  return {
    state: s,
    processes: [agent(0), agent(1)],
    final: () => (s.word[0] === 2 ? undefined : "an addition is lost"),
  };
}

test("explorer: a lost update is found, with the steps that lead to it", () => {
  const { bad, trace } = explore(addition({ exchange: false }));
  console.log("cases explorer: a lost update is found, with the steps that lead to it 1");
  assert.ok(bad > 0);
  assert.deepEqual(trace.map((line) => line.split(": ")[1] ?? line).sort(), [
    "VIOLATION an addition is lost",
    "load",
    "load",
    "prepare",
    "prepare",
    "store",
    "store",
  ]);
});

test("explorer: steps on own words change the number of states, not the verdict", () => {
  for (const exchange of [false, true]) {
    const every = explore(addition({ exchange }));
    const reduced = explore(addition({ exchange, mark: own }));
    assert.equal(every.bad > 0, !exchange);
    assert.equal(reduced.bad > 0, !exchange);
    assert.ok(process.env.COHEAP_EVERY_STEP || reduced.states < every.states);
  }
  console.log("cases explorer: steps on own words change the number of states, not the verdict 4");
});

test("explorer: a process that nobody wakes is a violation", () => {
  const { trace } = explore({
    state: words({ word: 1 }),
    processes: [{ name: "it", start: "wait", steps: { wait: () => undefined } }],
  });
  console.log("cases explorer: a process that nobody wakes is a violation 1");
  assert.deepEqual(trace, ["VIOLATION it is stuck at wait"]);
});

test("explorer: a value that does not fit its bits is refused", () => {
  assert.throws(() => pack({ kind: 2, generation: 3 }).make(0, 8), RangeError);
  console.log("cases explorer: a value that does not fit its bits is refused 1");
});
