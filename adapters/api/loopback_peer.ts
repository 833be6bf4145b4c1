/**
 * A node as a peer of its own. Messages, requests and datagrams stay in the process and need no session; values are
 * encoded and decoded, so that the receiver has a copy of its own. Streams go through a session with oneself.
 *
 * The invariant to hold: what waits to be read is bounded as for every other peer.
 *
 * @module
 */

import { noDatagrams } from "../../core/connection/datagram_queue.ts";
import type { SessionStats } from "../../core/connection/session_types.ts";
import { ViaductError } from "../../core/error.ts";
import { Datagrams } from "./datagrams.ts";
import { ItemQueue, readableOf } from "./item_queue.ts";
import type { IncomingMessage } from "./message_inbox.ts";
import type { NodeHandle } from "./node.ts";
import { Turns } from "./turns.ts";
import type {
  CloseInfo,
  NodeId,
  OpenOptions,
  Peer,
  PeerDatagrams,
  ReceiveStream,
  RequestHandler,
  SendOptions,
  SendStream,
  Stream,
  StreamOptions,
  Value,
  WaitOptions,
} from "./types.ts";
import { alsoDisposable, fromNowOn, waitFor } from "./waiting.ts";

/** In the place of a session's number, which begins at 1. */
export const LOOPBACK_SESSION = 0;

const MESSAGE_OVERHEAD_BYTES = 64;
const DATAGRAM_BYTES_MAX = 32 * 1024;

/** What a loopback peer needs of its node. */
export interface LoopbackParts {
  readonly node: NodeHandle;
  readonly deliver: (message: IncomingMessage) => void;
  readonly responders: ReadonlyMap<string, RequestHandler>;
  /** The session with oneself. */
  readonly connect: (options: WaitOptions) => Promise<Peer>;
}

/** A node talking to itself. */
export class LoopbackPeer implements Peer {
  readonly isInitiator = true;
  readonly initMessage = undefined;
  readonly ready: Promise<void> = Promise.resolve();
  readonly #parts: LoopbackParts;
  readonly #datagrams: Datagrams = new Datagrams({
    send: (bytes) => this.#sendDatagram(bytes),
    bytesMax: DATAGRAM_BYTES_MAX,
  });
  readonly #turns = new Turns();
  #waitingBytes = 0;
  #closedWith: ViaductError | undefined;
  #incoming: readonly [ReadableStream<Stream>, ReadableStream<ReceiveStream>] | undefined;
  readonly #noStreams = new ItemQueue<never>();

  constructor(parts: LoopbackParts) {
    this.#parts = parts;
  }

  get id(): NodeId {
    return this.#parts.node.id;
  }

  get name(): string | undefined {
    return this.#parts.node.name;
  }

  get state(): "connected" | "closed" {
    return this.#closedWith === undefined ? "connected" : "closed";
  }

  get closed(): Promise<CloseInfo> {
    return this.#parts.node.closed;
  }

  get datagrams(): PeerDatagrams {
    return this.#datagrams;
  }

  /** None: what `open` opens comes in at the handlers, raw streams at the peer of the session with oneself. */
  get incomingBidirectionalStreams(): ReadableStream<Stream> {
    return this.#noIncoming()[0];
  }

  get incomingUnidirectionalStreams(): ReadableStream<ReceiveStream> {
    return this.#noIncoming()[1];
  }

  async createBidirectionalStream(options: StreamOptions = {}): Promise<Stream> {
    return await (await this.#parts.connect(options)).createBidirectionalStream(options);
  }

  async createUnidirectionalStream(options: StreamOptions = {}): Promise<SendStream> {
    return await (await this.#parts.connect(options)).createUnidirectionalStream(options);
  }

  async open(protocol: string | readonly string[], options: OpenOptions = {}): Promise<Stream> {
    return await (await this.#parts.connect(options)).open(protocol, options);
  }

  async send(value: Value, options: SendOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    const { node, deliver } = this.#parts;
    const bytes = this.#encoded(value);
    const size = bytes.length + MESSAGE_OVERHEAD_BYTES;
    const attempt = (): boolean => {
      if (this.#waitingBytes >= node.limits.messageQueueBytes) return false;
      this.#waitingBytes += size;
      const topic = options.topic ?? "";
      deliver({ from: this, topic, value: node.codec.decode(bytes), session: LOOPBACK_SESSION, size });
      return true;
    };
    if (!this.#turns.isBusy && attempt()) return;
    await this.#turns.wait(attempt, options, node.runtime);
  }

  async request(name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    const { node, responders } = this.#parts;
    const handler = responders.get(name);
    if (handler === undefined) throw new ViaductError("unknown_protocol", { detail: `Nothing responds to '${name}'` });
    const controller = new AbortController();
    const copy = node.codec.decode(this.#encoded(value));
    const answer = (async () => {
      try {
        return node.codec.decode(this.#encoded(await handler(copy, { peer: this, signal: controller.signal })));
      } catch (error) {
        if (error instanceof ViaductError) throw error;
        throw new ViaductError("request_failed", {
          cause: error,
          ...(error instanceof Error ? { detail: error.message } : {}),
        });
      }
    })();
    answer.catch(() => {});
    return await waitFor(answer, fromNowOn(options, node.runtime), node.runtime, () =>
      controller.abort(new ViaductError("aborted")),
    );
  }

  async ping(options: WaitOptions = {}): Promise<{ rttMs: number; path: number; remote: string }> {
    options.signal?.throwIfAborted();
    this.#requireOpen();
    return { rttMs: 0, path: 0, remote: "" };
  }

  keep(): void {}

  addPath(): void {}

  drop(): void {}

  stats(): SessionStats {
    return {
      cipher: "chacha20-poly1305",
      paths: [],
      streamsOpen: 0,
      bytesSent: 0,
      bytesReceived: 0,
      ...noDatagrams(),
      rekeys: 0,
      packagesRejected: 0,
    };
  }

  /** Nothing is there to be closed: it is over when the node is. */
  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  // What the node tells of it.

  /** The program took messages of that size. */
  onTaken(size: number): void {
    this.#waitingBytes -= size;
    this.#turns.advance();
  }

  onNodeClosed(error: ViaductError): void {
    this.#closedWith = error;
    this.#turns.fail(error);
    this.#datagrams.end();
    this.#noStreams.end();
  }

  #noIncoming(): readonly [ReadableStream<Stream>, ReadableStream<ReceiveStream>] {
    this.#incoming ??= [readableOf(this.#noStreams), readableOf(this.#noStreams)];
    return this.#incoming;
  }

  #sendDatagram(bytes: Uint8Array): boolean {
    if (this.#closedWith !== undefined || bytes.length > DATAGRAM_BYTES_MAX) return false;
    const copy = new Uint8Array(bytes);
    queueMicrotask(() => this.#datagrams.deliver(copy));
    return true;
  }

  /** Bytes of its own: what is decoded from them keeps views. */
  #encoded(value: Value): Uint8Array {
    const { node } = this.#parts;
    return node.codec.encode(value, node.limits.messageBytesMax).slice();
  }

  #requireOpen(): void {
    if (this.#closedWith !== undefined) throw this.#closedWith;
  }
}

alsoDisposable(LoopbackPeer);
