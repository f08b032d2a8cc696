// The two kinds of test that a model has: the protocol must be good, each wrong variant must be found bad.
import assert from "node:assert/strict";
import test from "node:test";
import { explore } from "./explore.mjs";

/** Every reachable state of the protocol is good, and there are as many as expected at least. */
export function holds(name, model) {
  test(name, () => {
    const { states, finals, bad, trace } = explore(model());
    console.log(`cases ${name} ${states}`);
    assert.equal(bad, 0, `${bad} of ${states} states are bad; the first:\n  ${trace.join("\n  ")}`);
    assert.ok(finals > 0, "no execution ends");
  });
}

/** A positive control: the explorer finds the seeded mistake. COHEAP_TRACE=1 prints how. */
export function fails(name, model) {
  test(name, () => {
    const { states, bad, trace } = explore(model(), { first: true });
    console.log(`cases ${name} ${states}`);
    if (process.env.COHEAP_TRACE) console.log(`  ${trace.join("\n  ")}`);
    assert.ok(bad > 0, `nothing bad in ${states} states: the control is blind`);
  });
}
