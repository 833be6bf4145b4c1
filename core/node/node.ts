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

import type { DatagramSendOptions } from "../connection/datagram_line.ts";
import { EventQueue } from "../connection/event_queue.ts";
import type { Session } from "../connection/session.ts";
import type { ReadResult, StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Environment, Instant, Machine } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { Endpoint } from "./endpoint.ts";
import type { DialId, EarlyPolicy, EndpointInput, EndpointOutput, PipeId, SessionId } from "./endpoint_types.ts";
import { NodeSessions } from "./node_sessions.ts";
import type {
  ClosePeerOptions,
  ConnectCommandOptions,
  ConnectTarget,
  ExtensionBuilder,
  NodeConfig,
  NodeEvent,
  NodeStats,
  OpenStreamOptions,
  PresenceNode,
  RelayId,
  RelayTarget,
  RequestId,
  ServeOptions,
} from "./node_types.ts";
import { relayExtensions } from "./relay_extensions.ts";

export type { ExtensionBuilder } from "./node_types.ts";

/** A header and an answer to one must fit into an empty send buffer. */
const SEND_BUFFER_BYTES_MIN = 4096;

/** A node. */
export class NodeMachine implements Machine<EndpointInput, EndpointOutput, NodeEvent> {
  readonly #endpoint: Endpoint;
  readonly #sessions: NodeSessions;
  readonly #events = new EventQueue<NodeEvent>();
  #now: Instant;

  /**
   * Builds a node, with relay client and circuits unless something else is to hang on it.
   *
   * @throws {RangeError} If a limit of the configuration is out of range.
   */
  constructor(config: NodeConfig, env: Environment, now: Instant, buildExtensions: ExtensionBuilder = relayExtensions) {
    if (config.endpoint.session.sendBufferBytes < SEND_BUFFER_BYTES_MIN) {
      throw new RangeError(`Cannot create node as "sendBufferBytes" must be at least ${SEND_BUFFER_BYTES_MIN}`);
    }
    this.#now = now;
    const { makeEarlyTickets } = config;
    const early: EarlyPolicy | undefined = makeEarlyTickets && {
      makeTickets: (environment) =>
        makeEarlyTickets(environment, { isWanted: () => this.#sessions.protocols.isEarlyAccepted }),
      admits: (beginning) => this.#sessions.protocols.admitsEarly(beginning),
    };
    this.#endpoint = new Endpoint(early === undefined ? config.endpoint : { ...config.endpoint, early }, env, now);
    const emit = (event: NodeEvent): void => this.#events.push(event);
    this.#sessions = new NodeSessions({ config, env, endpoint: this.#endpoint, emit, buildExtensions }, now);
  }

  // What happened outside.

  handleInput(input: EndpointInput, now: Instant): void {
    if (this.#sessions.isClosed) return;
    this.#now = now;
    this.#endpoint.handleInput(input, now);
    this.#sessions.drain(now);
  }

  handleTimeout(now: Instant): void {
    if (this.#sessions.isClosed) return;
    this.#now = now;
    this.#endpoint.handleTimeout(now);
    this.#sessions.handleTimeout(now);
    this.#sessions.drain(now);
  }

  // Commands: reaching nodes.

  /** Numbers a pipe that was accepted. */
  allocatePipe(): PipeId {
    return this.#endpoint.allocatePipe();
  }

  /** Connects to a node; `connected` or `connectFailed` follows. A session that is there is used. */
  connect(target: ConnectTarget, options: ConnectCommandOptions, now: Instant): DialId {
    const dial = this.#sessions.connects.connect(target, options, now);
    this.#sessions.drain(now);
    return dial;
  }

  /** Gives an attempt up; nothing follows. */
  cancelConnect(dial: DialId, now: Instant): void {
    this.#sessions.connects.cancel(dial, now);
    this.#sessions.drain(now);
  }

  /** Stays registered with a relay from now on. */
  addRelay(relay: RelayTarget, now: Instant): RelayId {
    const id = this.#sessions.relayClient.addRelay(relay, now);
    this.#sessions.drain(now);
    return id;
  }

  /** Shows another admission to the relays that were added, at once and from now on. */
  setAdmission(admission: Uint8Array, now: Instant): void {
    this.#sessions.relayClient.setAdmission(admission, now);
    this.#sessions.drain(now);
  }

  /** Tells who is at the relays, and from now on who joins and leaves. */
  watchPresence(now: Instant): void {
    this.#sessions.relayClient.watchPresence(now);
    this.#sessions.drain(now);
  }

  unwatchPresence(now: Instant): void {
    this.#sessions.relayClient.unwatchPresence(now);
    this.#sessions.drain(now);
  }

  presences(): Iterable<PresenceNode> {
    return this.#sessions.relayClient.presences();
  }

  /** Refuses a node from now on and ends its session. */
  ban(id: NodeId, now: Instant): void {
    this.#endpoint.ban(id, now);
    this.#sessions.drain(now);
  }

  unban(id: NodeId): void {
    this.#endpoint.unban(id);
  }

  /** Lets somebody in who asked by `incoming`. `false` when nobody waits any more. */
  acceptIncoming(session: SessionId, now: Instant): boolean {
    const isDone = this.#endpoint.acceptIncoming(session, now);
    this.#sessions.drain(now);
    return isDone;
  }

  /** Turns somebody away who asked by `incoming`. `false` when nobody waits any more. */
  refuseIncoming(session: SessionId, code: ErrorCode, now: Instant): boolean {
    const isDone = this.#endpoint.refuseIncoming(session, code, now);
    this.#sessions.drain(now);
    return isDone;
  }

  // Commands: streams.

  /**
   * Serves a protocol to all peers. The empty name stands for raw streams.
   *
   * @throws {TypeError | RangeError} If the name, a version or the limit is not valid.
   */
  serve(name: string, versions: readonly number[], options: ServeOptions): void {
    this.#sessions.protocols.serve(name, versions, options);
  }

  /** Stops serving a protocol; its streams go on. */
  unserve(name: string): void {
    this.#sessions.protocols.unserve(name);
  }

  /**
   * Opens a stream, which can be written to at once; `undefined` when the peer allows no more now (`streamsAvailable`
   * follows) or the session is ending. On a bidirectional one `streamAccepted` or `streamRefused` follows.
   *
   * @throws {TypeError | RangeError} If the protocol or the metadata is not valid.
   */
  openStream(session: SessionId, options: OpenStreamOptions, now: Instant): StreamId | undefined {
    return this.#sessions.get(session)?.openStream(options, false, now);
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
    const peer = this.#sessions.get(session);
    if (peer === undefined) return undefined;
    const result = peer.read(stream);
    if (peer.isClosed) this.#sessions.settle(peer, this.#now);
    return result;
  }

  finish(session: SessionId, stream: StreamId, now: Instant): void {
    this.#endpoint.finish(session, stream, now);
  }

  /** Gives the sending half up. The number is the application's, below 2^32, or one of `stream_code.ts`. */
  reset(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#endpoint.reset(session, stream, applicationCode, now);
    this.#sessions.drain(now);
  }

  /** Reads no more and tells the peer. */
  stop(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.stop(stream, applicationCode, now));
    this.#sessions.drain(now);
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
    const peer = this.#sessions.get(session);
    return peer?.isOpen === true && peer.channel.sendMessage(topic, bytes, now);
  }

  /** The application took messages with so many bytes together: their sender may go on. */
  releaseMessage(session: SessionId, byteCount: number, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.channel.releaseMessage(byteCount, now));
  }

  /**
   * Takes a request in full, or returns `undefined` and takes nothing: `messagesWritable` follows, or the session's
   * end. `response` or `requestFailed` follows a request that was taken and not cancelled.
   *
   * @throws {RangeError} If the value is too large or the name too long.
   */
  sendRequest(session: SessionId, name: string, bytes: Uint8Array, now: Instant): RequestId | undefined {
    const peer = this.#sessions.get(session);
    return peer?.isOpen === true ? peer.channel.sendRequest(name, bytes, now) : undefined;
  }

  /** Waits for an answer no longer. */
  cancelRequest(session: SessionId, request: RequestId, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.channel.cancelRequest(request, now));
  }

  /** Answers a request. A value that is too large, or for which there is no room, becomes an error of the peer's. */
  respond(session: SessionId, request: RequestId, bytes: Uint8Array, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.channel.respond(request, bytes, now));
  }

