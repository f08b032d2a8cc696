// `npm run torture`: the tests that can go on for as long as one likes, in rounds, each with a seed of its own, as many at
// once as there are processors; then tests/TORTURE.md.
//   --only kills,actors   some parts only
//   --minutes 30          rounds until then; without it, until each has its number
//   --seed 7              the seeds of all rounds follow from it: the same run again
//   --keep                the parts that are not run stay in TORTURE.md as they stand there
//   --on                  with --keep: parts that were ended before they had their number go on from what stands there
//   --quick               one small round of each
//   --out FOLDER          TORTURE.md goes there
//   --first 20            parts that do each thing once begin with this one: where a run was ended
//   --built               what is there is not built again

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { commit } from "./commit.mjs";
import { readCounts } from "./counters.mjs";
import { giveUp, root, run, say } from "./process.mjs";
import { setupStart } from "./setup.mjs";

const { values: given } = parseArgs({
  options: {
    only: { type: "string" },
    minutes: { type: "string" },
    seed: { type: "string" },
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    on: { type: "boolean", default: false },
    out: { type: "string", default: join(root, "tests") },
    built: { type: "boolean", default: false },
    first: { type: "string", default: "0" },
  },
});

if (!given.built) {
  await setupStart();
  await build({ controls: true });
}
// The lists of what agents die in stand on the built package.
const operationsOf = (file) => import(`../tests/crash-points/operations/${file}.mjs`);
const [{ all }, { growth }, { operations }] = await Promise.all(["all", "objects", "each"].map(operationsOf));

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {string} what is counted
 * @property {number} wanted
 * @property {number} round so many at a time
 * @property {number} quick
 * @property {string} variable of the environment that says how many
 * @property {string} test its name
 * @property {string} [file] of node:test; otherwise it is one of the crate coheap, in `suite`
 * @property {string} [suite]
 * @property {string} [counted] what the test counts; otherwise it counts by its own name
 * @property {string} [carriedOut] what the test counts of its own cases that were not equal to one before
 * @property {string} [first] variable that says with which of all it begins: rounds do each once, and may be at work beside each other
 * @property {number} [kinds] the test does so many of each of these
 * @property {string} [keeps] variable that names a folder, one for the whole run: a round goes on from what the last one found
 */

/** In what agents stand still, the test of that, and how many of them: each as often as COHEAP_POINTS says. */
const stopped = [
  ...Object.entries({ ...all, growth }).map(([kind, { length }]) => [
    kind,
    `stands_still_go_on_in_operations_on_${kind}`,
    length,
  ]),
  ["attaching", "stands_still_while_it_attaches_go_on", 10],
  ["reaping", "stands_still_while_it_reaps_go_on", 20],
];

/** @type {Part[]} */
const stops = stopped.map(([kind, test, agents]) => ({
  name: `stops-${kind}`,
  what: `agents that stood still (${kind}) while two others worked, and then went on`,
  wanted: 100 * agents,
  round: 10 * agents,
  quick: agents,
  variable: "COHEAP_POINTS",
  file: "tests/frozen/progress.test.mjs",
  test: `agents_beside_one_that_${test}`,
  kinds: agents,
}));

