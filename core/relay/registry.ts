/**
 * The names of a relay: who has which, for how long, and what brings one back. Implements PROTOCOL §10.4.
 *
 * A name is *held* by a client that is here, *leased* to one that is gone, *resting* when only its last holder can have
 * it again, or unknown. Its last holder is whoever shows the name's token or proves the identity that held it last.
 *
 * The invariant to hold: every table is bounded by the config; a name goes to somebody else only after its rest, or
 * when the table of resting names is full. No token is kept, only its digest.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { LOOPBACK_GROUP } from "./address_group.ts";
import { RateTable } from "./rate_table.ts";
import type { SavedName } from "./registry_snapshot.ts";
import { decodeSnapshot, encodeSnapshot } from "./registry_snapshot.ts";
import type {
  ClientClass,
  OperatorToken,
  RegistrationOutcome,
  RegistrationRequest,
  RegistryConfig,
  RegistryStats,
} from "./registry_types.ts";
import {
  canonicalName,
  makeToken,
  RANDOM_NAME_BYTES,
  randomName,
  TOKEN_RANDOM_BYTES,
  tokenDigest,
  tokenKeyOf,
  verifyToken,
} from "./relay_name.ts";

const MINUTE_MS = 60_000;
/** A lease or rest without an end is stored as this. */
const LEFT_MS_MAX = 2 ** 50;
/** Addresses that are counted at once. */
const ADDRESSES_MAX = 16_384;
/** Tries to find a random name that is free: the second one is needed about never. */
const RANDOM_NAME_TRIES = 4;

interface NameEntry {
  readonly name: string;
  state: "held" | "leased" | "resting";
  /** When the lease or the rest ends. */
  until: Instant;
  /** The digest of the token that brings it back. */
  digest: string;
  /** The operator's token it was registered with. */
  operator: OperatorToken | undefined;
  /** The last holder. */
  id: NodeId;
  group: string;
}

/** The registry of a relay's names. */
export class Registry {
  readonly #config: RegistryConfig;
  readonly #env: Environment;
  readonly #tokenKey: Bytes;
  readonly #operators: ReadonlyMap<string, OperatorToken>;
  readonly #reserved: ReadonlySet<string>;

  readonly #entries = new Map<string, NameEntry>();
  /** Names by the digest of the token made for them, and by their last holder. */
  readonly #byDigest = new Map<string, string>();
  readonly #byId = new Map<NodeId, string>();
  /** In the order in which they end. */
  readonly #leased: Readonly<Record<ClientClass, Map<string, NameEntry>>> = { anonymous: new Map(), token: new Map() };
  readonly #resting = new Map<string, NameEntry>();
  /** Names held or leased, by address and by operator's token; and those resting, by address. */
  readonly #countByGroup = new Map<string, number>();
  readonly #countByOperator = new Map<OperatorToken, number>();
  readonly #restingByGroup = new Map<string, Set<NameEntry>>();

  readonly #registrations: RateTable;
  readonly #failures: RateTable;
  #held = 0;
  #granted = 0;
  readonly #refused = new Map<ErrorCode, number>();

