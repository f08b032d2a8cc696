// The table of a run: the same in the console, in RESULTS.md and, with all samples, in results.json.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";

const COLUMNS = ["row", "measured", "target", "verdict", "reason"];

/** Which targets a row missed, in words. */
function judge({ targets }, result) {
  if (!result) return "not run";
  if (result.failure) return "not measured";
  const missed = [];
  const unknown = [];
  for (const { key, atLeast = -Infinity, atMost = Infinity, text } of targets) {
    const value = result.values[key];
    if (value === undefined) unknown.push(text);
    else if (value < atLeast || value > atMost) missed.push(text);
  }
  if (missed.length) return `missed: ${missed.join(", ")}`;
  if (unknown.length) return `not measured: ${unknown.join(", ")}`;
  return targets.length ? "met" : "–";
}

function reasonOf(note, result) {
  const parts = [];
  if (result?.failure) parts.push(result.failure);
  if (result?.problems?.length) parts.push(...result.problems);
  if (note) parts.push(note.reason, ...(note.tried ? [`Tried: ${note.tried}`] : []));
  return parts.join(" ").replaceAll("\n", " ");
}

/** One line for each row, run or not. */
export function tableOf(rows, results, notes) {
  return rows.map((row) => {
    const result = results.get(row.name);
    return {
      row: row.name,
      measured: `${result?.measured ?? ""}${result?.apart ? ` (measured apart, at ${result.apart})` : ""}`,
      target: row.targets.map(({ text }) => text).join(", ") || "–",
      verdict: judge(row, result),
      reason: reasonOf(notes[row.name] ?? notes[row.contest], result),
    };
  });
}

export function markdown(table) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const cell = (text) => text.replaceAll("|", "\\|");
  return [
    line(COLUMNS),
    line(COLUMNS.map(() => "---")),
    ...table.map((entry) => line(COLUMNS.map((column) => cell(entry[column])))),
  ].join("\n");
}

/** Processor, cores, memory and the versions of what ran. A load above the cores tells that others were at work. */
export function machineLine(engines) {
  const rustc = execFileSync("rustc", ["--version"], { encoding: "utf8" }).trim();
  return [
    `${cpus()[0].model.trim()}, ${cpus().length} cores (load at the end ${loadavg()[0].toFixed(1)}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `${process.platform} ${process.arch}`,
    `Node ${process.versions.node} (V8 ${process.versions.v8})`,
    ...engines,
    rustc,
  ].join("; ");
}

/** What the last run wrote there: its machine and commit, and each row's result by name. */
export function readResults(folder) {
  const { machine, commit = "not noted", rows } = JSON.parse(readFileSync(join(folder, "results.json"), "utf8"));
  return { machine, commit, results: rows.filter(({ samples }) => samples !== undefined).map((row) => [row.row, row]) };
}

/** Why rows are as they are: by a row's name, or by a contest's for all its places. */
export function readNotes(folder) {
  return JSON.parse(readFileSync(join(folder, "notes.json"), "utf8"));
}

/** Writes results.json and RESULTS.md into `folder`. */
export function write(folder, { machine, commit, options, rows, results, table }) {
  mkdirSync(folder, { recursive: true });
  const data = rows.map(({ name }, index) => ({ ...table[index], ...results.get(name), row: name }));
  writeFileSync(join(folder, "results.json"), `${JSON.stringify({ machine, commit, options, rows: data }, null, 1)}\n`);
  const text = `# Benchmarks

Written by \`npm run bench\`; the samples are in \`results.json\`.
Rounds are interleaved (A B C A B C …); a time is the median of its rounds, a ratio the median of the rounds' ratios.
Times of pairs and churn are per iteration and agent; coheap's run inside one operation.

All rows are measured in one run, one after the other. *Measured apart, at a commit*: that row was run alone after it
(\`npm run bench -- --row NAME --keep\`), because what it measures or how has changed since, or because something else was at work on the
machine during its turn. Its figures are of that commit and of another hour; the other rows stay as the whole run left them.

Machine: ${machine}.

Commit of the whole run: ${commit}.
${options.quick ? "\nA smoke run (`--quick`): the numbers mean nothing.\n" : ""}
${markdown(table)}
`;
  writeFileSync(join(folder, "RESULTS.md"), text);
}
