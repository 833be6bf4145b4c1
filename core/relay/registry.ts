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
import type { AdmissionDecision, AdmissionRule } from "./admission_policy.ts";
import { decideAdmission } from "./admission_policy.ts";
import { fillPattern, isExactPattern, matchesPattern, shapeOf } from "./name_pattern.ts";
import type { NameRights } from "./name_rights.ts";
import { mayTakeOver, nameRightsOf } from "./name_rights.ts";
import type { NameEntry } from "./name_table.ts";
import { classOf, LISTED_PREFIX, NameTable } from "./name_table.ts";
import { RateTable } from "./rate_table.ts";
import type { SavedName } from "./registry_snapshot.ts";
import { decodeSnapshot, encodeSnapshot } from "./registry_snapshot.ts";
import type {
  OperatorToken,
  RegistrationOutcome,
  RegistrationRequest,
  RegistryConfig,
  RegistryHost,
  RegistryStats,
} from "./registry_types.ts";
import {
  canonicalName,
  isRandomName,
  makeToken,
  RANDOM_NAME_BYTES,
  randomName,
  TOKEN_RANDOM_BYTES,
  tokenDigest,
  tokenKeyOf,
  verifyToken,
} from "./relay_name.ts";
import { UseCounts } from "./use_counts.ts";

const MINUTE_MS = 60_000;
/** A lease or rest without an end is stored as this. */
const LEFT_MS_MAX = 2 ** 50;
/** Addresses that are counted at once. */
const ADDRESSES_MAX = 16_384;
/** Tries to find a random name that is free: the second one is needed about never. */
const RANDOM_NAME_TRIES = 4;
const EMPTY = new Uint8Array(0);

type Granted = Extract<AdmissionDecision, { type: "granted" }>;

/** A request whose name and secrets were looked at. */
interface Asking extends RegistrationRequest {
  /** The canonical form of the name asked for. */
  readonly asked: string | undefined;
  /** The digest of the token; empty for none. */
  readonly digest: string;
  readonly decision: Granted;
}

/** The registry of a relay's names. */
export class Registry {
  readonly #config: RegistryConfig;
  readonly #env: Environment;
  readonly #tokenKey: Bytes;
  readonly #listed: ReadonlyMap<string, OperatorToken>;
  readonly #reserved: ReadonlySet<string>;
  readonly #reservedShapes: ReadonlySet<string>;
  readonly #host: RegistryHost;
  readonly #names = new NameTable();
  readonly #uses = new UseCounts();
  readonly #registrations: RateTable;
  readonly #failures: RateTable;
  #granted = 0;
  readonly #refused = new Map<ErrorCode, number>();

