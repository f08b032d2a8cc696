// Exhaustive exploration of a small concurrent protocol: every interleaving, every death.
//
// A model is a state (a few named arrays of bytes: one byte stands for one word of the heap)
// and processes. A process is a table of steps; one step is one access to shared memory:
//
//   steps: { load: () => { seen[me] = cell[0]; return 'swap'; }, … }
//
// A step changes the state and answers the label of the process's next step; `undefined` means
// that it cannot run now. An array of steps is a choice. A label without steps is an end.
// `death()` is what happens when the process dies before its next step.

const MOST_PROCESSES = 6;

/** Named byte arrays over one buffer, so that a whole state is one short string. */
export function words(fields) {
  const sizes = Object.values(fields);
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + size, MOST_PROCESSES));
  const state = { bytes }; // first where each process is, then the fields
  let offset = MOST_PROCESSES;
  for (const [name, size] of Object.entries(fields)) {
    state[name] = bytes.subarray(offset, offset + size);
    offset += size;
  }
  return state;
}

/**
 * Marks a step that touches only words which nobody else reads while its process lives. Such a
 * step commutes with every step of the others, so it need not be interleaved with them: the
 * explorer tries it and the death before it, and nothing else. It must always be able to run.
 * (COHEAP_EVERY_STEP=1 turns this off: slower, same verdict.)
 */
export function own(step) {
  return Object.assign(step, { own: !process.env.COHEAP_EVERY_STEP });
}

/** One word in a byte: `pack({kind: 2, generation: 6})` gives `make(kind, generation)`, `kind(word)` … */
export function pack(bits) {
  const names = Object.keys(bits);
  const shifts = [];
  let end = 0;
  for (const name of names) {
    shifts.push(end);
    end += bits[name];
  }
  const word = {
    make: (...values) =>
      values.reduce((sum, value, index) => {
        if (value >= 1 << bits[names[index]]) throw new RangeError(`${names[index]} = ${value}`);
        return sum | (value << shifts[index]);
      }, 0),
  };
  names.forEach((name, index) => {
    word[name] = (value) => (value >> shifts[index]) & ((1 << bits[name]) - 1);
  });
  return word;
}

/**
 * Visits every reachable state.
 * @param model.state      from `words`, in its initial value
 * @param model.processes  [{ name, start, steps, death?, mayRest? }]
 * @param model.check      called at every state: answers what is wrong, or undefined
 * @param model.final      the same, at the states where nobody can move
 * @param options.first    stop at the first violation
 * @returns {{states: number, finals: number, bad: number, trace: string[]}}
 */
export function explore({ state, processes, check = () => {}, final = () => {} }, { first = false } = {}) {
  const labels = processes.map(({ steps }) => [...Object.keys(steps), "end"]);
  const programs = processes.map(({ steps }) => [...Object.values(steps).map((step) => [step].flat()), []]);
  const { bytes } = state;
  const at = bytes.subarray(0, MOST_PROCESSES);
  processes.forEach(({ start }, index) => {
    at[index] = labels[index].indexOf(start);
  });

  const initial = bytes.latin1Slice();
  const seen = new Set([initial]);
  const open = [{ key: initial, action: "start", depth: 0 }];
  const path = [];
  const result = { states: 0, finals: 0, bad: 0, trace: [] };

  /** Takes one step from the state `key`; answers whether the process could. */
  const attempt = (key, depth, index, step, isDeath) => {
    bytes.latin1Write(key);
    const from = labels[index][at[index]];
    const next = step(from);
    if (next === undefined) return false;
    const label = labels[index].indexOf(next);
    if (label < 0) throw new Error(`${processes[index].name}: no step ${next}`);
    at[index] = label;
    const reached = bytes.latin1Slice();
    if (!seen.has(reached)) {
      seen.add(reached);
      const action = `${processes[index].name}: ${isDeath ? "DIES before " : ""}${from}`;
      open.push({ key: reached, action, depth: depth + 1 });
    }
    return true;
  };

  while (open.length > 0) {
    const { key, action, depth } = open.pop();
    path.length = depth;
    path.push(action);
    result.states++;
    bytes.latin1Write(key);

    let wrong = check();
    if (!wrong) {
      const ready = processes.map((_, index) => programs[index][at[index]]); // each one's possible steps
      const alone = ready.findIndex(([step]) => step?.own);
      let moves = 0;
      for (const index of alone >= 0 ? [alone] : ready.keys()) {
        for (const step of ready[index]) moves += attempt(key, depth, index, step);
        const { death } = processes[index];
        if (death && ready[index].length > 0) moves += attempt(key, depth, index, death, true);
      }
      if (moves === 0) {
        bytes.latin1Write(key);
        result.finals++;
        const stuck = processes.findIndex(
          ({ mayRest = [] }, index) => ready[index].length > 0 && !mayRest.includes(labels[index][at[index]]),
        );
        wrong = stuck >= 0 ? `${processes[stuck].name} is stuck at ${labels[stuck][at[stuck]]}` : final();
      }
    }
    if (wrong) {
      result.bad++;
      if (result.trace.length === 0) result.trace = [...path.slice(1), `VIOLATION ${wrong}`];
      if (first) break;
    }
  }
  return result;
}
