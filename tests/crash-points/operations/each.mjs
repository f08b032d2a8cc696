// All operations in one row: the public ones and what is done about the ends of others.

import { all } from "./all.mjs";
import { deaths } from "./deaths.mjs";

export const operations = [...Object.values(all).flat(), ...deaths];
