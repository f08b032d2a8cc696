// A structure's reference to an object, which counts once, whoever takes it out and whoever dies at that.
//
// A value that is an object has a block of its own, which counts as one reference. An agent notes the block that it is
// putting in (NESTING) and the one that it is taking out (DROPPING). Whoever finds a block out of its place claims it by
// one exchange of its header; who has claimed it, alone, gives the reference back and frees the block, which may be used
// again at once, with the next generation. (As built: collections/src/nested.rs.)
//
// One place for a value; whether a change of a count has happened can always be decided (count.test.mjs). Recovery works
// in the slot of the dead, one agent at a time: so it is more steps of the same process, which may be cut short and begun
// anew. Those of two dead agents go on side by side.
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const FREE = 0,
  RAW = 1,
  LIVE = 2,
  CLAIMED = 3;
const NEST = 1,
  DROP = 2;
const X = 0,
  Y = 1;
const OBJECTS = 2;
const header = pack({ state: 2, slot: 2, generation: 3 });
const reference = pack({ set: 1, index: 3, generation: 3 });

// What an agent does, in one operation each.
const put = (object) => ({ name: "make", object });
const plain = { name: "look" };
const unwanted = (object) => ({ name: "make", object, unwanted: true });
const release = (object) => ({ name: "release", object });

