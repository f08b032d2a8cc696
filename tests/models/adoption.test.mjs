// A slab's blocks, its owner, and whoever adopts it.
//
// Truth: the page word {slot, tenure} and the header words: FREE, RAW (private to its allocator), LIVE (published).
// Hints: the owner's bitmap of free blocks, and one bit of the page that says "others freed here".
// Anybody may free any live block, also twice at once, as recovery does. An agent may die, or its operation be cut
// short by an exception: then it recovers and goes on.
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const FREE = 0,
  RAW = 1,
  LIVE = 2;
const ALIVE = 0,
  DEAD = 1,
  RECOVERED = 2;
const header = pack({ kind: 2, generation: 4 });
const block = pack({ set: 1, index: 2, generation: 4 });
const pageWord = pack({ slot: 2, tenure: 3 });

function model({ operations = [2, 2], blocks = 2, live = 1, deaths = 2, wrong = "" } = {}) {
  const agents = operations.length;
  const s = words({
    page: 1,
    bits: 1,
    hint: 1,
    header: blocks,
    tenure: agents,
    old: agents, // the heap (old: in the record)
    owns: agents,
    mine: agents,
    seen: agents,
    left: agents,
    status: agents, // private
    deaths: 1,
    reaperDeaths: 1,
    victim: 1,
    held: 1,
    twice: 1,
  });
  operations.forEach((count, agent) => {
    s.left[agent] = count;
  });
  s.deaths[0] = s.reaperDeaths[0] = deaths;
  s.owns[0] = 1; // the page is agent 0's: {0, 0}
  for (let i = 0; i < blocks; i++) {
    s.header[i] = header.make(i < live ? LIVE : FREE, 0);
    if (i < live) s.held[0] |= 1 << i;
    else s.bits[0] |= 1 << i;
  }

  const kind = (i) => header.kind(s.header[i]);
  const isLive = (word) => s.header[block.index(word)] === header.make(LIVE, block.generation(word));
  const setFree = (i) => {
    s.header[i] = header.make(FREE, header.generation(s.header[i]) + 1);
    s.held[0] &= ~(1 << i);
  };
  const freeBlocks = () => {
    let bits = 0;
    for (let i = 0; i < blocks; i++) if (kind(i) === FREE) bits |= 1 << i;
    return bits;
  };

  const agent = (a) => {
    const next = () => {
      s.mine[a] = s.seen[a] = 0;
      s.left[a]--;
      return "idle";
    };
    return {
      name: `agent ${a}`,
      start: "idle",
      steps: {
        idle: [
          () => (s.left[a] === 0 ? "end" : s.owns[a] ? "choose" : "loadPage"),
          ...Array.from({ length: blocks }, (_, i) => () => {
            if (s.left[a] === 0 || kind(i) !== LIVE) return undefined;
            s.mine[a] = block.make(1, i, header.generation(s.header[i]));
            return "recordOld";
          }),
        ],

        // allocating, by the owner
        choose: () => {
          if (s.bits[0] === 0) return "collect";
          s.mine[a] = 32 - Math.clz32(s.bits[0] & -s.bits[0]);
          return wrong === "trust the dead owner's bitmap" ? "take" : "check";
        },
        check: () => (kind(s.mine[a] - 1) === FREE ? "take" : "relist"),
        take: () => {
          const i = s.mine[a] - 1;
          if (s.held[0] & (1 << i)) s.twice[0] = 1;
          s.held[0] |= 1 << i;
          s.header[i] = header.make(RAW, header.generation(s.header[i]));
          return "unlist";
        },
        unlist: () => ((s.bits[0] &= ~(1 << (s.mine[a] - 1))), "publish"),
        publish: () => {
          const i = s.mine[a] - 1;
          s.header[i] = header.make(LIVE, header.generation(s.header[i]));
          return next();
        },
        relist: () => ((s.bits[0] = freeBlocks()), next()),
        collect: () => {
          if (s.hint[0] === 0) return next();
          return wrong === "clear the hint last" ? "scan" : "clearHint";
        },
        clearHint: () => ((s.hint[0] = 0), wrong === "clear the hint last" ? next() : "scan"),
        scan: () => {
          // One header a step: others free meanwhile.
          const i = s.mine[a]++;
          if (i < blocks) {
            if (kind(i) === FREE) s.seen[a] |= 1 << i;
            return "scan";
          }
          s.bits[0] = s.seen[a];
          return wrong === "clear the hint last" ? "clearHint" : next();
        },

        // adopting a slab whose owner's tenure is over
        loadPage: () => ((s.seen[a] = s.page[0]), "judge"),
        judge: () => (s.tenure[pageWord.slot(s.seen[a])] !== pageWord.tenure(s.seen[a]) ? "adopt" : next()),
        adopt: () => {
          if (s.page[0] !== s.seen[a]) return next();
          s.page[0] = pageWord.make(a, s.tenure[a]);
          s.owns[a] = 1;
          s.seen[a] = 0;
          return wrong === "allocate before rebuilding" || wrong === "trust the dead owner's bitmap"
            ? "choose"
            : "rebuild";
        },
        rebuild: () => {
          const i = s.mine[a]++; // here a cursor
          if (i < blocks) {
            if (kind(i) === RAW) setFree(i); // nobody ever saw it
            if (kind(i) === FREE) s.seen[a] |= 1 << i;
            return "rebuild";
          }
          s.bits[0] = s.seen[a];
          s.mine[a] = s.seen[a] = 0;
          return "choose";
        },

        // freeing
        recordOld: own(() => ((s.old[a] = s.mine[a]), s.owns[a] ? "look" : "exchange")),
        look: () => (isLive(s.mine[a]) ? "storeFree" : "clear"), // the owner: a load and a plain store
        storeFree: () => {
          const i = block.index(s.mine[a]);
          s.header[i] = header.make(FREE, block.generation(s.mine[a]) + 1);
          s.held[0] &= ~(1 << i);
          return "list";
        },
        list: () => ((s.bits[0] |= 1 << block.index(s.mine[a])), "clear"),
        exchange: () => {
          if (!isLive(s.mine[a])) return "clear";
          setFree(block.index(s.mine[a]));
          return wrong === "clear before the hint" ? "clearEarly" : "hint";
        },
        clearEarly: own(() => ((s.old[a] = 0), "hint")),
        hint: () => ((s.hint[0] = 1), "clear"),
        clear: own(() => ((s.old[a] = 0), next())),

        // after an exception: the record, then every own slab anew
        recover: () => (s.old[a] === 0 ? "forget" : "hintOld"),
        hintOld: () => ((s.hint[0] = 1), "forget"),
        forget: own(() => {
          s.old[a] = 0;
          if (!s.owns[a] || wrong === "an abort that does not rebuild") return next();
          return "rebuild";
        }),
        dead: () => {
          if (s.status[a] !== RECOVERED) return undefined;
          s.status[a] = ALIVE;
          return next();
        },
      },
      death: (label) => {
        if (s.deaths[0] === 0 || label === "dead" || s.left[a] === 0) return undefined;
        s.deaths[0]--;
        s.mine[a] = s.seen[a] = 0;
        if (s.deaths[0] % 2 === 1) return "recover"; // the first is an exception, the second a death
        s.status[a] = DEAD;
        s.owns[a] = 0;
        return "dead";
      },
    };
  };

  const reaper = {
    name: "reaper",
    start: "idle",
    mayRest: ["idle"],
    steps: {
      idle: operations.map((_, d) => () => {
        if (s.status[d] !== DEAD) return undefined;
        s.victim[0] = d;
        return s.old[d] === 0 || wrong === "recovery without the hint" ? "clear" : "hint";
      }),
      hint: () => ((s.hint[0] = 1), "clear"),
      clear: () => ((s.old[s.victim[0]] = 0), "endTenure"),
      endTenure: () => {
        const d = s.victim[0];
        s.tenure[d]++;
        s.status[d] = RECOVERED;
        s.victim[0] = 0;
        return "idle";
      },
    },
    death: (label) => {
      if (s.reaperDeaths[0] === 0 || label === "idle") return undefined;
      s.reaperDeaths[0]--;
      s.victim[0] = 0;
      return "idle";
    },
  };

  return {
    state: s,
    processes: [...operations.map((_, a) => agent(a)), reaper],
    check: () => (s.twice[0] ? "a block was handed out twice" : undefined),
    final: () => {
      const owned = s.tenure[pageWord.slot(s.page[0])] === pageWord.tenure(s.page[0]);
      for (let i = 0; i < blocks; i++) {
        const held = Boolean(s.held[0] & (1 << i));
        if ((kind(i) === LIVE) !== held && kind(i) !== RAW) return `block ${i}: header and holder disagree`;
        if (!owned) continue; // the next owner rebuilds
        if (kind(i) === FREE && !(s.bits[0] & (1 << i)) && s.hint[0] === 0)
          return `block ${i} is free and nobody knows`;
        if (kind(i) === RAW) return `block ${i} stays raw`;
      }
    },
  };
}

const found = (wrong, options) => fails(`adoption, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds("adoption: 2 agents, 2 operations each, 2 blocks", () => model());
holds("adoption: a late hint", () => model({ operations: [3, 2] }));
holds("adoption: 3 agents, 3 blocks", () => model({ operations: [1, 1, 2], blocks: 3, live: 2 }));
found("allocate before rebuilding");
found("trust the dead owner's bitmap");
found("clear the hint last", { operations: [2, 1] });
found("clear before the hint");
found("recovery without the hint");
found("an abort that does not rebuild");
