/**
 * The public face of Viaduct: what a program holds after `createNode`. Shapes follow the W3C WebTransport session where
 * there is one (https://www.w3.org/TR/webtransport/), so that what runs over WebTransport runs over a `Peer`.
 *
 * The invariant to hold: every promise rejects with a `ViaductError` or the reason of the caller's `AbortSignal`, and
 * nothing else; everything that waits takes a signal; everything that holds a resource disposes.
 *
 * @module
 */

import type { DatagramSendOptions } from "../../core/connection/datagram_line.ts";
import type { CongestionName, PathPolicy, SessionStats } from "../../core/connection/session_types.ts";
import type { ErrorCode } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";
import type { SessionTracing } from "../../core/node/endpoint_types.ts";

// What the types below mention, so that a program can name it.
export type { DatagramCounts, DatagramSendOptions } from "../../core/connection/datagram_line.ts";
export type {
  CongestionName,
  PathId,
  PathKind,
  PathPolicy,
  PathStats,
  SessionStats,
} from "../../core/connection/session_types.ts";
export type { CipherName } from "../../core/crypto/provider.ts";
export type { Bytes } from "../../core/machine.ts";

/** A node's id: its Ed25519 public key as 56 characters of lower-case base32 with a checksum. */
export type NodeId = string;

/**
 * Any value that MessagePack can carry: null, booleans, numbers, strings, `Uint8Array`, arrays, plain objects,
 * `Date`.
 */
export type Value = unknown;

/** Waits that can be given up. */
export interface WaitOptions {
  /** Gives up with the signal's reason. None. */
  readonly signal?: AbortSignal;
  /** Gives up with a `timeout` error after this many milliseconds. None, where nothing else is said. */
  readonly timeoutMs?: number;
}

/**
 * Where to connect: a ticket (`via1…`), a node id, a name known to a relay, an address (`tcp://`, `udp://`, `ws://` or
 * `wss://`), or parts.
 */
export type Target =
  | string
  | {
      /** Who must answer. Left out, whoever answers is taken. */
      readonly id?: NodeId;
      /** Its name at a relay. */
      readonly name?: string;
      /** Tried in this order, the next one beside the last after 250 ms; at most 16. */
      readonly addresses?: readonly string[];
      /** Relays to try besides one's own: tickets or addresses. */
      readonly relays?: readonly string[];
    };

/** How a session or a node ended. As `WebTransportCloseInfo`, with the stable code beside it. */
export interface CloseInfo {
  /** The application's number, 0 when it gave none. */
  readonly closeCode: number;
  /** For people; empty when nobody gave one. */
  readonly reason: string;
  /** `closed` after an orderly end, else what went wrong. */
  readonly code: ErrorCode;
  /** Whether the other side ended it. */
  readonly isRemote: boolean;
}

/** The limits that a program may set, each a whole number from 1. What happens at them is in docs/limits.md. */
export interface Limits {
  /** Sessions at once. 10,000; 256 in a browser. */
  readonly sessionsMax: number;
  /** Accepted connections at once that have not proved who they are. 1,024. */
  readonly handshakesMax: number;
  /** The same of one address: an IPv4 address or an IPv6 /64. The machine itself is exempt. 16. */
  readonly handshakesPerAddressMax: number;
  /** Milliseconds that a handshake may take, the answer of `accept` included. 10,000. */
  readonly handshakeTimeoutMs: number;
  /** Pipes (TCP, WebSocket or relayed connections, paths over UDP) at once. 10,000. */
  readonly pipesMax: number;
  /** Accepted pipes of one address. The machine itself is exempt. 256. */
  readonly pipesPerAddressMax: number;
  /** Streams of each direction that a peer may have open at once. 1,024. */
  readonly streamsMax: number;
  /** Bytes of one stream that the peer may have sent and the program has not read. 4 MiB. */
  readonly streamWindowBytes: number;
  /** The same of all streams of a session together. 16 MiB. */
  readonly sessionWindowBytes: number;
  /** Bytes that wait or are unacknowledged on one stream before writing waits. 4 MiB. */
  readonly sendBufferBytes: number;
  /** Bytes of the value of one message, request or answer, encoded. 1 MiB. */
  readonly messageBytesMax: number;
  /** Requests of one peer being answered at once. 1,024. */
  readonly requestsMax: number;
  /** Bytes of messages of one peer that arrived and that the program has not taken. 4 MiB. */
  readonly messageQueueBytes: number;
}

/**
 * How sessions use several ways to the same node at once. It is about what this end sends: the other end has options of
 * its own.
 */
