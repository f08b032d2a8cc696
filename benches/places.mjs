// Where a contest runs: in this Node, in a newer one, in Chromium. Each time in a process of its own.
//
// A contest is a module in contests/: `race(options)` answers samples and problems, `outcome(result)` puts them into words and
// figures. One that is to run in Chromium calls nothing of Node.
import { join } from "node:path";
import { inWorker } from "./browser/chromium.mjs";
import {
  builtPackage,
  bundlePeers,
  foundationPackage,
  installPeers,
  moduleOf,
  must,
  newerNode,
  here as root,
  wasmBindgenGlue,
} from "./setup.mjs";

/** What a contest may name as its needs, besides the package. */
const providers = {
  peers: installPeers,
  glue: wasmBindgenGlue,
  workloads: () => moduleOf("coheap"),
  foundation: foundationPackage,
};

async function inNode(binary, { file, name }, { milliseconds, rounds }, flags = []) {
  const child = [binary, ...flags, join(root, "contest-child.mjs"), file, milliseconds, rounds].map(String);
  const lines = (await must(name, child)).trimEnd().split("\n");
  return JSON.parse(lines.at(-1));
}

function row(contest, suffix, raceThere) {
  return {
    name: contest.name + suffix,
    contest: contest.name,
    targets: contest.targets,
    async measure(options) {
      await builtPackage();
      for (const need of contest.needs ?? []) await providers[need]();
      const { result, engine } = await raceThere(options);
      return { ...result, ...contest.outcome(result), ...(engine && { engine }) };
    },
  };
}

/** The row of a contest in the Node that runs the benches, with these flags of V8. */
export function here(contest, flags) {
  return row(contest, "", async (options) => ({ result: await inNode(process.execPath, contest, options, flags) }));
}

/** The row of a contest in the newer Node. */
export function inNewerNode(contest, flags) {
  return row(contest, ", Node 26", async (options) => {
    const { binary, version } = await newerNode();
    return { result: await inNode(binary, contest, options, flags), engine: `Node ${version}` };
  });
}

/** The row of a contest in a worker of a page in Chromium, with these flags of V8. */
export function inChromium(contest, flags) {
  return row(contest, ", Chromium", async (options) => {
    if (contest.needs?.includes("peers")) await bundlePeers();
    return inWorker({ file: contest.file, ...options }, flags);
  });
}

export function everywhere(contest, flags) {
  return [here(contest, flags), inNewerNode(contest, flags), inChromium(contest, flags)];
}
