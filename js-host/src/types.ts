/** The types of objects, as the object table numbers them. */
export const CELL = 1;
export const BYTES = 2;
export const FIELDS = 3;
export const MAP = 4;
export const LIST = 5;
export const PIPE = 6;

const NAMES: Readonly<Record<number, string>> = {
  [CELL]: "cell",
  [BYTES]: "bytes",
  [FIELDS]: "fields",
  [MAP]: "map",
  [LIST]: "list",
  [PIPE]: "pipe",
};

/** What a type is called in errors. */
export function typeName(type: number): string {
  return NAMES[type] ?? `number ${type}`;
}

/** What the value of a word's tag is called in errors. */
export function valueTypeName(tag: number): string {
  return (
    ["undefined, null or boolean", "string", "string", "object", "string", "bigint or Uint8Array"][tag] ?? "unknown"
  );
}