/** @param operations for each agent what it does; it has a reference to what it puts or releases. X is in the place. */
function model({ operations, blocks = 4, deaths = 2, recoveryDeaths = 1, wrong = "" }) {
  const agents = operations.length;
  const s = words({
    place: 1, // the value's word: which block, or 0
    header: blocks,
    object: blocks,
    named: blocks, // PLACE: whether it says where the block goes
    counted: blocks,
    count: OBJECTS,
    ended: OBJECTS,
    lastMark: OBJECTS, // who made the count 0: index + 1
    nesting: agents, // the slots
    dropping: agents,
    change: agents,
    target: agents,
    happened: agents, // as the mark and the done word say
    holds: agents, // a bit an object
    next: agents, // private
    mine: agents,
    seen: agents,
    done: agents,
    says: agents,
    last: agents,
    recovering: agents,
    deaths: 1,
    recoveryDeaths: 1,
    broken: 1,
  });
  s.deaths[0] = deaths;
  s.recoveryDeaths[0] = recoveryDeaths;
  operations.forEach((list, agent) => {
    for (const { object } of list) if (object !== undefined) s.holds[agent] |= 1 << object;
    for (let object = 0; object < OBJECTS; object++) s.count[object] += (s.holds[agent] >> object) & 1;
  });
  s.place[0] = reference.make(1, 0, 0);
  s.header[0] = header.make(LIVE, 0, 0);
  s.object[0] = X;
  s.named[0] = s.counted[0] = 1;
  s.count[X]++;
  for (let object = 0; object < OBJECTS; object++) s.ended[object] = s.count[object] === 0 ? 1 : 0;

  const BROKEN = ["", "a block was changed that is another's", "a block was freed twice", "a count fell below 0"];
  const breaks = (rule) => (s.broken[0] ||= rule);
  const index = (block) => reference.index(block);
  const is = (block, state) => {
    const word = s.header[index(block)];
    return header.state(word) === state && header.generation(word) === reference.generation(block);
  };
  const isClaimed = (block, a) => is(block, CLAIMED) && header.slot(s.header[index(block)]) === a;
  /** Whether the agent may give the block up. */
  const isGivenUp = (block, a) => isClaimed(block, a) || (wrong === "given back without the claim" && is(block, LIVE));
  /** Whether the agent may write into the block: made and not yet in the place, or claimed. */
  const touch = (a, block) => {
    const isMade = is(block, LIVE) && s.nesting[a] === block && s.place[0] !== block;
    if (!isMade && !isGivenUp(block, a)) breaks(1);
  };
  const free = (i) => (s.header[i] = header.make(FREE, 0, header.generation(s.header[i]) + 1));

  const agent = (a) => {
    const operation = () => operations[a][s.next[a]];
    const finish = () => {
      s.next[a]++;
      s.mine[a] = s.seen[a] = s.done[a] = s.says[a] = s.last[a] = s.recovering[a] = s.target[a] = s.happened[a] = 0;
      return "begin";
    };
    const block = () => s.dropping[a];
    /** After a drop: recovery goes on with what was being put in; an agent whose exchange failed tries again. */
    const dropped = () => {
      if (s.recovering[a]) return s.nesting[a] ? "nestingLive" : finish();
      return s.done[a] || operation().unwanted ? finish() : "look";
    };
    const drop = () => (s.dropping[a] ? "droppingLive" : dropped());
    /** Gives a reference back; whether it was the last. Of an object that ended there is none: that is refused. */
    const subtract = (object) => {
      if (s.ended[object] && wrong !== "an entry that counts whatever object it is of") return 0;
      if (s.count[object] === 0) {
        breaks(3);
        return 0;
      }
      s.count[object]--;
      return s.count[object] === 0 ? 1 : 0;
    };
    const early = wrong === "the block freed before the reference is given back";

    return {
      name: `agent ${a}`,
      start: "begin",
      steps: {
        begin: own(() => (operation() ? operation().name : "end")),
        release: () => {
          s.holds[a] &= ~(1 << operation().object);
          if (subtract(operation().object)) s.ended[operation().object] = 1;
          return finish();
        },

        // making a reference
        make: () => {
          const i = s.header.findIndex((word) => header.state(word) === FREE);
          if (i < 0) return undefined;
          const generation = header.generation(s.header[i]);
          s.header[i] = header.make(RAW, a, generation);
          s.mine[a] = reference.make(1, i, generation);
          return "fill";
        },
        fill: () => {
          const i = index(s.mine[a]);
          s.object[i] = operation().object;
          s.named[i] = s.counted[i] = 0;
          return wrong === "a block published before it is noted" ? "publish" : "noteNesting";
        },
        noteNesting: own(() => {
          s.nesting[a] = s.mine[a];
          return wrong === "a block published before it is noted" ? "beginNest" : "publish";
        }),
        publish: own(() => {
          // Nobody else knows the block, nor looks who made it.
          s.header[index(s.mine[a])] = header.make(LIVE, 0, reference.generation(s.mine[a]));
          return wrong === "a block published before it is noted" ? "noteNesting" : "beginNest";
        }),
        beginNest: own(() => {
          s.mine[a] = 0;
          s.target[a] = operation().object;
          s.change[a] = NEST;
          return wrong === "a block that says it counts before it does" ? "setCounted" : "add";
        }),
        add: () => {
          s.count[s.target[a]]++;
          s.happened[a] = 1;
          return wrong === "a block that says it counts before it does" ? "endNest" : "setCounted";
        },
        setCounted: own(() => {
          touch(a, s.nesting[a]);
          s.counted[index(s.nesting[a])] = 1; // who claims it reads that, and nobody else
          return wrong === "a block that says it counts before it does" && !s.recovering[a] ? "add" : "endNest";
        }),
        endNest: own(() => {
          s.change[a] = s.happened[a] = s.target[a] = 0;
          if (s.recovering[a]) return s.dropping[a] ? "droppingLive" : "nestingLive";
          return operation().unwanted ? "nestingLive" : "look";
        }),

        // putting it, or something plain, into the place
        look: () => ((s.seen[a] = s.place[0]), "noteDropping"),
        noteDropping: own(() => {
          if (wrong !== "what is taken out noted after the exchange") s.dropping[a] = s.seen[a];
          return s.nesting[a] && wrong !== "the place named after the exchange" ? "namePlace" : "exchange";
        }),
        namePlace: () => {
          if (wrong !== "the place named after the exchange") touch(a, s.nesting[a]);
          s.named[index(s.nesting[a])] = 1;
          return wrong === "the place named after the exchange" ? "clearNesting" : "exchange";
        },
        exchange: () => {
          s.done[a] = s.place[0] === s.seen[a] ? 1 : 0;
          if (s.done[a]) s.place[0] = s.nesting[a];
          if (!s.done[a]) s.seen[a] = 0;
          if (wrong === "what is taken out noted after the exchange" && s.done[a]) return "noteLate";
          if (wrong === "the place named after the exchange" && s.done[a] && s.nesting[a]) return "namePlace";
          return s.done[a] && s.nesting[a] ? "clearNesting" : drop();
        },
        noteLate: own(() => ((s.dropping[a] = s.seen[a]), s.nesting[a] ? "clearNesting" : drop())),
        clearNesting: own(() => ((s.nesting[a] = s.seen[a] = 0), drop())),

        // giving up what is out of its place
        droppingLive: () => {
          s.seen[a] = 0;
          const looks = wrong !== "recovery that does not look at the place" || !s.recovering[a];
          return is(block(), LIVE) && looks ? "droppingSays" : "claim";
        },
        droppingSays: () => ((s.says[a] = s.named[index(block())]), "droppingThere"),
        droppingThere: () => {
          const isThere = s.says[a] && s.place[0] === block();
          s.says[a] = 0;
          return isThere ? "clearDropping" : "claim";
        },
        claim: () => {
          const isAgain = isClaimed(block(), a) && wrong !== "a claim of its own that is not known again";
          const isAny = wrong === "a claim of any generation" && header.state(s.header[index(block())]) === LIVE;
          if (!isAgain && !isAny && !is(block(), LIVE)) return "clearDropping";
          if (wrong !== "given back without the claim")
            s.header[index(block())] = header.make(CLAIMED, a, reference.generation(block()));
          return "beginDrop";
        },
        beginDrop: own(() => {
          const i = index(block());
          if (!s.counted[i]) return "free";
          s.target[a] = s.object[i];
          if (early) return "freeEarly";
          s.change[a] = DROP;
          return "subtract";
        }),
        freeEarly: () => (free(index(block())), "recordLate"),
        recordLate: own(() => ((s.change[a] = DROP), "subtract")),
        subtract: () => {
          s.last[a] = subtract(s.target[a]);
          s.happened[a] = 1;
          if (s.last[a]) s.lastMark[s.target[a]] = a + 1;
          return s.last[a] ? "endObject" : "clearCounted";
        },
        endObject: () => {
          // Its entry is the next object's at once: the last mark goes, which nobody noted.
          const marker = s.lastMark[s.target[a]];
          if (marker) s.happened[marker - 1] = 0;
          s.lastMark[s.target[a]] = 0;
          s.ended[s.target[a]] = 1;
          return "clearCounted";
        },
        clearCounted: own(() => {
          s.last[a] = 0;
          if (early) return "endDrop";
          if (wrong === "the record cleared while the block says it counts" && s.change[a]) return "endDrop";
          touch(a, block());
          s.counted[index(block())] = 0;
          return wrong === "the record cleared while the block says it counts" ? "free" : "endDrop";
        }),
        endDrop: own(() => {
          s.change[a] = s.happened[a] = s.target[a] = 0;
          if (early) return "clearDropping";
          if (wrong === "the record cleared while the block says it counts") return "clearCounted";
          return s.recovering[a] ? "droppingLive" : "free";
        }),
        free: () => {
          if (!isGivenUp(block(), a)) breaks(2);
          else free(index(block()));
          return "clearDropping";
        },
        clearDropping: own(() => ((s.dropping[a] = 0), dropped())),

        // giving up what was made and is not in the place
        nestingLive: () => (is(s.nesting[a], LIVE) ? "nestingSays" : "forgetNesting"),
        nestingSays: () => ((s.says[a] = s.named[index(s.nesting[a])]), "nestingThere"),
        nestingThere: () => {
          const looks = wrong !== "recovery that does not look at the place" || !s.recovering[a];
          const isThere = s.says[a] && s.place[0] === s.nesting[a];
          s.says[a] = 0;
          return isThere && looks ? "forgetNesting" : "moveNesting";
        },
        moveNesting: own(() => ((s.dropping[a] = s.nesting[a]), "forgetNesting")),
        forgetNesting: own(() => ((s.nesting[a] = 0), drop())),

        // recovery of this agent: what is private goes back, then the count, then what the slot names
        dead: () => {
          s.recovering[a] = 1;
          for (let i = 0; i < blocks; i++) {
            const word = s.header[i];
            if (header.state(word) === RAW && header.slot(word) === a) free(i);
          }
          if (s.change[a] === NEST) return s.happened[a] ? "setCounted" : "endNest";
          if (s.change[a] === DROP) return "settleDrop";
          if (s.dropping[a]) return "droppingLive";
          return s.nesting[a] ? "nestingLive" : finish();
        },
        settleDrop: () => {
          if (s.ended[s.target[a]]) return "clearCounted";
          return "settleMark";
        },
        settleMark: () => {
          if (!s.happened[a]) return "subtract";
          return s.count[s.target[a]] === 0 ? "endObject" : "clearCounted";
        },
      },
      death: (label) => {
        if (label === "begin" || label === "release" || label === "dead") return undefined;
        const left = s.recovering[a] ? s.recoveryDeaths : s.deaths;
        if (left[0] === 0) return undefined;
        left[0]--;
        s.mine[a] = s.seen[a] = s.done[a] = s.says[a] = s.last[a] = s.recovering[a] = 0;
        return "dead";
      },
    };
  };

  return {
    state: s,
    processes: operations.map((_, a) => agent(a)),
    check: () => {
      if (s.broken[0]) return BROKEN[s.broken[0]];
      const word = s.place[0];
      const i = index(word);
      if (word) {
        if (!is(word, LIVE)) return "the place names a block that was given up";
        if (!s.counted[i]) return "the place names a block that does not count";
        if (s.ended[s.object[i]]) return `object ${s.object[i]} ended while the place refers to it`;
      }
      for (let a = 0; a < agents; a++)
        if (s.holds[a] & (s.ended[X] | (s.ended[Y] << 1))) return `an object ended that agent ${a} has`;
    },
    final: () => {
      for (let object = 0; object < OBJECTS; object++) {
        const fromPlace = s.place[0] && s.object[index(s.place[0])] === object ? 1 : 0;
        const there = s.holds.reduce((sum, bits) => sum + ((bits >> object) & 1), fromPlace);
        if (s.count[object] !== there) return `object ${object} counts ${s.count[object]} of ${there} references`;
        if (s.ended[object] !== (there === 0 ? 1 : 0)) return `object ${object} has no reference and did not end`;
      }
      for (let i = 0; i < blocks; i++) {
        const isNamed = s.place[0] && index(s.place[0]) === i;
        if (!isNamed && header.state(s.header[i]) !== FREE) return `block ${i} is nobody's and was not freed`;
      }
    },
  };
}

