// The structures that JavaScript sees, beside what it has of its own.
import { contest as fields } from "../contests/fields.mjs";
import { contest as map } from "../contests/map.mjs";
import { contest as strings } from "../contests/strings.mjs";
import { everywhere } from "../places.mjs";

export const contests = [strings, fields, map].flatMap(everywhere);
