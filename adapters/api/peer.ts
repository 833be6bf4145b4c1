/**
 * A session as a program holds it, in the shape of a W3C WebTransport session.
 *
 * The invariant to hold: every promise handed out is settled when the session ends.
 *
 * @module
 */

import type { SessionClosed, SessionStats, StreamId } from "../../core/connection/session_types.ts";
import { ViaductError } from "../../core/error.ts";
import { LazyMap } from "../../core/lazy_collections.ts";
import type { Bytes } from "../../core/machine.ts";
import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { EarlyOpened, NodeEvent, NodeStreamEvent, RequestId } from "../../core/node/node_types.ts";
import { protocolOffer } from "../../core/node/protocol_name.ts";
import { formatAddress, parseAddress } from "../address.ts";
import { Answering } from "./answering.ts";
import { isBytes } from "./bytes.ts";
import { checkCode, checkSendOrder } from "./checks.ts";
import { Datagrams } from "./datagrams.ts";
import { ItemQueue, readableOf } from "./item_queue.ts";
import type { NodeHandle } from "./node.ts";
import { OutgoingRequests } from "./outgoing_requests.ts";
import { StreamHandle } from "./stream.ts";
import { Turns } from "./turns.ts";
import type {
  CloseInfo,
  NodeId,
  OpenOptions,
  Peer,
  PeerDatagrams,
  ReceiveStream,
  SendOptions,
  SendStream,
  Stream,
  StreamOptions,
  Value,
  WaitOptions,
} from "./types.ts";
import { alsoDisposable, type Deferred, deferred, waitFor } from "./waiting.ts";

/** Raw streams that wait for a reader; more are reset. */
const INCOMING_MAX = 256;
const EMPTY: Uint8Array = new Uint8Array(0);

/** A peer of a node. */
export class PeerHandle implements Peer {
  readonly node: NodeHandle;
  readonly session: SessionId;
  readonly id: NodeId | undefined;
  readonly isInitiator: boolean;
  readonly initMessage: Uint8Array | undefined;
  readonly ready: Promise<void> = Promise.resolve();
  state: "connected" | "suspended" | "closed" = "connected";

  readonly #closed = deferred<CloseInfo>();
  readonly #streams = new LazyMap<StreamId, StreamHandle>();
  readonly #requests: OutgoingRequests;
  readonly #answering = new LazyMap<RequestId, Answering>();
  readonly #pings = new LazyMap<number, Deferred<{ rttMs: number; path: number; remote: string }>>();
  /** Made when somebody asks for them or one comes: most sessions never have any. */
  #datagrams: Datagrams | undefined;
  readonly #bidirectional = new ItemQueue<Stream>();
  readonly #unidirectional = new ItemQueue<ReceiveStream>();
  #bidirectionalReadable: ReadableStream<Stream> | undefined;
  #unidirectionalReadable: ReadableStream<ReceiveStream> | undefined;
  readonly #messageTurns = new Turns();
  readonly #bidirectionalTurns = new Turns();
  readonly #unidirectionalTurns = new Turns();
  #isClosing = false;
  #error: ViaductError | undefined;
  #lastStats: SessionStats | undefined;

  constructor(node: NodeHandle, event: Extract<NodeEvent, { type: "peerConnected" }>) {
    this.node = node;
    this.session = event.session;
    this.id = event.remoteId;
    this.isInitiator = event.isInitiator;
    this.initMessage = event.initMessage;
    this.#requests = new OutgoingRequests(node, this.session);
  }

  get name(): string | undefined {
    return this.node.peerName(this.session);
  }

  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  get datagrams(): PeerDatagrams {
    return this.#ownDatagrams();
  }

  get incomingBidirectionalStreams(): ReadableStream<Stream> {
    this.#bidirectionalReadable ??= readableOf(this.#bidirectional);
    return this.#bidirectionalReadable;
  }

  get incomingUnidirectionalStreams(): ReadableStream<ReceiveStream> {
    this.#unidirectionalReadable ??= readableOf(this.#unidirectional);
    return this.#unidirectionalReadable;
  }

  /** The last figures, once the session is over. */
  get lastStats(): SessionStats | undefined {
    return this.#lastStats;
  }

  /** Why the session ended, once it did. */
  get error(): ViaductError | undefined {
    return this.#error;
  }

  async open(protocol: string | readonly string[], options: OpenOptions = {}): Promise<Stream> {
    return await this.#open(typeof protocol === "string" ? [protocol] : protocol, false, options);
  }

  async createBidirectionalStream(options: StreamOptions = {}): Promise<Stream> {
    return await this.#open([""], false, options);
  }