const each = { operations: [[put(Y)], [put(X)]], recoveryDeaths: 2 };
const last = { operations: [[put(Y), release(Y)], [plain]], recoveryDeaths: 2 };
const whoever = { operations: [[put(X), release(X)], [plain], [plain]], recoveryDeaths: 0 };
const again = {
  operations: [
    [put(Y), put(Y)],
    [plain, put(X)],
  ],
  recoveryDeaths: 0,
};
const discarded = { operations: [[unwanted(Y), put(Y)], [plain]] };
const three = { operations: [[put(Y)], [put(X)], [plain]], blocks: 5, deaths: 1, recoveryDeaths: 0 };
const well = { deaths: 0, recoveryDeaths: 0 };
const found = (wrong, options = each) => fails(`nested, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds("nested: 2 agents put references into one place", () => model(each));
holds("nested: the last reference is taken out of the place", () => model(last));
holds("nested: whoever finds the count at 0 ends the object", () => model(whoever));
holds("nested: blocks are used again while others still know them", () => model(again));
holds("nested: a reference that was made and is not wanted", () => model(discarded));
holds("nested: 3 agents take from each other", () => model(three));
found("given back without the claim", { ...each, ...well });
found("recovery that does not look at the place");
found("the place named after the exchange");
found("the block freed before the reference is given back");
found("what is taken out noted after the exchange");
found("a block published before it is noted");
found("a block that says it counts before it does");
found("the record cleared while the block says it counts");
found("a claim of its own that is not known again");
found("an entry that counts whatever object it is of", whoever);
found("a claim of any generation", { ...again, ...well });
