// Workers of a page are killed wherever they are. Their threads run on for up to two seconds, and write nothing into what was taken from them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, times } from "../js/support.mjs";
import { onPage } from "./page.mjs";

const KILLS = times("COHEAP_PAGE_KILLS", 40);

test("workers_killed_in_pages_write_nothing_into_what_was_taken_from_them", { timeout: 3_000_000 }, async () => {
  const random = seededRandom();
  const proofs = {};
  let [kills, zombies, blocks] = [0, 0, 0];
  while (kills < KILLS) {
    const found = await onPage(async (tab) =>
      tab.evaluate(
        async (seed) => {
          const { killTen } = await import("/tests/browser/kills-in-page.mjs");
          return await killTen(seed);
        },
        random(2 ** 31),
      ),
    );
    assert.deepEqual(found.changed, [], "what was freed is as it was");
    assert.ok(found.seesOneBit, "a bit that is changed there is seen");
    for (const { place, proof, wentOn, refused, errors } of found.kills) {
      assert.deepEqual(errors, [], place);
      // In its own loop nobody can tell whether it will write, until it has stopped.
      assert.ok(proof === "lock" || (proof === "fence" && place !== "in its own loop"), `${place}: ${proof}`);
      if (proof === "lock") assert.equal(wentOn, 0, `${place}: it has stopped`);
      else {
        zombies += wentOn > 0 ? 1 : 0;
        if (!place.startsWith("in its own")) assert.ok(refused > 0 || wentOn === 0, `${place}: it is refused`);
      }
      proofs[`${place}: ${proof}`] = (proofs[`${place}: ${proof}`] ?? 0) + 1;
    }
    kills += found.kills.length;
    blocks += found.freed;
  }
  console.log(`# ${kills} kills: ${JSON.stringify(proofs)}`);
  console.log(
    `# ${zombies} went on when what they had was taken from them; ${blocks} freed blocks and pages, none changed`,
  );
  assert.ok(zombies >= kills / 4, `only ${zombies} threads went on`);
  assert.ok(blocks > 10 * kills);
  cases("workers_killed_in_pages_write_nothing_into_what_was_taken_from_them", kills);
});
