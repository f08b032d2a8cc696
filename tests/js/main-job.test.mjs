// The main job, as a newcomer runs it: on texts of all kinds, each counted here, too, and on what is no text.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cases, seededRandom, times, watchdog } from "./support.mjs";

/** The job says something every few seconds. */
const SILENCE_SECONDS = 120;
const alive = watchdog(2 * SILENCE_SECONDS);

const MIB = 2 ** 20;
const MEBIBYTES = times("COHEAP_MEBIBYTES", 20);
/** Of the whole process, with all workers, however long the text is. */
const MOST_MEMORY_MIB = 512;
const LEAST_SHARE = 20;
/** The job sends a smaller file again and again, until so much has gone through. */
const LEAST_BYTES = 16 * MIB;

const job = fileURLToPath(new URL("../../main-job/main.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "coheap-main-job-"));
after(() => rmSync(folder, { recursive: true }));
const random = seededRandom();

/** What the main job says of this file, and its exit code. */
async function run(path, env = {}, options = []) {
  const child = spawn(process.execPath, [...options, job, path], {
    env: { ...process.env, COHEAP_MESSAGE_SECONDS: "0.1", COHEAP_SEED: String(random(2 ** 32)), ...env },
  });
  const silence = setTimeout(() => child.kill("SIGKILL"), SILENCE_SECONDS * 1000);
  let [said, complained] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    said += text;
    silence.refresh();
    alive();
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complained += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(silence);
  return { code, said, complained };
}

const LETTERS = [..."abcdefghijklmnopqrstuvwxyzäß"];
const newWord = () => Array.from({ length: 1 + random(8) }, () => LETTERS[random(LETTERS.length)]).join("");
const vocabulary = Array.from({ length: 5000 }, newWord);

/** So many bytes, or a few more, of words with one of these between two. */
function words(bytes, between) {
  let text = "";
  while (text.length < bytes)
    text += vocabulary[Math.min(random(5000), random(5000))] + between[random(between.length)];
  return text;
}

/** A file with this text so many times. */
function fileOf(text, often = 1) {
  const path = join(folder, "text");
  const [file, bytes] = [openSync(path, "w"), Buffer.from(text)];
  for (let time = 0; time < often; time++) writeSync(file, bytes);
  closeSync(file);
  return { path, size: bytes.length * often };
}

const number = (text) => Number(text.replaceAll(",", ""));

/** What the job says of the count, in numbers; all of it must be right, and the two readers must share the work. */
function outcomeOf({ code, said, complained }) {
  assert.equal(code, 0, said + complained);
  const find = (pattern) => pattern.exec(said) ?? assert.fail(`${pattern} is nowhere in\n${said}`);
  find(/ ([\d,]+) different words, each counted as often by the workers as by the host alone\./);
  const [, bytes, first, , , second] = find(
    /([\d,]+) bytes went through: (\d+) % by reader 0 \((\d+) %\) and reader 2 in its place \((\d+) %\), (\d+) % by reader 1\./,
  );
  return {
    bytes: number(bytes),
    shares: [Number(first), Number(second)],
    killedAt: Number(find(/Reader 0 was killed with (\d+) % of the text in/)[1]),
    cuts: number(/At ([\d,]+) places there was no white space/.exec(said)?.[1] ?? "0"),
    different: number(find(/([\d,]+) different words/)[1]),
    most: find(/Most often: (.*)\./)[1]
      .split(/, /)
      .map((pair) => pair.split(" ")),
    memory: number(find(/had at most ([\d,]+) MiB of memory/)[1]),
  };
}

/** Asserts that the job counted the words of this text, `often` times, as this thread does. */
function assertCounted({ different, most, bytes }, text, size, often) {
  const sent = Math.max(1, Math.ceil(LEAST_BYTES / size));
  assert.equal(bytes, size * sent);
  const counts = new Map();
  for (const word of text.match(/\p{L}+/gu)) counts.set(word, (counts.get(word) ?? 0) + 1);
  assert.equal(different, counts.size);
  const best = [...counts.values()].sort((one, other) => other - one);
  most.forEach(([word, counted], place) => {
    assert.equal(number(counted), counts.get(word) * often * sent, word);
    assert.equal(counts.get(word), best[place]);
  });
}

function assertShared(shares) {
  for (const share of shares) assert.ok(share >= LEAST_SHARE, `${shares.join(" and ")} %`);
}

test("main_job_counts_a_long_text_by_two_readers_in_bounded_memory", async () => {
  const text = words(4 * MIB, [" ", " ", " ", ", ", "\n", "\r\n", ". "]);
  const often = Math.ceil((MEBIBYTES * MIB) / Buffer.byteLength(text));
  const { path, size } = fileOf(text, often);
  const outcome = outcomeOf(await run(path, { COHEAP_SEED: String(2 ** 30) }));
  assertCounted(outcome, text, size, often);
  assertShared(outcome.shares);
  assert.equal(outcome.cuts, 0);
  assert.equal(outcome.killedAt, 35, "20 %, and a quarter of the way to 80 %");
  console.log(
    `${outcome.memory} MiB of memory at most, of ${MOST_MEMORY_MIB}; readers took ${outcome.shares.join(" and ")} %`,
  );
  assert.ok(outcome.memory <= MOST_MEMORY_MIB, `${outcome.memory} MiB`);
  cases("main_job_counts_a_long_text_by_two_readers_in_bounded_memory", Math.floor(size / MIB));
});

/** A host that stands still for a while after each worker that it makes. */
const SLOW_HOST = `
import threads from "node:worker_threads";
import { syncBuiltinESMExports } from "node:module";
threads.Worker = class extends threads.Worker {
  constructor(...words) {
    super(...words);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
  }
};
syncBuiltinESMExports();`;

test("main_job_hears_of_the_end_of_workers_that_are_faster_than_the_host", async () => {
  const slow = ["--import", `data:text/javascript,${encodeURIComponent(SLOW_HOST)}`];
  outcomeOf(await run(fileOf("Hello, you.\n").path, {}, slow));
});

test("main_job_counts_words_between_white_space_of_any_kind", async () => {
  // As lines; then by one kind after the other, so that nowhere is a kind that divides all of it.
  const kinds = [" ", "\n", "\t", "\r", "\r\n"];
  const texts = [words(3 * MIB, ["\n"]), kinds.map((kind) => words(2 * MIB, [kind])).join("")];
  for (const text of texts) {
    const { path, size } = fileOf(text);
    const outcome = outcomeOf(await run(path));
    assertCounted(outcome, text, size, 1);
    assertShared(outcome.shares);
    assert.equal(outcome.cuts, 0);
    assert.ok(outcome.killedAt >= 20 && outcome.killedAt <= 80);
  }
  cases("main_job_counts_words_between_white_space_of_any_kind", kinds.length + 1);
});

test("main_job_counts_a_tiny_file_over_and_over", async () => {
  const text = "Hello, you.\n";
  const { path, size } = fileOf(text);
  const outcome = outcomeOf(await run(path));
  assertCounted(outcome, text, size, 1);
  assertShared(outcome.shares);
  assert.equal(outcome.cuts, 0);
});

test("main_job_cuts_what_has_no_white_space_at_the_same_places_as_the_host", async () => {
  // A token of nearly the pipe's length, whole; one that is longer; one with more different words than one step can add.
  const [some, whole, long] = [() => words(MIB, [" "]), words(700 * 1024, ["1"]), words(3 * MIB, ["1"])];
  const rich = Array.from({ length: 80_000 }, (_, i) =>
    [0, 1, 2, 3].map((at) => LETTERS[Math.floor(i / 26 ** at) % 26]).join(""),
  );
  const uncut = outcomeOf(await run(fileOf(`${some()}${whole} ${rich.join("\n")} ${some()}`).path));
  assert.equal(uncut.cuts, 0);
  const cut = outcomeOf(await run(fileOf(`${some()}${long} ${rich.join("1")} ${some()}`).path));
  assert.ok(cut.cuts > 0);
});

test("main_job_says_what_is_no_text", async () => {
  const [empty, missing] = [join(folder, "empty"), join(folder, "missing")];
  writeFileSync(empty, "");
  for (const [path, why] of [
    [empty, "is empty"],
    [missing, "does not exist"],
    [folder, "is a folder"],
  ]) {
    const { code, said, complained } = await run(path);
    assert.deepEqual({ code, said, complained }, { code: 1, said: "", complained: `The file ${path} ${why}.\n` });
  }
  cases("main_job_says_what_is_no_text", 3);
});
