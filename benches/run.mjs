// npm run bench: measures every row of the table and writes benches/results.json and benches/RESULTS.md.
//   --quick      a smoke run: few and short rounds
//   --row NAME   only this row (may be repeated)
//   --keep       the other rows stay as the last whole run left them; those of this run say that they were measured apart, and at which commit
//   --out FOLDER where the two files go; smoke and partial runs go to benches/target/partial by default
import { join } from "node:path";
import { parseArgs } from "node:util";
import { commit } from "../tools/commit.mjs";
import { say } from "../tools/process.mjs";
import { machineLine, markdown, readNotes, readResults, tableOf, write } from "./report.mjs";
import { allocation } from "./rows/allocation.mjs";
import { contests } from "./rows/contests.mjs";
import { death } from "./rows/death.mjs";
import { fence } from "./rows/fence.mjs";
import { space } from "./rows/space.mjs";
import { standings } from "./rows/standing.mjs";
import { starting } from "./rows/start.mjs";
import { here } from "./setup.mjs";
import { stopTeams } from "./team.mjs";

const rows = [...contests, ...allocation, ...space, ...starting, ...death, ...standings, ...fence];

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    row: { type: "string", multiple: true, default: [] },
    keep: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
for (const name of values.row) {
  if (!rows.some((row) => row.name === name)) {
    console.error(`There is no row "${name}". The rows: ${rows.map((row) => row.name).join(" · ")}`);
    process.exit(2);
  }
}
// Many rounds, each shorter than a time slice: others at work on the machine then spoil few of them.
const options = values.quick
  ? { quick: true, milliseconds: 2, rounds: 3 }
  : { quick: false, milliseconds: 20, rounds: 31 };
const chosen = values.row.length ? rows.filter(({ name }) => values.row.includes(name)) : rows;
const partial = options.quick || chosen.length < rows.length;
const folder = values.out ?? (partial && !values.keep ? join(here, "target", "partial") : here);

const before = values.keep ? readResults(folder) : undefined;
const results = new Map(before?.results);
// Before anything is measured: of what is changed meanwhile nothing was.
const measured = commit("benches/results.json", "benches/RESULTS.md");
const apart = values.keep ? measured : undefined;
for (const [index, row] of chosen.entries()) {
  say(`[${index + 1}/${chosen.length}] ${row.name}`);
  try {
    results.set(row.name, { ...(await row.measure(options)), apart });
  } catch (error) {
    results.set(row.name, { failure: error.message, apart });
  }
}
await stopTeams();

const engines = [...new Set([...results.values()].map(({ engine }) => engine).filter(Boolean))];
const machine = before?.machine ?? machineLine(engines);
const table = tableOf(rows, results, readNotes(here));
write(folder, { machine, commit: before ? before.commit : measured, options, rows, results, table });
say(`\n${machine}\n\n${markdown(table)}`);
