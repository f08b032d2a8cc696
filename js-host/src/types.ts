/** The types of objects, as the object table numbers them. */
export const CELL = 1;
export const BYTES = 2;

/** What a type is called in errors. */
export function typeName(type: number): string {
  return type === CELL ? "cell" : type === BYTES ? "bytes" : `number ${type}`;
}
