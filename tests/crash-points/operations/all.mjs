// Every public operation, but for those that grow the memory, and what is done about the ends of others.

import { cells } from "./cells.mjs";
import { fields } from "./fields.mjs";
import { lists } from "./lists.mjs";
import { maps } from "./maps.mjs";
import { objects } from "./objects.mjs";
import { pipes } from "./pipes.mjs";

export const all = { cells, objects, fields, maps, lists, pipes };
