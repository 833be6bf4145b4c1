/**
 * The clients of a relay: sessions that registered, under which name, and whether others see them. PROTOCOL §10.3.
 *
 * The invariant to hold: a name and an identity each belong to at most one client; who takes one over is the client
 * from then on, and the one before is told.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import { decodeNodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { SessionId } from "../node/endpoint_types.ts";
import type { RegisterRecord, RelayRecord } from "../node/relay_codec.ts";
import { encodeControlRecord, RELAY_REMOTE_BYTES_MAX } from "../node/relay_codec.ts";
import { TimerHeap } from "../node/timer_heap.ts";
import { utf8Bytes } from "../wire/utf8.ts";
import type { Admission } from "./admission.ts";
import type { Circuit } from "./circuit.ts";
import type { ClientPass } from "./client_pass.ts";
import { passOf, Rates } from "./client_pass.ts";
import type { ControlStream } from "./control_stream.ts";
import { PresenceBoard } from "./presence_board.ts";
import { RateTable } from "./rate_table.ts";
import { Registry } from "./registry.ts";
import type { ClientClass, RegistrationOutcome } from "./registry_types.ts";
import { TAKEOVER_BLOCK_MS } from "./relay_defaults.ts";
import type { ClassLimits, ClientFacts, RelayConfig, RelayServerEvent } from "./relay_types.ts";
import { TokenBucket } from "./token_bucket.ts";

const MINUTE_MS = 60_000;
/** Identities whose takeovers are counted at once. */
const TAKEOVERS_MAX = 16_384;
/** Refusals are told to the operator this often in a second: whoever is refused may come again as often as it likes. */
const REFUSALS_PER_SECOND = 10;
/** Circuits that a client may open at once after a silence, in seconds of the rate. */
const OPENS_BURST_SECONDS = 4;

/** A session with the relay, whether it registered or not. */
export interface RelayPeer {
  readonly session: SessionId;
  /** `undefined` for a node that showed no key. */
  readonly id: NodeId | undefined;
  isSuspended: boolean;
  control: ControlStream | undefined;
  client: RelayClient | undefined;
  /** Streams of circuits. */
  readonly ends: Map<StreamId, Circuit>;
  /** Circuits refused because they came too fast. */
  floods: number;
}

/** A registered session. */
export interface RelayClient {
  readonly peer: RelayPeer;
  readonly id: NodeId;
  readonly key: Uint8Array;
  name: string;
  about: string;
  clientClass: ClientClass;
  /** What it was let in with. */
  pass: ClientPass;
  limits: ClassLimits;
  /** Where it is, for people, and what counts as its address. */
  remote: string;
  group: string;
  joinedAtUnixMs: number;
  /** What it may send through circuits, and how often it may open one, or fail to. */
  quota: TokenBucket;
  readonly opens: TokenBucket;
  readonly failures: TokenBucket;
  /** Circuits that it opened, and those opened to it. */
  readonly opened: Set<Circuit>;
  readonly incoming: Set<Circuit>;
  bytesForwarded: number;
  /** When it is shown as left, its connection being gone; `NEVER` while it is there or shown as left already. */
  hideAt: Instant;
  isVisible: boolean;
  /** When it was last told that it sends faster than it may. */
  noticedAt: Instant;
}

/** What the table needs around it. */
export interface ClientsHost {
  readonly config: RelayConfig;
  readonly env: Environment;
  /** The seed of the relay's identity. */
  readonly seed: Uint8Array;
  /** Who is let in. */
  readonly admission: Admission;
  readonly unixMsOf: (now: Instant) => number;
  /** Where a session comes from: for people, and what counts as its address. */
  readonly whereIs: (session: SessionId) => { readonly remote: string; readonly group: string };
  readonly emit: (event: RelayServerEvent) => void;
  /** Ends the circuits of a client. */
  readonly closeCircuits: (client: RelayClient, code: ErrorCode, now: Instant) => void;
  /** Ends a session. */
  readonly closeSession: (session: SessionId, code: ErrorCode, reason: string, now: Instant) => void;
}

/** All clients. */
export class Clients {
  readonly registry: Registry;
  readonly board: PresenceBoard;
  readonly #host: ClientsHost;
  readonly #byId = new Map<NodeId, RelayClient>();
  readonly #byName = new Map<string, RelayClient>();
  readonly #takeovers: RateTable;
  readonly #rates = new Rates();
  /** Those whose token expires, by session. */
  readonly #expiring = new Map<SessionId, RelayClient>();
  readonly #expiries = new TimerHeap();
  /** Clients whose connection is gone and who are still shown. */
  readonly #hiding = new Set<RelayClient>();
  #hasRegistryChanged = false;
  readonly #refusals: TokenBucket;
  #untold = 0;