/** @type {Part[]} */
const parts = [
  {
    name: "kills",
    what: "workers terminated anywhere, under load on every structure",
    wanted: 10_000,
    round: 500,
    quick: 4,
    variable: "COHEAP_KILLS",
    file: "tests/js/kills.test.mjs",
    test: "workers_killed_anywhere_leave_a_whole_heap_and_nothing_behind",
  },
  {
    name: "pages",
    what: "workers of pages terminated anywhere, whose threads went on beside memory that is never used again",
    wanted: 200,
    round: 40,
    quick: 10,
    variable: "COHEAP_PAGE_KILLS",
    file: "tests/browser/kills.test.mjs",
    test: "workers_killed_in_pages_write_nothing_into_what_was_taken_from_them",
  },
  {
    name: "actors",
    what: "native agents that died at a write, eight at once",
    wanted: 1_000_000,
    round: 100_000,
    quick: 50,
    variable: "COHEAP_DEATHS",
    suite: "dying_actors",
    test: "actors_that_die_at_any_write_leave_whole_structures_and_nothing_behind",
  },
  {
    name: "attaches",
    what: "agents that came and left, with the memory as it was",
    wanted: 100_000,
    round: 20_000,
    quick: 20,
    variable: "COHEAP_ATTACHES",
    file: "tests/js/attach.test.mjs",
    test: "attach_and_detach_again_and_again_keep_the_memory_and_its_slots",
  },
  {
    name: "traps",
    what: "traps in the middle of an operation",
    wanted: 8_000,
    round: 2_000,
    quick: 4,
    variable: "COHEAP_TRAPS",
    file: "tests/js/traps.test.mjs",
    test: "trap_in_an_operation_is_its_callers_and_leaves_the_heap_to_the_others",
    kinds: 4,
  },
  {
    name: "reapers",
    what: "heaps in which a reaper died, and who reaped that one, at points of the shipped module",
    wanted: 10_000,
    round: 2_000,
    quick: 50,
    variable: "COHEAP_PAIRS",
    file: "tests/crash-points/reaper.test.mjs",
    test: "reaper_of_a_dead_reaper_may_die_too",
  },
  {
    name: "elsewhere",
    what: "heaps in which a reaper died, where the memory has grown or three others have much",
    wanted: 10_000,
    round: 2_000,
    quick: 6,
    variable: "COHEAP_ELSEWHERE",
    file: "tests/crash-points/reaper.test.mjs",
    test: "reaper_dies_where_the_memory_has_grown_and_beside_agents_at_work",
  },
  {
    name: "recoverers",
    what: "operations: from every image that a death in them left, reapers died at every point of the shipped module",
    wanted: operations.length,
    round: 2,
    quick: 1,
    variable: "COHEAP_OPERATIONS",
    first: "COHEAP_FIRST",
    file: "tests/crash-points/reaper.test.mjs",
    test: "reaper_that_dies_at_every_point_is_replaced_whatever_it_reaped",
    counted: "operations_after_whose_every_death_reapers_died_at_every_point",
    carriedOut: "deaths_of_reapers_that_were_carried_out",
  },
  ...stops,
  {
    name: "stops-twice",
    what: "agents that stood still twice in one change of a list, while others edited it and used what that freed",
    wanted: 20_000,
    round: 4_600,
    quick: 23,
    variable: "COHEAP_TWICE",
    file: "tests/frozen/twice.test.mjs",
    test: "agent_that_stands_still_twice_in_a_list_writes_nothing_into_what_was_freed",
    kinds: 23,
  },
  {
    name: "flips",
    what: "bits flipped in heaps that agents use",
    wanted: 1_000_000,
    round: 100_000,
    quick: 100,
    variable: "COHEAP_FLIPS",
    file: "tests/hostile/bit-flips.test.mjs",
    test: "bits_flipped_anywhere_in_the_heap_do_no_harm",
  },
  {
    name: "fuzz",
    what: "inputs that libFuzzer made for four targets, of all four together: sequences of operations and deaths",
    // Some two hours of a processor: each of its deaths is followed by a recovery and an audit.
    wanted: 6_000_000,
    round: 300_000,
    quick: 400,
    variable: "COHEAP_INPUTS",
    file: "tests/fuzz/fuzz.test.mjs",
    test: "fuzzed_operations_and_deaths_do_what_plain_models_do",
    kinds: 4,
    keeps: "COHEAP_FOUND",
  },
  ...[false, true].map((fixed) => ({
    name: fixed ? "fixed-cycles" : "cycles",
    what: `heaps ${fixed ? "of a fixed size " : ""}filled until nothing goes in, beside an agent that must not block, and drained`,
    wanted: 1_000,
    round: 500,
    quick: 8,
    variable: "COHEAP_CYCLES",
    file: "tests/js/out-of-memory.test.mjs",
    test: `heap_${fixed ? "of_a_fixed_size" : "that_grows"}_that_is_filled_and_drained_has_room_for_the_same_again`,
  })),
  {
    name: "growths",
    what: "times that one of eight threads grew one memory, or found room in what another had grown",
    wanted: 64_000,
    round: 8_000,
    quick: 800,
    variable: "COHEAP_GROWTHS",
    file: "tests/js/growth-races.test.mjs",
    test: "growers_at_the_same_time_have_each_their_own_pages",
  },
  {
    name: "overflows",
    what: "ends of the stack around operations and in them",
    wanted: 4_000,
    round: 500,
    quick: 2,
    variable: "COHEAP_OVERFLOWS",
    file: "tests/js/abort.test.mjs",
    test: "abort_by_stack_overflow_leaves_the_agent_and_the_heap_well",
  },
  {
    name: "timeouts",
    what: "vm timeouts around operations and in them",
    wanted: 10_000,
    round: 2_000,
    quick: 2,
    variable: "COHEAP_TIMEOUTS",
    file: "tests/js/abort.test.mjs",
    test: "abort_by_vm_timeout_leaves_the_agent_and_the_heap_well",
  },
  {
    name: "main-job",
    what: "MiB of text that the main job counted, a reader killed in each round, in bounded memory",
    wanted: 4_096,
    round: 1_024,
    quick: 4,
    variable: "COHEAP_MEBIBYTES",
    file: "tests/js/main-job.test.mjs",
    test: "main_job_counts_a_long_text_by_two_readers_in_bounded_memory",
  },
];