  async createUnidirectionalStream(options: StreamOptions = {}): Promise<SendStream> {
    return await this.#open([""], true, options);
  }

  async send(value: Value, options: SendOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    const { topic = "" } = options;
    const bytes = this.node.codec.encode(value, this.node.limits.messageBytesMax);
    if (!this.#messageTurns.isBusy && this.#sendMessage(topic, bytes)) return;
    const kept = bytes.slice();
    await this.#messageTurns.wait(() => this.#sendMessage(topic, kept), options, this.node.runtime);
  }

  async request(name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    return await this.#requests.request(name, value, options);
  }

  async ping(options: WaitOptions = {}): Promise<{ rttMs: number; path: number; remote: string }> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    const pong = deferred<{ rttMs: number; path: number; remote: string }>();
    const token = this.node.command((machine, now) => machine.ping(this.session, now));
    this.#pings.set(token, pong);
    try {
      return await waitFor(pong.promise, options, this.node.runtime);
    } finally {
      this.#pings.delete(token);
    }
  }

  addPath(address: string): void {
    const parsed = parseAddress(address);
    if (parsed === undefined) throw new ViaductError("address_invalid", { detail: String(address).slice(0, 128) });
    this.#requireOpen();
    this.node.command((machine, now) => machine.addPath(this.session, formatAddress(parsed), now));
  }

  keep(): void {
    this.node.command((machine, now) => machine.setKeepAlive(this.session, true, now));
  }

  drop(): void {
    this.node.command((machine, now) => machine.setKeepAlive(this.session, false, now));
  }

  stats(): SessionStats {
    const stats = this.node.sessionStats(this.session) ?? this.#lastStats;
    if (stats === undefined) throw new ViaductError("closed");
    this.#lastStats = stats;
    return stats;
  }