  constructor(host: ClientsHost, now: Instant) {
    this.#host = host;
    const { admission, unixMsOf } = host;
    this.registry = new Registry(host.config.registry, host.seed, host.env, {
      admit: (request, now) => admission.decide(request, unixMsOf(now)),
      unixMsOf,
      revocations: admission.revocations,
    });
    this.board = new PresenceBoard(host.config);
    this.#refusals = new TokenBucket({ perSecond: REFUSALS_PER_SECOND, burst: REFUSALS_PER_SECOND }, now);
    const count = host.config.takeoversPerMinute;
    this.#takeovers = new RateTable({ count, windowMs: MINUTE_MS, blockMs: TAKEOVER_BLOCK_MS }, TAKEOVERS_MAX);
  }

  get size(): number {
    return this.#byId.size;
  }

  [Symbol.iterator](): IterableIterator<RelayClient> {
    return this.#byId.values();
  }

  /** A client that can be reached now, by id or by name. */
  find(target: { readonly id: NodeId } | { readonly name: string }): RelayClient | undefined {
    const client = "id" in target ? this.#byId.get(target.id) : this.#byName.get(target.name);
    return client === undefined || client.peer.isSuspended ? undefined : client;
  }

  /** Whether names or leases changed since the last call. */
  takeRegistryChange(): boolean {
    const hasChanged = this.#hasRegistryChanged;
    this.#hasRegistryChanged = false;
    return hasChanged;
  }

  get hasRegistryChange(): boolean {
    return this.#hasRegistryChanged;
  }

  /** Registers a session, or tells it why not. */
  register(peer: RelayPeer, record: RegisterRecord, isDraining: boolean, now: Instant): void {
    const refusal = this.#refusalOf(peer, isDraining, now);
    if (refusal !== undefined) {
      this.tell(
        peer,
        { type: "refused", wireCode: ERRORS[refusal.code].wire, retryAfterMs: refusal.retryAfterMs },
        now,
      );
      return;
    }
    const id = peer.id as NodeId;
    const { remote, group } = this.#host.whereIs(peer.session);
    // The same identity on a session that has not ended yet: the newest wins. THREATS t-F4.
    const older = this.#byId.get(id);
    if (older !== undefined && older.peer !== peer) this.unregister(older.peer, "replaced", now);
    const { name, token, admission } = record;
    const shown = admission === undefined ? {} : { admission };
    const outcome = this.registry.register({ id, name, token, group, ...shown }, now);
    if (outcome.type === "refused") {
      const { code, retryAfterMs } = outcome;
      this.tell(peer, { type: "refused", wireCode: ERRORS[code].wire, retryAfterMs }, now);
      this.#noteRefusal(id, remote, code, now);
      // The client takes itself for refused: what it had by an earlier record would be nobody's.
      this.unregister(peer, code, now);
      return;
    }
    this.#hasRegistryChanged = true;
    if (outcome.evicted !== undefined) this.#evict(outcome.name, now);
    this.#settle(peer, { id, about: record.about, remote, group }, outcome, now);
  }

  /** The client gives its name back. */
  release(peer: RelayPeer, now: Instant): void {
    const { client } = peer;
    if (client === undefined) return;
    const { name } = client;
    this.unregister(peer, "closed", now);
    this.registry.release(name, now);
    this.#hasRegistryChanged = true;
  }

  /** The session is no client any more; its name is kept for it. */
  unregister(peer: RelayPeer, code: ErrorCode, now: Instant): void {
    const { client } = peer;
    if (client === undefined) return;
    this.#host.closeCircuits(client, code, now);
    peer.client = undefined;
    this.#hiding.delete(client);
    this.#rates.release(client.pass);
    this.#expire(client, NEVER);
    if (this.#byId.get(client.id) === client) {
      this.#byId.delete(client.id);
      this.board.hide(client.id, now);
    }
    if (this.#byName.get(client.name) === client) {
      this.#byName.delete(client.name);
      this.registry.leave(client.name, now);
      this.#hasRegistryChanged = true;
    }
    this.#host.emit({ type: "clientLeft", client: factsOf(client), code, bytesForwarded: client.bytesForwarded });
  }

