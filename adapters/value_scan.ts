/**
 * Looks over MessagePack from outside before it is decoded: decoders make room for as many elements as are declared, so
 * what is declared must fit into what is there. https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 * The invariant to hold: constant work per byte, no allocation beyond the depth allowed.
 *
 * @module
 */

/** Whether `bytes` are one whole value, no deeper than `depthMax`, whose declared sizes fit its length. */
export function isWholeValue(bytes: Uint8Array, depthMax: number): boolean {
  /** Values still missing at each level. */
  const missing: number[] = [1];
  /** Values declared and not yet seen, on all levels: each takes at least a byte. */
  let declared = 1;
  let at = 0;
  const { length } = bytes;
  const number = (offset: number, width: number): number => {
    let value = 0;
    for (let index = 0; index < width; index++) value = value * 256 + (bytes[offset + index] ?? 0);
    return value;
  };
  while (missing.length > 0) {
    const level = missing.length - 1;
    if (missing[level] === 0) {
      missing.pop();
      continue;
    }
    missing[level] = (missing[level] as number) - 1;
    declared--;
    if (at >= length) return false;
    const head = bytes[at++] as number;
    let children = 0;
    if (head <= 0x7f || head >= 0xe0) continue;
    if (head <= 0x8f) children = 2 * (head & 0x0f);
    else if (head <= 0x9f) children = head & 0x0f;
    else if (head <= 0xbf) at += head & 0x1f;
    else {
      const width = LENGTH_WIDTH[head - 0xc0] as number;
      if (at + width > length) return false;
      const size = number(at, width);
      at += width;
      if (head === 0xdc || head === 0xdd) children = size;
      else if (head === 0xde || head === 0xdf) children = 2 * size;
      else at += size + (FIXED_BYTES[head - 0xc0] as number);
    }
    declared += children;
    if (at > length || declared > length - at) return false;
    if (children > 0) {
      if (missing.length > depthMax) return false;
      missing.push(children);
    }
  }
  return at === length;
}

/** Bytes of the length field behind heads 0xc0 to 0xdf. */
const LENGTH_WIDTH: readonly number[] = [
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
];
/** Bytes of the value itself behind heads 0xc0 to 0xdf, besides those its length field declares. */
const FIXED_BYTES: readonly number[] = [
  0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0,
];
