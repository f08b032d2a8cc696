// All operations in one row: the public ones, what is done about the ends of others, and what is below.

import { all } from "./all.mjs";
import { calls } from "./calls.mjs";
import { deaths } from "./deaths.mjs";

export const operations = [...Object.values(all).flat(), ...deaths, ...calls];
