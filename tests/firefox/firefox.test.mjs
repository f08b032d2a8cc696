// What tests/browser shows of Chromium, in Firefox: the conformance suite, and workers killed wherever they are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { killTen, PageKills } from "../browser/page-kills.mjs";
import { cases, seededRandom, times } from "../js/support.mjs";
import { onFirefoxPage } from "./firefox.mjs";

const timeout = 300_000;
const root = fileURLToPath(new URL("../..", import.meta.url));
const KILLS = times("COHEAP_FIREFOX_KILLS", 20);

test("conformance_in_firefox", { timeout }, async () => {
  const { steps, failures } = await onFirefoxPage(root, ({ evaluate }) =>
    evaluate(async () => {
      const { SharedHeap } = await import("/js-host/dist/index.js");
      const { conformance } = await import("/tests/conformance/run.mjs");
      const heap = await SharedHeap.create();
      const { liveBytes } = heap.stats();
      const found = { steps: {}, failures: [] };
      for (const kind of ["cell", "fields", "list", "map"]) {
        const cases = await (await fetch(`/tests/conformance/${kind}.json`)).json();
        const { steps, failures } = conformance(heap, kind, cases);
        found.steps[kind] = steps;
        found.failures.push(...failures);
      }
      const after = await heap.audit();
      if (after.liveBytes !== liveBytes)
        found.failures.push(`${after.liveBytes - liveBytes} bytes were not given back`);
      return found;
    }),
  );
  assert.deepEqual(failures, []);
  const counts = Object.values(steps);
  assert.ok(counts.length === 4 && counts.every((count) => count > 40), JSON.stringify(steps));
  cases(
    "conformance_in_firefox",
    counts.reduce((sum, count) => sum + count, 0),
  );
});

test("workers_killed_in_firefox_write_nothing_into_what_was_taken_from_them", { timeout }, async () => {
  const random = seededRandom();
  // Firefox stops a thread wherever it is, but nothing says how soon: then the fence may be quicker.
  const all = new PageKills();
  await onFirefoxPage(root, async ({ evaluate }) => {
    while (all.kills < KILLS) all.add(await evaluate(killTen, random(2 ** 31)));
  });
  all.end();
  cases("workers_killed_in_firefox_write_nothing_into_what_was_taken_from_them", all.kills);
});