/** What rounds have found of which others go on, until the next run begins. */
const foundFolder = join(root, ".tools", "torture-found");

/** Then a round is ended: no round takes a tenth of it on an idle machine. */
const LIMIT_MINUTES = 60;

function chosenParts() {
  if (given.only === undefined) return parts;
  const wanted = given.only.split(",");
  const unknown = wanted.find((name) => !parts.some((part) => part.name === name));
  const known = parts.map((part) => part.name).join(", ");
  if (unknown !== undefined) giveUp(`There is no part "${unknown}"; there are ${known}.`);
  return parts.filter((part) => wanted.includes(part.name));
}

function commandOf({ file, suite, test }) {
  if (file === undefined) {
    const what = ["-p", "coheap", "--features", "fault-points", "--test", suite];
    return ["cargo", "test", ...what, "--", "--exact", test, "--show-output"];
  }
  const reporter = ["--test-reporter=./tools/reporter.mjs", "--test-reporter-destination=stdout"];
  return [process.execPath, "--test", `--test-name-pattern=^${test}$`, ...reporter, file];
}

/** Seeds of rounds, from the seed of the run: the same for a part whatever other parts run. */
function seedOf(seed, name, round) {
  let mixed = seed ^ Math.imul(round + 1, 0x9e3779b1);
  for (const character of name) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** Adds what one round did to `result`. */
async function runRound(part, result, seed) {
  const { name, variable, test, counted = test, carriedOut, first, kinds = 1, keeps } = part;
  const begin = result.begun;
  const count = given.quick ? part.quick : Math.min(part.round, part.wanted - begin);
  result.begun += count;
  const own = { [variable]: String(Math.ceil(count / kinds)), COHEAP_SEED: String(seedOf(seed, name, result.rounds)) };
  if (first !== undefined) own[first] = String(begin);
  if (keeps !== undefined) own[keeps] = join(foundFolder, name);
  const log = join(root, ".tools", "logs", `torture-${name}${first === undefined ? "" : `-${begin}`}.log`);
  // A node:test inside of another one would report to it instead of to us.
  const env = { COHEAP_PATIENCE: "5", ...process.env, ...own, NODE_TEST_CONTEXT: undefined };
  const command = commandOf(part);
  const { code, output, errors, timedOut, minutes } = await run(`torture: ${name}`, command, {
    env,
    log,
    limitMinutes: LIMIT_MINUTES,
  });
  const counts = readCounts(part.file === undefined ? "cargo" : "node", output);
  const did = counts.cases.get(counted) ?? 0;
  result.rounds++;
  result.done += did;
  // What was begun and not done is tried again, where rounds do any of all.
  if (first === undefined) result.begun = result.done;
  else result.also += counts.cases.get(test) ?? 0;
  result.carriedOut += counts.cases.get(carriedOut) ?? 0;
  result.minutes += minutes;
  const again = Object.entries(own).map(([key, value]) => `${key}=${value}`);
  const passed = code === 0 && counts.passed === 1 && counts.failed === 0 && did > 0;
  say(`${name}, round ${result.rounds} (${again.join(" ")}): ${passed ? `${did} done` : "FAILED"}`);
  if (passed) return;
  result.failure = `${again.join(" ")} ${part.file ?? part.suite}`;
  const why = counts.tests.find((each) => !each.passed && !each.skipped)?.error ?? (timedOut ? "time is up" : errors);
  say(`${why}\n  all of it: .tools/logs/torture-${name}.log`.replaceAll(/^/gm, "  "));
}

/** The rows that stand in TORTURE.md, by their parts' names. */
function keptRows() {
  if (!given.keep) return new Map();
  const rows = readFileSync(record, "utf8").match(/^\| [a-z-]+ \| .*$/gm) ?? [];
  return new Map(rows.map((row) => [row.split(" ")[1], row]).filter(([name]) => name !== "part"));
}

/** What a row says that a part has done, if it was ended before it had its number. */
function begunBy(row) {
  const [, , done, , rounds, minutes, commit, seed, outcome] = row.split(/ ?\| ?/).slice(1);
  if (outcome !== "passed") return {};
  const count = Number(done.replaceAll(",", ""));
  return {
    done: count,
    begun: count,
    rounds: Number(rounds),
    minutes: Number(minutes),
    before: { commit, seed, rounds: Number(rounds) },
  };
}

function rowOf({ part, done, also, carriedOut, rounds, failure, minutes, before }) {
  const number = (value) => value.toLocaleString("en");
  const outcome = failure !== undefined ? `FAILED: \`${failure}\`` : done === 0 ? "did not run" : "passed";
  const deaths = `${number(also)} deaths, ${number(carriedOut)} carried out and ${number(also - carriedOut)} shown to be equal to one of these`;
  const what = also > 0 ? `${part.what}: ${deaths}` : part.what;
  const figures = [number(done), number(part.wanted), rounds, minutes.toFixed(1)];
  const commits = [...new Set([...(before ? [before.commit] : []), commit("tests/TORTURE.md")])].join(", then ");
  const seeds = [...(before ? [before.seed] : []), seed].join(", then ");
  return `| ${[part.name, what, ...figures, commits, seeds, outcome].join(" | ")} |`;
}

function markdown(results) {
  const ran = new Map(results.filter(({ rounds }) => rounds > 0).map((result) => [result.part.name, rowOf(result)]));
  const rows = parts.map(({ name }) => ran.get(name) ?? kept.get(name)).filter((row) => row !== undefined);
  return `# Torture

Written by the run (\`npm run torture\`), not by hand. Each part is a test of \`npm test\`, for longer, in rounds with seeds of their own that
follow from the seed of the run (\`npm run torture -- --only PART --seed SEED\`); every round asserts what the test asserts, where the test
does so live bytes to the byte. Each row is of its own commit, which may be older than the code beside this page.

Minutes are by the clock, of all rounds of a part together. As many rounds run beside each other as there are processors; a round of
\`fuzz\` runs two of its targets at once.

Node ${process.versions.node}, ${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown"}.

| part | what | done | a whole run | rounds | minutes | commit | seed | outcome |
|---|---|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

const record = join(given.out, "TORTURE.md");
const kept = keptRows();
const seed = Number(given.seed ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
const results = chosenParts().map((part) => ({
  part,
  begun: part.first === undefined ? 0 : Number(given.first),
  running: 0,
  done: 0,
  also: 0,
  carriedOut: 0,
  rounds: 0,
  minutes: 0,
  failure: undefined,
  ...(given.on && part.first === undefined && kept.has(part.name) ? begunBy(kept.get(part.name)) : {}),
}));
if (!given.on) rmSync(foundFolder, { recursive: true, force: true });
say(`torture: seed ${seed}`);
const began = Date.now();
const passedMinutes = () => (Date.now() - began) / 60_000;
const goesOn = ({ part, begun, rounds, running, failure, before }) =>
  failure === undefined && (given.quick ? rounds + running === (before?.rounds ?? 0) : begun < part.wanted);
const isLate = () => given.minutes !== undefined && passedMinutes() >= Number(given.minutes);
/** After each round: a run of hours may be ended before its time. */
const report = () => writeFileSync(record, markdown(results));
/** Of the parts that may be run beside those that are, the one that has had the least time. */
function next() {
  const free = results.filter((result) => goesOn(result) && (result.part.first !== undefined || result.running === 0));
  return free.sort((one, other) => one.minutes - other.minutes)[0];
}

async function lane() {
  for (let result = next(); result !== undefined && !isLate(); result = next()) {
    result.running++;
    await runRound(result.part, result, seed);
    result.running--;
    report();
  }
}

await Promise.all(Array.from({ length: availableParallelism() }, lane));
say(`\n${markdown(results)}`);
process.exit(results.every(({ done, failure }) => failure === undefined && done > 0) ? 0 : 1);