  /** Ends the registrations of those whose token was taken back; how many there were. */
  dropRevoked(now: Instant): number {
    const { revocations } = this.#host.admission;
    const revoked = [...this.#byId.values()].filter(
      ({ pass }) => pass.token !== undefined && revocations.reasonFor(pass.token) !== undefined,
    );
    for (const { peer } of revoked) this.#endAdmission(peer, "token_revoked", now);
    this.#hasRegistryChanged = true;
    return revoked.length;
  }

  /** The session ended. */
  onSessionClosed(peer: RelayPeer, code: ErrorCode, now: Instant): void {
    if (peer.control !== undefined) this.board.unwatch(peer.control);
    // Two connections that are both alive fight for an identity; one that comes back after its own died does not.
    const isTakeover = (code === "session_lost" || code === "replaced") && !peer.isSuspended;
    if (isTakeover && peer.client !== undefined) this.#takeovers.allow(peer.client.id, now);
    this.unregister(peer, code, now);
  }

  /** The session has no connection at present. */
  onSuspended(peer: RelayPeer, now: Instant): void {
    peer.isSuspended = true;
    const { client } = peer;
    if (client === undefined || !client.isVisible) return;
    client.hideAt = now + this.#host.config.presenceGraceMs;
    this.#hiding.add(client);
  }

  /** The session is back. */
  onResumed(peer: RelayPeer, now: Instant): void {
    peer.isSuspended = false;
    const { client } = peer;
    if (client === undefined) return;
    client.remote = this.#host.whereIs(peer.session).remote;
    client.hideAt = NEVER;
    this.#hiding.delete(client);
    if (!client.isVisible) this.#show(client, now);
  }

  /** Sends a record; a client that does not read is given up. */
  tell(peer: RelayPeer, record: RelayRecord, now: Instant): void {
    if (peer.control === undefined || peer.control.send(encodeControlRecord(record), now)) return;
    this.#host.closeSession(peer.session, "limit", "The control stream is not read", now);
  }

  handleTimeout(now: Instant): void {
    this.registry.handleTimeout(now);
    for (const client of this.#hiding) {
      if (now < client.hideAt) continue;
      this.#hiding.delete(client);
      client.hideAt = NEVER;
      client.isVisible = false;
      this.board.hide(client.id, now);
    }
    this.board.handleTimeout(now);
    for (;;) {
      const session = this.#expiries.takeDue(now);
      if (session === undefined) break;
      const client = this.#expiring.get(session);
      if (client !== undefined) this.#endAdmission(client.peer, "token_expired", now);
    }
  }

  pollTimeout(): Instant {
    let at = Math.min(this.registry.pollTimeout(), this.board.pollTimeout(), this.#expiries.earliest);
    for (const client of this.#hiding) {
      at = Math.min(at, client.hideAt);
      break; // All wait equally long: the first is the earliest.
    }
    return at;
  }

  #refusalOf(
    peer: RelayPeer,
    isDraining: boolean,
    now: Instant,
  ): { readonly code: ErrorCode; readonly retryAfterMs: number } | undefined {
    if (isDraining) return { code: "going_away", retryAfterMs: 0 };
    if (peer.id === undefined) return { code: "refused", retryAfterMs: 0 };
    if (this.#takeovers.isExceeded(peer.id, now)) {
      return { code: "replaced", retryAfterMs: this.#takeovers.retryAfterMs(peer.id, now) };
    }
    const isFull = peer.client === undefined && this.#byId.size >= this.#host.config.clientsMax;
    return isFull ? { code: "relay_full", retryAfterMs: 0 } : undefined;
  }

  #noteRefusal(id: NodeId, remote: string, code: ErrorCode, now: Instant): void {
    if (!this.#refusals.tryTakeOne(now)) {
      this.#untold++;
      return;
    }
    const untold = this.#untold;
    this.#untold = 0;
    this.#host.emit({ type: "clientRefused", id, remote: withoutPort(remote), code, untold });
  }

