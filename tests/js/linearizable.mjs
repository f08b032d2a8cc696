// Whether some order of recorded operations explains every answer: Wing and Gong's search, which remembers where it has been.

/**
 * `histories` has for each agent its operations in order: `{ begun, ended }` by one clock, and what `apply` reads. `apply(state, operation)`
 * answers the state after it, or undefined if its answer does not fit. States are strings.
 */
export function isLinearizable(histories, before, apply) {
  const seen = new Set();
  const open = [{ done: histories.map(() => 0), state: before }];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const next = histories.map((history, agent) => history[at.done[agent]]);
    if (next.every((operation) => operation === undefined)) return true;
    // What began after another one had ended comes after it.
    const limit = Math.min(...next.map((operation) => operation?.ended ?? Infinity));
    for (const [agent, operation] of next.entries()) {
      if (operation === undefined || operation.begun > limit) continue;
      const state = apply(at.state, operation);
      if (state === undefined) continue;
      const done = at.done.with(agent, at.done[agent] + 1);
      const known = `${done} ${state}`;
      if (seen.has(known)) continue;
      seen.add(known);
      open.push({ done, state });
    }
  }
  return false;
}

/** Whether somebody began or ended an operation within another one's: one after the other they are in order by themselves. */
export function operationsOverlap(histories) {
  return histories.some((history) => history.some(({ begun, ended }) => ended > begun + 1));
}
