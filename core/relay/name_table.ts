/**
 * The table of a relay's names, with everything that finds or counts them.
 *
 * The invariant to hold: an entry is in exactly the indexes that its state and fields say; `move` is the one way from
 * state to state, and what an entry is indexed by changes only while it is out of the table.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { shapeOf } from "./name_pattern.ts";
import type { ClientClass } from "./registry_types.ts";

/** What owners begin with whose names are brought back by a token that the configuration lists. */
export const LISTED_PREFIX = "listed:";

/** A name that is known. */
export interface NameEntry {
  readonly name: string;
  state: "held" | "leased" | "resting";
  /** When the lease or the rest ends. */
  until: Instant;
  /** The digest of the token that brings it back. */
  digest: string;
  /** Whose name it is, beyond its holder: the token or the rule that it was given for; none for anonymous clients. */
  owner: string | undefined;
  /** Whether whoever shows the owner's token has this name. */
  isBearer: boolean;
  /** The last holder. */
  id: NodeId;
  group: string;
}

/** The table. */
export class NameTable {
  readonly #entries = new Map<string, NameEntry>();
  /** Names by the digest of the token made for them, by their last holder, by their shape, and by their token. */
  readonly #byDigest = new Map<string, string>();
  readonly #byId = new Map<NodeId, string>();
  readonly #byShape = new Map<string, string>();
  readonly #byBearer = new Map<string, string>();
  /** In the order in which they end. */
  readonly #leased: Readonly<Record<ClientClass, Map<string, NameEntry>>> = { anonymous: new Map(), token: new Map() };
  readonly #resting = new Map<string, NameEntry>();
  /** Names held or leased, by address and by owner; and those resting, by address. */
  readonly #countByGroup = new Map<string, number>();
  readonly #countByOwner = new Map<string, number>();
  readonly #restingByGroup = new Map<string, Set<NameEntry>>();
  #held = 0;

  get size(): number {
    return this.#entries.size;
  }

  get held(): number {
    return this.#held;
  }

  get leased(): number {
    return this.#leased.anonymous.size + this.#leased.token.size;
  }

  get resting(): number {
    return this.#resting.size;
  }

  [Symbol.iterator](): IterableIterator<NameEntry> {
    return this.#entries.values();
  }

  find(name: string): NameEntry | undefined {
    return this.#entries.get(name);
  }

  /** The name that a token of this relay's brings back. */
  findByDigest(digest: string): NameEntry | undefined {
    return this.#find(this.#byDigest.get(digest));
  }

  /** The name that an identity had last. */
  findById(id: NodeId): NameEntry | undefined {
    return this.#find(this.#byId.get(id));
  }

  /** The one name of a token that stands for one. */
  findByBearer(owner: string): NameEntry | undefined {
    return this.#find(this.#byBearer.get(owner));
  }

  /** The name that looks like this one, if there is another one that does. */
  findLookAlike(name: string): string | undefined {
    const like = this.#byShape.get(shapeOf(name));
    return like === name ? undefined : like;
  }

  countOfGroup(group: string): number {
    return this.#countByGroup.get(group) ?? 0;
  }

  countOfOwner(owner: string): number {
    return this.#countByOwner.get(owner) ?? 0;
  }

  /** The resting names of an address, oldest first. */
  restingOf(group: string): ReadonlySet<NameEntry> | undefined {
    return this.#restingByGroup.get(group);
  }

  /** Leases that end by `now`, in order. */
  *endedLeases(now: Instant): IterableIterator<NameEntry> {
    for (const leased of [this.#leased.anonymous, this.#leased.token]) {
      for (const entry of leased.values()) {
        if (entry.until > now) break;
        yield entry;
      }
    }
  }

  /** Resting names, the one that ends first at the beginning. */
  restingNames(): IterableIterator<NameEntry> {
    return this.#resting.values();
  }

  /** When the next lease or rest ends. */
  nextEnd(): Instant {
    let at = NEVER;
    for (const entries of [this.#leased.anonymous, this.#leased.token, this.#resting]) {
      for (const entry of entries.values()) {
        at = Math.min(at, entry.until);
        break;
      }
    }
    return at;
  }

  /** The one way from state to state. */
  move(entry: NameEntry, state: NameEntry["state"], until: Instant): void {
    this.#uncount(entry);
    if (entry.state === "held") this.#held--;
    else if (entry.state === "leased") this.#leased[classOf(entry)].delete(entry.name);
    else this.#resting.delete(entry.name);
    entry.state = state;
    entry.until = until;
    if (state === "held") this.#held++;
    else if (state === "leased") this.#leased[classOf(entry)].set(entry.name, entry);
    else this.#resting.set(entry.name, entry);
    this.#count(entry);
  }

  /** Adds a held name. */
  add(entry: NameEntry): void {
    this.#held++;
    this.#insert(entry);
  }

  /** Changes what a name is found by, and holds it. */
  regrant(entry: NameEntry, facts: Pick<NameEntry, "digest" | "owner" | "isBearer" | "id" | "group">): void {
    this.move(entry, "held", NEVER);
    this.#remove(entry);
    Object.assign(entry, facts);
    this.#insert(entry);
  }

  forget(entry: NameEntry): void {
    this.move(entry, "held", NEVER);
    this.#held--;
    this.#remove(entry);
  }

  #find(name: string | undefined): NameEntry | undefined {
    return name === undefined ? undefined : this.#entries.get(name);
  }

  #insert(entry: NameEntry): void {
    const { name, owner } = entry;
    this.#entries.set(name, entry);
    // A listed token is one of the operator's and may stand for several names.
    if (owner?.startsWith(LISTED_PREFIX) !== true) this.#byDigest.set(entry.digest, name);
    if (owner !== undefined && entry.isBearer) this.#byBearer.set(owner, name);
    this.#byId.set(entry.id, name);
    this.#byShape.set(shapeOf(name), name);
    this.#count(entry);
  }

  /** `held`, always: `move` first. */
  #remove(entry: NameEntry): void {
    const { name, owner } = entry;
    this.#uncount(entry);
    this.#entries.delete(name);
    if (this.#byDigest.get(entry.digest) === name) this.#byDigest.delete(entry.digest);
    if (owner !== undefined && this.#byBearer.get(owner) === name) this.#byBearer.delete(owner);
    if (this.#byId.get(entry.id) === name) this.#byId.delete(entry.id);
    if (this.#byShape.get(shapeOf(name)) === name) this.#byShape.delete(shapeOf(name));
  }

  #count(entry: NameEntry): void {
    if (entry.state === "resting") {
      const resting = this.#restingByGroup.get(entry.group) ?? new Set();
      this.#restingByGroup.set(entry.group, resting.add(entry));
      return;
    }
    change(this.#countByGroup, entry.group, 1);
    if (entry.owner !== undefined) change(this.#countByOwner, entry.owner, 1);
  }

  #uncount(entry: NameEntry): void {
    if (entry.state === "resting") {
      const resting = this.#restingByGroup.get(entry.group);
      resting?.delete(entry);
      if (resting?.size === 0) this.#restingByGroup.delete(entry.group);
      return;
    }
    change(this.#countByGroup, entry.group, -1);
    if (entry.owner !== undefined) change(this.#countByOwner, entry.owner, -1);
  }
}

/** The class whose lease a name has. */
export function classOf(entry: { readonly owner: string | undefined }): ClientClass {
  return entry.owner === undefined ? "anonymous" : "token";
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
