// What others have to do with for an agent to come there, or what it has not learned yet: by the calls below the public operations.

import { HUGE } from "../heap-under-test.mjs";

const nothing = () => undefined;

export const calls = [
  {
    what: "cell.get of a text in pieces that others overtake",
    keeps: true,
    open: (heap) => heap.cell(undefined, HUGE).handle,
    step: ({ index, generation }, _, { calls }) => calls.coheap_cell_snapshot(index, generation),
  },
  {
    what: "heap.audit that has to wait",
    keeps: true,
    open: nothing,
    step: (_, __, { calls }) => [calls.coheap_audit_begin(), calls.coheap_audit_poll(), calls.coheap_audit_end()],
  },
  { what: "text of an atom", keeps: true, open: nothing, step: (_, __, { calls }) => calls.coheap_atom_text(1) },
];
