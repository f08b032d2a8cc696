// The benches still build and still print every row that GUARANTEES.md cites; no time is asserted.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const WATCHDOG_MS = 8 * 60_000;
const ROWS = [
  "number read",
  "number read, Node 26",
  "number read, Chromium",
  "strings in and out, 8/128/1,024 units",
  "strings in and out, 8/128/1,024 units, Node 26",
  "strings in and out, 8/128/1,024 units, Chromium",
  "fields beside Headers",
  "fields beside Headers, Node 26",
  "fields beside Headers, Chromium",
  "map beside Map, 1,000 string keys",
  "map beside Map, 1,000 string keys, Node 26",
  "map beside Map, 1,000 string keys, Chromium",
  "map beside shared peers, 1,000 string keys",
  "map beside shared peers, 1,000 string keys, Node 26",
  "map beside shared peers, 1,000 string keys, Chromium",
  "map, 2 agents beside shared peers",
  "map, 2 agents beside shared peers, Node 26",
  "map, 2 agents beside shared peers, Chromium",
  "map beside V8's shared structs by flag, 999 names",
  "map beside V8's shared structs by flag, 999 names, Node 26",
  "map beside V8's shared structs by flag, 999 names, Chromium",
  "bytes an entry of a map, 1,000 string keys",
  "bytes an entry of a map, 1,000 string keys, Node 26",
  "bytes an entry of a map, 1,000 string keys, Chromium",
  "fast paths beside those of the foundation",
  "list beside Array",
  "list beside Array, Node 26",
  "pipe between two agents",
  "pipe between two agents, Node 26",
  "wake-up by a pipe",
  "wake-up by a pipe, Node 26",
  "cat: host → worker → host",
  "cat: host → worker → host, Node 26",
  "pairs 64 B, 1 agent",
  "pairs 64 B, 2 agents",
  "churn 16–512 B, 1 agent",
  "churn 16–512 B, 2 agents",
  "pairs, uncoloured record",
  "GlobalAlloc beside std's own",
  "one million 64-byte blocks",
  "growth",
  "attach() call",
  "import of the worker face",
  "module size",
  "terminate(), everything back",
  "terminate(), 100,000 objects back",
  "terminate(), the host's event loop meanwhile",
  "one of eight agents stands still in an operation",
  "fence: precise, sticky, hybrid",
];
/** One row of the bench's own crate, one of the package, one of a process of its own. None needs the peers from npm. */
const MEASURED = ["fields beside Headers", "growth", "module size"];

const bench = fileURLToPath(new URL("../../benches/run.mjs", import.meta.url));

test("a smoke run of the benches measures three rows and lists all", { timeout: WATCHDOG_MS + 10_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "coheap-bench-"));
  try {
    const chosen = MEASURED.flatMap((name) => ["--row", name]);
    const { stdout } = await promisify(execFile)(process.execPath, [bench, "--quick", "--out", folder, ...chosen], {
      timeout: WATCHDOG_MS,
    });
    const { machine, rows } = JSON.parse(await readFile(join(folder, "results.json"), "utf8"));
    const markdown = await readFile(join(folder, "RESULTS.md"), "utf8");
    assert.match(machine, /cores.*Node \d+\.\d+.*rustc/);
    assert.deepEqual(
      rows.map(({ row }) => row),
      ROWS,
    );
    for (const { row, measured, verdict, reason } of rows) {
      assert.ok(stdout.includes(`| ${row} |`), `the console shows ${row}`);
      assert.ok(markdown.includes(`| ${row} |`), `RESULTS.md shows ${row}`);
      if (!MEASURED.includes(row)) assert.equal(verdict, "not run", row);
      else assert.ok(measured !== "" && !verdict.startsWith("not"), `${row}: ${verdict} ${reason}`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
