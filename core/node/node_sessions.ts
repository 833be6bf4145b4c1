/**
 * The sessions of a node: what happens below is told to extensions, attempts to connect and peers, in this order; and
 * their end, one by one or all together.
 *
 * The invariant to hold: what a peer breaks ends its session and nothing else; `closed` is told once, after the last
 * session, and the sessions that carry others over relays end last.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ProtocolError } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { Connects } from "./connects.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialId, EndpointEvent, SessionId } from "./endpoint_types.ts";
import { RecordWriter } from "./message_record.ts";
import { NameCache } from "./name_cache.ts";
import { Internals } from "./node_internals.ts";
import type {
  CircuitsExtension,
  ClosePeerOptions,
  EarlyOpened,
  EarlyOpening,
  ExtensionBuilder,
  ExtensionEvent,
  NodeConfig,
  NodeEvent,
  RelayExtension,
} from "./node_types.ts";
import type { PeerContext } from "./peer.ts";
import { Peer } from "./peer.ts";
import { ProtocolTable } from "./protocol_table.ts";
import { streamCodeOf } from "./stream_code.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Circuits have this long to bring the last words of sessions to the other end, when a node closes. */
const LAST_WORDS_MS = 2_000;

/** What the sessions are made from. */
export interface NodeSessionsOptions {
  readonly config: NodeConfig;
  readonly env: Environment;
  readonly endpoint: Endpoint;
  /** Queues an event for the application. */
  readonly emit: (event: NodeEvent) => void;
  readonly buildExtensions: ExtensionBuilder;
}

/** All sessions of a node, and who wants to hear of them. */
export class NodeSessions {
  readonly protocols: ProtocolTable = new ProtocolTable();
  readonly connects: Connects;
  readonly relayClient: RelayExtension;
  readonly circuits: CircuitsExtension;
  readonly #endpoint: Endpoint;
  readonly #emit: (event: NodeEvent) => void;
  readonly #peers = new Map<SessionId, Peer>();
  /** Deadlines of peers. */
  readonly #timers = new TimerHeap();
  readonly #context: PeerContext;
  #closing: ClosePeerOptions | undefined;
  /** The sessions that relays carried are gone: those with the relays follow. */
  #isLeavingRelays = false;
  /** When the relays are left, although circuits have not ended; `NEVER` while sessions are open. */
  #leaveRelaysAt: Instant = NEVER;
  #isClosed = false;