  /** `seed` is that of the relay's identity: tokens are bound to it. */
  constructor(config: RegistryConfig, seed: Uint8Array, env: Environment) {
    this.#config = config;
    this.#env = env;
    this.#tokenKey = tokenKeyOf(seed, env.crypto);
    this.#operators = new Map(config.tokens.map((token) => [token.digest.toLowerCase(), token]));
    const owned = config.tokens.flatMap((token) => (token.name === undefined ? [] : [token.name]));
    this.#reserved = new Set([...config.reservedNames, ...owned].map((name) => name.toLowerCase()));
    this.#registrations = new RateTable({ count: config.registrationsPerMinute, windowMs: MINUTE_MS }, ADDRESSES_MAX);
    this.#failures = new RateTable(
      { count: config.tokenFailuresPerMinute, windowMs: MINUTE_MS, blockMs: MINUTE_MS },
      ADDRESSES_MAX,
    );
  }

  /** Names that are known, whatever their state. */
  get size(): number {
    return this.#entries.size;
  }

  /** Gives a name, or says why not. */
  register(request: RegistrationRequest, now: Instant): RegistrationOutcome {
    this.handleTimeout(now);
    const isExempt = request.group === LOOPBACK_GROUP;
    if (!isExempt && !this.#registrations.allow(request.group, now)) {
      return this.#refuse("quota", this.#registrations.retryAfterMs(request.group, now));
    }
    const asked = request.name === "" ? undefined : canonicalName(request.name);
    if (asked === undefined && request.name !== "") return this.#refuse("name_invalid");
    if (request.token.length > 0) return this.#registerWithToken(request, asked, now);
    if (this.#config.admission === "token") return this.#refuse("token_refused");
    const own = this.#lastNameOf(request.id, asked);
    if (own === undefined || own.operator !== undefined) return this.#registerNew(request, asked);
    return this.#grant(own, request, undefined, now);
  }

  /** The client is gone: its name is kept for it until the lease ends. */
  leave(name: string, now: Instant): void {
    const entry = this.#entries.get(name);
    if (entry?.state !== "held") return;
    this.#move(entry, "leased", now + this.#config.leaseMs[classOf(entry)]);
  }

  /** The client gave its name back: it rests. */
  release(name: string, now: Instant): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined && entry.state !== "resting") this.#rest(entry, now);
  }

  /** Ends leases and rests that are over. */
  handleTimeout(now: Instant): void {
    for (const leased of [this.#leased.anonymous, this.#leased.token]) {
      for (const entry of leased.values()) {
        if (entry.until > now) break;
        this.#rest(entry, now);
      }
    }
    for (const entry of this.#resting.values()) {
      if (entry.until > now) break;
      this.#forget(entry);
    }
  }

  /** When the next lease or rest ends. */
  pollTimeout(): Instant {
    let at = NEVER;
    for (const entries of [this.#leased.anonymous, this.#leased.token, this.#resting]) {
      for (const entry of entries.values()) {
        at = Math.min(at, entry.until);
        break;
      }
    }
    return at;
  }

  /** Everything that must outlive the process, for a file. It holds no token and no address. */
  snapshot(now: Instant, unixMs: number): Bytes {
    const names: SavedName[] = [];
    for (const entry of this.#entries.values()) {
      const isHeld = entry.state === "held";
      names.push({
        name: entry.name,
        digest: entry.digest,
        id: entry.id,
        isResting: entry.state === "resting",
        leftMs: Math.min(LEFT_MS_MAX, Math.max(0, isHeld ? this.#config.leaseMs[classOf(entry)] : entry.until - now)),
      });
    }
    return encodeSnapshot({ savedAtUnixMs: unixMs, names }, this.#env);
  }

  /**
   * Takes back what `snapshot` gave, with the time that passed. Returns `false`, having changed nothing, when the bytes
   * are no snapshot. Names that are known already stay as they are.
   */
  restore(bytes: Uint8Array, now: Instant, unixMs: number): boolean {
    const saved = decodeSnapshot(bytes, this.#env);
    if (saved === undefined) return false;
    const passedMs = Math.max(0, unixMs - saved.savedAtUnixMs);
    const names = saved.names
      .map((saved) => this.#aged(saved, now - passedMs, now))
      .sort((left, right) => left.until - right.until || (left.name < right.name ? -1 : 1));
    for (const { name, digest, id, isResting, until } of names) {
      if (canonicalName(name) !== name || this.#entries.has(name)) continue;
      if (this.#entries.size >= this.#config.namesMax) break;
      const operator = this.#operators.get(digest);
      const entry: NameEntry = { name, state: "held", until, digest, operator, id, group: LOOPBACK_GROUP };
      this.#held++;
      this.#insert(entry);
      if (isResting) this.#move(entry, "resting", until);
      else this.#move(entry, "leased", until);
    }
    this.handleTimeout(now);
    return true;
  }

  stats(): RegistryStats {
    return {
      held: this.#held,
      leased: this.#leased.anonymous.size + this.#leased.token.size,
      resting: this.#resting.size,
      granted: this.#granted,
      refused: Object.fromEntries(this.#refused),
    };
  }

  #registerWithToken(request: RegistrationRequest, asked: string | undefined, now: Instant): RegistrationOutcome {
    const { token, group } = request;
    if (group !== LOOPBACK_GROUP && this.#failures.isExceeded(group, now)) {
      return this.#refuse("token_refused", this.#failures.retryAfterMs(group, now));
    }
    const digest = tokenDigest(token, this.#env.crypto);
    const operator = this.#operators.get(digest);
    if (operator !== undefined) return this.#registerOperator(request, operator, asked, now);

    if (this.#config.admission === "token") return this.#refuseToken(group, now);
    const owned = this.#byDigest.get(digest);
    if (owned !== undefined && (asked === undefined || asked === owned)) {
      return this.#grant(this.#entries.get(owned) as NameEntry, request, undefined, now);
    }
    // An identity that held the name proves more than a token does.
    const own = this.#lastNameOf(request.id, asked);
    if (own !== undefined && own.operator === undefined) return this.#grant(own, request, undefined, now);

    if (asked !== undefined && !this.#entries.has(asked)) {
      const isOurs = verifyToken(this.#tokenKey, asked, token, this.#env.crypto);
      if (isOurs && this.#config.isTrustingOnRestart && !this.#reserved.has(asked)) {
        return this.#create(request, asked, { digest, token: token.slice() });
      }
      if (isOurs) return this.#registerNew(request, asked);
    }
    // The token of another name: right, but not for this one.
    if (owned !== undefined) return this.#registerNew(request, asked);
    return this.#refuseToken(group, now);
  }

  #registerOperator(
    request: RegistrationRequest,
    operator: OperatorToken,
    asked: string | undefined,
    now: Instant,
  ): RegistrationOutcome {
    const name = operator.name?.toLowerCase() ?? asked;
    const known = name === undefined ? this.#lastNameOf(request.id, undefined) : this.#entries.get(name);
    if (known?.operator === operator && known.state !== "resting") {
      return this.#grant(known, request, operator, now);
    }
    // A name that is the token's by configuration is taken from whoever has it, others from nobody.
    if (name !== undefined && operator.name === undefined) {
      const isOwn = known?.operator === operator || (known?.id === request.id && known.operator === undefined);
      const isTaken = known !== undefined && !isOwn;
      if (isTaken || this.#reserved.has(name)) return this.#refuse("name_taken");
    }
    if ((this.#countByOperator.get(operator) ?? 0) >= this.#config.namesPerTokenMax) return this.#refuse("quota");
    if (known !== undefined) return this.#grant(known, request, operator, now);
    const digest = operator.digest.toLowerCase();
    return this.#create(request, name, { digest, token: request.token.slice(), operator });
  }

  #registerNew(request: RegistrationRequest, asked: string | undefined): RegistrationOutcome {
    const name = this.#config.allowChosenNames ? asked : undefined;
    if (name !== undefined && (this.#reserved.has(name) || this.#entries.has(name))) return this.#refuse("name_taken");
    return this.#create(request, name, undefined);
  }

  #create(
    request: RegistrationRequest,
    asked: string | undefined,
    given: { readonly digest: string; readonly token: Bytes; readonly operator?: OperatorToken } | undefined,
  ): RegistrationOutcome {
    const { id, group } = request;
    if (given?.operator === undefined && this.#isGroupFull(group)) return this.#refuse("quota");
    const name = asked ?? this.#freeRandomName();
    if (name === undefined || !this.#makeRoom()) return this.#refuse("relay_full");
    const token = given?.token ?? this.#makeToken(name);
    const digest = given?.digest ?? tokenDigest(token, this.#env.crypto);
    const entry: NameEntry = { name, state: "held", until: NEVER, digest, operator: given?.operator, id, group };
    this.#held++;
    this.#insert(entry);
    return this.#granting(entry, token, undefined);
  }

  /** Gives a known name to its last holder. */
  #grant(
    entry: NameEntry,
    request: RegistrationRequest,
    operator: OperatorToken | undefined,
    now: Instant,
  ): RegistrationOutcome {
    const isCounted = entry.state !== "resting" && entry.group === request.group;
    if (!isCounted && operator === undefined && this.#isGroupFull(request.group)) return this.#refuse("quota");
    const evicted = entry.state === "held" && entry.id !== request.id ? entry.id : undefined;
    const digest = request.token.length > 0 ? tokenDigest(request.token, this.#env.crypto) : "";
    const isShown = digest === entry.digest || operator !== undefined;
    const token = isShown ? request.token.slice() : this.#makeToken(entry.name);
    this.#move(entry, "held", now);
    this.#remove(entry);
    entry.digest = isShown ? digest : tokenDigest(token, this.#env.crypto);
    entry.operator = operator ?? (isShown ? entry.operator : undefined);
    entry.id = request.id;
    entry.group = request.group;
    entry.until = NEVER;
    this.#insert(entry);
    return this.#granting(entry, token, evicted);
  }

  #granting(entry: NameEntry, token: Bytes, evicted: NodeId | undefined): RegistrationOutcome {
    this.#granted++;
    const clientClass = classOf(entry);
    const leaseMs = this.#config.leaseMs[clientClass];
    return { type: "granted", name: entry.name, token, clientClass, leaseMs, evicted };
  }

  #refuse(code: ErrorCode, retryAfterMs = 0): RegistrationOutcome {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
    return { type: "refused", code, retryAfterMs };
  }

  #refuseToken(group: string, now: Instant): RegistrationOutcome {
    if (group !== LOOPBACK_GROUP) this.#failures.allow(group, now);
    return this.#refuse("token_refused");
  }

  /** The name that an identity had last, if it is the one asked for or none was. */
  #lastNameOf(id: NodeId, asked: string | undefined): NameEntry | undefined {
    if (asked !== undefined) {
      const entry = this.#entries.get(asked);
      return entry?.id === id ? entry : undefined;
    }
    const name = this.#byId.get(id);
    return name === undefined ? undefined : this.#entries.get(name);
  }

  #makeToken(name: string): Bytes {
    const random = new Uint8Array(TOKEN_RANDOM_BYTES);
    this.#env.random(random);
    return makeToken(this.#tokenKey, name, random, this.#env.crypto);
  }

  #freeRandomName(): string | undefined {
    const random = new Uint8Array(RANDOM_NAME_BYTES);
    for (let index = 0; index < RANDOM_NAME_TRIES; index++) {
      this.#env.random(random);
      const name = randomName(random);
      if (!this.#entries.has(name) && !this.#reserved.has(name)) return name;
    }
    return undefined;
  }

  #isGroupFull(group: string): boolean {
    if (group === LOOPBACK_GROUP) return false;
    return (this.#countByGroup.get(group) ?? 0) >= this.#config.namesPerAddressMax;
  }

  /** Makes room for one more name: the one that has rested longest goes. */
  #makeRoom(): boolean {
    if (this.#entries.size < this.#config.namesMax) return true;
    for (const entry of this.#resting.values()) {
      this.#forget(entry);
      return true;
    }
    return false;
  }

  /** A stored name with the instant at which it ends; a lease that is over meanwhile became a rest. */
  #aged(saved: SavedName, savedAt: Instant, now: Instant): SavedName & { readonly until: Instant } {
    const { restMs, leaseMs } = this.#config;
    const leftMsMax = saved.isResting ? restMs : leaseMs[this.#operators.has(saved.digest) ? "token" : "anonymous"];
    const until = savedAt + Math.min(saved.leftMs, leftMsMax);
    return saved.isResting || until > now ? { ...saved, until } : { ...saved, isResting: true, until: until + restMs };
  }

  #rest(entry: NameEntry, now: Instant): void {
    if (this.#config.restMs <= 0) {
      this.#forget(entry);
      return;
    }
    this.#move(entry, "resting", now + this.#config.restMs);
    // THREATS t-G7: an address keeps as many names from others as it may have, not one more for each it let go.
    const resting = this.#restingByGroup.get(entry.group);
    if (entry.group === LOOPBACK_GROUP || resting === undefined) return;
    for (const oldest of resting) {
      if (resting.size <= this.#config.namesPerAddressMax) return;
      this.#forget(oldest);
    }
  }

  #forget(entry: NameEntry): void {
    this.#move(entry, "held", NEVER);
    this.#held--;
    this.#remove(entry);
  }

  /** The one way from state to state. */
  #move(entry: NameEntry, state: NameEntry["state"], until: Instant): void {
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

  #insert(entry: NameEntry): void {
    this.#entries.set(entry.name, entry);
    if (entry.operator === undefined) this.#byDigest.set(entry.digest, entry.name);
    this.#byId.set(entry.id, entry.name);
    this.#count(entry);
  }

  /** `held`, always: `#move` first. */
  #remove(entry: NameEntry): void {
    this.#uncount(entry);
    this.#entries.delete(entry.name);
    if (this.#byDigest.get(entry.digest) === entry.name) this.#byDigest.delete(entry.digest);
    if (this.#byId.get(entry.id) === entry.name) this.#byId.delete(entry.id);
  }

  #count(entry: NameEntry): void {
    if (entry.state === "resting") {
      const resting = this.#restingByGroup.get(entry.group) ?? new Set();
      this.#restingByGroup.set(entry.group, resting.add(entry));
      return;
    }
    add(this.#countByGroup, entry.group, 1);
    if (entry.operator !== undefined) add(this.#countByOperator, entry.operator, 1);
  }

  #uncount(entry: NameEntry): void {
    if (entry.state === "resting") {
      const resting = this.#restingByGroup.get(entry.group);
      resting?.delete(entry);
      if (resting?.size === 0) this.#restingByGroup.delete(entry.group);
      return;
    }
    add(this.#countByGroup, entry.group, -1);
    if (entry.operator !== undefined) add(this.#countByOperator, entry.operator, -1);
  }
}

function classOf(entry: NameEntry): ClientClass {
  return entry.operator === undefined ? "anonymous" : "token";
}

function add<Key>(counts: Map<Key, number>, key: Key, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