  /** What let a client in is of no use any more. */
  #endAdmission(peer: RelayPeer, code: "token_expired" | "token_revoked", now: Instant): void {
    this.unregister(peer, code, now);
    this.tell(peer, { type: "refused", wireCode: ERRORS[code].wire, retryAfterMs: 0 }, now);
  }

  #expire(client: RelayClient, at: Instant): void {
    const { session } = client.peer;
    this.#expiries.set(session, at);
    if (at === NEVER) this.#expiring.delete(session);
    else this.#expiring.set(session, client);
  }

  /** Somebody showed the token of a name that another client holds. */
  #evict(name: string, now: Instant): void {
    const client = this.#byName.get(name);
    if (client === undefined) return;
    this.#byName.delete(name);
    const { peer } = client;
    this.unregister(peer, "replaced", now);
    this.tell(peer, { type: "refused", wireCode: ERRORS.replaced.wire, retryAfterMs: 0 }, now);
  }

  #settle(
    peer: RelayPeer,
    facts: { readonly id: NodeId; readonly about: string; readonly remote: string; readonly group: string },
    granted: Extract<RegistrationOutcome, { type: "granted" }>,
    now: Instant,
  ): void {
    const { name, token, clientClass, leaseMs, owner, admission } = granted;
    const limits = { ...this.#host.config.classes[clientClass], ...admission.limits };
    const pass = passOf(admission, owner, now, this.#host.unixMsOf(now));
    const client = peer.client ?? this.#newClient(peer, facts, { clientClass, limits, pass }, now);
    if (client.name !== "" && client.name !== name) {
      this.#byName.delete(client.name);
      this.registry.release(client.name, now);
    }
    const isNew = peer.client === undefined;
    // A new registration of the same session does not fill its quota again.
    if (!isNew && !hasSameRate(client, { limits, pass })) {
      this.#rates.release(client.pass);
      client.quota = this.#rates.take(pass, limits, now);
    }
    Object.assign(client, {
      name,
      about: facts.about,
      clientClass,
      limits,
      pass,
      remote: facts.remote,
      group: facts.group,
    });
    this.#expire(client, pass.expiresAt);
    peer.client = client;
    this.#byId.set(client.id, client);
    this.#byName.set(name, client);
    this.#show(client, now);
    if (isNew) this.#host.emit({ type: "clientJoined", client: factsOf(client) });
    this.tell(
      peer,
      {
        type: "registered",
        name,
        token,
        leaseMs: Math.min(leaseMs, Number.MAX_SAFE_INTEGER),
        observedRemote: utf8Bytes(facts.remote) > RELAY_REMOTE_BYTES_MAX ? "" : facts.remote,
        bytesPerSecond: limits.bytesPerSecond,
        circuitsMax: limits.circuitsMax,
      },
      now,
    );
  }

  #newClient(
    peer: RelayPeer,
    facts: { readonly id: NodeId; readonly about: string; readonly remote: string; readonly group: string },
    admitted: Pick<RelayClient, "clientClass" | "limits" | "pass">,
    now: Instant,
  ): RelayClient {
    const { config, env } = this.#host;
    const { circuitOpensPerSecond: opens, circuitFailuresPerSecond: failures } = config;
    const { clientClass, limits, pass } = admitted;
    return {
      peer,
      id: facts.id,
      key: decodeNodeId(facts.id, env.crypto) as Uint8Array,
      name: "",
      about: facts.about,
      clientClass,
      pass,
      limits,
      remote: facts.remote,
      group: facts.group,
      joinedAtUnixMs: this.#host.unixMsOf(now),
      quota: this.#rates.take(pass, limits, now),
      opens: new TokenBucket(
        { perSecond: opens, burst: Math.max(opens * OPENS_BURST_SECONDS, limits.circuitsMax) },
        now,
      ),
      failures: new TokenBucket({ perSecond: failures, burst: failures * OPENS_BURST_SECONDS }, now),
      opened: new Set(),
      incoming: new Set(),
      bytesForwarded: 0,
      hideAt: NEVER,
      isVisible: false,
      noticedAt: Number.NEGATIVE_INFINITY,
    };
  }

  #show(client: RelayClient, now: Instant): void {
    client.isVisible = true;
    const { key, name, about, joinedAtUnixMs } = client;
    this.board.show(client.id, { key, name, about, joinedAtUnixMs }, now);
  }
}

/** A client as it is shown to the operator. */
export function factsOf(client: RelayClient): ClientFacts {
  const { id, name, about, remote, clientClass, joinedAtUnixMs, pass } = client;
  return {
    id,
    name,
    about,
    remote: withoutPort(remote),
    clientClass,
    nodeType: pass.nodeType,
    namespace: pass.namespace,
    tokenId: pass.token?.id,
    joinedAtUnixMs,
  };
}

function withoutPort(remote: string): string {
  return remote.replace(/:\d+(?=\/|$)/, "");
}

function hasSameRate(client: RelayClient, next: Pick<RelayClient, "limits" | "pass">): boolean {
  const { limits, pass } = client;
  if (pass.rateOwner !== next.pass.rateOwner) return false;
  return limits.bytesPerSecond === next.limits.bytesPerSecond && limits.burstBytes === next.limits.burstBytes;
}
