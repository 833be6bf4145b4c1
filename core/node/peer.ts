/**
 * One session as the node sees it: its streams, its messages, whether the application knows of it, and its graceful
 * end. PROTOCOL §7 and §8.
 *
 * The invariant to hold: the application hears of a peer before anything of it, and of nothing after `peerClosed`; a
 * violation throws `ProtocolError`, which the node turns into the session's end.
 *
 * @module
 */

import type { ReadResult, SessionClosed, SessionEvent, StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import { ProtocolError } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Endpoint } from "./endpoint.ts";
import type { SessionId } from "./endpoint_types.ts";
import { MESSAGE_PROTOCOL, MESSAGE_VERSION, MessageChannel } from "./message_channel.ts";
import type { RecordWriter } from "./message_record.ts";
import type { NameCache } from "./name_cache.ts";
import type { ClosePeerOptions, NodeEvent, NodeLimits, NodeStreamEvent, OpenStreamOptions } from "./node_types.ts";
import type { ProtocolTable } from "./protocol_table.ts";
import type { RecordStreams } from "./record_sender.ts";
import { encodeStreamHeader } from "./stream_header.ts";
import { StreamNegotiation } from "./stream_negotiation.ts";

const MESSAGE_HEADER: Bytes = encodeStreamHeader({ name: MESSAGE_PROTOCOL, versions: [MESSAGE_VERSION] });
/** A session that the peer ended waits this long for the application to take bytes that had arrived. */
const LINGER_MS = 30_000; // as in the session: PROTOCOL §6.5

/** What all peers of a node share. */
export interface PeerContext {
  readonly endpoint: Endpoint;
  readonly protocols: ProtocolTable;
  readonly limits: NodeLimits;
  readonly writer: RecordWriter;
  readonly names: NameCache;
  /** Queues an event for the application. */
  readonly emit: (event: NodeEvent) => void;
  /** Hands an event of a stream to the extensions; whether one of them took it. */
  readonly offer: (event: NodeStreamEvent, now: Instant) => boolean;
  readonly nameOf: (id: NodeId) => string | undefined;
}

/** Who the peer is. */
export interface PeerFacts {
  readonly session: SessionId;
  readonly remoteId: NodeId | undefined;
  readonly isInitiator: boolean;
  readonly initMessage: Bytes | undefined;
}

/** A session of the node. */
export class Peer implements RecordStreams {
  readonly facts: PeerFacts;
  readonly #session: SessionId;
  readonly #context: PeerContext;
  readonly #streams: StreamNegotiation;
  #channel: MessageChannel | undefined;
  #isShown = false;
  /** How the application closes the session, once what it sent has arrived. */
  #closing: { readonly options: ClosePeerOptions; readonly deadline: Instant } | undefined;
  /** The session is over, but bytes of it have not been taken. */
  #ended: { readonly closed: SessionClosed; readonly deadline: Instant } | undefined;
  #isAwaitingExtensions = false;
  /** The session was told to end. */
  #isLeft = false;
  #isClosed = false;