  constructor(options: NodeSessionsOptions, now: Instant) {
    const { config, env, endpoint, emit } = options;
    this.#endpoint = endpoint;
    this.#emit = emit;
    this.#context = {
      endpoint,
      protocols: this.protocols,
      limits: config.limits,
      writer: new RecordWriter(),
      names: new NameCache(),
      emit,
      offer: (event, at) => this.#offer(event, at),
      nameOf: (id) => this.relayClient.nameOf(id),
    };
    this.connects = new Connects({
      endpoint,
      limits: config.limits,
      circuits: () => this.circuits,
      sessionOf: (id) => this.#usableSessionOf(id),
      show: (session) => this.#peers.get(session)?.show(),
      adoptEarly: (session, dial, early) => this.#adoptEarly(session, dial, early),
      emit,
    });
    const { protocols, connects } = this;
    const internals = new Internals({ config, env, endpoint, protocols, peers: this.#peers, connects, emit });
    const extensions = options.buildExtensions(internals, now);
    this.relayClient = extensions.relayClient;
    this.circuits = extensions.circuits;
  }

  get(session: SessionId): Peer | undefined {
    return this.#peers.get(session);
  }

  /** Whether the last session is gone and nothing more will come. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  pollTimeout(): Instant {
    return Math.min(
      this.#timers.earliest,
      this.connects.pollTimeout,
      this.relayClient.pollTimeout(),
      this.circuits.pollTimeout(),
      this.#isLeavingRelays ? NEVER : this.#leaveRelaysAt,
    );
  }

  handleTimeout(now: Instant): void {
    this.relayClient.handleTimeout(now);
    this.circuits.handleTimeout(now);
    this.connects.handleTimeout(now);
    for (;;) {
      const session = this.#timers.takeDue(now);
      if (session === undefined) break;
      this.act(session, now, (peer) => peer.handleTimeout(now));
    }
    if (now >= this.#leaveRelaysAt) this.#advanceClose(now);
  }

  /** Takes what happened below until nothing more happens; whether anything did. */
  drain(now: Instant): boolean {
    let hasDrained = false;
    for (;;) {
      const event = this.#endpoint.pollEvent();
      if (event === undefined) return hasDrained;
      hasDrained = true;
      this.#onEvent(event, now);
    }
  }

  /** Lets something be done with a peer. The one boundary at which a violation ends the session of who committed it. */
  act(session: SessionId, now: Instant, act: (peer: Peer) => void): void {
    const peer = this.#peers.get(session);
    if (peer === undefined) return;
    try {
      act(peer);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // What a reader of fields calls an encoding is, up here, what the peer wrote into its streams.
      const code = error.code === "frame_encoding" ? "protocol_violation" : error.code;
      peer.closeNow({ code, reason: error.message }, now);
    }
    this.settle(peer, now);
  }

  /** Arms the timer of a peer, or forgets it. */
  settle(peer: Peer, now: Instant): void {
    const { session } = peer.facts;
    this.#timers.set(session, peer.isClosed ? NEVER : peer.deadline);
    const isGone = peer.isClosed && this.#peers.delete(session);
    if (isGone || this.#leaveRelaysAt !== NEVER) this.#advanceClose(now);
  }

  /** Ends all sessions in good order and takes no new ones; the event `closed` follows in bounded time. */
  close(code: ErrorCode, reason: string, now: Instant): void {
    if (this.#closing !== undefined) return;
    const options: ClosePeerOptions = { code, reason };
    this.#closing = options;
    this.connects.close("closed", now);
    for (const peer of [...this.#peers.values()]) {
      if (peer.isCarrier) continue;
      peer.close(options, now);
      this.settle(peer, now);
    }
    this.drain(now);
    this.#advanceClose(now);
  }

  /** Closes what carried the others once those are gone, then the node. */
  #advanceClose(now: Instant): void {
    if (this.#closing === undefined) return;
    if (!this.#isLeavingRelays) {
      if (this.#leaveRelaysAt === NEVER) {
        for (const peer of this.#peers.values()) if (!peer.isCarrier) return;
        this.#leaveRelaysAt = now + LAST_WORDS_MS;
        this.circuits.close(now);
      }
      // A relay ends the circuits of a client that leaves, with what it has not copied: the goodbyes of the sessions.
      if (this.circuits.isBusy && now < this.#leaveRelaysAt) return;
      this.#isLeavingRelays = true;
      this.relayClient.close(now);
      for (const peer of [...this.#peers.values()]) {
        peer.closeAsCarrier(this.#closing, now);
        this.settle(peer, now);
      }
      this.drain(now);
    }
    // Forgetting the last of them above may have come here before.
    if (this.#peers.size > 0 || this.#isClosed) return;
    this.#isClosed = true;
    this.#emit({ type: "closed" });
  }

  #onEvent(event: EndpointEvent, now: Instant): void {
    switch (event.type) {
      case "session":
        this.act(event.session, now, (peer) => {
          if (isForExtensions(event)) this.#offer(event, now);
          peer.handleEvent(event.event, now);
        });
        return;
      case "sessionOpened": {
        const peer = new Peer(event, this.#context);
        this.#peers.set(event.session, peer);
        if (this.#closing !== undefined) {
          peer.closeNow({ code: "going_away" }, now);
          return;
        }
        const isConsumed = this.#offer(event, now);
        // Of an own dial `connected` follows and tells whose it was; only then is it known who wants to hear of it.
        if (event.isInitiator) return;
        if (!isConsumed) peer.show();
        this.#satisfy(peer, now);
        return;
      }
      case "incoming":
        if (this.#closing === undefined) this.#emit(event);
        else this.#endpoint.refuseIncoming(event.session, "going_away", now);
        return;
      case "connected": {
        const peer = this.#peers.get(event.session);
        if (!this.#offer(event, now) && !this.connects.onConnected(event.dial, event.session, now)) peer?.show();
        const unclaimed = this.#endpoint.earlyOf(event.session);
        if (unclaimed?.takeFor(event.dial) === true) {
          this.#endpoint.reset(event.session, unclaimed.stream, streamCodeOf("aborted"), now);
          this.#endpoint.stop(event.session, unclaimed.stream, streamCodeOf("aborted"), now);
        }
        if (peer !== undefined) this.#satisfy(peer, now);
        return;
      }
      case "dialFailed":
        if (!this.#offer(event, now)) this.connects.onDialFailed(event.dial, event.code, event.detail, now);
        return;
      case "needsPath":
        this.#offer(event, now);
        return;
    }
  }

  /** Whoever else seeks this node has found it. */
  #satisfy(peer: Peer, now: Instant): void {
    const { remoteId, session } = peer.facts;
    if (remoteId !== undefined) this.connects.onSession(remoteId, session, now);
  }

  #adoptEarly(session: SessionId, dial: DialId, { open }: EarlyOpening): EarlyOpened | undefined {
    const early = this.#endpoint.earlyOf(session);
    const peer = this.#peers.get(session);
    if (peer?.isOpen !== true || early?.takeFor(dial) !== true) return undefined;
    peer.adoptStream(early.stream, open);
    return { stream: early.stream, isTaken: early.isTaken };
  }

  #usableSessionOf(id: NodeId): SessionId | undefined {
    const session = this.#endpoint.sessionOf(id);
    return session !== undefined && this.#peers.get(session)?.isOpen === true ? session : undefined;
  }

  #offer(event: ExtensionEvent, now: Instant): boolean {
    return this.relayClient.handleNodeEvent(event, now) || this.circuits.handleNodeEvent(event, now);
  }
}

/** Extensions hear of their own streams alone, by their protocol, and of no datagrams. */
function isForExtensions(event: Extract<EndpointEvent, { type: "session" }>): boolean {
  switch (event.event.type) {
    case "streamOpened":
    case "readable":
    case "writable":
    case "delivered":
    case "stopped":
    case "streamClosed":
    case "datagram":
      return false;
    default:
      return true;
  }
}
