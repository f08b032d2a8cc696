// What a heap holds once nothing is left to be done in it.

/**
 * What is live when what has ended is taken apart, and every atom is there that can be: `atoms` are the only texts here that become atoms, which
 * stay as long as the heap.
 */
export async function settledFigures(heap, atoms) {
  const cell = heap.cell();
  // One in four that come is looked at, and is an atom when it is looked at again.
  for (let i = 0; i < 12; i++) for (const text of atoms) cell.set(text);
  cell.dispose();
  for (let i = 0; i < 3_000; i++) heap.cell().dispose();
  const { liveBytes, agents, quarantined } = await heap.audit({ timeout: 30_000 });
  return { liveBytes, agents, quarantined };
}
