/**
 * A set of whole numbers kept as sorted, disjoint, half-open ranges: acknowledged and lost stream offsets, received
 * package numbers.
 *
 * The invariant to hold: ranges are ascending, never empty, never touching. Appending at the end, the usual case, is
 * O(1).
 *
 * @module
 */

/** A half-open range: `start` belongs to it, `end` does not. */
export interface Range {
  start: number;
  end: number;
}

/** A set of whole numbers as ranges. */
export class RangeSet {
  #ranges: Range[] = [];

  /** Whether nothing is in the set. */
  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** How many disjoint ranges the set has. */
  get rangeCount(): number {
    return this.#ranges.length;
  }

  /** The ranges in ascending order. A view: not to be changed. */
  get ranges(): readonly Readonly<Range>[] {
    return this.#ranges;
  }

  /** The lowest range, if any. */
  get first(): Readonly<Range> | undefined {
    return this.#ranges[0];
  }

  /** The highest range, if any. */
  get last(): Readonly<Range> | undefined {
    return this.#ranges[this.#ranges.length - 1];
  }

  /** Whether `value` is in the set. */
  has(value: number): boolean {
    const index = this.#indexOfFirstEndingAfter(value);
    const range = this.#ranges[index];
    return range !== undefined && range.start <= value;
  }

  /** Whether all of `[start, end)` is in the set. */
  covers(start: number, end: number): boolean {
    const range = this.#ranges[this.#indexOfFirstEndingAfter(start)];
    return range !== undefined && range.start <= start && range.end >= end;
  }

  /** Adds `[start, end)`. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const ranges = this.#ranges;
    const last = ranges[ranges.length - 1];
    if (last === undefined) {
      // One is all that most sets ever have: pushed, it would make room for sixteen more.
      this.#ranges = [{ start, end }];
      return;
    }
    if (start > last.end) {
      ranges.push({ start, end });
      return;
    }
    if (start >= last.start) {
      if (end > last.end) last.end = end;
      return;
    }
    let from = 0;
    while (from < ranges.length && (ranges[from] as Range).end < start) from++;
    let to = from;
    let mergedStart = start;
    let mergedEnd = end;
    while (to < ranges.length && (ranges[to] as Range).start <= mergedEnd) {
      const range = ranges[to] as Range;
      mergedStart = Math.min(mergedStart, range.start);
      mergedEnd = Math.max(mergedEnd, range.end);
      to++;
    }
    ranges.splice(from, to - from, { start: mergedStart, end: mergedEnd });
  }

  /** Removes `[start, end)`. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const ranges = this.#ranges;
    let index = this.#indexOfFirstEndingAfter(start);
    while (index < ranges.length) {
      const range = ranges[index] as Range;
      if (range.start >= end) return;
      if (range.start < start && range.end > end) {
        ranges.splice(index + 1, 0, { start: end, end: range.end });
        range.end = start;
        return;
      }
      if (range.start < start) {
        range.end = start;
        index++;
      } else if (range.end > end) {
        range.start = end;
        return;
      } else {
        ranges.splice(index, 1);
      }
    }
  }

  /** Forgets the lowest range, so that a bound on the number of ranges can be kept. */
  removeFirst(): void {
    this.#ranges.shift();
  }

  /** Empties the set. */
  clear(): void {
    this.#ranges.length = 0;
  }

  #indexOfFirstEndingAfter(value: number): number {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ranges[middle] as Range).end > value) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
