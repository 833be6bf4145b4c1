/**
 * A node: sessions with other nodes, and on them streams by protocol, messages, requests, and ways over relays.
 * PROTOCOL §7, §8 and §10.
 *
 * The four kinds of method: `handle…` takes what happened outside, commands are verbs, `poll…` gives outputs, nouns are
 * reads. After any of the first two: drain `pollTransmit`, then `pollEvent`, then read `pollTimeout`.
 *
 * The invariant to hold: what a peer breaks ends its session and nothing else; between a stream's lead and its end its
 * bytes pass through here without being looked at.
 *
 * @module
 */

import { EventQueue } from "../connection/event_queue.ts";
import type { Session } from "../connection/session.ts";
import type { ReadResult, StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ProtocolError } from "../error.ts";
import type { Environment, Instant, Machine } from "../machine.ts";
import { Connects } from "./connects.ts";
import { Endpoint } from "./endpoint.ts";
import type {
  DialId,
  EndpointEvent,
  EndpointInput,
  EndpointOutput,
  PipeId,
  SessionId,
} from "./endpoint_types.ts";
import { RecordWriter } from "./message_record.ts";
import { NameCache } from "./name_cache.ts";
import type {
  CircuitsExtension,
  ClosePeerOptions,
  ConnectCommandOptions,
  ConnectTarget,
  ExtensionEvent,
  NodeConfig,
  NodeEvent,
  NodeInternals,
  NodeStats,
  OpenStreamOptions,
  PresenceNode,
  RelayExtension,
  RelayId,
  RelayTarget,
  RequestId,
  ServeOptions,
} from "./node_types.ts";
import { Internals } from "./node_internals.ts";
import type { PeerContext } from "./peer.ts";
import { Peer } from "./peer.ts";
import { ProtocolTable } from "./protocol_table.ts";
import { TimerHeap } from "./timer_heap.ts";

/** A header and an answer to one must fit into an empty send buffer. */
const SEND_BUFFER_BYTES_MIN = 4096;

/** Builds what hangs on a node: relay client and circuits. */
export type ExtensionBuilder = (internals: NodeInternals, now: Instant) => {
  readonly relayClient: RelayExtension;
  readonly circuits: CircuitsExtension;
};

/** A node. */
export class NodeMachine implements Machine<EndpointInput, EndpointOutput, NodeEvent> {
  readonly #config: NodeConfig;
  readonly #endpoint: Endpoint;
  readonly #protocols = new ProtocolTable();
  readonly #connects: Connects;
  readonly #events = new EventQueue<NodeEvent>();
  readonly #peers = new Map<SessionId, Peer>();
  /** Deadlines of peers. */
  readonly #timers = new TimerHeap();
  readonly #peerContext: PeerContext;
  readonly #relayClient: RelayExtension | undefined;
  readonly #circuits: CircuitsExtension | undefined;
  #now: Instant;
  #closing: ClosePeerOptions | undefined;
  #isClosed = false;

