// A slab's blocks, its owner, and whoever adopts it.
//
// Truth: the page word {slot, tenure} and the header words. LINKED = free and in the owner's list
// (the header holds the link), LOOSE = freed by somebody else, RAW = private to its allocator,
// LIVE = published. Hints: the head of the list, and one bit for each block freed by others.
// Anybody may free any live block, also twice at once, as recovery does.
import { own, pack, words } from './explore.mjs';
import { fails, holds } from './verdict.mjs';

const LINKED = 0, LOOSE = 1, RAW = 2, LIVE = 3;
const ALIVE = 0, DEAD = 1, RECOVERED = 2;
const header = pack({ kind: 2, link: 2, generation: 4 }); // link: index + 1, 0 ends the list
const block = pack({ set: 1, index: 2, generation: 4 });
const pageWord = pack({ slot: 2, tenure: 3 });

function model({ operations = [2, 2], blocks = 2, live = 1, deaths = 2, wrong = '' } = {}) {
  const agents = operations.length;
  const s = words({
    page: 1, head: 1, hints: 1, header: blocks, tenure: agents, old: agents, // the heap (old: in the record)
    owns: agents, mine: agents, seen: agents, left: agents, status: agents, // private
    deaths: 1, reaperDeaths: 1, victim: 1, held: 1, twice: 1,
  });
  operations.forEach((count, agent) => (s.left[agent] = count));
  s.deaths[0] = s.reaperDeaths[0] = deaths;
  s.owns[0] = 1; // page 0 is agent 0's: {0, 0}
  for (let i = 0; i < blocks; i++) {
    if (i < live) {
      s.header[i] = header.make(LIVE, 0, 0);
      s.held[0] |= 1 << i;
    } else {
      s.header[i] = header.make(LINKED, s.head[0], 0);
      s.head[0] = i + 1;
    }
  }

  const kind = (i) => header.kind(s.header[i]);
  const link = (i, more) => {
    s.header[i] = header.make(LINKED, s.head[0], header.generation(s.header[i]) + more);
    s.head[0] = i + 1;
  };
  const isLive = (word) => s.header[block.index(word)] === header.make(LIVE, 0, block.generation(word));
  const exchangeFree = (word) => {
    if (!isLive(word)) return false;
    s.header[block.index(word)] = header.make(LOOSE, 0, block.generation(word) + 1);
    s.held[0] &= ~(1 << block.index(word));
    return true;
  };

  const agent = (a) => {
    const next = () => {
      s.mine[a] = s.seen[a] = 0;
      s.left[a]--;
      return 'idle';
    };
    return {
      name: `agent ${a}`,
      start: 'idle',
      steps: {
        idle: [
          () => (s.left[a] === 0 ? 'end' : s.owns[a] ? 'pop' : 'loadPage'),
          ...Array.from({ length: blocks }, (_, i) => () => {
            if (s.left[a] === 0 || kind(i) !== LIVE) return undefined;
            s.mine[a] = block.make(1, i, header.generation(s.header[i]));
            return 'recordOld';
          }),
        ],

        // allocating, by the owner
        pop: () => {
          if (s.head[0] === 0) return 'collect';
          s.mine[a] = s.head[0];
          return wrong === 'pop after taking' ? 'take' : 'unlink';
        },
        unlink: () => {
          s.head[0] = header.link(s.header[s.mine[a] - 1]);
          return wrong === 'pop after taking' ? 'publish' : 'take';
        },
        take: () => {
          const i = s.mine[a] - 1;
          if (s.held[0] & (1 << i)) s.twice[0] = 1;
          s.held[0] |= 1 << i;
          const word = s.header[i];
          s.header[i] = header.make(RAW, wrong === 'pop after taking' ? header.link(word) : 0, header.generation(word));
          return wrong === 'pop after taking' ? 'unlink' : 'publish';
        },
        publish: () => {
          const i = s.mine[a] - 1;
          s.header[i] = header.make(LIVE, 0, header.generation(s.header[i]));
          return next();
        },
        collect: () => {
          s.seen[a] = s.hints[0]; // one exchange
          s.hints[0] = 0;
          return s.seen[a] ? 'linkLoose' : next();
        },
        linkLoose: () => {
          if (s.seen[a] === 0) return 'pop';
          const i = 31 - Math.clz32(s.seen[a]);
          s.seen[a] &= ~(1 << i);
          if (kind(i) === LOOSE || wrong === 'trust the hint') link(i, 0);
          return 'linkLoose';
        },

        // adopting a slab whose owner's tenure is over
        loadPage: () => ((s.seen[a] = s.page[0]), 'judge'),
        judge: () => (s.tenure[pageWord.slot(s.seen[a])] !== pageWord.tenure(s.seen[a]) ? 'adopt' : next()),
        adopt: () => {
          if (s.page[0] !== s.seen[a]) return next();
          s.page[0] = pageWord.make(a, s.tenure[a]);
          s.owns[a] = 1;
          s.seen[a] = 0;
          return wrong === 'allocate before rebuilding' ? 'pop' : 'forgetList';
        },
        forgetList: () => ((s.head[0] = 0), 'forgetHints'),
        forgetHints: () => ((s.hints[0] = 0), 'rebuild'),
        rebuild: () => {
          const i = s.mine[a]++; // here a cursor
          if (i === blocks) return ((s.mine[a] = 0), 'pop');
          if (kind(i) === RAW) {
            s.held[0] &= ~(1 << i); // nobody ever saw it
            link(i, 1);
          } else if (kind(i) !== LIVE) link(i, 0);
          return 'rebuild';
        },

        // freeing
        recordOld: own(() => ((s.old[a] = s.mine[a]), s.owns[a] ? 'look' : 'exchange')),
        look: () => (isLive(s.mine[a]) ? 'storeFree' : 'clear'), // the owner: a load and a plain store
        storeFree: () => {
          const i = block.index(s.mine[a]);
          s.header[i] = header.make(LINKED, s.head[0], block.generation(s.mine[a]) + 1);
          s.held[0] &= ~(1 << i);
          return 'push';
        },
        push: () => ((s.head[0] = block.index(s.mine[a]) + 1), 'clear'),
        exchange: () => (exchangeFree(s.mine[a]) ? (wrong === 'clear before the hint' ? 'clearEarly' : 'hint') : 'clear'),
        clearEarly: own(() => ((s.old[a] = 0), 'hint')),
        hint: () => ((s.hints[0] |= 1 << block.index(s.mine[a])), 'clear'),
        clear: own(() => ((s.old[a] = 0), next())),
        dead: () => {
          if (s.status[a] !== RECOVERED) return undefined;
          s.status[a] = ALIVE;
          return next();
        },
      },
      death: (label) => {
        if (s.deaths[0] === 0 || label === 'dead') return undefined;
        if (s.left[a] === 0) return undefined;
        s.deaths[0]--;
        s.status[a] = DEAD;
        s.mine[a] = s.seen[a] = 0;
        if (wrong !== 'an abort keeps its slabs') s.owns[a] = 0;
        return 'dead';
      },
    };
  };

  const reaper = {
    name: 'reaper',
    start: 'idle',
    mayRest: ['idle'],
    steps: {
      idle: operations.map((_, d) => () => {
        if (s.status[d] !== DEAD) return undefined;
        s.victim[0] = d;
        return s.old[d] === 0 ? 'endTenure' : 'exchange';
      }),
      exchange: () => {
        const won = exchangeFree(s.old[s.victim[0]]);
        return won || wrong !== 'recovery hints only what it freed' ? 'hint' : 'clear';
      },
      hint: () => ((s.hints[0] |= 1 << block.index(s.old[s.victim[0]])), 'clear'),
      clear: () => ((s.old[s.victim[0]] = 0), 'endTenure'),
      endTenure: () => {
        const d = s.victim[0];
        if (wrong !== 'an abort keeps its slabs') s.tenure[d]++;
        s.status[d] = RECOVERED;
        s.victim[0] = 0;
        return 'idle';
      },
    },
    death: (label) => {
      if (s.reaperDeaths[0] === 0 || label === 'idle') return undefined;
      s.reaperDeaths[0]--;
      s.victim[0] = 0;
      return 'idle';
    },
  };

  return {
    state: s,
    processes: [...operations.map((_, a) => agent(a)), reaper],
    check: () => (s.twice[0] ? 'a block was handed out twice' : undefined),
    final: () => {
      const listed = new Set();
      for (let i = s.head[0]; i !== 0 && !listed.has(i - 1); i = header.link(s.header[i - 1])) listed.add(i - 1);
      const owned = s.tenure[pageWord.slot(s.page[0])] === pageWord.tenure(s.page[0]);
      for (let i = 0; i < blocks; i++) {
        if ((kind(i) === LIVE) !== Boolean(s.held[0] & (1 << i)) && kind(i) !== RAW) return `block ${i}: header and holder disagree`;
        if (!owned || kind(i) === LIVE) continue; // without an owner, the next one rebuilds
        if (kind(i) === LINKED && !listed.has(i)) return `block ${i} is free and not in the list`;
        if (kind(i) === LOOSE && !(s.hints[0] & (1 << i))) return `block ${i} is free and nobody hints at it`;
        if (kind(i) === RAW) return `block ${i} stays raw`;
      }
    },
  };
}

const found = (wrong, options) => fails(`adoption, wrong: ${wrong}`, () => model({ ...options, wrong }));

holds('adoption: 2 agents, 2 operations each, 2 blocks', () => model());
holds('adoption: a late hint', () => model({ operations: [3, 2] }));
holds('adoption: 3 agents, 3 blocks', () => model({ operations: [1, 1, 2], blocks: 3, live: 2 }));
found('allocate before rebuilding');
found('trust the hint', { operations: [3, 1] });
found('clear before the hint');
found('recovery hints only what it freed');
found('an abort keeps its slabs');
