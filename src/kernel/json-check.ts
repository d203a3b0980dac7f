/** Checked reading of parsed JSON that may come from anybody. Each names the member that is at fault. */

const TEXT_CHARS_MAX = 256;

/** The members of a JSON object. @throws RangeError */
export function object(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RangeError(`${what} is no object`);
  return value as Record<string, unknown>;
}

/** @throws RangeError unless the member is a string of at most 256 characters */
export function text(from: Readonly<Record<string, unknown>>, key: string): string {
  const value = from[key];
  if (typeof value !== 'string' || value.length > TEXT_CHARS_MAX) throw new RangeError(`${key} is no short text`);
  return value;
}

/** @throws RangeError unless the member is an integer from `min` to `max` */
export function integer(from: Readonly<Record<string, unknown>>, key: string, min: number, max: number): number {
  const value = from[key];
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    throw new RangeError(`${key} is no integer from ${min} to ${max}`);
  }
  return value as number;
}

/** @throws RangeError unless the member is true or false */
export function boolean(from: Readonly<Record<string, unknown>>, key: string): boolean {
  const value = from[key];
  if (typeof value !== 'boolean') throw new RangeError(`${key} is neither true nor false`);
  return value;
}

/** @throws RangeError unless the member is an array of at most `max` elements */
export function list(from: Readonly<Record<string, unknown>>, key: string, max: number): readonly unknown[] {
  const value = from[key];
  if (!Array.isArray(value) || value.length > max) throw new RangeError(`${key} is no list of at most ${max}`);
  return value;
}
