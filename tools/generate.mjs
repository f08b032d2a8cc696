// Writes what Rust and TypeScript must agree on, from errors.json and layout.json.
//   node tools/generate.mjs    after a change of either; a test compares the committed files

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { giveUp, root } from "./process.mjs";

const header = "Generated from errors.json and layout.json by tools/generate.mjs; change those.";

function readTables() {
  const read = (name) => JSON.parse(readFileSync(join(root, name), "utf8"));
  return { errors: read("errors.json"), layout: read("layout.json") };
}

/** Numbers are part of the ABI, and every text must say exactly what the details give. */
export function checkTables({ errors }) {
  errors.forEach(({ code, number, text, details }, index) => {
    if (!/^COHEAP(_[A-Z]+)+$/.test(code)) throw new Error(`${code}: codes are COHEAP_ and words in capitals`);
    if (number !== index + 1) throw new Error(`${code}: the number ${number} stands in place ${index + 1}`);
    const named = [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const name of new Set([...named, ...details])) {
      if (!named.includes(name)) throw new Error(`${code}: the text leaves out {${name}}`);
      if (!details.includes(name)) throw new Error(`${code}: the text names {${name}}, which is no detail`);
    }
  });
  const codes = errors.map(({ code }) => code);
  if (new Set(codes).size !== codes.length) throw new Error("a code stands twice in errors.json");
}

const variant = (code) =>
  code
    .slice("COHEAP_".length)
    .toLowerCase()
    .replaceAll(/(?:^|_)(\w)/g, (_, letter) => letter.toUpperCase());

function rust({ errors, layout }) {
  const variants = errors.map(({ code, number, text, details }) => {
    const list = details.length === 0 ? "" : ` Details: ${details.join(", ")}.`;
    return `    /// ${text}${list}\n    ${variant(code)} = ${number},`;
  });
  const magic = Number(layout.magic).toString(16).padStart(8, "0").replace(/^..../, "0x$&_");
  return `//! The numbers that Rust and TypeScript agree on.
//!
//! ${header}

/// First word of a heap's control area.
pub const MAGIC: u32 = ${magic};
/// Version of the layout of everything in the heap: other versions are refused before a byte is changed.
pub const LAYOUT_VERSION: u32 = ${layout.layoutVersion};
/// Number of the C ABI between \`heap.wasm\` and its callers.
pub const ABI_NUMBER: u32 = ${layout.abiNumber};

/// What a failing call answers; 0 is success. The details of an error are read one by one, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
${variants.join("\n")}
}
`;
}

function rustOfJavaScript({ errors }) {
  const variants = errors.map(({ code, text }) => `    /// ${text}\n    ${variant(code)},`);
  const names = errors.map(({ code }) => `            "${code}" => Self::${variant(code)},`);
  return `//! The codes of errors.
//!
//! ${header}

/// Every code that coheap can throw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
${variants.join("\n")}
}

impl Code {
    /// The code of a name in \`errors.json\`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
${names.join("\n")}
            _ => return None,
        })
    }
}
`;
}

function typescript({ errors, layout }) {
  const entries = errors.map(({ code, number, text, details }) => {
    const list = details.map((name) => JSON.stringify(name)).join(", ");
    return `  ${code}: {
    number: ${number},
    text: ${JSON.stringify(text)},
    details: [${list}],
  },`;
  });
  return `// ${header}

/** First word of a heap's control area. */
export const MAGIC = ${layout.magic};
/** Version of the layout of everything in the heap: other versions are refused before a byte is changed. */
export const LAYOUT_VERSION = ${layout.layoutVersion};
/** Number of the C ABI between heap.wasm and its callers. */
export const ABI_NUMBER = ${layout.abiNumber};

/** Every error by its code: its number in the C ABI, what to do, and the names of its details in the ABI's order. */
export const ERRORS = {
${entries.join("\n")}
} as const;
`;
}

/** The generated files, by path. */
export function generate() {
  const tables = readTables();
  checkTables(tables);
  return new Map([
    ["allocator/src/generated.rs", rust(tables)],
    ["bindings/js/src/code.rs", rustOfJavaScript(tables)],
    ["js-host/src/generated.ts", typescript(tables)],
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    for (const [file, text] of generate()) writeFileSync(join(root, file), text);
  } catch (error) {
    giveUp(error.message);
  }
}