export interface PathOptions {
  /**
   * Direct paths that the side which dialled keeps up, as far as it knows addresses of the peer: a whole number from 1
   * to 8. 1. What is in flight on a path that dies moves to another one.
   */
  readonly wanted?: number;
  /**
   * `best`: the path with the lowest round trip that has room. `aggregate`: all together, for the sum of what they
   * carry. `backup`: one alone, the others when it dies. `redundant`: streams and datagrams on two paths, for the
   * lowest delay. But for the copies of `redundant`, a relay carries data only while no direct path answers. `best`.
   */
  readonly policy?: PathPolicy;
  /** What finds out how much a path over UDP carries: `cubic` (RFC 9438) or `new_reno` (RFC 9002). `cubic`. */
  readonly congestion?: CongestionName;
  /** Bytes of the largest UDP payload that is tried: a whole number from 548 to 65,000. 1,452. */
  readonly datagramBytesMax?: number;
}

/** Options of `createNode`. All are optional. */
export interface NodeOptions {
  /**
   * Who the node is: a 32-byte seed, or the name of a key in the runtime's key store (a file path in Node, Deno and
   * Bun, an IndexedDB key in a browser; made when missing). Left out, it is a fresh key in memory only.
   */
  readonly identity?: Uint8Array | { readonly store: string };
  /** The name asked for at relays: `[a-z0-9-]{3,32}`; a relay may refuse it. Left out, relays give a random one. */
  readonly name?: string;
  /**
   * The token that a relay gave earlier, or an operator handed out: 1 to 64 bytes. It brings the same name back. Left
   * out, relays give one.
   */
  readonly token?: Uint8Array;
  /**
   * The text that an operator signed for this node, to be let in at relays that ask for one: at most 2,048 letters. It
   * is shown to `relays` and those of `addRelay`, not to relays that only a ticket of somebody else names. None.
   */
  readonly admission?: string;
  /** A short line about this node for others to see at relays: at most 128 bytes of UTF-8. Empty. */
  readonly about?: string;
  /** Addresses to listen on: `tcp://`, `udp://` or `ws://host:port`, port 0 for any. None. A browser cannot listen. */
  readonly listen?: readonly string[];
  /**
   * Addresses at which others reach this node, put first into its tickets: a port that a router forwards, a TLS proxy
   * in front of a `ws://` listener (`wss://node.example/`), a host name. At most 8. None.
   */
  readonly announce?: readonly string[];
  /** Relays to stay registered with: tickets or addresses. None. Starting succeeds while all are down. */
  readonly relays?: readonly string[];
  /** Bytes shown to a peer before it accepts the session: at most 200. None. */
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
  /**
   * Milliseconds of silence on a path after which a PING goes out, 0 to 3,600,000; 0 for never, and then sessions that
   * nothing uses end. 10,000. `peer.drop()` and `peer.keep()` choose for one session.
   */
  readonly keepAliveMs?: number;
  /**
   * Milliseconds without a package in either direction after which a session that is not kept alive ends with
   * `idle_timeout`, 1,000 to 3,600,000; the smaller number of both sides holds. 30,000.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Milliseconds that a session lives without any path, 0 to 3,600,000; the smaller number of both sides holds. With 0
   * it ends with `truncated` when its last path goes. 60,000.
   */
  readonly resumeWindowMs?: number;
  /** How many paths a session has, and how they are used. One, the best. */
  readonly paths?: PathOptions;
  /** Limits other than the defaults. `DEFAULT_LIMITS`. */
  readonly limits?: Partial<Limits>;
  /**
   * Told what sessions do: packages, losses, round trips, windows, paths. `traceSessions` of `viaduct/trace` makes it
   * of a callback, `qlogTrace` of a place to write qlog to. Sizes, numbers and addresses are in a trace, never keys or
   * what was sent. None, and then nothing of it is loaded.
   */
  readonly trace?: SessionTracing;
  /** Not begun if it is aborted already, and closed when it aborts. None. */
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
  /** Who sent it. */
  readonly from: Peer;
  /** The topic it was sent with; empty by default. */
  readonly topic: string;
  /** What was sent. */
  readonly value: Value;
}

