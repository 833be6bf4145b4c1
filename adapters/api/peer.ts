/**
 * A session as a program holds it, in the shape of a W3C WebTransport session.
 *
 * The invariant to hold: every promise handed out is settled when the session ends.
 *
 * @module
 */

import type { SessionClosed, SessionStats, StreamId } from "../../core/connection/session_types.ts";
import { ViaductError } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";
import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { NodeEvent, NodeStreamEvent, RequestId } from "../../core/node/node_types.ts";
import { protocolOffer } from "../../core/node/protocol_name.ts";
import { Answering } from "./answering.ts";
import type { NodeHandle } from "./node.ts";
import { StreamHandle } from "./stream.ts";
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
import { type Deferred, deferred, ItemQueue, waitFor } from "./waiting.ts";

/** Datagrams that wait for a reader; the oldest goes first. */
const DATAGRAMS_MAX = 1024;
/** Raw streams that wait for a reader; more are reset. */
const INCOMING_MAX = 256;
const EMPTY: Uint8Array = new Uint8Array(0);

interface PendingRequest {
  readonly answer: Deferred<Value>;
}

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
  readonly #streams = new Map<StreamId, StreamHandle>();
  readonly #requests = new Map<RequestId, PendingRequest>();
  readonly #answering = new Map<RequestId, Answering>();
  readonly #pings = new Map<number, Deferred<{ rttMs: number; path: number; remote: string }>>();
  readonly #datagramQueue = new ItemQueue<Bytes>();
  readonly #bidirectional = new ItemQueue<Stream>();
  readonly #unidirectional = new ItemQueue<ReceiveStream>();
  #bidirectionalReadable: ReadableStream<Stream> | undefined;
  #unidirectionalReadable: ReadableStream<ReceiveStream> | undefined;
  #messageRoom: Deferred<void> | undefined;
  #streamRoom: Deferred<void> | undefined;
  #datagrams: PeerDatagrams | undefined;
  #error: ViaductError | undefined;
  #lastStats: SessionStats | undefined;

  constructor(node: NodeHandle, event: Extract<NodeEvent, { type: "peerConnected" }>) {
    this.node = node;
    this.session = event.session;
    this.id = event.remoteId;
    this.isInitiator = event.isInitiator;
    this.initMessage = event.initMessage;
  }

  get name(): string | undefined {
    return this.node.peerName(this.session);
  }

  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** Made when asked for: WHATWG streams weigh more than the rest of an idle peer. */
  get datagrams(): PeerDatagrams {
    this.#datagrams ??= this.#newDatagrams();
    return this.#datagrams;
  }

  get incomingBidirectionalStreams(): ReadableStream<Stream> {
    this.#bidirectionalReadable ??= readableOf(this.#bidirectional);
    return this.#bidirectionalReadable;
  }

  get incomingUnidirectionalStreams(): ReadableStream<ReceiveStream> {
    this.#unidirectionalReadable ??= readableOf(this.#unidirectional);
    return this.#unidirectionalReadable;
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
    const topic = options.topic ?? "";
    for (;;) {
      options.signal?.throwIfAborted();
      this.#requireOpen();
      const bytes = this.node.codec.encode(value, this.node.limits.messageBytesMax);
      if (this.node.command((machine, now) => machine.sendMessage(this.session, topic, bytes, now))) return;
      this.#requireOpen();
      this.#messageRoom ??= deferred();
      await waitFor(this.#messageRoom.promise, options, this.node.runtime);
    }
  }

  async request(name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    options.signal?.throwIfAborted();
    for (;;) {
      this.#requireOpen();
      const bytes = this.node.codec.encode(value, this.node.limits.messageBytesMax);
      const request = this.node.command((machine, now) => machine.sendRequest(this.session, name, bytes, now));
      if (request !== undefined) return await this.#awaitAnswer(request, options);
      this.#requireOpen();
      this.#messageRoom ??= deferred();
      await waitFor(this.#messageRoom.promise, options, this.node.runtime);
    }
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
        stream.onRefused(event.code);
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
    const room = this.#messageRoom;
    this.#messageRoom = undefined;
    room?.resolve();
  }

  onStreamsAvailable(): void {
    const room = this.#streamRoom;
    this.#streamRoom = undefined;
    room?.resolve();
  }

  onResponse(request: RequestId, bytes: Uint8Array): void {
    const pending = this.#requests.get(request);
    if (pending === undefined) return;
    this.#requests.delete(request);
    try {
      pending.answer.resolve(this.node.codec.decode(bytes));
    } catch (error) {
      pending.answer.reject(error);
    }
  }

  onRequestFailed(event: Extract<NodeEvent, { type: "requestFailed" }>): void {
    const pending = this.#requests.get(event.request);
    this.#requests.delete(event.request);
    pending?.answer.reject(new ViaductError(event.code, event.detail === "" ? {} : { detail: event.detail }));
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
    this.#datagramQueue.push(bytes);
    if (this.#datagramQueue.size > DATAGRAMS_MAX) this.#datagramQueue.dropOldest();
  }

  onPong(event: Extract<NodeEvent, { type: "pong" }>): void {
    const path = this.stats().paths.find((candidate) => candidate.path === event.path);
    this.#pings.get(event.token)?.resolve({ rttMs: event.rttMs, path: event.path, remote: path?.remote ?? "" });
  }

  /** The session ended: everybody who waits learns why. */
  onClosed(closed: SessionClosed): void {
    if (this.state === "closed") return;
    this.state = "closed";
    const { code, applicationCode, reason, isRemote } = closed;
    const error = new ViaductError(code, {
      ...(reason === "" ? {} : { detail: reason }),
      ...(applicationCode === undefined ? {} : { applicationCode }),
    });
    this.#error = error;
    for (const stream of this.#streams.values()) stream.onSessionClosed(error);
    this.#streams.clear();
    for (const { answer } of this.#requests.values()) answer.reject(error);
    this.#requests.clear();
    for (const answering of this.#answering.values()) answering.abort(error);
    this.#answering.clear();
    for (const pong of this.#pings.values()) pong.reject(error);
    this.#datagramQueue.end();
    this.#bidirectional.end();
    this.#unidirectional.end();
    this.onMessagesWritable();
    this.onStreamsAvailable();
    this.#closed.resolve({ closeCode: applicationCode ?? 0, reason, code, isRemote });
  }

  // Private.

  async #open(protocols: readonly string[], isUnidirectional: boolean, options: OpenOptions): Promise<StreamHandle> {
    options.signal?.throwIfAborted();
    const protocol = protocolOffer(protocols);
    for (;;) {
      this.#requireOpen();
      const id = this.node.command((machine, now) =>
        machine.openStream(
          this.session,
          {
            protocol,
            isUnidirectional,
            priority: options.sendOrder ?? 0,
            ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
          },
          now,
        ),
      );
      if (id !== undefined) {
        const stream = new StreamHandle(this, {
          id,
          protocol: protocols[0] as string,
          metadata: options.metadata ?? EMPTY,
          canSend: true,
          canReceive: !isUnidirectional,
          isAccepted: isUnidirectional,
        });
        this.#streams.set(id, stream);
        return stream;
      }
      this.#requireOpen();
      if (options.waitUntilAvailable !== true) throw new ViaductError("stream_limit");
      this.#streamRoom ??= deferred();
      await waitFor(this.#streamRoom.promise, options, this.node.runtime);
    }
  }

  #onStreamOpened(event: Extract<NodeStreamEvent, { type: "streamOpened" }>): void {
    const stream = new StreamHandle(this, {
      id: event.stream,
      protocol: event.protocol,
      metadata: event.metadata,
      canSend: !event.isUnidirectional,
      canReceive: true,
      isAccepted: true,
    });
    this.#streams.set(event.stream, stream);
    if (event.protocol !== "") {
      this.node.serveStream(stream, this);
      return;
    }
    const queue: ItemQueue<never> = (event.isUnidirectional ? this.#unidirectional : this.#bidirectional) as never;
    if (queue.size >= INCOMING_MAX) stream.resetFor("limit");
    else queue.push(stream as never);
  }

  async #awaitAnswer(request: RequestId, options: WaitOptions): Promise<Value> {
    const answer = deferred<Value>();
    this.#requests.set(request, { answer });
    return await waitFor(answer.promise, options, this.node.runtime, () => {
      this.#requests.delete(request);
      this.node.command((machine, now) => machine.cancelRequest(this.session, request, now));
    });
  }

  #requireOpen(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #newDatagrams(): PeerDatagrams {
    const send = (bytes: Uint8Array): boolean =>
      this.node.command((machine, now) => machine.sendDatagram(this.session, bytes, now));
    const readable = readableOf(this.#datagramQueue);
    const writable = new WritableStream<Uint8Array>({
      write: (bytes) => {
        send(bytes);
      },
    });
    const { node, session } = this;
    return {
      readable,
      writable,
      send,
      get maxDatagramSize() {
        return node.datagramBytesMax(session);
      },
    };
  }
}

/** A WHATWG stream over a queue. */
function readableOf<Item>(queue: ItemQueue<Item>): ReadableStream<Item> {
  return new ReadableStream<Item>(
    {
      pull: async (controller) => {
        const { value, done } = await queue.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => {
        await queue.return();
      },
    },
    { highWaterMark: 0 },
  );
}
