// Publishing a block in a cell and retiring the one it replaces, with the operation record.
//
// Blocks lie in slabs; slab i belongs to agent i at first. A header word is the truth about its
// block; its generation grows when the block is freed. Each agent has one record. A dead agent's
// record is decided by a reaper, which may die too; then the slot goes on (a successor, or the
// same agent after an abort), with its slab or without it (a survivor took it over).
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const FREE = 0,
  RAW = 1,
  LIVE = 2; // header kinds
const NOTHING = 0,
  REPLACE = 1; // record kinds
const ALIVE = 0,
  DEAD = 1,
  RECOVERED = 2;
const header = pack({ kind: 2, generation: 5 });
const block = pack({ set: 1, index: 4, generation: 3 }); // a cell's word: 0 or a block and its generation

function model({ operations = [2, 2], cells = 1, blocks = 3, deaths = 2, reaperDeaths = deaths, wrong = "" } = {}) {
  const agents = operations.length;
  const s = words({
    cell: cells,
    header: agents * blocks,
    owner: agents,
    status: agents,
    kind: agents,
    place: agents,
    expected: agents,
    replacement: agents,
    fresh: agents,
    old: agents, // the records
    mine: agents,
    seen: agents,
    target: agents,
    left: agents, // what an agent knows privately
    deaths: 1,
    reaperDeaths: 1,
    victim: 2,
    found: 2,
    stolen: 1,
  });
  operations.forEach((count, agent) => {
    s.left[agent] = count;
    s.owner[agent] = agent;
  });
  s.deaths[0] = deaths;
  s.reaperDeaths[0] = reaperDeaths;

  const slab = (index) => Math.floor(index / blocks);
  const set = (word, kind, more = 0) =>
    (s.header[block.index(word)] = header.make(kind, block.generation(word) + more));
  const is = (word, ...kinds) =>
    kinds.some((kind) => s.header[block.index(word)] === header.make(kind, block.generation(word)));
  /** Compare-exchange of the header, from this very generation: twice does no harm. */
  const retire = (word) => {
    if (word === 0) return;
    if (wrong === "retire any generation") {
      const now = s.header[block.index(word)];
      if (header.kind(now) !== FREE) s.header[block.index(word)] = header.make(FREE, header.generation(now) + 1);
    } else if (is(word, RAW, LIVE)) set(word, FREE, 1);
  };

  const mutator = (a) => ({
    name: `agent ${a}`,
    start: "choose",
    steps: {
      choose: Array.from({ length: cells }, (_, cell) => () => {
        if (s.left[a] === 0) return cell === 0 ? "end" : undefined;
        const index = s.header.findIndex((word, i) => s.owner[slab(i)] === a && header.kind(word) === FREE);
        if (index < 0) return cell === 0 ? "end" : undefined;
        s.mine[a] = block.make(1, index, header.generation(s.header[index]));
        s.target[a] = cell;
        return wrong === "no record" || wrong === "no word for new" ? "takeRaw" : "recordNew";
      }),
      recordNew: own(() => ((s.fresh[a] = s.mine[a]), "takeRaw")),
      takeRaw: () => (set(s.mine[a], RAW), "load"),
      load: () => {
        s.seen[a] = s.cell[s.target[a]];
        return wrong === "no record" ? "makeLive" : "recordCell";
      },
      recordCell: own(() => ((s.place[a] = s.target[a]), "recordExpected")),
      recordExpected: own(() => ((s.expected[a] = s.seen[a]), "recordReplacement")),
      recordReplacement: own(
        () => ((s.replacement[a] = s.mine[a]), wrong === "no word for new" ? "recordNewLate" : "recordOld"),
      ),
      recordNewLate: own(() => ((s.fresh[a] = s.mine[a]), "recordOld")),
      recordOld: own(() => ((s.old[a] = s.seen[a]), "recordKind")),
      recordKind: own(() => ((s.kind[a] = REPLACE), wrong === "live after link" ? "swap" : "makeLive")),
      makeLive: () => {
        if (!is(s.mine[a], RAW)) s.stolen[0] = 1; // a private block, and somebody has freed it
        set(s.mine[a], LIVE);
        return "swap";
      },
      swap: () => {
        if (s.cell[s.target[a]] !== s.seen[a]) return "failed";
        s.cell[s.target[a]] = s.mine[a];
        if (wrong === "live after link") return "liveLate";
        return wrong === "clear before retiring" ? "clearEarly" : "retireOld";
      },
      liveLate: () => (set(s.mine[a], LIVE), "retireOld"),
      clearEarly: own(() => ((s.kind[a] = NOTHING), "retireOld")),
      failed: [() => "reload", () => "dropNew"],
      reload: () => ((s.seen[a] = s.cell[s.target[a]]), wrong === "no record" ? "swap" : "recordExpectedAgain"),
      recordExpectedAgain: own(() => ((s.expected[a] = s.seen[a]), "recordOldAgain")),
      recordOldAgain: own(() => ((s.old[a] = s.seen[a]), "swap")),
      dropNew: () => (set(s.mine[a], FREE, 1), "clearKind"),
      retireOld: () => {
        if (wrong === "move instead of retiring" && s.target[a] === 0 && s.cell[1] === 0) s.cell[1] = s.seen[a];
        else retire(s.seen[a]);
        return "clearKind";
      },
      clearKind: own(() => {
        s.kind[a] = NOTHING;
        return wrong === "clear the kind only" ? "next" : "clearNew";
      }),
      clearNew: own(() => ((s.fresh[a] = 0), "clearOld")),
      clearOld: own(() => ((s.old[a] = 0), "clearExpected")),
      clearExpected: own(() => ((s.expected[a] = 0), "clearReplacement")),
      clearReplacement: own(() => ((s.replacement[a] = 0), "next")),
      next: own(() => (forget(a), s.left[a]--, "choose")),
      dead: () => {
        if (s.status[a] !== RECOVERED) return undefined;
        s.status[a] = ALIVE;
        s.left[a]--;
        return "choose";
      },
    },
    death: (label) => {
      if (s.deaths[0] === 0 || label === "dead" || label === "choose") return undefined;
      s.deaths[0]--;
      s.status[a] = DEAD;
      forget(a);
      return "dead";
    },
  });
  const forget = (a) => (s.mine[a] = s.seen[a] = s.target[a] = 0);

  const reaper = (r) => {
    const victim = () => s.victim[r];
    const decide = wrong === "sweep first" ? "clearKind" : "sweep";
    const entry =
      { "sweep first": "sweep", "hand over first": "handOverFirst", "no record": "sweep" }[wrong] ?? "readKind";
    return {
      name: `reaper ${r}`,
      start: "idle",
      mayRest: ["idle"],
      steps: {
        idle: operations.map((_, d) => () => (s.status[d] === DEAD ? ((s.victim[r] = d), entry) : undefined)),
        handOverFirst: () => (handOver(victim()), "readKind"),
        readKind: () => (s.kind[victim()] === REPLACE ? "readCell" : "retireRaw"),
        retireRaw: () => {
          const fresh = s.fresh[victim()];
          if (fresh !== 0 && is(fresh, RAW)) set(fresh, FREE, 1);
          return "clearKind";
        },
        readCell: () => ((s.found[r] = s.cell[s.place[victim()]]), "retireNew"),
        retireNew: () => {
          if (s.found[r] !== s.replacement[victim()]) retire(s.fresh[victim()]);
          return "retireOld";
        },
        retireOld: () => {
          if (s.found[r] !== s.expected[victim()]) retire(s.old[victim()]);
          s.found[r] = 0;
          return "clearKind";
        },
        clearKind: () => ((s.kind[victim()] = NOTHING), "clearRest"),
        clearRest: () => {
          const d = victim();
          s.fresh[d] = s.old[d] = s.expected[d] = s.replacement[d] = s.place[d] = 0;
          return wrong === "sweep first" ? "release" : "sweep";
        },
        sweep: () => {
          const index = s.header.findIndex((word, i) => s.owner[slab(i)] === victim() && header.kind(word) === RAW);
          if (index < 0) return decide === "sweep" ? "release" : "readKind";
          s.header[index] = header.make(FREE, header.generation(s.header[index]) + 1);
          return "sweep";
        },
        release: [() => (release(r), "idle"), () => (handOver(victim()), release(r), "idle")],
      },
      death: (label) => {
        if (s.reaperDeaths[0] === 0 || label === "idle") return undefined;
        s.reaperDeaths[0]--;
        s.victim[r] = s.found[r] = 0;
        return "idle";
      },
    };
  };
  const release = (r) => {
    s.status[s.victim[r]] = RECOVERED;
    s.victim[r] = 0;
  };
  const handOver = (d) => {
    s.owner.forEach((holder, i) => {
      if (holder === d) s.owner[i] = (d + 1) % agents;
    });
  };

  return {
    state: s,
    processes: [
      ...operations.map((_, a) => mutator(a)),
      reaper(0),
      ...(wrong === "two reapers at once" ? [reaper(1)] : []),
    ],
    check: () => {
      if (s.stolen[0]) return "a private block was freed by somebody else";
      for (const word of s.cell) if (word !== 0 && !is(word, LIVE)) return "a cell names a block that is not live";
    },
    final: () => {
      for (let i = 0; i < s.header.length; i++) {
        const kind = header.kind(s.header[i]);
        if (kind === RAW) return `block ${i} stays raw`;
        if (kind === LIVE && !s.cell.some((word) => word !== 0 && block.index(word) === i)) return `block ${i} is lost`;
      }
    },
  };
}

const found = (wrong, options) => fails(`publish, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds("publish: 2 agents, 2 replaces each, 1 cell", () => model());
holds("publish: 2 agents, 2 and 1 replaces, 2 cells", () => model({ operations: [2, 1], cells: 2 }));
holds("publish: 3 agents, 1 replace each, 1 cell", () => model({ operations: [1, 1, 1], blocks: 2, reaperDeaths: 1 }));
holds("publish: clearing the record is one store, of its kind", () =>
  model({ operations: [2, 1], wrong: "clear the kind only" }),
);
holds("publish: the sweep finds a raw block that no record names", () =>
  model({ operations: [2, 1], wrong: "no word for new" }),
);
holds("publish: the sweep may come before the record is decided", () =>
  model({ operations: [2, 1], wrong: "sweep first" }),
);
found("live after link");
found("no record");
found("hand over first");
found("clear before retiring");
found("retire any generation");
found("two reapers at once");
// Recovery may retire `old` although another agent took it out: so who takes a block out must retire it.
found("move instead of retiring", { cells: 2 });