/** A node that a relay knows. */
export interface Presence {
  /** Its id, as its session with the relay proved; one who connects proves it anew. */
  readonly id: NodeId;
  /** Its name at the relay. */
  readonly name: string;
  /** What it says of itself; nobody has checked it. */
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
  /** The address that it is reached at. */
  readonly address: string;
  /** Its id; `undefined` when only an address was given and it has not answered yet. */
  readonly id: NodeId | undefined;
  /** `waiting`: for the next try. `refused`: the relay said no, and is asked again later where that can help. */
  readonly state: "connecting" | "registered" | "waiting" | "refused";
  /** The name this node has there. */
  readonly name: string | undefined;
  /** Why it is not registered. */
  readonly error: ErrorCode | undefined;
  /** When the next try is due, in milliseconds from when this was told; while `waiting` or `refused`. */
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
  /** A session gained a path beside those it has, or lost one. */
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
  /** `node`, `deno`, `bun` or `browser`. */
  readonly runtime: string;
  /** Where its cryptography comes from: `node`, `deno`, `bun` or `browser`. */
  readonly cryptoProvider: string;
  /** Sessions that are there, suspended ones included. */
  readonly sessions: number;
  /** Connections open or being opened, and addresses spoken with over UDP. */
  readonly pipes: number;
  /** Handshakes under way. */
  readonly handshakes: number;
  /** Bytes of packages of all sessions, those that are over included. */
  readonly bytesSent: number;
  /** The same of those that came. */
  readonly bytesReceived: number;
  /** Packages and connections turned away before authentication, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** A node: this program's end of every session. */
export interface Node extends AsyncDisposable {
  /** Its id. */
  readonly id: NodeId;
  /** The name given by the first relay that registered it. */
  readonly name: string | undefined;
  /** The token that brings the name back after a restart: keep it secret. */
  readonly token: Uint8Array | undefined;
  /** The addresses really listened on. */
  readonly addresses: readonly string[];
  /** How it stands with each relay. */
  readonly relays: readonly RelayStatus[];
  /** The peers with a session, suspended ones included; those that show no key are not here. */
  readonly peers: ReadonlyMap<NodeId, Peer>;
  /** Resolves once it listens and, where relays were given, is registered with one; rejects only when closed before. */
  readonly ready: Promise<void>;
  /** Resolves when the node has ended; never rejects. */
  readonly closed: Promise<CloseInfo>;
  /** A string that others connect with: id, addresses, relays and, when asked for, a token. */
  ticket(options?: { readonly token?: Uint8Array }): string;
  /** Listens on one more address, as in `NodeOptions.listen`, and returns the one really bound. */
  listen(address: string): Promise<string>;
  /** Adds a relay to stay registered with. */
  addRelay(relay: string): void;
  /** Shows another admission to the relays, as in `NodeOptions.admission`, before the one they know expires. */
  setAdmission(admission: string): void;
  /**
   * Connects, or returns the peer that is connected already. Connecting to one's own id works. Given up after 30 s
   * unless `timeoutMs` says otherwise.
   */
  connect(target: Target, options?: ConnectOptions): Promise<Peer>;
  /**
   * Connects where need be and opens a stream with its first bytes. A node that was reached before has given a ticket:
   * then they go with the very first message, and an answer may be here after one round trip (0-RTT). That is done
   * towards protocols that say `acceptEarly`, over direct connections, for about 200 bytes over UDP and 1,700 over TCP
   * and WebSocket; what does not fit or is not taken follows as soon as the connection is there. Nothing is lost or
   * doubled on the stream either way. Early bytes are encrypted, but without the forward secrecy of what follows, until
   * the other node is restarted: send no secret that must outlive the node's key. Rejects as `connect` and `Peer.open`.
   *
   * @throws {RangeError} If `data` has more than 65,536 bytes: write the rest to the stream.
   */
  openStream(target: Target, protocol: string | readonly string[], options?: OpenStreamOptions): Promise<Stream>;
  /**
   * Serves a protocol such as `chat/1`; several versions may be served by one handler. Disposing stops it.
   *
   * @throws {TypeError} If the name is malformed or handled already.
   */
  handle(protocol: string | readonly string[], handler: StreamHandler, options?: HandleOptions): Disposable;
  /** Answers requests with this name, of at most 64 bytes. Disposing stops it. */
  respond(name: string, handler: RequestHandler): Disposable;
  /** Messages to this node, in order for each peer. A slow reader stops the senders, nothing is lost. */
  messages(options?: { readonly topic?: string; readonly signal?: AbortSignal }): AsyncIterableIterator<Message>;
  /**
   * Sends a message to a connected or connectable node; resolves when it is queued in full. Sending to oneself works.
   */
  send(target: Target | Peer, value: Value, options?: SendOptions): Promise<void>;
  /** Asks a connected or connectable node, and resolves with its answer. */
  request(target: Target | Peer, name: string, value: Value, options?: WaitOptions): Promise<Value>;
  /** Sends to every connected peer that the filter takes; tells how many. */
  broadcast(value: Value, options?: SendOptions & { readonly filter?: (peer: Peer) => boolean }): Promise<number>;
  /** Who is at the relays, now. Given up after 5 s unless `timeoutMs` says otherwise. */
  who(options?: WaitOptions): Promise<Presence[]>;
  /** Who joins and leaves from now on, after those already there as `joined`. */
  watch(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<PresenceEvent>;
  /** Ends the session with a node, if there is one, and refuses it from now on. Not kept between runs. */
  ban(id: NodeId): void;
  /** Takes a ban back. */
  unban(id: NodeId): void;
  /** Who is banned. */
  readonly banned: ReadonlySet<NodeId>;
  /** What happens, from now on. At most 1,024 wait; then the oldest go and `lost` tells how many. */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<NodeEvent>;
  /** Its figures, as of now. */
  stats(): NodeStats;
  /** Finishes what is queued (at most `timeoutMs` milliseconds, 5,000), closes all sessions, frees everything. */
  close(options?: { readonly reason?: string; readonly timeoutMs?: number }): Promise<void>;
}

/** Options of `Node.connect`. */
export interface ConnectOptions extends WaitOptions {
  /** Shows no key: the peer sees an anonymous client and cannot dial back. Needs a target with an id. `false`. */
  readonly isAnonymous?: boolean;
  /** `direct` never uses a relay, `relay` only relays; `auto` tries a relay after 1 s of direct tries. `auto`. */
  readonly via?: "auto" | "direct" | "relay";
}

/** Options of `Node.openStream`. */
export interface OpenStreamOptions extends ConnectOptions, OpenOptions {
  /** The first bytes of the stream. None. */
  readonly data?: Uint8Array;
  /** A value behind them, as `SendStream.send` sends it. None. */
  readonly message?: Value;
}

/** Options of `Node.handle`. */
export interface HandleOptions {
  /**
   * Takes streams that came with the first message of a connection, before its sender proved to be there now
   * (`Stream.isEarly`). An attacker may have held such a message back for up to 10 s; and a sender that had no answer
   * sends the same again in another one. For handlers that do nothing which must not happen late or twice. With
   * `accept` of `NodeOptions` none are taken. `false`.
   */
  readonly acceptEarly?: boolean;
  /** Streams of one peer at once; more are refused with `limit`. 256. */
  readonly streamsPerPeerMax?: number;
}

/** Options of `send` and `broadcast`. */
export interface SendOptions extends WaitOptions {
  /** A name that the receiver can select messages by; at most 64 bytes. Empty. */
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
  /** Resolved: a peer is there when its session is. */
  readonly ready: Promise<void>;
  /** Resolves when the session has ended; never rejects. */
  readonly closed: Promise<CloseInfo>;
  /** Its datagrams. */
  readonly datagrams: PeerDatagrams;
  /** Raw streams, without a protocol, that the peer opens. 256 of each kind wait to be read; more are reset. */
  readonly incomingBidirectionalStreams: ReadableStream<Stream>;
  readonly incomingUnidirectionalStreams: ReadableStream<ReceiveStream>;
  /** Opens a raw stream, without a protocol, in both directions. */
  createBidirectionalStream(options?: StreamOptions): Promise<Stream>;
  /** Opens a raw stream, without a protocol, in one direction. */
  createUnidirectionalStream(options?: StreamOptions): Promise<SendStream>;
  /** Opens a stream of a protocol that the peer serves; several versions are offered in order of preference. */
  open(protocol: string | readonly string[], options?: OpenOptions): Promise<Stream>;
  /** Sends a message; resolves when it is queued in full, not when it arrived. */
  send(value: Value, options?: SendOptions): Promise<void>;
  /** Asks, and resolves with the answer. Without `timeoutMs` it waits as long as the session lives. */
  request(name: string, value: Value, options?: WaitOptions): Promise<Value>;
  /** Measures the round trip on the path in use, in milliseconds. */
  ping(options?: WaitOptions): Promise<{ readonly rttMs: number; readonly path: number; readonly remote: string }>;
  /** Keeps the session although nothing uses it: the default, unless `keepAliveMs` is 0. */
  keep(): void;
  /** Sends no more PINGs: the session ends after `idleTimeoutMs` without use, if the other side does not keep it. */
  drop(): void;
  /**
   * Opens one more path to the peer at an address such as `udp://host:port`, and keeps one more from now on, up to 8.
   * It returns at once: what comes of it shows in `stats()` and as the event `pathUp`.
   *
   * @throws {ViaductError} `address_invalid`, or why the session ended.
   */
  addPath(address: string): void;
  /** Figures of the session and of each of its paths, as of now; the last ones, once it is over. */
  stats(): SessionStats;
  /**
   * Ends the session after what was taken of messages and answers has been delivered. Streams that are not finished are
   * reset.
   */
  close(info?: { readonly closeCode?: number; readonly reason?: string }): Promise<void>;
}

/** Options of raw streams. */
export interface StreamOptions extends WaitOptions {
  /** Streams with a higher number go first; equal ones share. 0. As `sendOrder` of WebTransport. */
  readonly sendOrder?: number;
  /** Waits for room when the peer's limit of streams is reached, instead of rejecting with `stream_limit`. `false`. */
  readonly waitUntilAvailable?: boolean;
}

/** Options of `Peer.open`. */
export interface OpenOptions extends StreamOptions {
  /** Bytes shown to the handler with the stream: at most 1,024. None. */
  readonly metadata?: Uint8Array;
}

/** Unreliable, unordered, bounded datagrams. */
export interface PeerDatagrams {
  /** Those that came. 1,024 and 4 MiB wait to be read; then the oldest go. */
  readonly readable: ReadableStream<Bytes>;
  /** Takes those to send, each chunk one; what is too large is dropped without a word. */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Bytes of the largest datagram that can be sent now, by the path in use: it may be smaller on the next one. It is 11
   * less with `redundancy` or `fec`.
   */
  readonly maxDatagramSize: number;
  /** Milliseconds after which what still waits is not sent any more; `null` or 0 is never. `null`. */
  outgoingMaxAge: number | null;
  /**
   * How often each is sent: 1 to 8 times, 15 ms apart, or `adaptive`: up to 3 times, as the loss of the path asks for.
   * Each comes out once. It is done over UDP, towards Node, Deno and Bun; elsewhere each is sent once. 1.
   */
  redundancy: number | "adaptive";
  /**
   * Datagrams of a group, up to 32, after which their XOR is sent: it brings back any one of them. A group waits up to
   * 35 ms for its last ones. Over UDP, towards Node, Deno and Bun, as `redundancy`. 0, which is none.
   */
  fec: number;
  /**
   * Sends without a stream; options are for this one alone. `false` when it was dropped at once, as too large or
   * because the session is over. Throws `RangeError` for options out of range, those above included.
   */
  send(bytes: Uint8Array, options?: DatagramSendOptions): boolean;
}

/** What streams of both kinds have. */
export interface StreamBase {
  /** Its number in the session. */
  readonly id: number;
  /** The protocol and version agreed on, such as `chat/1`; empty for a raw stream. */
  readonly protocol: string;
  /** What the opener sent along. */
  readonly metadata: Uint8Array;
  /** Whether the first bytes went with the first message of the connection and were taken so (0-RTT). */
  readonly isEarly: boolean;
  /** Whose stream it is. */
  readonly peer: Peer;
  /** Resolves when both directions ended well; rejects when the stream was reset or its session ended first. */
  readonly closed: Promise<void>;
}

/** The sending half. */
export interface SendStream extends StreamBase {
  /** The same as a WHATWG stream. Closing it is `finish`, aborting it `reset`. */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Writes without WHATWG stream machinery; resolves when there is room for more (back-pressure), not when delivered.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Sends one value as a MessagePack message with its length in front, for `messages()` of the other side. */
  send(value: Value): Promise<void>;
  /** Ends the sending half; resolves when the peer acknowledged everything. */
  finish(): Promise<void>;
  /** Gives the sending half up: what is not delivered is dropped. The code is 0 to 2^32-1; 0. */
  reset(applicationCode?: number): void;
  /** Changes its `sendOrder`. */
  setSendOrder(sendOrder: number): void;
}

/** The receiving half. */
export interface ReceiveStream extends StreamBase {
  /** The same as a WHATWG stream of bytes (BYOB readers work). Cancelling it is `stop`. */
  readonly readable: ReadableStream<Bytes>;
  /** The next bytes in order, or `undefined` at the end. Do not mix with `readable` or `messages()`. */
  read(options?: WaitOptions): Promise<Bytes | undefined>;
  /** Values sent with `send`, whole and in order, up to `messageBytesMax` each. */
  messages(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<Value>;
  /** Tells the peer that no more is read. The code is 0 to 2^32-1; 0. */
  stop(applicationCode?: number): void;
}

/** A bidirectional stream. Disposing resets what has not ended. */
export interface Stream extends SendStream, ReceiveStream, AsyncDisposable {
  /** Resolves when the peer took the stream and its version is certain; rejects when it refused. */
  readonly accepted: Promise<void>;
}

/** Makes a node. Each runtime's entry point exports one. */
export type CreateNode = (options?: NodeOptions) => Promise<Node>;
