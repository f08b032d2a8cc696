// How the runtimes that the tests here run in run a script.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root, run } from "../../tools/process.mjs";
import { programs } from "../../tools/runtimes.mjs";

/** Those, and the Node that runs this. */
export const names = ["node", ...Object.keys(programs)];

function commandOf(name) {
  if (name === "node") return [process.execPath];
  const program = join(root, programs[name]);
  return name === "deno" ? [program, "run", "--allow-all", "--no-lock"] : [program];
}

/** Runs a script of this folder in a runtime, and answers what it reports as its last line, as JSON. */
export async function report(name, script, ...given) {
  const file = fileURLToPath(new URL(script, import.meta.url));
  // What this Node was told is not for the others: Node 20 has options that they do not know.
  const env = { NODE_OPTIONS: undefined, NODE_TEST_CONTEXT: undefined, NO_COLOR: "1" };
  const command = [...commandOf(name), file, ...given];
  const { code, output, errors, timedOut } = await run(`${name} ${script}`, command, { env, limitMinutes: 2 });
  const why = timedOut ? "was ended by the watchdog" : `ended with code ${code}`;
  const lines = output.trimEnd().split("\n");
  try {
    if (code === 0) return JSON.parse(lines.at(-1));
  } catch {
    // Told below.
  }
  throw new Error(`${command.join(" ")} ${why}:\n${output}\n${errors}`);
}
