// The values and structures that JavaScript sees, beside what it has of its own and beside what others share between threads.
import { contest as fields } from "../contests/fields.mjs";
import { contest as foundation } from "../contests/foundation.mjs";
import { contest as list } from "../contests/list.mjs";
import { contest as map } from "../contests/map.mjs";
import { contest as mapAgents } from "../contests/map-agents.mjs";
import { contest as mapPeers } from "../contests/map-peers.mjs";
import { contest as mapSpace } from "../contests/map-space.mjs";
import { contest as numberRead } from "../contests/number-read.mjs";
import { contest as pipe } from "../contests/pipe.mjs";
import { contest as pipeCopy } from "../contests/pipe-copy.mjs";
import { contest as pipeWake } from "../contests/pipe-wake.mjs";
import { contest as sharedStructs } from "../contests/shared-structs.mjs";
import { contest as strings } from "../contests/strings.mjs";
import { everywhere, here, inNewerNode } from "../places.mjs";

const BY_FLAG = ["--harmony-struct"];

export const contests = [
  ...[numberRead, strings, fields, map, mapPeers, mapAgents].flatMap((contest) => everywhere(contest)),
  ...everywhere(sharedStructs, BY_FLAG),
  ...everywhere(mapSpace),
  here(foundation),
  ...[list, pipe, pipeWake, pipeCopy].flatMap((contest) => [here(contest), inNewerNode(contest)]),
];
