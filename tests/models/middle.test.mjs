// Middle blocks: runs of granules in a page that belongs to nobody.
//
// One word a page, {used, starts, claimant, generation}, changed by compare-exchange (claim) or by
// clearing bits (free); one header word a granule, {kind, slot, generation}, which counts for the
// granule where a block starts. Claiming is two words, so only the *last* claim of a page may have
// no header yet: the page word names its maker, whose claim word names the start, and whoever
// overwrites the page word writes that header first. Freeing is decided by the header, which names
// who freed; only then are the bits cleared, by the one who is named or by its recovery.
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
const header = pack({ kind: 2, slot: 2, generation: 4 });
const pageWord = pack({ used: 2, starts: 2, claimant: 2, generation: 4 }); // claimant: slot + 1; two granules
const block = pack({ set: 1, start: 2, generation: 4 });
const claimWord = pack({ set: 1, start: 2, generation: 5 }); // the page word's generation that it installs

function model({
  operations = [2, 2],
  deaths = 2,
  reaperDeaths = deaths,
  sizes = [1, 2],
  live = false,
  wrong = "",
} = {}) {
  const agents = operations.length;
  const granules = 2;
  const actors = agents + 1; // the last one is the reaper
  const s = words({
    page: 2,
    header: granules, // the heap; the page word takes two bytes here
    claim: agents,
    fresh: agents,
    old: agents, // records
    seen: 2 * actors,
    start: actors,
    size: actors,
    helped: actors,
    word: actors,
    left: agents,
    status: agents,
    deaths: 1,
    reaperDeaths: 1,
    victim: 1,
    holder: granules,
    broken: 1,
  });
  operations.forEach((count, agent) => {
    s.left[agent] = count;
  });
  s.deaths[0] = deaths;
  s.reaperDeaths[0] = reaperDeaths;
  if (live) {
    s.header[0] = header.make(LIVE, 0, 0); // one block to free, of one granule
    s.holder[0] = block.make(1, 0, 0);
    s.page[0] = pageWord.make(1, 1, 0, 0);
  }

  const page = () => s.page[0] | (s.page[1] << 8);
  const setPage = (word) => {
    s.page[0] = word & 255;
    s.page[1] = word >> 8;
  };
  const seen = (actor) => s.seen[2 * actor] | (s.seen[2 * actor + 1] << 8);
  const setSeen = (actor, word) => {
    s.seen[2 * actor] = word & 255;
    s.seen[2 * actor + 1] = word >> 8;
  };
  const forget = (actor) => {
    setSeen(actor, 0);
    s.start[actor] = s.size[actor] = s.helped[actor] = s.word[actor] = 0;
  };
  const extent = (word, start) => {
    let mask = 0;
    for (let i = start; i < granules; i++) {
      if (!(pageWord.used(word) & (1 << i)) || (i > start && pageWord.starts(word) & (1 << i))) break;
      mask |= 1 << i;
    }
    return mask;
  };
  const cleared = (word, start) =>
    pageWord.make(
      pageWord.used(word) & ~extent(word, start),
      pageWord.starts(word) & ~(1 << start),
      pageWord.claimant(word),
      pageWord.generation(word),
    );
  /** What the model knows and the heap does not: which block holds each granule. */
  const give = (mask, tag) => {
    for (let i = 0; i < granules; i++) {
      if (!(mask & (1 << i))) continue;
      if (s.holder[i]) s.broken[0] = 1;
      else s.holder[i] = tag;
    }
  };
  const takeBack = (word, old) => {
    const mask = extent(word, block.start(old));
    for (let i = 0; i < granules; i++) {
      if (!(mask & (1 << i))) continue;
      if (s.holder[i] !== old) s.broken[0] = 2;
      s.holder[i] = 0;
    }
  };

  /** Writes the header of the last claim, which the page word in `seen` names; then goes to `after`. */
  const helpSteps = (actor, after) => {
    const done = () => {
      s.helped[actor] = s.word[actor] = 0;
      return after;
    };
    return {
      help: () => {
        const claimant = pageWord.claimant(seen(actor)) - 1;
        if (claimant < 0 || claimant === actor || (wrong === "do not help" && actor < agents)) return after;
        const claim = s.claim[claimant];
        if (!claim || claimWord.generation(claim) !== pageWord.generation(seen(actor))) return after; // it has its header
        s.helped[actor] = claim;
        return "helpHeader";
      },
      helpHeader: () => {
        s.word[actor] = s.header[claimWord.start(s.helped[actor])];
        return header.kind(s.word[actor]) === FREE ? "helpAgain" : done();
      },
      helpAgain: () => {
        const claimant = pageWord.claimant(seen(actor)) - 1;
        return s.claim[claimant] === s.helped[actor] || wrong === "help without looking again" ? "helpWrite" : done();
      },
      helpWrite: () => {
        const start = claimWord.start(s.helped[actor]);
        if (s.header[start] === s.word[actor]) {
          s.header[start] = header.make(RAW, pageWord.claimant(seen(actor)) - 1, header.generation(s.word[actor]) + 1);
        }
        return done();
      },
    };
  };

  const agent = (a) => {
    const next = () => {
      forget(a);
      s.left[a]--;
      return "idle";
    };
    return {
      name: `agent ${a}`,
      start: "idle",
      steps: {
        idle: [
          () => (s.left[a] === 0 ? "end" : undefined),
          ...sizes.map((size) => () => (s.left[a] === 0 ? undefined : ((s.size[a] = size), "loadPage"))),
          ...Array.from({ length: granules }, (_, start) => () => {
            if (s.left[a] === 0 || header.kind(s.header[start]) !== LIVE) return undefined;
            s.word[a] = block.make(1, start, header.generation(s.header[start]));
            return "recordOld";
          }),
        ],

        // claim
        loadPage: () => {
          setSeen(a, page());
          const fits = (start) =>
            start + s.size[a] <= granules && !(pageWord.used(page()) & (((1 << s.size[a]) - 1) << start));
          s.start[a] = [0, 1].findIndex(fits) + 1;
          if (s.start[a] === 0) return "dropClaim";
          s.start[a] -= 1;
          return "loadHeader";
        },
        loadHeader: () => {
          s.word[a] = block.make(1, s.start[a], header.generation(s.header[s.start[a]]) + 1);
          return "recordFresh";
        },
        recordFresh: own(() => ((s.fresh[a] = s.word[a]), "recordClaim")),
        recordClaim: () => {
          s.claim[a] = claimWord.make(1, s.start[a], pageWord.generation(seen(a)) + 1);
          s.word[a] = 0;
          return "help";
        },
        ...helpSteps(a, "swapPage"),
        swapPage: () => {
          const old = seen(a);
          if (page() !== old) return "loadPage";
          const mask = ((1 << s.size[a]) - 1) << s.start[a];
          setPage(
            pageWord.make(
              pageWord.used(old) | mask,
              pageWord.starts(old) | (1 << s.start[a]),
              a + 1,
              pageWord.generation(old) + 1,
            ),
          );
          give(mask, s.fresh[a]);
          setSeen(a, 0);
          return "writeHeader";
        },
        writeHeader: () => {
          s.header[s.start[a]] = header.make(RAW, a, block.generation(s.fresh[a]));
          return "clearClaim";
        },
        clearClaim: () => ((s.claim[a] = 0), "publish"),
        publish: () => ((s.header[s.start[a]] = header.make(LIVE, a, block.generation(s.fresh[a]))), "clearFresh"),
        clearFresh: own(() => ((s.fresh[a] = 0), next())),
        dropClaim: () => ((s.claim[a] = 0), "clearFresh"), // no room

        // free
        recordOld: own(
          () => ((s.old[a] = s.word[a]), wrong === "clear the bits before the header" ? "clearBits" : "decide"),
        ),
        decide: () => {
          const start = block.start(s.old[a]);
          const now = s.header[start];
          if (header.kind(now) === FREE || header.generation(now) !== block.generation(s.old[a])) return "clearOld";
          s.header[start] = header.make(FREE, a, header.generation(now));
          return wrong === "clear the bits before the header" ? "clearOld" : "clearBits";
        },
        clearBits: () => {
          takeBack(page(), s.old[a]); // one fetch_and: nobody else changes the extent of this block
          setPage(cleared(page(), block.start(s.old[a])));
          return wrong === "clear the bits before the header" ? "decide" : "clearOld";
        },
        clearOld: own(() => ((s.old[a] = 0), next())),

        dead: () => {
          if (s.status[a] !== RECOVERED) return undefined;
          s.status[a] = ALIVE;
          return next();
        },
      },
      death: (label) => {
        if (s.deaths[0] === 0 || label === "dead" || label === "idle") return undefined;
        s.deaths[0]--;
        s.status[a] = DEAD;
        forget(a);
        return "dead";
      },
    };
  };

  const R = agents;
  const victim = () => s.victim[0];
  const old = () => s.old[victim()];
  const freedByVictim = () => s.header[block.start(old())] === header.make(FREE, victim(), block.generation(old()));
  const reaper = {
    name: "reaper",
    start: "idle",
    mayRest: ["idle"],
    steps: {
      idle: operations.map((_, d) => () => {
        if (s.status[d] !== DEAD) return undefined;
        s.victim[0] = d;
        if (s.claim[d]) return "loadPage";
        return s.fresh[d] ? "judgeFresh" : s.old[d] ? "decide" : "finish";
      }),

      // the claim: write its header if it was installed, then it is an ordinary raw block
      loadPage: () => {
        setSeen(R, page());
        const mine =
          pageWord.claimant(page()) === victim() + 1 &&
          pageWord.generation(page()) === claimWord.generation(s.claim[victim()]);
        return mine ? "help" : "dropClaim"; // overwritten: then it was helped; or never installed
      },
      ...helpSteps(R, "dropClaim"),
      dropClaim: () => ((s.claim[victim()] = 0), s.fresh[victim()] ? "judgeFresh" : "finish"),

      // the block that nobody ever saw becomes a block to free
      judgeFresh: () => {
        const fresh = s.fresh[victim()];
        const raw = s.header[block.start(fresh)] === header.make(RAW, victim(), block.generation(fresh));
        return raw ? "freeFresh" : "dropFresh";
      },
      freeFresh: () => ((s.old[victim()] = s.fresh[victim()]), "dropFresh"),
      dropFresh: () => ((s.fresh[victim()] = 0), old() ? "decide" : "finish"),

      // the free, in the name of the dead
      decide: () => {
        const start = block.start(old());
        const now = s.header[start];
        if (header.kind(now) !== FREE && header.generation(now) === block.generation(old())) {
          s.header[start] = header.make(FREE, victim(), header.generation(now));
        }
        return freedByVictim() ? "loadBits" : "finish";
      },
      loadBits: () => {
        setSeen(R, page());
        return pageWord.starts(page()) & (1 << block.start(old())) ? "lookAtClaim" : "finish";
      },
      lookAtClaim: () => {
        if (wrong === "do not look at the claim") return "lookAtHeader";
        if (wrong === "look at all records, not at the page") {
          return s.fresh.some((word, a) => a !== victim() && word && block.start(word) === block.start(old()))
            ? "finish"
            : "lookAtHeader";
        }
        const claimant = pageWord.claimant(seen(R)) - 1;
        const claim = s.claim[claimant];
        const theirs =
          claim &&
          claimWord.generation(claim) === pageWord.generation(seen(R)) &&
          claimWord.start(claim) === block.start(old());
        return theirs ? "finish" : "lookAtHeader";
      },
      lookAtHeader: () => (freedByVictim() ? "swapPage" : "finish"),
      swapPage: () => {
        if (page() !== seen(R)) return "loadBits";
        takeBack(page(), old());
        setPage(cleared(page(), block.start(old())));
        return "finish";
      },
      finish: () => {
        s.old[victim()] = 0;
        s.status[victim()] = RECOVERED;
        s.victim[0] = 0;
        forget(R);
        return "idle";
      },
    },
    death: (label) => {
      if (s.reaperDeaths[0] === 0 || label === "idle") return undefined;
      s.reaperDeaths[0]--;
      s.victim[0] = 0;
      forget(R);
      return "idle";
    },
  };

  return {
    state: s,
    processes: [...operations.map((_, a) => agent(a)), reaper],
    check: () => ["", "a granule has two owners", "a granule was taken from its owner"][s.broken[0]] || undefined,
    final: () => {
      for (let i = 0; i < granules; i++) {
        const starts = pageWord.starts(page()) & (1 << i);
        const used = Boolean(pageWord.used(page()) & (1 << i));
        if (used !== Boolean(s.holder[i]))
          return `granule ${i} is ${used ? "used" : "not used"}, and its holder says otherwise`;
        if (Boolean(starts) !== (header.kind(s.header[i]) === LIVE))
          return `granule ${i}: page word and header disagree`;
      }
    },
  };
}

const found = (wrong, options) => fails(`middle, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds("middle: 2 agents, 2 operations each", () => model());
holds("middle: 3 agents, one frees", () => model({ operations: [1, 1, 1], sizes: [1], live: true, reaperDeaths: 1 }));
found("clear the bits before the header");
found("do not look at the claim");
found("look at all records, not at the page");
found("do not help", { operations: [1, 1, 1], sizes: [1], live: true });
found("help without looking again", { operations: [2, 1, 1], sizes: [1] });
