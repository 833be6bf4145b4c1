/**
 * A map and a set that cost next to nothing while they are empty: an engine's own take 150 bytes and more before there
 * is anything in them, and a session has a dozen that an idle one does not use.
 *
 * The invariant to hold: they behave like the engine's own, in their order as well; but who goes through one does not
 * see what is put in after it was emptied.
 *
 * @module
 */

const NOTHING: readonly never[] = [];

/** A map that is made with its first entry and given back with its last. */
export class LazyMap<Key, Value> {
  #map: Map<Key, Value> | undefined;

  get size(): number {
    return this.#map?.size ?? 0;
  }

  get(key: Key): Value | undefined {
    return this.#map?.get(key);
  }

  has(key: Key): boolean {
    return this.#map?.has(key) ?? false;
  }

  set(key: Key, value: Value): void {
    this.#map ??= new Map();
    this.#map.set(key, value);
  }

  delete(key: Key): boolean {
    const isDeleted = this.#map?.delete(key) ?? false;
    if (this.#map?.size === 0) this.#map = undefined;
    return isDeleted;
  }

  clear(): void {
    this.#map = undefined;
  }

  keys(): IterableIterator<Key> {
    return this.#map?.keys() ?? NOTHING.values();
  }

  values(): IterableIterator<Value> {
    return this.#map?.values() ?? NOTHING.values();
  }
}

/** A set that is made with its first value and given back with its last. */
export class LazySet<Value> implements Iterable<Value> {
  #set: Set<Value> | undefined;

  get size(): number {
    return this.#set?.size ?? 0;
  }

  has(value: Value): boolean {
    return this.#set?.has(value) ?? false;
  }

  add(value: Value): void {
    this.#set ??= new Set();
    this.#set.add(value);
  }

  delete(value: Value): boolean {
    const isDeleted = this.#set?.delete(value) ?? false;
    if (this.#set?.size === 0) this.#set = undefined;
    return isDeleted;
  }

  clear(): void {
    this.#set = undefined;
  }

  [Symbol.iterator](): IterableIterator<Value> {
    return this.#set?.values() ?? NOTHING.values();
  }
}
