/**
 * Comparison of secrets and of what proves them.
 *
 * @module
 */

/** Whether two byte strings are equal, taking the same time wherever they differ. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index++) difference |= (left[index] as number) ^ (right[index] as number);
  return difference === 0;
}

/** Whether all bytes are zero, taking the same time wherever one is not. */
export function isAllZero(bytes: Uint8Array): boolean {
  let any = 0;
  for (const byte of bytes) any |= byte;
  return any === 0;
}

/** Joins byte strings. */
export function concatBytes(...parts: readonly Uint8Array[]): ReturnType<Uint8Array["slice"]> {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