  /**
   * Builds a node; without extensions it knows no relays.
   *
   * @throws {RangeError} If a limit of the configuration is out of range.
   */
  constructor(config: NodeConfig, env: Environment, now: Instant, buildExtensions?: ExtensionBuilder) {
    if (config.endpoint.session.sendBufferBytes < SEND_BUFFER_BYTES_MIN) {
      throw new RangeError(`Cannot create node as "sendBufferBytes" must be at least ${SEND_BUFFER_BYTES_MIN}`);
    }
    this.#config = config;
    this.#now = now;
    this.#endpoint = new Endpoint(config.endpoint, env, now);
    this.#peerContext = {
      endpoint: this.#endpoint,
      protocols: this.#protocols,
      limits: config.limits,
      writer: new RecordWriter(),
      names: new NameCache(),
      emit: (event) => this.#events.push(event),
      offer: (event, at) => this.#offer(event, at),
      nameOf: (id) => this.#relayClient?.nameOf(id),
    };
    this.#connects = new Connects({
      endpoint: this.#endpoint,
      limits: config.limits,
      circuits: () => this.#circuits,
      sessionOf: (id) => this.#usableSessionOf(id),
      show: (session) => this.#peers.get(session)?.show(),
      emit: (event) => this.#events.push(event),
    });
    const internals = new Internals({
      config,
      env,
      endpoint: this.#endpoint,
      protocols: this.#protocols,
      peers: this.#peers,
      connects: this.#connects,
      emit: (event) => this.#events.push(event),
    });
    const extensions = buildExtensions?.(internals, now);
    this.#relayClient = extensions?.relayClient;
    this.#circuits = extensions?.circuits;
  }

  // What happened outside.

  handleInput(input: EndpointInput, now: Instant): void {
    if (this.#isClosed) return;
    this.#now = now;
    this.#endpoint.handleInput(input, now);
    this.#drain(now);
  }

  handleTimeout(now: Instant): void {
    if (this.#isClosed) return;
    this.#now = now;
    this.#endpoint.handleTimeout(now);
    this.#relayClient?.handleTimeout(now);
    this.#circuits?.handleTimeout(now);
    this.#connects.handleTimeout(now);
    for (;;) {
      const session = this.#timers.takeDue(now);
      if (session === undefined) break;
      const peer = this.#peers.get(session);
      if (peer === undefined) continue;
      peer.handleTimeout(now);
      this.#settle(peer);
    }
    this.#drain(now);
  }

  // Commands: reaching nodes.

  /** Numbers a pipe that was accepted. */
  allocatePipe(): PipeId {
    return this.#endpoint.allocatePipe();
  }

  /** Connects to a node; `connected` or `connectFailed` follows. A session that is there is used. */
  connect(target: ConnectTarget, options: ConnectCommandOptions, now: Instant): DialId {
    const dial = this.#connects.connect(target, options, now);
    this.#drain(now);
    return dial;
  }

  /** Gives an attempt up; nothing follows. */
  cancelConnect(dial: DialId, now: Instant): void {
    this.#connects.cancel(dial, now);
    this.#drain(now);
  }

  /**
   * Stays registered with a relay from now on.
   *
   * @throws {Error} If the node was built without relays.
   */
  addRelay(relay: RelayTarget, now: Instant): RelayId {
    if (this.#relayClient === undefined) throw new Error("Cannot add relay as this node has no relay client");
    const id = this.#relayClient.addRelay(relay, now);
    this.#drain(now);
    return id;
  }

  /** Tells who is at the relays, and from now on who joins and leaves. */
  watchPresence(now: Instant): void {
    this.#relayClient?.watchPresence(now);
    this.#drain(now);
  }

  unwatchPresence(now: Instant): void {
    this.#relayClient?.unwatchPresence(now);
    this.#drain(now);
  }

  presences(): Iterable<PresenceNode> {
    return this.#relayClient?.presences() ?? [];
  }

  /** Refuses a node from now on and ends its session. */
  ban(id: NodeId, now: Instant): void {
    this.#endpoint.ban(id, now);
    this.#drain(now);
  }

  unban(id: NodeId): void {
    this.#endpoint.unban(id);
  }

  // Commands: streams.

  /**
   * Serves a protocol to all peers. The empty name stands for raw streams.
   *
   * @throws {TypeError | RangeError} If the name, a version or the limit is not valid.
   */
  serve(name: string, versions: readonly number[], options: ServeOptions): void {
    this.#protocols.serve(name, versions, options);
  }

  /** Stops serving a protocol; its streams go on. */
  unserve(name: string): void {
    this.#protocols.unserve(name);
  }

  /**
   * Opens a stream, which can be written to at once; `undefined` when the peer allows no more now (`streamsAvailable`
   * follows) or the session is ending. On a bidirectional one `streamAccepted` or `streamRefused` follows.
   *
   * @throws {TypeError | RangeError} If the protocol or the metadata is not valid.
   */
  openStream(session: SessionId, options: OpenStreamOptions, now: Instant): StreamId | undefined {
    return this.#peers.get(session)?.openStream(options, false, now);
  }

  /** Copies a prefix of `bytes` and returns its length; less than given means `writable` follows. */
  write(session: SessionId, stream: StreamId, bytes: Uint8Array, now: Instant): number {
    return this.#endpoint.write(session, stream, bytes, now);
  }

  /** Bytes that `write` takes now. */
  writeRoom(session: SessionId, stream: StreamId): number {
    return this.#endpoint.writeRoom(session, stream);
  }

  /** Asks for `writable` when there is room again. */
  awaitRoom(session: SessionId, stream: StreamId): void {
    this.#endpoint.awaitRoom(session, stream);
  }

  /** What arrived next on a stream; the caller owns the bytes. Reading grants the peer new credit. */
  read(session: SessionId, stream: StreamId): ReadResult {
    const peer = this.#peers.get(session);
    if (peer === undefined) return undefined;
    const result = peer.read(stream);
    if (peer.isClosed) this.#forget(peer);
    return result;
  }

  finish(session: SessionId, stream: StreamId, now: Instant): void {
    this.#endpoint.finish(session, stream, now);
  }

  /** Gives the sending half up. The number is the application's, below 2^32, or one of `stream_code.ts`. */
  reset(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#endpoint.reset(session, stream, applicationCode, now);
    this.#drain(now);
  }

  /** Reads no more and tells the peer. */
  stop(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    const peer = this.#peers.get(session);
    if (peer === undefined) return;
    peer.stop(stream, applicationCode, now);
    if (peer.isClosed) this.#forget(peer);
    this.#drain(now);
  }

  setPriority(session: SessionId, stream: StreamId, priority: number): void {
    this.#endpoint.setPriority(session, stream, priority);
  }

  // Commands: messages and requests.

  /**
   * Takes a message in full, or returns `false` and takes nothing: `messagesWritable` follows, or the session's end.
   *
   * @throws {RangeError} If the value is empty or too large, or the topic too long.
   */
  sendMessage(session: SessionId, topic: string, bytes: Uint8Array, now: Instant): boolean {
    const peer = this.#peers.get(session);
    return peer?.isOpen === true && peer.channel.sendMessage(topic, bytes, now);
  }

  /** The application took messages with so many bytes together: their sender may go on. */
  releaseMessage(session: SessionId, byteCount: number, now: Instant): void {
    this.#withChannel(session, now, (peer) => peer.channel.releaseMessage(byteCount, now));
  }

  /**
   * Takes a request in full, or returns `undefined` and takes nothing: `messagesWritable` follows, or the session's end.
   * `response` or `requestFailed` follows a request that was taken and not cancelled.
   *
   * @throws {RangeError} If the value is too large or the name too long.
   */
  sendRequest(session: SessionId, name: string, bytes: Uint8Array, now: Instant): RequestId | undefined {
    const peer = this.#peers.get(session);
    return peer?.isOpen === true ? peer.channel.sendRequest(name, bytes, now) : undefined;
  }

  /** Waits for an answer no longer. */
  cancelRequest(session: SessionId, request: RequestId, now: Instant): void {
    this.#withChannel(session, now, (peer) => peer.channel.cancelRequest(request, now));
  }

  /** Answers a request. A value that is too large, or for which there is no room, becomes an error of the peer's. */
  respond(session: SessionId, request: RequestId, bytes: Uint8Array, now: Instant): void {
    this.#withChannel(session, now, (peer) => peer.channel.respond(request, bytes, now));
  }

  respondError(session: SessionId, request: RequestId, code: ErrorCode, detail: string, now: Instant): void {
    this.#withChannel(session, now, (peer) => peer.channel.respondError(request, code, detail, now));
  }

  sendDatagram(session: SessionId, bytes: Uint8Array, now: Instant): boolean {
    return this.#endpoint.sendDatagram(session, bytes, now);
  }

  /** Measures the round trip; `pong` with the returned token follows. */
  ping(session: SessionId, now: Instant): number {
    return this.#endpoint.ping(session, now);
  }

  /** Whether the session is kept alive although nothing uses it. */
  setKeepAlive(session: SessionId, isKeepingAlive: boolean, now: Instant): void {
    this.#endpoint.setKeepAlive(session, isKeepingAlive, now);
  }

  // Commands: the end.

  /** Ends a session once the peer has the messages that were taken; `peerClosed` follows in bounded time. */
  closePeer(session: SessionId, options: ClosePeerOptions, now: Instant): void {
    const peer = this.#peers.get(session);
    if (peer === undefined) return;
    peer.close(options, now);
    this.#settle(peer);
    this.#drain(now);
  }

  /** Ends all sessions likewise and takes no new ones; `closed` follows in bounded time and is the last event. */
  close(code: ErrorCode, reason: string, now: Instant): void {
    if (this.#closing !== undefined) return;
    this.#closing = { code, reason };
    this.#connects.close("closed", now);
    this.#relayClient?.close(now);
    this.#circuits?.close(now);
    for (const peer of [...this.#peers.values()]) {
      peer.close(this.#closing, now);
      this.#settle(peer);
    }
    this.#drain(now);
    this.#endWhenEmpty();
  }

  // Outputs.

  pollTransmit(now: Instant): EndpointOutput | undefined {
    this.#now = now;
    do {
      for (;;) {
        const output = this.#endpoint.pollTransmit(now);
        if (output === undefined) break;
        if (this.#circuits === undefined || !this.#circuits.isCircuitPipe(output.pipe)) return output;
        this.#circuits.handleOutput(output, now);
      }
    } while (this.#drain(now));
    return undefined;
  }

  pollEvent(): NodeEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return event;
    // A command or a read may have moved something below.
    if (!this.#isClosed) this.#drain(this.#now);
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    if (this.#isClosed) return Number.POSITIVE_INFINITY;
    const at = Math.min(this.#endpoint.pollTimeout(), this.#timers.earliest, this.#connects.pollTimeout);
    return this.#relayClient === undefined || this.#circuits === undefined
      ? at
      : Math.min(at, this.#relayClient.pollTimeout(), this.#circuits.pollTimeout());
  }

  // Reads.

  session(id: SessionId): Session | undefined {
    return this.#endpoint.session(id);
  }

  sessionOf(id: NodeId): SessionId | undefined {
    return this.#endpoint.sessionOf(id);
  }

  /** The name that relays know the peer by. */
  peerName(session: SessionId): string | undefined {
    const id = this.#peers.get(session)?.facts.remoteId;
    return id === undefined ? undefined : this.#relayClient?.nameOf(id);
  }

  stats(): NodeStats {
    return { ...this.#endpoint.stats(), connects: this.#connects.size };
  }

  // Events of the endpoint.

  /** Takes what happened below until nothing more happens; whether anything did. */
  #drain(now: Instant): boolean {
    let hasDrained = false;
    for (;;) {
      const event = this.#endpoint.pollEvent();
      if (event === undefined) return hasDrained;
      hasDrained = true;
      this.#onEvent(event, now);
    }
  }

  #onEvent(event: EndpointEvent, now: Instant): void {
    switch (event.type) {
      case "session":
        this.#onSessionEvent(event, now);
        return;
      case "sessionOpened": {
        const peer = new Peer(event, this.#peerContext);
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
      case "connected": {
        const peer = this.#peers.get(event.session);
        if (!this.#offer(event, now) && !this.#connects.onConnected(event.dial, event.session, now)) peer?.show();
        if (peer !== undefined) this.#satisfy(peer, now);
        return;
      }
      case "dialFailed":
        if (!this.#offer(event, now)) this.#connects.onDialFailed(event.dial, event.code, event.detail, now);
        return;
      case "needsPath":
        this.#offer(event, now);
        return;
    }
  }

  /** Whoever else seeks this node has found it. */
  #satisfy(peer: Peer, now: Instant): void {
    const { remoteId, session } = peer.facts;
    if (remoteId !== undefined) this.#connects.onSession(remoteId, session, now);
  }

  #onSessionEvent(event: Extract<EndpointEvent, { type: "session" }>, now: Instant): void {
    const peer = this.#peers.get(event.session);
    if (peer === undefined) return;
    switch (event.event.type) {
      case "streamOpened":
      case "readable":
      case "writable":
      case "delivered":
      case "stopped":
      case "streamClosed":
      case "datagram":
        break; // Extensions hear of their own streams alone, by their protocol.
      default:
        this.#offer(event, now);
    }
    this.#guard(peer, now, () => peer.handleEvent(event.event, now));
  }

  /** The one boundary at which a violation of these layers ends the session of who committed it. */
  #guard(peer: Peer, now: Instant, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // What a reader of fields calls an encoding is, up here, what the peer wrote into its streams.
      const code = error.code === "frame_encoding" ? "protocol_violation" : error.code;
      peer.closeNow({ code, reason: error.message }, now);
    }
    this.#settle(peer);
  }

  #withChannel(session: SessionId, now: Instant, act: (peer: Peer) => void): void {
    const peer = this.#peers.get(session);
    if (peer !== undefined) this.#guard(peer, now, () => act(peer));
  }

  /** Arms the timer of a peer, or forgets it. */
  #settle(peer: Peer): void {
    if (peer.isClosed) this.#forget(peer);
    else this.#timers.set(peer.facts.session, peer.deadline);
  }

  #forget(peer: Peer): void {
    this.#peers.delete(peer.facts.session);
    this.#timers.set(peer.facts.session, Number.POSITIVE_INFINITY);
    this.#endWhenEmpty();
  }

  #endWhenEmpty(): void {
    if (this.#closing === undefined || this.#peers.size > 0 || this.#isClosed) return;
    this.#isClosed = true;
    this.#events.push({ type: "closed" });
  }

  #usableSessionOf(id: NodeId): SessionId | undefined {
    const session = this.#endpoint.sessionOf(id);
    if (session !== undefined) return this.#peers.get(session)?.isOpen === true ? session : undefined;
    if (id !== this.#config.endpoint.identity.id) return undefined;
    // A session with oneself has two ends here: the one that dialled is used.
    for (const [own, peer] of this.#peers) {
      if (peer.facts.remoteId === id && peer.facts.isInitiator && peer.isOpen) return own;
    }
    return undefined;
  }

  #offer(event: ExtensionEvent, now: Instant): boolean {
    if (this.#relayClient?.handleNodeEvent(event, now) === true) return true;
    return this.#circuits?.handleNodeEvent(event, now) === true;
  }
}
