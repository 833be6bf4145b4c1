/**
 * The public face of Viaduct: what a program holds after `createNode`. Shapes follow the W3C WebTransport session where
 * there is one (https://www.w3.org/TR/webtransport/), so that what runs over WebTransport runs over a `Peer`.
 *
 * The invariant to hold: every promise rejects with a `ViaductError` or the reason of the caller's `AbortSignal`, and
 * nothing else; everything that waits takes a signal; everything that holds a resource disposes.
 *
 * @module
 */

import type { CongestionName, PathPolicy, SessionStats } from "../../core/connection/session_types.ts";
import type { ErrorCode } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";

/** A node's id: its Ed25519 public key as 56 characters of lower-case base32 with a checksum. */
export type NodeId = string;

/**
 * Any value that MessagePack can carry: null, booleans, numbers, strings, `Uint8Array`, arrays, plain objects,
 * `Date`.
 */
export type Value = unknown;

/** Waits that can be given up. */
export interface WaitOptions {
  /** Gives up with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Gives up with a `timeout` error after this many milliseconds. */
  readonly timeoutMs?: number;
}

/**
 * Where to connect: a ticket (`via1…`), a node id, a name known to a relay, an address (`tcp://…`, `ws://…`), or
 * parts.
 */
export type Target =
  | string
  | {
      readonly id?: NodeId;
      readonly name?: string;
      readonly addresses?: readonly string[];
      readonly relays?: readonly string[];
    };

/** How a session or stream ended. As `WebTransportCloseInfo`, with the stable code beside it. */
export interface CloseInfo {
  /** The application's number, 0 when it gave none. */
  readonly closeCode: number;
  readonly reason: string;
  readonly code: ErrorCode;
  readonly isRemote: boolean;
}

/** Every limit of a node, with its default; see docs/limits.md. Bytes and milliseconds. */
export interface Limits {
  /** Sessions at once. 10,000; 256 in a browser. */
  readonly sessionsMax: number;
  /** Handshakes in progress at once, and from one address. 1,024 and 16. THREATS t-A5. */
  readonly handshakesMax: number;
  readonly handshakesPerAddressMax: number;
  /** A handshake takes at most this long. 10,000. */
  readonly handshakeTimeoutMs: number;
  /** Pipes at once and from one address. 10,000 and 256. */
  readonly pipesMax: number;
  readonly pipesPerAddressMax: number;
  /** Streams of each direction that one peer may have open. 1,024. */
  readonly streamsMax: number;
  /** Bytes that a peer may have outstanding on a stream, and on a session. 4 MiB and 16 MiB. */
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  /** Bytes that wait or are unacknowledged on one stream before writing waits. 4 MiB. */
  readonly sendBufferBytes: number;
  /** Bytes of one message or request value. 1 MiB. */
  readonly messageBytesMax: number;
  /** Requests of one peer being answered at once. 1,024. */
  readonly requestsMax: number;
  /** Bytes of messages received and not yet taken by the program, of one peer. 4 MiB. */
  readonly messageQueueBytes: number;
}

/** How sessions use several ways to the same node at once. */
export interface PathOptions {
  /**
   * Direct paths that the side which dialled keeps up, as far as the peer has addresses: 1 to 8. 1. What is in flight
   * on a path that dies moves to another one.
   */
  readonly wanted?: number;
  /**
   * `best`: the path with the lowest round trip that has room. `aggregate`: all together, for the sum of what they
   * carry. `backup`: one alone, the others when it dies. `redundant`: everything on two paths, for the lowest delay.
   * `best`.
   */
  readonly policy?: PathPolicy;
  /** What finds out how much a path of datagrams carries: `cubic` (RFC 9438) or `new_reno`. `cubic`. */
  readonly congestion?: CongestionName;
  /** Bytes of the largest datagram that is tried: 548 to 65,000. 1,452. */
  readonly datagramBytesMax?: number;
}

