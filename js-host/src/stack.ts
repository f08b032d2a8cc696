/** Room on the stack, asked for before something begins that must not be cut short. */

/** At least 60 KiB: V8 compiles nothing with less than 40 left, and what comes may run for the first time. */
const FRAMES = 1000;

/** Throws the engine's RangeError here, where nothing has happened yet, if the stack is about to end. */
export function needStack(frames: number = FRAMES): number {
  return frames === 0 ? 0 : needStack(frames - 1) + 1;
}
