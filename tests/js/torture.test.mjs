// A smoke run of `npm run torture`: what it ran stands in the record, and what failed, with the seed that replays it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { watchdog } from "./support.mjs";

watchdog(120);

const command = fileURLToPath(new URL("../../tools/torture.mjs", import.meta.url));

function torture(words, env) {
  const folder = mkdtempSync(join(tmpdir(), "coheap-torture-"));
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
  assert.match(record, /^\* Commit: [0-9a-f]{7,}|^\* Commit: unknown/m);
  assert.match(record, /^\* Seed: 7 /m);
  assert.match(record, /^\| attaches \| .* \| 20 \| 100,000 \| 1 \| [\d.]+ \| passed \|$/m);
  assert.match(record, /^\| traps \| .* \| 4 \| 8,000 \| 1 \| [\d.]+ \| passed \|$/m);
  assert.doesNotMatch(record, /kills \|/);
});

test("torture_that_fails_says_how_to_see_it_again", () => {
  const { status, record } = torture(["--only", "traps"], { COHEAP_WASM: "no such file" });
  assert.equal(status, 1);
  assert.match(record, /\| FAILED: `COHEAP_TRAPS=1 COHEAP_SEED=\d+ tests\/js\/traps\.test\.mjs` \|$/m);
});