/** Options of `createNode`. All are optional. */
export interface NodeOptions {
  /**
   * Who the node is: a 32-byte seed, or the name of a key in the runtime's key store (a file path in Node, Deno and
   * Bun,
   * an IndexedDB key in a browser; made when missing). Left out, the node is anonymous: a fresh key in memory only.
   */
  readonly identity?: Uint8Array | { readonly store: string };
  /** The name asked for at relays: `[a-z0-9-]{3,32}`; a relay may refuse it. Left out, relays give a random one. */
  readonly name?: string;
  /** The token that a relay gave earlier, or an operator handed out; it brings the same name back. */
  readonly token?: Uint8Array;
  /** A short line about this node for others to see at relays: at most 128 bytes of UTF-8. */
  readonly about?: string;
  /** Addresses to listen on, such as `tcp://0.0.0.0:0`. A browser cannot listen. */
  readonly listen?: readonly string[];
  /** Relays to stay registered with: tickets or addresses. Starting succeeds while all are down. */
  readonly relays?: readonly string[];
  /** Bytes shown to a peer before it accepts the session: at most 200. */
  readonly initMessage?: Uint8Array;
  /**
   * Decides whether a new session from outside is accepted: `false`, or throwing, refuses it, and the other side's
   * `connect` rejects with `refused` without ever having had a session. Left out, all are. Not asked about a node that
   * this one is connecting to itself. An answer must come within `limits.handshakeTimeoutMs`. A request may be the
   * replay of an older one, so that nothing should follow from it but the answer.
   */
  readonly accept?: (request: {
    readonly id: NodeId | undefined;
    readonly initMessage: Uint8Array | undefined;
  }) => boolean | PromiseLike<boolean>;
  /** Silence after which a PING is sent; 0 turns it off. 15,000. */
  readonly keepAliveMs?: number;
  /** A session with nothing heard on any path for this long loses its paths. 30,000. */
  readonly idleTimeoutMs?: number;
  /** A session lives this long without any path. 60,000. */
  readonly resumeWindowMs?: number;
  /** How many paths a session has, and how they are used. */
  readonly paths?: PathOptions;
  readonly limits?: Partial<Limits>;
  /** Starts and stops with this signal. */
  readonly signal?: AbortSignal;
}

/** A handler of incoming streams of one protocol. A rejection resets the stream with `handler_failed`. */
export type StreamHandler = (stream: Stream, peer: Peer) => void | Promise<void>;

/** A handler of incoming requests: its value is the answer; a thrown error answers `request_failed`. */
export type RequestHandler = (
  value: Value,
  context: { readonly peer: Peer; readonly signal: AbortSignal },
) => Value | Promise<Value>;

/** A message that arrived. */
export interface Message {
  readonly from: Peer;
  /** The topic it was sent with; empty by default. */
  readonly topic: string;
  readonly value: Value;
}

/** A node that a relay knows. */
export interface Presence {
  readonly id: NodeId;
  readonly name: string;
  readonly about: string;
  /** Milliseconds since 1970 at which it joined. */
  readonly joinedAtUnixMs: number;
}

/** A change in who is at the relays. */
export type PresenceEvent =
  | { readonly type: "joined"; readonly node: Presence }
  | { readonly type: "left"; readonly node: Presence };

/** A relay as this node sees it. */
export interface RelayStatus {
  readonly address: string;
  readonly id: NodeId | undefined;
  readonly state: "connecting" | "registered" | "waiting" | "refused";
  /** The name this node has there. */
  readonly name: string | undefined;
  /** Why it is not registered. */
  readonly error: ErrorCode | undefined;
  /** When the next try is due, in milliseconds from now, while `waiting`. */
  readonly retryInMs: number | undefined;
}

/** What happens to a node, for logs and screens. */
export type NodeEvent =
  | { readonly type: "listening"; readonly address: string }
  | { readonly type: "peerConnected"; readonly peer: Peer }
  /** All paths of a session are gone; it waits and tries again. */
  | { readonly type: "peerSuspended"; readonly peer: Peer }
  | { readonly type: "peerResumed"; readonly peer: Peer }
  | { readonly type: "peerClosed"; readonly peer: Peer; readonly info: CloseInfo }
  | { readonly type: "pathUp" | "pathDown"; readonly peer: Peer; readonly path: number }
  | { readonly type: "relay"; readonly relay: RelayStatus }
  /** A handler of the program threw: of a protocol or a request by that name, or `accept`. */
  | {
      readonly type: "handlerFailed";
      readonly name: string;
      readonly peer: Peer | undefined;
      readonly error: unknown;
    }
  /** A bug of Viaduct ended the node. */
  | { readonly type: "failed"; readonly error: unknown }
  /** The slow reader of `events()` missed some. */
  | { readonly type: "lost"; readonly count: number };

