// A smoke run of `npm run torture`: what it ran stands in the record, and what failed, with the seed that replays it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { watchdog } from "./support.mjs";

watchdog(120);

const command = fileURLToPath(new URL("../../tools/torture.mjs", import.meta.url));

function torture(words, env, before = "") {
  const folder = mkdtempSync(join(tmpdir(), "coheap-torture-"));
  writeFileSync(join(folder, "TORTURE.md"), before);
  try {
    const { status } = spawnSync(process.execPath, [command, "--quick", "--built", "--out", folder, ...words], {
      env: { ...process.env, ...env },
    });
    return { status, record: readFileSync(join(folder, "TORTURE.md"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("torture_records_what_it_ran", () => {
  const { status, record } = torture(["--only", "attaches,traps", "--seed", "7"], {});
  assert.equal(status, 0, record);
  assert.match(
    record,
    /^\| attaches \| .* \| 20 \| 100,000 \| 1 \| [\d.]+ \| ([0-9a-f]{7,}|unknown).* \| 7 \| passed \|$/m,
  );
  assert.match(record, /^\| traps \| .* \| 4 \| 8,000 \| 1 \| [\d.]+ \| .* \| 7 \| passed \|$/m);
  assert.doesNotMatch(record, /kills \|/);
});

test("torture_keeps_the_parts_of_another_run_if_it_is_told_to", () => {
  const kills = "| kills | workers | 3 | 10,000 | 1 | 0.1 | 0123456 | 5 | passed |";
  const before = `| part | what |\n|---|---|\n${kills}\n| traps | old | 1 | 1 | 1 | 1 | 0123456 | 5 | passed |\n`;
  const { status, record } = torture(["--only", "traps", "--seed", "7", "--keep"], {}, before);
  assert.equal(status, 0, record);
  assert.deepEqual(record.match(/^\| (?!part)[a-z].*$/gm).length, 2, record);
  assert.ok(record.includes(kills), record);
  assert.match(record, /^\| traps \| .* \| 4 \| 8,000 \| .* \| 7 \| passed \|$/m);
});

test("torture_that_was_ended_goes_on", () => {
  const before = "| attaches | agents | 99,980 | 100,000 | 5 | 6.5 | 0123456 | 5 | passed |\n";
  const { status, record } = torture(["--only", "attaches", "--seed", "7", "--keep", "--on"], {}, before);
  assert.equal(status, 0, record);
  assert.match(
    record,
    /^\| attaches \| .* \| 100,000 \| 100,000 \| 6 \| [\d.]+ \| 0123456, then .* \| 5, then 7 \| passed \|$/m,
  );
});

test("torture_that_fails_says_how_to_see_it_again", () => {
  const { status, record } = torture(["--only", "traps"], { COHEAP_WASM: "no such file" });
  assert.equal(status, 1);
  assert.match(record, /\| FAILED: `COHEAP_TRAPS=1 COHEAP_SEED=\d+ tests\/js\/traps\.test\.mjs` \|$/m);
});
