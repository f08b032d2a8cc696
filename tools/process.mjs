// Child processes with a heartbeat, a watchdog and an end that takes the whole process tree.

import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's folder. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** Longest silence on the terminal. */
const HEARTBEAT_MS = 4_000;
/** What `output` keeps of a child that prints without end: its last characters. */
const KEPT_CHARACTERS = 16 * 1024 * 1024;

const running = new Set();
let lastLineAt = Date.now();

/** Prints one line; every line on the terminal goes through here, so that the heartbeat knows of it. */
export function say(line) {
  lastLineAt = Date.now();
  process.stdout.write(`${line}\n`);
}

/** Ends the script with one sentence that says what is wrong and what to do. */
export function giveUp(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** Whether a service runs this, and not a person: CI is set, whatever to, but to a word for no. */
export function isCI({ CI = "" }) {
  return !["", "0", "false"].includes(CI.toLowerCase());
}

function seconds(since) {
  return `${Math.round((Date.now() - since) / 1000)} s`;
}

function killGroup(leader) {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}

/** A command's process and all below it, also those that lead groups of their own. */
function endTree(child) {
  if (child.pid === undefined) return;
  if (process.platform === "win32") {
    spawnSync("taskkill", ["/pid", String(child.pid), "/t", "/f"], { stdio: "ignore" });
    return;
  }
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  const links = (stdout ?? "").trim().split("\n");
  const tree = new Set([child.pid]);
  // A Set is walked to its end at the time, so what is added is walked too.
  for (const above of tree) {
    for (const link of links) {
      const [pid, parent] = link.trim().split(/\s+/).map(Number);
      if (parent === above) tree.add(pid);
    }
  }
  for (const pid of tree) {
    killGroup(pid);
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    for (const job of running) endTree(job.child);
    process.exit(130);
  });
}

// What a test file prints, node:test reads for its results, and stumbles over a line that begins with no ASCII.
const isTestFile = process.env.NODE_TEST_CONTEXT !== undefined;

setInterval(() => {
  if (isTestFile || running.size === 0 || Date.now() - lastLineAt < HEARTBEAT_MS) return;
  say([...running].map((job) => `  … ${job.title}, ${seconds(job.since)}`).join("\n"));
}, 500).unref();

/**
 * A word of a command for the shell of Windows, which is what starts npm and what lies in node_modules/.bin. A plain word stays as it is: of
 * a script by a quoted name without a folder cmd.exe does not know where it lies.
 */
export function shellWord(word) {
  return /^[\w./:\\@+=-]+$/.test(word) ? word : `"${word}"`;
}

/**
 * Runs a command to its end and never throws: a command that cannot start has the code 127.
 *
 * @param {string} title what the heartbeat calls it
 * @param {string[]} command
 * @param {{ env?: Record<string, string | undefined>, cwd?: string, log?: string, limitMinutes?: number }} [options]
 *   `log`: a file that gets everything printed; `limitMinutes`: then the process tree is ended
 * @returns {Promise<{ code: number, output: string, errors: string, timedOut: boolean, minutes: number }>}
 */
export function run(title, command, options = {}) {
  const windows = process.platform === "win32";
  const [file, ...args] = windows ? command.map(shellWord) : command;
  const since = Date.now();
  const child = spawn(file, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: !windows,
    shell: windows,
  });
  const job = { child, title, since };
  running.add(job);

  let log;
  if (options.log !== undefined) {
    mkdirSync(dirname(options.log), { recursive: true });
    log = createWriteStream(options.log);
  }
  const kept = { output: "", errors: "" };
  const keep = (stream, name) => {
    stream.setEncoding("utf8").on("data", (text) => {
      log?.write(text);
      kept[name] = (kept[name] + text).slice(-KEPT_CHARACTERS);
    });
  };
  keep(child.stdout, "output");
  keep(child.stderr, "errors");

  return new Promise((resolve) => {
    let timedOut = false;
    const watchdog =
      options.limitMinutes === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            endTree(child);
          }, options.limitMinutes * 60_000);
    const finish = (code, trouble = "") => {
      if (!running.delete(job)) return;
      clearTimeout(watchdog);
      log?.end();
      // What a finished command left behind is no one's: nothing outlives its suite.
      if (child.pid !== undefined && process.platform !== "win32") killGroup(child.pid);
      const minutes = (Date.now() - since) / 60_000;
      resolve({ ...kept, errors: kept.errors + trouble, code, timedOut, minutes });
    };
    child.on("error", (error) => finish(127, `${error.message}\n`));
    child.on("close", (code) => finish(code ?? 1));
    // A grandchild may hold the pipes open after the command ended.
    child.on("exit", (code) => setTimeout(() => finish(code ?? 1), 2_000).unref());
  });
}

/** Runs a command that must succeed; otherwise shows what it printed and gives up. */
export async function must(title, command, options = {}) {
  const result = await run(title, command, options);
  if (result.code !== 0) {
    process.stdout.write(result.output);
    process.stderr.write(result.errors);
    const why = result.timedOut ? `took more than ${options.limitMinutes} minutes` : `ended with code ${result.code}`;
    giveUp(`${title}: \`${command.join(" ")}\` ${why}.`);
  }
  return result;
}

/** Whether a command can be started and succeeds. */
export async function works(command) {
  return (await run(command.join(" "), command)).code === 0;
}