  respondError(session: SessionId, request: RequestId, code: ErrorCode, detail: string, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.channel.respondError(request, code, detail, now));
  }

  sendDatagram(session: SessionId, bytes: Uint8Array, now: Instant, options?: DatagramSendOptions): boolean {
    return this.#endpoint.sendDatagram(session, bytes, now, options);
  }

  /** Measures the round trip; `pong` with the returned token follows. */
  ping(session: SessionId, now: Instant): number {
    return this.#endpoint.ping(session, now);
  }

  /** Opens one more path of a session, and keeps one more from now on. */
  addPath(session: SessionId, address: string, now: Instant): boolean {
    return this.#endpoint.addPath(session, address, now);
  }

  /** Whether the session is kept alive although nothing uses it. */
  setKeepAlive(session: SessionId, isKeepingAlive: boolean, now: Instant): void {
    this.#endpoint.setKeepAlive(session, isKeepingAlive, now);
  }

  // Commands: the end.

  /** Ends a session once the peer has the messages that were taken; `peerClosed` follows in bounded time. */
  closePeer(session: SessionId, options: ClosePeerOptions, now: Instant): void {
    this.#sessions.act(session, now, (peer) => peer.close(options, now));
    this.#sessions.drain(now);
  }

  /** Ends all sessions likewise and takes no new ones; `closed` follows in bounded time and is the last event. */
  close(code: ErrorCode, reason: string, now: Instant): void {
    this.#now = now;
    this.#sessions.close(code, reason, now);
  }

  // Outputs.

  pollTransmit(now: Instant): EndpointOutput | undefined {
    this.#now = now;
    do {
      for (;;) {
        const output = this.#endpoint.pollTransmit(now);
        if (output === undefined) break;
        if ("flow" in output || !this.#sessions.circuits.isCircuitPipe(output.pipe)) return output;
        this.#sessions.circuits.handleOutput(output, now);
      }
    } while (this.#sessions.drain(now));
    return undefined;
  }

  pollEvent(): NodeEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return event;
    // A command or a read may have moved something below.
    if (!this.#sessions.isClosed) this.#sessions.drain(this.#now);
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    if (this.#sessions.isClosed) return NEVER;
    return Math.min(this.#endpoint.pollTimeout(), this.#sessions.pollTimeout());
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
    const id = this.#sessions.get(session)?.facts.remoteId;
    return id === undefined ? undefined : this.#sessions.relayClient.nameOf(id);
  }

  stats(): NodeStats {
    return { ...this.#endpoint.stats(), connects: this.#sessions.connects.size };
  }
}