  /** `seed` is that of the relay's identity: tokens are bound to it. Without a host the config decides who comes in. */
  constructor(config: RegistryConfig, seed: Uint8Array, env: Environment, host: RegistryHost = hostOfConfig(config)) {
    this.#config = config;
    this.#env = env;
    this.#host = host;
    this.#tokenKey = tokenKeyOf(seed, env.crypto);
    this.#listed = new Map(config.tokens.map((token) => [token.digest.toLowerCase(), token]));
    const owned = config.tokens.flatMap((token) => (token.name === undefined ? [] : [token.name]));
    this.#reserved = new Set([...config.reservedNames, ...owned].map((name) => name.toLowerCase()));
    this.#reservedShapes = new Set([...this.#reserved].map(shapeOf));
    this.#registrations = new RateTable({ count: config.registrationsPerMinute, windowMs: MINUTE_MS }, ADDRESSES_MAX);
    this.#failures = new RateTable(
      { count: config.tokenFailuresPerMinute, windowMs: MINUTE_MS, blockMs: MINUTE_MS },
      ADDRESSES_MAX,
    );
  }

  /** Names that are known, whatever their state. */
  get size(): number {
    return this.#names.size;
  }

  /** Gives a name, or says why not. */
  register(request: RegistrationRequest, now: Instant): RegistrationOutcome {
    this.handleTimeout(now);
    const { id, token, admission = EMPTY, group } = request;
    const isExempt = group === LOOPBACK_GROUP;
    if (!isExempt && !this.#registrations.allow(group, now)) {
      return this.#refuse("quota", this.#registrations.retryAfterMs(group, now));
    }
    const asked = request.name === "" ? undefined : canonicalName(request.name);
    if (asked === undefined && request.name !== "") return this.#refuse("name_invalid");
    const hasSecret = token.length > 0 || admission.length > 0;
    // THREATS t-F7: before a signature is checked, which costs more than a comparison.
    if (hasSecret && !isExempt && this.#failures.isExceeded(group, now)) {
      return this.#refuse("token_refused", this.#failures.retryAfterMs(group, now));
    }
    const digest = token.length === 0 ? "" : tokenDigest(token, this.#env.crypto);
    const listed = this.#listed.get(digest);
    const decision = this.#host.admit({ id, group, admission, isListed: listed !== undefined }, now);
    if (decision.type === "refused") {
      const isFailure = decision.code === "token_refused" && hasSecret;
      return isFailure ? this.#refuseToken(group, now) : this.#refuse(decision.code);
    }
    const asking: Asking = { ...request, asked, digest, decision };
    const rights = nameRightsOf(decision, { id, listed, namesPerTokenMax: this.#config.namesPerTokenMax });
    return rights === undefined ? this.#registerAnonymous(asking, now) : this.#registerOwner(asking, rights, now);
  }

  /** The client is gone: its name is kept for it until the lease ends. */
  leave(name: string, now: Instant): void {
    const entry = this.#names.find(name);
    if (entry?.state !== "held") return;
    this.#names.move(entry, "leased", now + this.#config.leaseMs[classOf(entry)]);
  }

  /** The client gave its name back: it rests. */
  release(name: string, now: Instant): void {
    const entry = this.#names.find(name);
    if (entry !== undefined && entry.state !== "resting") this.#rest(entry, now);
  }

  /** Ends leases and rests that are over. */
  handleTimeout(now: Instant): void {
    for (const entry of this.#names.endedLeases(now)) this.#rest(entry, now);
    for (const entry of this.#names.restingNames()) {
      if (entry.until > now) break;
      this.#names.forget(entry);
    }
  }

  /** When the next lease or rest ends. */
  pollTimeout(): Instant {
    return this.#names.nextEnd();
  }

  /** Everything that must outlive the process, for a file. It holds no token and no address. */
  snapshot(now: Instant, unixMs: number): Bytes {
    const names: SavedName[] = [];
    for (const entry of this.#names) {
      const isHeld = entry.state === "held";
      names.push({
        name: entry.name,
        digest: entry.digest,
        id: entry.id,
        isResting: entry.state === "resting",
        leftMs: Math.min(LEFT_MS_MAX, Math.max(0, isHeld ? this.#config.leaseMs[classOf(entry)] : entry.until - now)),
        owner: entry.owner ?? "",
        isBearer: entry.isBearer,
      });
    }
    const uses = [...this.#uses].filter((count) => count.untilUnixMs > unixMs);
    const { revocations } = this.#host;
    revocations?.expire(unixMs);
    const revoked = [...(revocations ?? [])].map(([id, untilUnixMs]) => ({ id, untilUnixMs }));
    const issuedBeforeUnixMs = revocations?.issuedBeforeUnixMs ?? 0;
    return encodeSnapshot({ savedAtUnixMs: unixMs, names, uses, revoked, issuedBeforeUnixMs }, this.#env);
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
    for (const { name, digest, id, isResting, isBearer, until, owner } of names) {
      if (canonicalName(name) !== name || this.#names.find(name) !== undefined) continue;
      if (this.#names.size >= this.#config.namesMax) break;
      const entry: NameEntry = { name, state: "held", until, digest, owner, isBearer, id, group: LOOPBACK_GROUP };
      this.#names.add(entry);
      this.#names.move(entry, isResting ? "resting" : "leased", until);
    }
    for (const count of saved.uses) this.#uses.restore(count, unixMs);
    const { revocations } = this.#host;
    for (const { id, untilUnixMs } of saved.revoked) revocations?.revoke(id, { untilUnixMs, unixMs });
    revocations?.revokeIssuedBefore(saved.issuedBeforeUnixMs);
    this.handleTimeout(now);
    return true;
  }

  stats(): RegistryStats {
    return {
      held: this.#names.held,
      leased: this.#names.leased,
      resting: this.#names.resting,
      granted: this.#granted,
      refused: Object.fromEntries(this.#refused),
    };
  }

  /** For a client that showed nothing but, perhaps, the token of its name. */
  #registerAnonymous(asking: Asking, now: Instant): RegistrationOutcome {
    const { id, asked, digest, token, group } = asking;
    const own = this.#lastNameOf(id, asked);
    if (digest === "") {
      if (own === undefined || own.owner !== undefined) return this.#registerNew(asking);
      return this.#grant(own, asking, undefined);
    }
    const owned = this.#names.findByDigest(digest);
    if (owned !== undefined && owned.owner === undefined && (asked === undefined || asked === owned.name)) {
      return this.#grant(owned, asking, undefined);
    }
    // An identity that held the name proves more than a token does.
    if (own !== undefined && own.owner === undefined) return this.#grant(own, asking, undefined);

    const isOurs = this.#isOursAndUnknown(asking);
    if (isOurs && this.#mayTrust(asked as string)) {
      return this.#create(asking, asked as string, { digest, token: token.slice() });
    }
    // The token of another name: right, but not for this one.
    if (isOurs || owned !== undefined) return this.#registerNew(asking);
    return this.#refuseToken(group, now);
  }

  /** For a client with a token of the operator's, or one that is let in by its id. PROTOCOL §10.10. */
  #registerOwner(asking: Asking, rights: NameRights, now: Instant): RegistrationOutcome {
    const { asked, digest, token, id } = asking;
    const own = this.#returning(asking, rights);
    if (own !== undefined) {
      const isNew = own.owner !== rights.owner;
      if ((isNew || own.state === "resting") && !this.#hasRoom(rights)) return this.#refuse("quota");
      if (isNew && !this.#canSpend(rights, now)) return this.#refuse("quota");
      return this.#grant(own, asking, rights);
    }
    const { names } = rights;
    const isExact = names !== undefined && isExactPattern(names);
    const isProved = !isExact && this.#isOursAndUnknown(asking) && this.#mayTrust(asked as string);
    const isAllowed = isProved || (asked !== undefined && names !== undefined && matchesPattern(names, asked));
    const name = isExact ? names : isAllowed ? asked : undefined;
    const known = name === undefined ? undefined : this.#names.find(name);
    if (name !== undefined && !isExact) {
      const isOwn = known?.id === id && known.owner === undefined;
      if ((known !== undefined && !isOwn) || !this.#isFree(name)) return this.#refuse("name_taken");
    }
    // A name that is the token's by its own word is taken from whoever has it, unless another operator gave it away.
    if (known !== undefined && !mayTakeOver(rights, known.owner)) return this.#refuse("name_taken");
    if (!this.#hasRoom(rights) || !this.#canSpend(rights, now)) return this.#refuse("quota");
    if (known !== undefined) return this.#grant(known, asking, rights);
    const given = rights.isListed || isProved ? { digest, token: token.slice() } : undefined;
    return this.#create(asking, name, given, rights);
  }

  /** The name that a token's holder comes back to. */
  #returning(asking: Asking, rights: NameRights): NameEntry | undefined {
    const { asked, digest, id } = asking;
    const mayHave = (entry: NameEntry | undefined): entry is NameEntry => {
      if (entry === undefined || !mayTakeOver(rights, entry.owner)) return false;
      if (entry.owner === rights.owner) return true;
      return rights.names === undefined ? isRandomName(entry.name) : matchesPattern(rights.names, entry.name);
    };
    if (rights.isListed) {
      const name = rights.names !== undefined && isExactPattern(rights.names) ? rights.names : asked;
      const known = name === undefined ? this.#names.findById(id) : this.#names.find(name);
      return known?.owner === rights.owner ? known : undefined;
    }
    const shown = digest === "" ? undefined : this.#names.findByDigest(digest);
    if (mayHave(shown) && (asked === undefined || asked === shown.name)) return shown;
    const own = this.#lastNameOf(id, asked);
    if (own?.owner !== undefined && mayHave(own)) return own;
    return rights.isBearer ? this.#names.findByBearer(rights.owner) : undefined;
  }

  #hasRoom(rights: NameRights): boolean {
    return this.#names.countOfOwner(rights.owner) < rights.namesMax;
  }

  #canSpend(rights: NameRights, now: Instant): boolean {
    return rights.uses === undefined || this.#uses.canSpend(rights.owner, rights.uses, this.#host.unixMsOf(now));
  }

  #registerNew(asking: Asking): RegistrationOutcome {
    const { asked, decision } = asking;
    const isAllowed = asked !== undefined && decision.names !== undefined && matchesPattern(decision.names, asked);
    if (!isAllowed) return this.#create(asking, undefined, undefined);
    if (this.#names.find(asked) !== undefined || !this.#isFree(asked)) return this.#refuse("name_taken");
    return this.#create(asking, asked, undefined);
  }

  #create(
    asking: Asking,
    wanted: string | undefined,
    given: { readonly digest: string; readonly token: Bytes } | undefined,
    rights?: NameRights,
  ): RegistrationOutcome {
    const { id, group } = asking;
    if (rights === undefined && this.#isGroupFull(group)) return this.#refuse("quota");
    const name = wanted ?? this.#freeRandomName(rights === undefined ? asking.decision.names : rights.names);
    if (name === undefined || !this.#makeRoom()) return this.#refuse("relay_full");
    const token = given?.token ?? this.#makeToken(name);
    const digest = given?.digest ?? tokenDigest(token, this.#env.crypto);
    const { owner, isBearer = false } = rights ?? {};
    const entry: NameEntry = { name, state: "held", until: NEVER, digest, owner, isBearer, id, group };
    this.#names.add(entry);
    if (rights?.uses !== undefined) this.#uses.spend(rights.owner, rights.usesUntilUnixMs);
    return this.#granting(entry, token, undefined, asking.decision);
  }

  /** Gives a known name to its last holder, or to whoever it belongs to now. */
  #grant(entry: NameEntry, asking: Asking, rights: NameRights | undefined): RegistrationOutcome {
    const { id, digest, group } = asking;
    const isCounted = entry.state !== "resting" && entry.group === group;
    if (!isCounted && rights === undefined && this.#isGroupFull(group)) return this.#refuse("quota");
    const evicted = entry.state === "held" && entry.id !== id ? entry.id : undefined;
    const isShown = digest === entry.digest || rights?.isListed === true;
    const token = isShown ? asking.token.slice() : this.#makeToken(entry.name);
    const isNew = rights !== undefined && rights.owner !== entry.owner;
    if (isNew && rights.uses !== undefined) this.#uses.spend(rights.owner, rights.usesUntilUnixMs);
    this.#names.regrant(entry, {
      digest: isShown ? digest : tokenDigest(token, this.#env.crypto),
      owner: rights?.owner,
      isBearer: rights?.isBearer ?? false,
      id,
      group,
    });
    return this.#granting(entry, token, evicted, asking.decision);
  }

  #granting(entry: NameEntry, token: Bytes, evicted: NodeId | undefined, decision: Granted): RegistrationOutcome {
    this.#granted++;
    const { clientClass } = decision;
    const leaseMs = this.#config.leaseMs[clientClass];
    const { name, owner } = entry;
    return { type: "granted", name, token, clientClass, leaseMs, evicted, owner, admission: decision };
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
    if (asked === undefined) return this.#names.findById(id);
    const entry = this.#names.find(asked);
    return entry?.id === id ? entry : undefined;
  }

  /** Whether the token is one that this relay made for the name asked for, which it does not know any more. */
  #isOursAndUnknown({ asked, token }: Asking): boolean {
    if (asked === undefined || this.#names.find(asked) !== undefined) return false;
    return verifyToken(this.#tokenKey, asked, token, this.#env.crypto);
  }

  #mayTrust(name: string): boolean {
    return this.#config.isTrustingOnRestart && !this.#reserved.has(name);
  }

  /** Whether a name may be chosen as far as reserved names and those that look like it go. THREATS t-G7. */
  #isFree(name: string): boolean {
    return !this.#reservedShapes.has(shapeOf(name)) && this.#names.findLookAlike(name) === undefined;
  }

  #makeToken(name: string): Bytes {
    const random = new Uint8Array(TOKEN_RANDOM_BYTES);
    this.#env.random(random);
    return makeToken(this.#tokenKey, name, random, this.#env.crypto);
  }

  /** A random name of a pattern, or any where that leaves no room for 64 random bits. */
  #freeRandomName(pattern: string | undefined): string | undefined {
    const random = new Uint8Array(RANDOM_NAME_BYTES);
    for (let index = 0; index < RANDOM_NAME_TRIES; index++) {
      this.#env.random(random);
      const text = randomName(random);
      const name = (pattern === undefined ? undefined : fillPattern(pattern, text)) ?? text;
      if (this.#names.find(name) === undefined && this.#isFree(name)) return name;
    }
    return undefined;
  }

  #isGroupFull(group: string): boolean {
    return group !== LOOPBACK_GROUP && this.#names.countOfGroup(group) >= this.#config.namesPerAddressMax;
  }

  /** Makes room for one more name: the one that has rested longest goes. */
  #makeRoom(): boolean {
    if (this.#names.size < this.#config.namesMax) return true;
    for (const entry of this.#names.restingNames()) {
      this.#names.forget(entry);
      return true;
    }
    return false;
  }

  /** A stored name with the instant at which it ends; a lease that is over meanwhile became a rest. */
  #aged(
    saved: SavedName,
    savedAt: Instant,
    now: Instant,
  ): Omit<SavedName, "owner"> & Pick<NameEntry, "until" | "owner"> {
    const { restMs, leaseMs } = this.#config;
    const listed = this.#listed.has(saved.digest) ? `${LISTED_PREFIX}${saved.digest}` : undefined;
    // A token that is not listed any more is nobody's.
    const owner = saved.owner === "" || saved.owner.startsWith(LISTED_PREFIX) ? listed : saved.owner;
    const leftMsMax = saved.isResting ? restMs : leaseMs[classOf({ owner })];
    const until = savedAt + Math.min(saved.leftMs, leftMsMax);
    const isOver = !saved.isResting && until <= now;
    return isOver ? { ...saved, owner, isResting: true, until: until + restMs } : { ...saved, owner, until };
  }

  #rest(entry: NameEntry, now: Instant): void {
    if (this.#config.restMs <= 0) {
      this.#names.forget(entry);
      return;
    }
    this.#names.move(entry, "resting", now + this.#config.restMs);
    // THREATS t-G7: an address keeps as many names from others as it may have, not one more for each it let go.
    const resting = this.#names.restingOf(entry.group);
    if (entry.group === LOOPBACK_GROUP || resting === undefined) return;
    for (const oldest of resting) {
      if (resting.size <= this.#config.namesPerAddressMax) return;
      this.#names.forget(oldest);
    }
  }
}

/** The host of a registry whose config says it all. */
function hostOfConfig(config: RegistryConfig): RegistryHost {
  const rules = rulesOfConfig(config);
  return {
    unixMsOf: (now) => now,
    // Without a key no token of an operator means anything: it is passed over.
    admit: ({ id, group, isListed }) =>
      decideAdmission(rules, { id, group, standing: { type: isListed ? "listed" : "none" } }),
  };
}

/** What `admission` and `allowChosenNames` of a config are short for. */
export function rulesOfConfig(config: RegistryConfig): AdmissionRule[] {
  const token: AdmissionRule = { type: "token", keys: new Set() };
  if (config.admission === "token") return [token];
  return [token, { type: "anonymous", ...(config.allowChosenNames ? { names: "*" } : {}) }];
}