/** Figures of a node. */
export interface NodeStats {
  readonly runtime: string;
  readonly cryptoProvider: string;
  readonly sessions: number;
  readonly pipes: number;
  readonly handshakes: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Packages dropped before authentication, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** A node: this program's end of every session. */
export interface Node extends AsyncDisposable {
  readonly id: NodeId;
  /** The name given by the first relay that registered it. */
  readonly name: string | undefined;
  /** The token that brings the name back after a restart: keep it secret. */
  readonly token: Uint8Array | undefined;
  /** The addresses really listened on. */
  readonly addresses: readonly string[];
  readonly relays: readonly RelayStatus[];
  readonly peers: ReadonlyMap<NodeId, Peer>;
  /** Resolves once it listens and, where relays were given, is registered with one; rejects only when closed before. */
  readonly ready: Promise<void>;
  readonly closed: Promise<CloseInfo>;
  /** A string that others connect with: id, addresses, relays and, when asked for, a token. */
  ticket(options?: { readonly token?: Uint8Array }): string;
  /** Listens on one more address and returns the one really bound. */
  listen(address: string): Promise<string>;
  /** Adds a relay to stay registered with. */
  addRelay(relay: string): void;
  /** Connects, or returns the peer that is connected already. Connecting to one's own id works. */
  connect(target: Target, options?: ConnectOptions): Promise<Peer>;
  /** Serves a protocol such as `chat/1`; several versions may be served by one handler. Disposing stops it. */
  handle(protocol: string | readonly string[], handler: StreamHandler, options?: HandleOptions): Disposable;
  /** Answers requests with this name. */
  respond(name: string, handler: RequestHandler): Disposable;
  /** Messages to this node, in order for each peer. A slow reader stops the senders, nothing is lost. */
  messages(options?: { readonly topic?: string; readonly signal?: AbortSignal }): AsyncIterableIterator<Message>;
  /**
   * Sends a message to a connected or connectable node; resolves when it is queued in full. Sending to oneself works.
   */
  send(target: Target | Peer, value: Value, options?: SendOptions): Promise<void>;
  request(target: Target | Peer, name: string, value: Value, options?: WaitOptions): Promise<Value>;
  /** Sends to every connected peer that the filter takes; tells how many. */
  broadcast(value: Value, options?: SendOptions & { readonly filter?: (peer: Peer) => boolean }): Promise<number>;
  /** Who is at the relays, now. */
  who(options?: WaitOptions): Promise<Presence[]>;
  /** Who joins and leaves from now on, after those already there as `joined`. */
  watch(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<PresenceEvent>;
  ban(id: NodeId): void;
  unban(id: NodeId): void;
  readonly banned: ReadonlySet<NodeId>;
  /** What happens, from now on. At most 1,024 wait; then the oldest go and `lost` tells how many. */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<NodeEvent>;
  stats(): NodeStats;
  /** Finishes what is queued (at most `timeoutMs`, 5,000), closes all sessions, frees everything. */
  close(options?: { readonly reason?: string; readonly timeoutMs?: number }): Promise<void>;
}

export interface ConnectOptions extends WaitOptions {
  /** Shows no key: the peer sees an anonymous client and cannot dial back. Needs a target with an id. */
  readonly isAnonymous?: boolean;
  /** `direct` never uses a relay, `relay` only relays. `auto` by default: direct first. */
  readonly via?: "auto" | "direct" | "relay";
}

export interface HandleOptions {
  /** Streams of one peer at once; more are refused with `limit`. 256. */
  readonly streamsPerPeerMax?: number;
}

export interface SendOptions extends WaitOptions {
  /** A name that the receiver can select messages by; at most 64 bytes. */
  readonly topic?: string;
}

/** A session with another node. Follows the shape of a W3C WebTransport session. */
export interface Peer extends AsyncDisposable {
  /** The peer's id; `undefined` for a client that shows no key. */
  readonly id: NodeId | undefined;
  /** The name it has at a relay, where known. */
  readonly name: string | undefined;
  /** `suspended` while no path is there and the session waits for one. */
  readonly state: "connected" | "suspended" | "closed";
  /** Whether this end dialled. */
  readonly isInitiator: boolean;
  /** What the peer showed in its handshake. */
  readonly initMessage: Uint8Array | undefined;
  readonly ready: Promise<void>;
  readonly closed: Promise<CloseInfo>;
  readonly datagrams: PeerDatagrams;
  readonly incomingBidirectionalStreams: ReadableStream<Stream>;
  readonly incomingUnidirectionalStreams: ReadableStream<ReceiveStream>;
  createBidirectionalStream(options?: StreamOptions): Promise<Stream>;
  createUnidirectionalStream(options?: StreamOptions): Promise<SendStream>;
  /** Opens a stream of a protocol that the peer serves; several versions are offered in order of preference. */
  open(protocol: string | readonly string[], options?: OpenOptions): Promise<Stream>;
  send(value: Value, options?: SendOptions): Promise<void>;
  request(name: string, value: Value, options?: WaitOptions): Promise<Value>;
  /** Measures the round trip on the path in use. */
  ping(options?: WaitOptions): Promise<{ readonly rttMs: number; readonly path: number; readonly remote: string }>;
  /** Keeps the session although nothing uses it (the default), or lets it close when idle. */
  keep(): void;
  drop(): void;
  /**
   * Opens one more path to the peer at an address such as `udp://host:port`, and keeps one more from now on. What comes
   * of it shows in `stats()`.
   */
  addPath(address: string): void;
  stats(): SessionStats;
  close(info?: { readonly closeCode?: number; readonly reason?: string }): Promise<void>;
}

export interface StreamOptions extends WaitOptions {
  /** Streams with a higher number go first; equal ones share. 0. As `sendOrder` of WebTransport. */
  readonly sendOrder?: number;
  /** Waits for room when the peer's limit of streams is reached, instead of rejecting with `stream_limit`. */
  readonly waitUntilAvailable?: boolean;
}

export interface OpenOptions extends StreamOptions {
  /** Bytes shown to the handler with the stream: at most 1,024. */
  readonly metadata?: Uint8Array;
}

/** Unreliable, unordered, bounded datagrams. */
export interface PeerDatagrams {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Uint8Array>;
  /** Bytes of the largest datagram that can be sent now. */
  readonly maxDatagramSize: number;
  /** Sends without a stream; `false` when it was dropped at once. */
  send(bytes: Uint8Array): boolean;
}

/** What streams of both kinds have. */
export interface StreamBase {
  readonly id: number;
  /** The protocol and version agreed on, such as `chat/1`; empty for a raw stream. */
  readonly protocol: string;
  /** What the opener sent along. */
  readonly metadata: Uint8Array;
  readonly peer: Peer;
  /** Resolves when both directions ended well; rejects when the stream was reset or its session ended first. */
  readonly closed: Promise<void>;
}

/** The sending half. */
export interface SendStream extends StreamBase {
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Writes without WHATWG stream machinery; resolves when there is room for more (back-pressure), not when delivered.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Sends one value as a MessagePack message with its length in front, for `messages()` of the other side. */
  send(value: Value): Promise<void>;
  /** Ends the sending half; resolves when the peer acknowledged everything. */
  finish(): Promise<void>;
  /** Gives the sending half up: what is not delivered is dropped. */
  reset(applicationCode?: number): void;
  setSendOrder(sendOrder: number): void;
}

/** The receiving half. */
export interface ReceiveStream extends StreamBase {
  /** A byte stream (BYOB readers work). */
  readonly readable: ReadableStream<Bytes>;
  /** The next bytes in order, or `undefined` at the end. Do not mix with `readable` or `messages()`. */
  read(options?: WaitOptions): Promise<Bytes | undefined>;
  /** Values sent with `send`, whole and in order, up to `messageBytesMax` each. */
  messages(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<Value>;
  /** Tells the peer that no more is read. */
  stop(applicationCode?: number): void;
}

/** A bidirectional stream. Disposing resets what has not ended. */
export interface Stream extends SendStream, ReceiveStream, AsyncDisposable {
  /** Resolves when the peer took the stream and its version is certain; rejects when it refused. */
  readonly accepted: Promise<void>;
}

/** Makes a node. Each runtime's entry point exports one. */
export type CreateNode = (options?: NodeOptions) => Promise<Node>;
