/** The types of objects, as the object table numbers them. */
export const CELL = 1;
export const BYTES = 2;
export const FIELDS = 3;

const NAMES: Readonly<Record<number, string>> = { [CELL]: "cell", [BYTES]: "bytes", [FIELDS]: "fields" };

/** What a type is called in errors. */
export function typeName(type: number): string {
  return NAMES[type] ?? `number ${type}`;
}
