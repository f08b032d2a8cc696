// A count that several agents change, whose every change happens exactly once although its maker
// dies: the word {count, last slot, last sequence} names who changed it last. Who overwrites
// another's mark first notes it in that slot's done word, if that change is still in its record.
//
// The mark has few bits, so sequences wrap in it; the record and the done word hold them whole. So
// who begins a change takes the next sequence when its own mark of old stands in the word with the
// same bits; and who notes one first looks whether the record is about this word, and whether the
// mark still stands in it. (As built: collections/src/count.rs.)
// biome-ignore-all lint/complexity/noCommaOperator: a step is one line: its writes, then the next step
// biome-ignore-all lint/suspicious/noAssignInExpressions: a step is one line: its writes, then the next step
import { own, pack, words } from "./explore.mjs";
import { fails, holds } from "./verdict.mjs";

const ALIVE = 0,
  DEAD = 1,
  RECOVERED = 2;

/** @param changes for each agent the objects that it adds one to, in this order */
function model({ changes = [[0, 0], [0], [0]], objects = 1, bits = 3, deaths = 2, wrong = "" } = {}) {
  const agents = changes.length;
  const object = pack({ count: 3, slot: 2, sequence: bits }); // slot: index + 1
  const wrap = 1 << bits;
  const actors = agents + 1; // the last one is the reaper
  const s = words({
    word: objects,
    done: agents,
    record: agents, // record: the sequence in flight, or 0
    target: actors,
    next: agents,
    sequence: agents, // the last one drawn
    seen: actors,
    noted: actors,
    whole: actors,
    status: agents,
    deaths: 1,
    reaperDeaths: 1,
    victim: 1,
    found: 1,
    recorded: objects,
  });
  s.deaths[0] = s.reaperDeaths[0] = deaths;

  /** As in the heap, no mark has only zeros. */
  const after = (sequence) => ((sequence + 1) % wrap === 0 ? sequence + 2 : sequence + 1);

  const atLeast = (value, sequence) =>
    wrong === "note the mark itself" ? (value - sequence + wrap) % wrap < wrap / 2 : value >= sequence;

  /** Adds one for `maker()`, with its record's sequence as the mark; then goes to `after`. */
  const change = (actor, maker, after) => {
    const other = () => object.slot(s.seen[actor]) - 1;
    const forget = () => (s.seen[actor] = s.noted[actor] = s.whole[actor] = 0);
    return {
      load: () => {
        s.seen[actor] = s.word[s.target[actor]];
        if (wrong === "plain add") return "exchange";
        return other() < 0 || other() === maker() ? "exchange" : "loadDone";
      },
      loadDone: () => ((s.noted[actor] = s.done[other()]), "loadRecord"),
      loadRecord: () => {
        const inFlight = s.record[other()];
        if (wrong === "note the mark itself") {
          s.whole[actor] = object.sequence(s.seen[actor]);
          return "note";
        }
        // Else that change is no longer in doubt.
        if (inFlight === 0 || inFlight % wrap !== object.sequence(s.seen[actor])) return "exchange";
        s.whole[actor] = inFlight;
        if (wrong === "note after the exchange") return "exchange";
        return wrong === "note for another object" ? "lookAgain" : "loadTarget";
      },
      // Whether the target is that sequence's is seen after it: it changes only while nothing is in flight.
      loadTarget: () => {
        if (s.target[other()] === s.target[actor]) return "loadRecordAgain";
        s.whole[actor] = 0;
        return "exchange";
      },
      loadRecordAgain: () => {
        if (s.record[other()] === s.whole[actor]) return wrong === "no second look" ? "note" : "lookAgain";
        s.whole[actor] = 0;
        return "exchange";
      },
      lookAgain: () => {
        if (s.word[s.target[actor]] === s.seen[actor]) return "note";
        s.whole[actor] = 0;
        return "exchange";
      },
      note: () => {
        const maximum = atLeast(s.noted[actor], s.whole[actor]) ? s.noted[actor] : s.whole[actor];
        if (s.done[other()] !== s.noted[actor]) return "loadDone";
        s.done[other()] = maximum;
        if (wrong !== "note after the exchange") return "exchange";
        forget();
        return after;
      },
      exchange: () => {
        const at = s.target[actor];
        const count = object.count(s.word[at]) + 1;
        if (s.word[at] !== s.seen[actor]) {
          forget();
          return "load";
        }
        s.word[at] =
          wrong === "plain add" ? object.make(count, 0, 0) : object.make(count, maker() + 1, s.record[maker()] % wrap);
        if (wrong === "note after the exchange" && s.whole[actor]) return "note";
        forget();
        return after;
      },
    };
  };

  const agent = (a) => {
    const finish = () => {
      s.next[a]++;
      return "begin";
    };
    return {
      name: `agent ${a}`,
      start: "begin",
      steps: {
        begin: own(() => {
          if (s.next[a] === changes[a].length) return "end";
          s.sequence[a] = after(s.sequence[a]);
          return "draw";
        }),
        draw: () => {
          const mark = s.word[changes[a][s.next[a]]];
          const own = object.slot(mark) === a + 1 && object.sequence(mark) === s.sequence[a] % wrap;
          if (own && wrong !== "under an old mark") s.sequence[a] = after(s.sequence[a]);
          return "recordTarget";
        },
        recordTarget: () => ((s.target[a] = changes[a][s.next[a]]), "recordSequence"),
        recordSequence: () => {
          s.record[a] = s.sequence[a]; // from here on the change will happen, by this agent or by recovery
          s.recorded[s.target[a]]++;
          return "load";
        },
        ...change(a, () => a, "clear"),
        clear: () => ((s.record[a] = 0), finish()),
        dead: () => {
          if (s.status[a] !== RECOVERED) return undefined;
          s.status[a] = ALIVE;
          return finish();
        },
      },
      death: (label) => {
        if (s.deaths[0] === 0 || ["begin", "draw", "recordTarget", "recordSequence", "dead"].includes(label))
          return undefined;
        s.deaths[0]--;
        s.status[a] = DEAD;
        s.seen[a] = s.noted[a] = s.whole[a] = 0; // the target is in its record
        return "dead";
      },
    };
  };

  const reaper = {
    name: "reaper",
    start: "idle",
    mayRest: ["idle"],
    steps: {
      idle: changes.map((_, d) => () => {
        if (s.status[d] !== DEAD) return undefined;
        s.victim[0] = d;
        s.target[agents] = s.target[d];
        if (s.record[d] === 0 || wrong === "plain add") return "clear";
        return wrong === "done before the word" ? "readDone" : "readWord";
      }),
      readWord: () => {
        s.seen[agents] = s.word[s.target[agents]];
        return wrong === "done before the word" ? "decide" : "readDone";
      },
      readDone: () => {
        s.found[0] = s.done[s.victim[0]];
        return wrong === "done before the word" ? "readWord" : "decide";
      },
      decide: () => {
        const d = s.victim[0];
        const mark = s.seen[agents];
        const marked = object.slot(mark) === d + 1 && object.sequence(mark) === s.record[d] % wrap;
        const happened = marked || atLeast(s.found[0], s.record[d]);
        s.seen[agents] = s.found[0] = 0;
        return happened ? "clear" : "load";
      },
      ...change(agents, () => s.victim[0], "clear"),
      clear: () => {
        const d = s.victim[0];
        s.record[d] = 0;
        s.status[d] = RECOVERED;
        s.victim[0] = s.target[agents] = 0;
        return "idle";
      },
    },
    death: (label) => {
      if (s.reaperDeaths[0] === 0 || label === "idle") return undefined;
      s.reaperDeaths[0]--;
      s.victim[0] = s.target[agents] = s.seen[agents] = s.noted[agents] = s.whole[agents] = s.found[0] = 0;
      return "idle";
    },
  };

  return {
    state: s,
    processes: [...changes.map((_, a) => agent(a)), reaper],
    final: () => {
      for (let i = 0; i < objects; i++) {
        const count = object.count(s.word[i]);
        if (count !== s.recorded[i]) return `object ${i} counts ${count} of ${s.recorded[i]} changes`;
      }
    },
  };
}

const found = (wrong, options) => fails(`count, wrong: ${wrong}`, () => model({ ...options, wrong }));
const stale = { changes: [[0, 1, 1, 1], [0]], objects: 2, bits: 2 }; // a mark is met by its own successor, elsewhere
const again = { changes: [[0, 1, 1, 0], [0]], objects: 2, bits: 2 }; // …, in the same word
const suspended = { changes: [[0, 0, 1, 0], [0]], objects: 2, bits: 2 }; // …, after another agent saw it

holds("count: 3 agents, one object", () => model());
holds("count: sequences wrap in the mark", () => model(stale));
holds("count: sequences wrap in the mark of one word", () => model(again));
holds("count: sequences wrap while another agent is suspended", () => model(suspended));
found("plain add");
found("done before the word");
found("note after the exchange");
found("note the mark itself", stale);
found("note for another object", stale);
found("under an old mark", again);
found("no second look", suspended);
