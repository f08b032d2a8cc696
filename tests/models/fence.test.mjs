// The fence: one slot word {incarnation, tenure, online, condemned, attached}, changed by
// compare-exchange of the whole word only.
//
// Agent 0 sits in slot 0 and its successor waits for that slot; agent 1 sits in slot 1. Slabs name
// {slot, tenure}: a slab is its slot's while the slot word has that tenure. Whoever needs a slab
// revokes the slabs of an offline agent (tenure + 1), then takes one by compare-exchange. A reaper
// may condemn anybody at any time: a condemned agent that runs on is a zombie.
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const slotWord = pack({ attached: 1, online: 1, condemned: 1, incarnation: 2, tenure: 3 });
const ATTACHED = 1,
  ONLINE = 2,
  CONDEMNED = 4;
const pageWord = pack({ slot: 1, tenure: 3 });

function model({ operations = [2, 1, 1], deaths = 2, reaperDeaths = 1, wrong = "" } = {}) {
  const seats = [0, 0, 1]; // agent → slot; agent 1 is the successor of agent 0
  const agents = seats.length;
  const s = words({
    slot: 2,
    page: 1,
    expected: agents, // the slot word that the agent must find: offline; online it is this | ONLINE
    cached: agents,
    left: agents,
    seen: agents,
    inside: agents,
    sticky: agents,
    gone: agents,
    deaths: 1,
    reaperDeaths: 1,
    victim: 1,
    loaded: 1,
    reaped: 2, // incarnations that nobody may write under any more
    wroteAfter: 1,
  });
  operations.forEach((count, agent) => {
    s.left[agent] = count;
  });
  s.deaths[0] = deaths;
  s.reaperDeaths[0] = reaperDeaths;
  s.slot[0] = slotWord.make(1, 0, 0, 0, 1);
  s.slot[1] = slotWord.make(1, 0, 0, 0, 1);
  s.page[0] = pageWord.make(0, 0); // nobody's: no slot has tenure 0 any more
  s.expected[0] = s.slot[0];
  s.expected[2] = s.slot[1];

  const swap = (memory, index, old, replacement) => {
    if (memory[index] !== old) return false;
    memory[index] = replacement;
    return true;
  };
  const revoked = (word) => word + slotWord.make(0, 0, 0, 0, 1);
  const vacated = (word) =>
    slotWord.make(
      0,
      0,
      0,
      slotWord.incarnation(word) + 1,
      wrong === "restart the tenure" ? 1 : slotWord.tenure(word) + 1,
    );
  const forget = (a) => (s.cached[a] = s.seen[a] = s.inside[a] = s.sticky[a] = s.expected[a] = 0);

  const agent = (a) => {
    const slot = seats[a];
    const stop = () => (forget(a), "end");
    const finish = () => {
      s.inside[a] = s.seen[a] = 0;
      s.left[a]--;
    };
    const begin = () => {
      s.inside[a] = 1;
      return s.cached[a] ? "write" : "loadPage";
    };
    return {
      name: `agent ${a}`,
      start: a === 1 ? "attach" : "outside",
      mayRest: ["attach"],
      steps: {
        attach: () => {
          const word = s.slot[slot];
          if (word & ATTACHED || slotWord.incarnation(word) === 0) return undefined;
          s.expected[a] = s.slot[slot] = word | ATTACHED;
          return "outside";
        },
        outside: [
          () => (s.left[a] === 0 ? "detach" : wrong === "store, then load" ? "storeOnline" : "enter"), // precise
          () => (s.left[a] === 0 ? undefined : ((s.sticky[a] = 1), "enter")), // online for a whole turn
        ],
        enter: () => {
          if (swap(s.slot, slot, s.expected[a], s.expected[a] | ONLINE)) return begin();
          s.seen[a] = s.slot[slot];
          return "refused";
        },
        refused: own(() => {
          const same = slotWord.incarnation(s.seen[a]) === slotWord.incarnation(s.expected[a]);
          if (!same || s.seen[a] & CONDEMNED || !(s.seen[a] & ATTACHED)) return stop();
          if (wrong !== "ignore a changed tenure") s.cached[a] = 0;
          s.expected[a] = s.seen[a]; // revoked while it was offline
          s.seen[a] = 0;
          return "enter";
        }),
        storeOnline: () => ((s.slot[slot] |= ONLINE), "loadCondemned"),
        loadCondemned: () => (s.slot[slot] & CONDEMNED ? "leave" : begin()),
        enterAgain: () => (s.slot[slot] === (s.expected[a] | ONLINE) ? begin() : "leave"), // sticky: a load

        // one operation: find a slab, write into it
        loadPage: () => ((s.seen[a] = s.page[0]), "judge"),
        judge: () => {
          const owner = pageWord.slot(s.seen[a]);
          const word = s.slot[owner];
          if (slotWord.tenure(word) !== pageWord.tenure(s.seen[a])) return "takePage";
          if (owner === slot) {
            s.cached[a] = 1; // as `free` finds out whose slab it is
            s.seen[a] = 0;
            return "write";
          }
          if (word & (ONLINE | CONDEMNED)) return "finish"; // in use, or being reaped: do without
          if (wrong === "revoke without comparing") return "revokeBlindly";
          s.seen[a] = word;
          return "revoke";
        },
        revoke: () => {
          const other = 1 - slot;
          swap(s.slot, other, s.seen[a], revoked(s.seen[a]));
          return "loadPage";
        },
        revokeBlindly: () => {
          const other = 1 - slot;
          s.slot[other] = revoked(s.slot[other]);
          return "loadPage";
        },
        takePage: () => {
          const mine = pageWord.make(slot, slotWord.tenure(s.expected[a]));
          if (swap(s.page, 0, s.seen[a], mine)) s.cached[a] = 1;
          s.seen[a] = 0;
          return s.cached[a] ? "write" : "finish";
        },
        write: () => {
          if (slotWord.incarnation(s.expected[a]) < s.reaped[slot])
            // its recovery has begun
            s.wroteAfter[0] = 1;
          return "finish";
        },
        finish: [
          () => (finish(), "leave"),
          () => (s.sticky[a] && s.left[a] > 1 ? (finish(), "enterAgain") : undefined), // the turn goes on
        ],
        leave: () => {
          s.sticky[a] = 0;
          if (wrong === "store, then load") {
            const condemned = s.slot[slot] & CONDEMNED;
            s.slot[slot] &= ~ONLINE;
            return condemned ? stop() : "outside";
          }
          if (swap(s.slot, slot, s.expected[a] | ONLINE, s.expected[a])) return "outside";
          return "acknowledge";
        },
        acknowledge: () => {
          swap(s.slot, slot, s.expected[a] | ONLINE | CONDEMNED, s.expected[a] | CONDEMNED);
          return stop();
        },
        detach: () => {
          swap(s.slot, slot, s.expected[a], vacated(s.expected[a]));
          return stop();
        },
      },
      death: (label) => {
        if (s.deaths[0] === 0 || label === "attach") return undefined;
        s.deaths[0]--;
        s.gone[a] = 1 + slotWord.incarnation(s.expected[a]); // the platform can prove it (Node's exit event)
        forget(a);
        return "end";
      },
    };
  };

  const reaper = {
    name: "reaper",
    start: "idle",
    mayRest: ["idle", "wait"],
    steps: {
      idle: [0, 1].map((slot) => () => {
        const word = s.slot[slot];
        if (!(word & ATTACHED) || slotWord.incarnation(word) > 1) return undefined;
        s.victim[0] = slot;
        s.loaded[0] = word;
        return word & CONDEMNED ? "wait" : "condemn";
      }),
      condemn: () => {
        const slot = s.victim[0];
        if (wrong === "condemn without comparing") s.slot[slot] |= CONDEMNED;
        else if (!swap(s.slot, slot, s.loaded[0], s.loaded[0] | CONDEMNED)) return rest();
        return "wait";
      },
      wait: () => {
        const slot = s.victim[0];
        const word = s.slot[slot];
        if (!(word & CONDEMNED)) return rest();
        const incarnation = slotWord.incarnation(word);
        const proven = seats.some((seat, a) => seat === slot && s.gone[a] === incarnation + 1);
        if (word & ONLINE && !proven) return undefined;
        s.loaded[0] = word;
        s.reaped[slot] = incarnation + 1;
        return "reap"; // here its record is decided and cleared
      },
      reap: () => {
        const word = s.loaded[0];
        swap(s.slot, s.victim[0], word, vacated(word)); // gives its slabs back, too
        return rest();
      },
    },
    death: (label) => {
      if (s.reaperDeaths[0] === 0 || label === "idle") return undefined;
      s.reaperDeaths[0]--;
      return rest();
    },
  };
  const rest = () => ((s.victim[0] = s.loaded[0] = 0), "idle");

  return {
    state: s,
    processes: [...seats.map((_, a) => agent(a)), reaper],
    check: () => {
      if (s.wroteAfter[0]) return "an agent wrote after it was reaped";
      let users = 0;
      for (let a = 0; a < agents; a++) if (s.inside[a] && s.cached[a]) users++;
      if (users > 1) return "two agents use one slab";
    },
  };
}

const found = (wrong) => fails(`fence, wrong: ${wrong}`, () => model({ wrong }));

holds("fence: the slot goes to a successor", () => model());
holds("fence: an agent is revoked and comes back", () => model({ operations: [2, 0, 2], deaths: 1, reaperDeaths: 0 }));
found("store, then load");
found("revoke without comparing");
found("condemn without comparing");
found("ignore a changed tenure");
found("restart the tenure");
