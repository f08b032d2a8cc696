// Workers of a page are killed wherever they are. Their threads run on for up to two seconds, and write nothing into what was taken from them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, seededRandom, times } from "../js/support.mjs";
import { onPage } from "./page.mjs";
import { killTen, PageKills } from "./page-kills.mjs";

const KILLS = times("COHEAP_PAGE_KILLS", 40);

test("workers_killed_in_pages_write_nothing_into_what_was_taken_from_them", { timeout: 3_000_000 }, async () => {
  const random = seededRandom();
  const all = new PageKills();
  while (all.kills < KILLS) all.add(await onPage((tab) => tab.evaluate(killTen, random(2 ** 31))));
  all.end();
  assert.ok(all.zombies >= all.kills / 4, `only ${all.zombies} threads went on`);
  cases("workers_killed_in_pages_write_nothing_into_what_was_taken_from_them", all.kills);
});