  async close(info: { readonly closeCode?: number; readonly reason?: string } = {}): Promise<void> {
    const { closeCode, reason = "" } = info;
    if (closeCode !== undefined) checkCode("closeCode", closeCode);
    this.#isClosing = true;
    this.node.command((machine, now) =>
      machine.closePeer(
        this.session,
        { code: "closed", reason, ...(closeCode === undefined ? {} : { applicationCode: closeCode }) },
        now,
      ),
    );
    await this.#closed.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Events.

  /** Takes an event of one of its streams. */
  onStreamEvent(event: NodeStreamEvent): void {
    if (event.type === "streamOpened") {
      this.#onStreamOpened(event);
      return;
    }
    const stream = this.#streams.get(event.stream);
    if (stream === undefined) return;
    switch (event.type) {
      case "streamAccepted":
        stream.onAccepted(event.protocol);
        return;
      case "streamRefused":
        this.#streams.delete(event.stream);
        stream.onRefused(event.code, event.applicationCode);
        return;
      case "readable":
        stream.onReadable();
        return;
      case "writable":
        stream.onWritable();
        return;
      case "delivered":
        stream.onDelivered();
        return;
      case "stopped":
        stream.onStopped(event.applicationCode);
        return;
      case "streamClosed":
        this.#streams.delete(event.stream);
        stream.onClosed();
        return;
    }
  }

  onMessagesWritable(): void {
    this.#messageTurns.advance();
    this.#requests.onWritable();
  }

  onStreamsAvailable(isUnidirectional: boolean): void {
    this.#streamTurns(isUnidirectional).advance();
  }

  onResponse(request: RequestId, bytes: Uint8Array): void {
    this.#requests.onResponse(request, bytes);
  }

  onRequestFailed(event: Extract<NodeEvent, { type: "requestFailed" }>): void {
    this.#requests.onFailed(event);
  }

  /** Begins to answer a request of the peer; what is returned makes the signal that tells that it was given up. */
  beginAnswer(request: RequestId): Answering {
    const answering = new Answering();
    this.#answering.set(request, answering);
    return answering;
  }

  endAnswer(request: RequestId): void {
    this.#answering.delete(request);
  }

  onRequestCancelled(request: RequestId): void {
    this.#answering.get(request)?.abort(new ViaductError("aborted"));
  }

  onDatagram(bytes: Bytes): void {
    this.#ownDatagrams().deliver(bytes);
  }

  onPong(event: Extract<NodeEvent, { type: "pong" }>): void {
    const path = this.stats().paths.find((candidate) => candidate.path === event.path);
    this.#pings.get(event.token)?.resolve({ rttMs: event.rttMs, path: event.path, remote: path?.remote ?? "" });
  }

  /** The session ended: everybody who waits learns why. */
  onClosed(closed: SessionClosed): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#lastStats = this.node.sessionStats(this.session) ?? this.#lastStats;
    const { code, applicationCode, reason, isRemote } = closed;
    const error = new ViaductError(code, {
      ...(reason === "" ? {} : { detail: reason }),
      ...(applicationCode === undefined ? {} : { applicationCode }),
    });
    this.#error = error;
    for (const stream of this.#streams.values()) stream.onSessionClosed(error);
    this.#streams.clear();
    this.#requests.fail(error);
    for (const answering of this.#answering.values()) answering.abort(error);
    this.#answering.clear();
    for (const pong of this.#pings.values()) pong.reject(error);
    this.#datagrams?.end();
    this.#bidirectional.end();
    this.#unidirectional.end();
    for (const turns of [this.#messageTurns, this.#bidirectionalTurns, this.#unidirectionalTurns]) turns.fail(error);
    this.#closed.resolve({ closeCode: applicationCode ?? 0, reason, code, isRemote });
  }

  #ownDatagrams(): Datagrams {
    if (this.#datagrams === undefined) {
      const { node, session } = this;
      this.#datagrams = new Datagrams({
        send: (bytes, options) => node.command((machine, now) => machine.sendDatagram(session, bytes, now, options)),
        get bytesMax() {
          return node.datagramBytesMax(session);
        },
      });
      if (this.#error !== undefined) this.#datagrams.end();
    }
    return this.#datagrams;
  }

  /** The stream that the node opened with the handshake. */
  adoptStream(early: EarlyOpened, protocol: string, metadata: Uint8Array): StreamHandle {
    const stream = new StreamHandle(this, {
      id: early.stream,
      protocol,
      metadata,
      canSend: true,
      canReceive: true,
      isAccepted: false,
      isEarly: early.isTaken,
    });
    this.#streams.set(early.stream, stream);
    return stream;
  }

  // Private.

  async #open(protocols: readonly string[], isUnidirectional: boolean, options: OpenOptions): Promise<StreamHandle> {
    const { sendOrder = 0, metadata = EMPTY } = options;
    checkSendOrder(sendOrder);
    if (!isBytes(metadata)) throw new TypeError("Cannot open stream as 'metadata' must be a Uint8Array");
    options.signal?.throwIfAborted();
    this.#requireOpen();
    const protocol = protocolOffer(protocols);
    const turns = this.#streamTurns(isUnidirectional);
    let stream: StreamHandle | undefined;
    const attempt = (): boolean => {
      const offer = { protocol, isUnidirectional, priority: sendOrder, metadata };
      const id = this.node.command((machine, now) => machine.openStream(this.session, offer, now));
      if (id === undefined) return false;
      stream = new StreamHandle(this, {
        id,
        protocol: protocols[0] as string,
        metadata,
        canSend: true,
        canReceive: !isUnidirectional,
        isAccepted: isUnidirectional,
        isEarly: false,
      });
      this.#streams.set(id, stream);
      return true;
    };
    if (!turns.isBusy && attempt()) return stream as unknown as StreamHandle;
    if (options.waitUntilAvailable !== true) throw new ViaductError("stream_limit");
    try {
      await turns.wait(attempt, options, this.node.runtime);
    } catch (error) {
      stream?.reset();
      stream?.stop();
      throw error;
    }
    return stream as unknown as StreamHandle;
  }

  #streamTurns(isUnidirectional: boolean): Turns {
    return isUnidirectional ? this.#unidirectionalTurns : this.#bidirectionalTurns;
  }

  #onStreamOpened(event: Extract<NodeStreamEvent, { type: "streamOpened" }>): void {
    const stream = new StreamHandle(this, {
      id: event.stream,
      protocol: event.protocol,
      metadata: event.metadata,
      canSend: !event.isUnidirectional,
      canReceive: true,
      isAccepted: true,
      isEarly: event.isEarly === true,
    });
    this.#streams.set(event.stream, stream);
    if (event.protocol !== "") {
      this.node.serveStream(stream, this);
      return;
    }
    const queue: ItemQueue<never> = (event.isUnidirectional ? this.#unidirectional : this.#bidirectional) as never;
    if (queue.isEnded) stream.resetFor("protocol_refused");
    else if (queue.size >= INCOMING_MAX) stream.resetFor("limit");
    else queue.push(stream as never);
  }

  #sendMessage(topic: string, bytes: Uint8Array): boolean {
    return this.node.command((machine, now) => machine.sendMessage(this.session, topic, bytes, now));
  }

  #requireOpen(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#isClosing || this.node.isClosing) throw new ViaductError("closed");
  }
}

alsoDisposable(PeerHandle);