  constructor(facts: PeerFacts, context: PeerContext) {
    this.facts = facts;
    this.#session = facts.session;
    this.#context = context;
    this.#streams = new StreamNegotiation({
      session: facts.session,
      isInitiator: facts.isInitiator,
      endpoint: context.endpoint,
      protocols: context.protocols,
      headerTimeoutMs: context.limits.streamHeaderTimeoutMs,
      isOpen: () => this.isOpen,
      emit: (event) => this.emit(event),
      offer: context.offer,
      acceptMessages: (stream, leftover, now) => {
        if (!this.channel.accept(stream, leftover, now)) {
          throw new ProtocolError("protocol_violation", "Too many message streams were opened");
        }
      },
    });
  }

  /** Messages and requests; made when first needed, as an idle peer needs none. */
  get channel(): MessageChannel {
    this.#channel ??= new MessageChannel({
      session: this.#session,
      limits: this.#context.limits,
      streams: this,
      writer: this.#context.writer,
      names: this.#context.names,
      emit: (event) => this.emit(event),
    });
    return this.#channel;
  }

  /** Whether the session is there and is not being closed. */
  get isOpen(): boolean {
    return this.#closing === undefined && this.#ended === undefined && !this.#isClosed;
  }

  /** Whether nothing more comes of it. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** When `handleTimeout` has something to do. */
  get deadline(): Instant {
    return Math.min(this.#streams.deadline, this.#closing?.deadline ?? NEVER, this.#ended?.deadline ?? NEVER);
  }

  handleTimeout(now: Instant): void {
    this.#streams.handleTimeout(now);
    if (this.#ended !== undefined && now >= this.#ended.deadline) this.#finishEnd(this.#ended.closed);
    else if (this.#closing !== undefined && now >= this.#closing.deadline) this.closeNow(this.#closing.options, now);
  }

  /** Tells the application of the peer, once. */
  show(): void {
    if (this.#isShown || this.#isClosed) return;
    this.#isShown = true;
    const { session, remoteId, isInitiator, initMessage } = this.facts;
    const name = remoteId === undefined ? undefined : this.#context.nameOf(remoteId);
    this.#context.emit({ type: "peerConnected", session, remoteId, name, isInitiator, initMessage });
  }

  /** Queues an event for the application, which learns of the peer by it if it has not. */
  emit(event: NodeEvent): void {
    if (!this.#isShown) this.show();
    this.#context.emit(event);
  }

  // Streams, as the application and the extensions use them.

  openStream(options: OpenStreamOptions, isExtension: boolean, now: Instant): StreamId | undefined {
    return this.#streams.open(options, isExtension, now);
  }

  /** A stream that is open already, its header sent, is the application's from here on. */
  adoptStream(stream: StreamId, options: OpenStreamOptions): void {
    this.#streams.adopt(stream, options);
  }

  read(stream: StreamId): ReadResult {
    const result = this.#streams.read(stream);
    if (this.#ended !== undefined) this.#endWhenTaken(this.#ended.closed);
    return result;
  }

  stop(stream: StreamId, applicationCode: number, now: Instant): void {
    this.#streams.stop(stream, applicationCode, now);
    if (this.#ended !== undefined) this.#endWhenTaken(this.#ended.closed);
  }

  // Message streams, as the channel uses them.

  open(now: Instant): StreamId | undefined {
    const stream = this.#context.endpoint.openStream(this.#session, { isUnidirectional: true, priority: 0 }, now);
    if (stream !== undefined) this.#context.endpoint.write(this.#session, stream, MESSAGE_HEADER, now);
    return stream;
  }

  write(stream: StreamId, bytes: Uint8Array, now: Instant): number {
    return this.#context.endpoint.write(this.#session, stream, bytes, now);
  }

  finish(stream: StreamId, now: Instant): void {
    this.#context.endpoint.finish(this.#session, stream, now);
  }

  // The end.

  /** Whether other sessions may depend on this one: it carries their circuits. */
  get isCarrier(): boolean {
    return this.#streams.hasExtensionStreams;
  }

  /** Closes the session once the peer has the messages that were taken, but soon. */
  close(options: ClosePeerOptions, now: Instant): void {
    if (this.#ended !== undefined) this.#finishEnd(this.#ended.closed);
    if (!this.isOpen) return;
    this.#closing = { options, deadline: now + this.#context.limits.closeTimeoutMs };
    this.#channel?.finish(now);
    this.#closeWhenDelivered(now);
  }

  /** As `close`, but the streams of extensions, which those have finished, end before as well. */
  closeAsCarrier(options: ClosePeerOptions, now: Instant): void {
    this.#isAwaitingExtensions = true;
    this.close(options, now);
  }

  /** Closes the session, whatever has arrived. */
  closeNow(options: ClosePeerOptions, now: Instant): void {
    if (this.#isClosed || this.#isLeft) return;
    this.#isLeft = true;
    this.#closing = { options, deadline: NEVER };
    const { endpoint } = this.#context;
    const engine = endpoint.session(this.#session);
    // The peer has left already, only its last bytes wait for a reader: nobody is there to be told.
    if (engine?.isClosed === true) engine.drop(options.code, now);
    endpoint.closeSession(this.#session, options, now);
  }

  #closeWhenDelivered(now: Instant): void {
    if (this.#closing === undefined || this.#isLeft) return;
    const isDelivered = this.#channel?.isDelivered !== false && !(this.#isAwaitingExtensions && this.isCarrier);
    // Without a path nobody is there to say goodbye to.
    const isReachable = this.#context.endpoint.session(this.#session)?.isActive === true;
    if (isDelivered || !isReachable) this.closeNow(this.#closing.options, now);
  }

  /** Nothing will come of the session any more, but for the bytes that are held here. */
  #end(closed: SessionClosed, now: Instant): void {
    this.#channel?.onClosed(closed.code, now);
    this.#ended = { closed, deadline: now + LINGER_MS };
    if (closed.isRemote && this.#closing === undefined) this.#endWhenTaken(closed);
    else this.#finishEnd(closed);
  }

  #endWhenTaken(closed: SessionClosed): void {
    if (!this.#streams.hasLeftovers) this.#finishEnd(closed);
  }

  #finishEnd(closed: SessionClosed): void {
    this.#isClosed = true;
    this.#ended = undefined;
    if (this.#isShown) this.#context.emit({ type: "peerClosed", session: this.#session, closed });
  }

  // Events of the session.

  /**
   * Takes an event of the session.
   *
   * @throws {ProtocolError} When the peer broke the protocol.
   */
  handleEvent(event: SessionEvent, now: Instant): void {
    const session = this.#session;
    switch (event.type) {
      case "streamOpened":
        this.#streams.onOpened(event.stream, now);
        return;
      case "readable":
        if (this.#channel?.owns(event.stream)) this.#channel.onReadable(event.stream, now);
        else this.#streams.onReadable(event.stream, now);
        return;
      case "writable":
        if (this.#channel?.owns(event.stream)) this.#channel.onWritable(event.stream, now);
        else this.#streams.onWritable(event.stream, now);
        return;
      case "delivered":
        if (this.#channel?.owns(event.stream)) this.#channel.onDelivered(event.stream);
        else this.#streams.onDelivered(event.stream, now);
        this.#closeWhenDelivered(now);
        return;
      case "stopped":
        if (this.#channel?.owns(event.stream)) this.#channel.onStopped();
        else this.#streams.onStopped(event.stream, event.applicationCode, now);
        return;
      case "streamClosed":
        if (this.#channel?.owns(event.stream)) this.#channel.onStreamClosed(event.stream);
        else this.#streams.onClosed(event.stream, now);
        this.#closeWhenDelivered(now);
        return;
      case "streamsAvailable":
        if (event.isUnidirectional) this.#channel?.onStreamsAvailable(now);
        this.#tell({ type: "streamsAvailable", session, isUnidirectional: event.isUnidirectional });
        return;
      case "datagram":
        this.emit({ type: "datagram", session, bytes: event.bytes });
        return;
      case "pong":
        this.#tell({ type: "pong", session, token: event.token, rttMs: event.rttMs, path: event.path });
        return;
      case "pathUp":
        this.#tell({ type: "pathUp", session, path: event.path });
        return;
      case "pathDown":
        this.#tell({ type: "pathDown", session, path: event.path, code: event.code });
        return;
      case "suspended":
        this.#streams.onReachable(false, now);
        this.#tell({ type: "peerSuspended", session });
        this.#closeWhenDelivered(now);
        return;
      case "resumed":
        this.#streams.onReachable(true, now);
        this.#tell({ type: "peerResumed", session });
        return;
      case "closed":
        this.#end(event, now);
        return;
    }
  }

  /** Queues an event that is of interest only to an application that knows the peer. */
  #tell(event: NodeEvent): void {
    if (this.#isShown) this.#context.emit(event);
  }
}
