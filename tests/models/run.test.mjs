// Large blocks: runs of whole pages, claimed from the last page to the first and freed from the last back.
//
// One word a page, {kind, length or distance, slot, generation}, changed by compare-exchange alone. A claim looks for
// free pages, first to last, and then takes them, last to first: so it may begin while they are free and go on while
// the first is another's run. Whoever frees a run exchanges its first page, which then says whose run it was, and gives
// its pages back from the end; whoever recovers from freeing it does the same, so several may be at it. An agent that is
// cut short recovers itself before it does anything else, and its recovery may be cut short as well.
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const FREE = 0,
  RAW = 1, // a run that only its maker knows
  LIVE = 2,
  BODY = 3;
const page = pack({ kind: 2, length: 2, slot: 2 }); // of a body page: its distance from the first
const body = (distance, slot) => page.make(BODY, distance, slot);

function model({ operations = [2, 2], aborts = 1, pages = 3, live = 0, wrong = "" } = {}) {
  const agents = operations.length;
  const s = words({
    page: pages,
    generation: pages, // the heap
    claim: 2 * agents,
    old: 2 * agents, // records: first page + 1, and length or generation
    first: agents,
    length: agents,
    at: agents,
    word: agents,
    seen: agents,
    slot: agents,
    head: agents,
    recovering: agents,
    left: agents,
    aborts: 1,
  });
  operations.forEach((count, agent) => {
    s.left[agent] = count;
  });
  s.aborts[0] = aborts;
  for (let p = 0; p < live; p++) s.page[p] = p === 0 ? page.make(LIVE, live, 0) : body(p, 0);

  const agent = (a) => {
    const me = 2 * a;
    const forget = () => {
      s.first[a] = s.length[a] = s.at[a] = s.word[a] = s.seen[a] = s.slot[a] = s.head[a] = 0;
    };
    const next = () => {
      forget();
      s.recovering[a] = 0;
      s.left[a]--;
      return "idle";
    };
    const load = (p) => ((s.word[a] = s.page[p]), (s.seen[a] = s.generation[p]));
    const swap = (p, word) => {
      if (s.page[p] !== s.word[a] || s.generation[p] !== s.seen[a]) return false;
      s.page[p] = word;
      s.generation[p]++;
      return true;
    };
    const isHead = (p) => s.page[p] === body(0, s.slot[a]) && s.generation[p] === s.head[a];
    const isBody = (p) => {
      const word = s.page[p];
      const theirs = wrong === "compare the distance alone" || page.slot(word) === s.slot[a];
      return page.kind(word) === BODY && page.length(word) === p - s.first[a] && theirs;
    };
    const places = [];
    for (let first = 0; first < pages; first++)
      for (let length = 1; first + length <= pages; length++) places.push([first, length]);

    return {
      name: `agent ${a}`,
      start: "idle",
      steps: {
        idle: [
          () => (s.left[a] === 0 ? "end" : undefined),
          ...places.map(
            ([first, length]) =>
              () =>
                s.left[a] === 0 ? undefined : ((s.first[a] = first), (s.length[a] = length), "look"),
          ),
          ...Array.from({ length: pages }, (_, p) => () => {
            if (s.left[a] === 0 || page.kind(s.page[p]) !== LIVE) return undefined;
            s.first[a] = p;
            load(p);
            return "recordOld";
          }),
        ],

        // claim
        look: () => {
          if (page.kind(s.page[s.first[a] + s.at[a]]) !== FREE) return next();
          return ++s.at[a] === s.length[a] ? "recordClaim" : "look";
        },
        recordClaim: own(
          () => (
            (s.claim[me] = s.first[a] + 1), (s.claim[me + 1] = s.length[a]), (s.at[a] = s.length[a] - 1), "loadPage"
          ),
        ),
        loadPage: () => {
          load(s.first[a] + s.at[a]);
          return page.kind(s.word[a]) === FREE ? "swapPage" : ((s.at[a] = 1), "undo");
        },
        swapPage: () => {
          const distance = s.at[a];
          const word = distance === 0 ? page.make(RAW, s.length[a], a) : body(distance, a);
          if (!swap(s.first[a] + distance, word)) return (s.at[a] = 1), "undo";
          if (distance === 0) return "clearClaim";
          s.at[a]--;
          return "loadPage";
        },
        clearClaim: own(() => ((s.claim[me] = s.claim[me + 1] = 0), "publish")),
        publish: () => ((s.page[s.first[a]] = page.make(LIVE, s.length[a], a)), next()),
        undo: () => {
          if (s.at[a] >= s.length[a]) return s.recovering[a] ? "clearRecord" : "dropClaim";
          load(s.first[a] + s.at[a]);
          return s.word[a] === body(s.at[a], a) ? "undoPage" : (s.at[a]++, "undo");
        },
        undoPage: () => (swap(s.first[a] + s.at[a], FREE), s.at[a]++, "undo"),
        dropClaim: own(() => ((s.claim[me] = s.claim[me + 1] = 0), next())),

        // free
        recordOld: own(() => ((s.old[me] = s.first[a] + 1), (s.old[me + 1] = s.seen[a]), "decide")),
        decide: () => (swap(s.first[a], body(0, page.slot(s.word[a]))) ? "finish" : "freed"),
        finish: () => {
          const word = s.page[s.first[a]];
          s.slot[a] = page.slot(word);
          s.head[a] = s.old[me + 1] + 1;
          s.at[a] = s.first[a] + 1;
          return isHead(s.first[a]) ? "scan" : "freed";
        },
        scan: () => (s.at[a] < pages && isBody(s.at[a]) ? (s.at[a]++, "scan") : (s.at[a]--, "release")),
        release: () => {
          if (s.at[a] === s.first[a]) return (s.word[a] = body(0, s.slot[a])), (s.seen[a] = s.head[a]), "releaseHead";
          load(s.at[a]);
          if (!isBody(s.at[a])) return s.at[a]--, "release";
          return wrong === "do not look at the first page again" ? "releasePage" : "lookAgain";
        },
        lookAgain: () => (isHead(s.first[a]) ? "releasePage" : (s.at[a]--, "release")),
        releasePage: () => (swap(s.at[a], FREE), s.at[a]--, "release"),
        releaseHead: () => (swap(s.first[a], FREE), "freed"),
        freed: own(() => {
          if (s.recovering[a] === 1) return "recoverClaim";
          s.old[me] = s.old[me + 1] = 0;
          if (s.recovering[a] === 0) return next();
          forget();
          return "sweep";
        }),

        // recovery: 1 while it decides the record, 2 while it sweeps
        recover: own(() => {
          s.recovering[a] = 1;
          if (s.old[me] === 0) return "recoverClaim";
          s.first[a] = s.old[me] - 1;
          return "finish";
        }),
        recoverClaim: () => {
          forget();
          if (s.claim[me] === 0) return "clearRecord";
          s.first[a] = s.claim[me] - 1;
          s.length[a] = s.claim[me + 1];
          s.at[a] = 1;
          return s.page[s.first[a]] === page.make(RAW, s.length[a], a) ? "clearRecord" : "undo";
        },
        clearRecord: own(() => {
          forget();
          s.old[me] = s.old[me + 1] = s.claim[me] = s.claim[me + 1] = 0;
          s.recovering[a] = 2;
          return "sweep";
        }),
        sweep: () => {
          const p = s.page.findIndex((word) => page.kind(word) === RAW && page.slot(word) === a);
          if (p < 0) return next();
          s.first[a] = p;
          load(p);
          return "recordOld";
        },
      },
      death: (label) => {
        if (s.aborts[0] === 0 || label === "idle" || label === "recover") return undefined;
        s.aborts[0]--;
        forget();
        return "recover";
      },
    };
  };

  const isRun = (p) => [RAW, LIVE].includes(page.kind(s.page[p]));
  return {
    state: s,
    processes: operations.map((_, a) => agent(a)),
    check: () => {
      for (let p = 0; p < pages; p++) {
        for (let d = 1; isRun(p) && d < page.length(s.page[p]); d++) {
          if (s.page[p + d] !== body(d, page.slot(s.page[p]))) return `the run at ${p} has lost page ${p + d}`;
        }
      }
    },
    final: () => {
      for (let p = 0; p < pages; p++) {
        const first = p - page.length(s.page[p]);
        if (page.kind(s.page[p]) === RAW) return `the run at ${p} is nobody's`;
        if (page.kind(s.page[p]) === BODY && !(first >= 0 && isRun(first))) return `page ${p} belongs to no run`;
      }
    },
  };
}

const found = (wrong, options) => fails(`run, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds("run: 2 agents, 2 operations each, cut short twice", () => model({ aborts: 2 }));
holds("run: 3 agents, a run to free", () => model({ operations: [1, 1, 1], live: 2, pages: 2 }));
found("compare the distance alone");
found("do not look at the first page again", { operations: [1, 1, 1], live: 2, pages: 2 });
