/**
 * What goes into a node and what comes out of it: commands' options, events, limits, and the seam at which the relay
 * client and the circuits hang. PROTOCOL §7, §8 and §10.
 *
 * The invariant to hold: nothing here names a runtime, a promise or a clock; values of messages and requests are opaque
 * bytes, which the adapters encode.
 *
 * @module
 */

import type { PathId, ReadResult, SessionClosed, StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import type { EarlyTickets, EarlyTicketsOptions } from "./early_tickets.ts";
import type { Endpoint } from "./endpoint.ts";
import type {
  DialId,
  EndpointConfig,
  EndpointEvent,
  EndpointInput,
  EndpointOutput,
  PipeId,
  SessionId,
} from "./endpoint_types.ts";

/** What drives a node from outside: what happened to pipes. */
export type NodeInput = EndpointInput;

/** What a node wants done: bytes on pipes, pipes dialled and closed. */
export type NodeOutput = EndpointOutput;

/** Number of a relay that the node stays registered with; never reused. */
export type RelayId = number;

/** Number of a request within its session and direction; increases, never reused. */
export type RequestId = number;

/** Limits and times of a node above its endpoint. Defaults: `DEFAULT_NODE_LIMITS` in `core/node/node_defaults.ts`. */
export interface NodeLimits {
  /** Bytes of the value of one message, request or response. */
  readonly messageBytesMax: number;
  /** Bytes of messages of one peer that the application has not released; then no more are read. */
  readonly messageQueueBytes: number;
  /** Requests of one peer being answered at once; more are answered `limit`. */
  readonly requestsMax: number;
  /** Bytes of responses to one peer that wait for room; a response above it becomes the error `limit`. */
  readonly responseQueueBytes: number;
  /** A stream's header must be complete this long after the stream was opened. */
  readonly streamHeaderTimeoutMs: number;
  /** How long direct addresses are tried alone before a circuit is tried beside them. */
  readonly directHeadStartMs: number;
  /** `connect` gives up after this where its options say nothing. */
  readonly connectTimeoutMs: number;
  /** Attempts to connect at once; more fail with `limit`. */
  readonly connectsMax: number;
  /** How long `close` and `closePeer` wait for messages that are queued. */
  readonly closeTimeoutMs: number;
}

/** What a node is made from. */
export interface NodeConfig {
  /** Identity, session config and limits of the layer below. */
  readonly endpoint: EndpointConfig;
  readonly limits: NodeLimits;
  /** The name asked for at relays. */
  readonly name: string | undefined;
  /** A token that a relay gave earlier. */
  readonly token: Uint8Array | undefined;
  /** A token that an operator signed: shown to relays that were added, not to those that targets name. */
  readonly admission?: Uint8Array;
  /** A line shown to others at relays: at most 128 bytes of UTF-8. */
  readonly about: string;
  /** Makes what hands out tickets for early data; without it none is taken. A node that is never dialled needs none. */
  readonly makeEarlyTickets?: ((env: Environment, options: EarlyTicketsOptions) => EarlyTickets) | undefined;
}

/** A relay as it is addressed. */
export interface RelayTarget {
  /** Its id; without one whoever answers at the address is trusted to be the relay. */
  readonly id?: NodeId;
  readonly addresses: readonly string[];
}

/** Where to connect. A target with a name and no id needs a relay. */
export interface ConnectTarget {
  readonly id?: NodeId;
  readonly name?: string;
  readonly addresses: readonly string[];
  readonly relays: readonly RelayTarget[];
}

/** How to connect. */
export interface ConnectCommandOptions {
  /** Shows no key; needs a target with an id. */
  readonly isAnonymous?: boolean;
  /** `auto` by default: direct first, a circuit beside it after `directHeadStartMs`. */
  readonly via?: "auto" | "direct" | "relay";
  /** Shown to the peer before it accepts; at most 200 bytes. */
  readonly initMessage?: Uint8Array;
  readonly timeoutMs?: number;
  /** A stream that is opened with the handshake, where that is possible: `connected` tells. */
  readonly early?: EarlyOpening;
}

/** A stream and its first bytes. */
export interface EarlyOpening {
  readonly open: OpenStreamOptions;
  readonly bytes: Uint8Array;
  /** Whether nothing follows. */
  readonly isFinal: boolean;
}

/** A stream that was opened with the handshake. */
export interface EarlyOpened {
  readonly stream: StreamId;
  /** Whether the peer took the first bytes before it had a proof. */
  readonly isTaken: boolean;
}

/** How a protocol is served. */
export interface ServeOptions {
  /** Streams of one peer open at once; more are refused with `limit`. */
  readonly streamsPerPeerMax: number;
  /** Whether streams are taken that came with the first message of a handshake, as `acceptEarly` of the API. */
  readonly isEarlyAccepted?: boolean;
}

/** A protocol as an opener offers it. */
export interface ProtocolOffer {
  /** `[a-z0-9._-]+`, at most 64 bytes, or empty for a raw stream, whose only version is 0. */
  readonly name: string;
  /** One to eight versions, the preferred one first. */
  readonly versions: readonly number[];
}

/** How a stream is opened. */
export interface OpenStreamOptions {
  readonly protocol: ProtocolOffer;
  /** Shown to the other side with the stream: at most 1,024 bytes. */
  readonly metadata?: Uint8Array;
  readonly priority?: number;
  readonly isUnidirectional?: boolean;
}

/** How a session is ended. */
export interface ClosePeerOptions {
  readonly code: ErrorCode;
  readonly applicationCode?: number;
  readonly reason?: string;
}

/** A node that a relay knows. */
export interface PresenceNode {
  readonly id: NodeId;
  readonly name: string;
  readonly about: string;
  readonly joinedAtUnixMs: number;
}

/** What a relay is to this node, as it changes. */
export interface RelayEvent {
  readonly type: "relay";
  readonly relay: RelayId;
  readonly state: "connecting" | "registered" | "waiting" | "refused";
  readonly id: NodeId | undefined;
  readonly address: string;
  /** The name this node has there, once `registered`. */
  readonly name?: string;
  /** What brings the name back. A secret. */
  readonly token?: Bytes;
  /** Why it is `waiting` or `refused`. */
  readonly error?: ErrorCode;
  readonly retryInMs?: number;
}

/** Events of one stream. */
export type NodeStreamEvent =
  /** The peer opened a stream of a protocol served here; the header is consumed and the stream accepted. */
  | {
      readonly type: "streamOpened";
      readonly session: SessionId;
      readonly stream: StreamId;
      /** Name and chosen version, such as `chat/1`; empty for a raw stream. */
      readonly protocol: string;
      readonly metadata: Bytes;
      readonly isUnidirectional: boolean;
      /** Whether its first bytes came before the peer proved to be there now: somebody may have held them back. */
      readonly isEarly?: boolean;
    }
  /** The peer took a bidirectional stream; its version is certain. A unidirectional stream has no such event. */
  | {
      readonly type: "streamAccepted";
      readonly session: SessionId;
      readonly stream: StreamId;
      readonly protocol: string;
    }
  /** The peer refused a stream; both halves are given up. */
  | {
      readonly type: "streamRefused";
      readonly session: SessionId;
      readonly stream: StreamId;
      readonly code: ErrorCode;
      /** The application's number, where it is what gave the stream up (`stream_reset`). */
      readonly applicationCode?: number;
    }
  /** `read` may return something again. May come once too often, never too rarely. */
  | { readonly type: "readable"; readonly session: SessionId; readonly stream: StreamId }
  | { readonly type: "writable"; readonly session: SessionId; readonly stream: StreamId }
  | { readonly type: "delivered"; readonly session: SessionId; readonly stream: StreamId }
  | { readonly type: "streamClosed"; readonly session: SessionId; readonly stream: StreamId }
  | {
      readonly type: "stopped";
      readonly session: SessionId;
      readonly stream: StreamId;
      /** The application's number, or one of `core/node/stream_code.ts`. */
      readonly applicationCode: number;
    };

/**
 * What a node tells its application. `relay` and `presence` come from the relay client. After `peerClosed` nothing
 * comes for that session; after `closed` nothing comes at all.
 */
export type NodeEvent =
  | {
      readonly type: "peerConnected";
      readonly session: SessionId;
      readonly remoteId: NodeId | undefined;
      readonly name: string | undefined;
      readonly isInitiator: boolean;
      readonly initMessage: Bytes | undefined;
    }
  /**
   * Somebody asks for a session and the endpoint's `isAcceptManual` is set: answer with `acceptIncoming` or
   * `refuseIncoming` within `handshakeTimeoutMs`. It may replay an older request: nothing must follow from it.
   */
  | {
      readonly type: "incoming";
      /** The session's number if it comes to be. */
      readonly session: SessionId;
      readonly remoteId: NodeId | undefined;
      readonly initMessage: Bytes | undefined;
    }
  | { readonly type: "peerSuspended" | "peerResumed"; readonly session: SessionId }
  | { readonly type: "peerClosed"; readonly session: SessionId; readonly closed: SessionClosed }
  | {
      readonly type: "connected";
      readonly dial: DialId;
      readonly session: SessionId;
      /** The stream of `early`, written in full; without it the caller opens one. */
      readonly early?: EarlyOpened | undefined;
    }
  | { readonly type: "connectFailed"; readonly dial: DialId; readonly code: ErrorCode; readonly detail: string }
  | { readonly type: "pathUp"; readonly session: SessionId; readonly path: PathId }
  | { readonly type: "pathDown"; readonly session: SessionId; readonly path: PathId; readonly code: ErrorCode }
  | NodeStreamEvent
  | { readonly type: "streamsAvailable"; readonly session: SessionId; readonly isUnidirectional: boolean }
  /** Its bytes count against `messageQueueBytes` until `releaseMessage(session, bytes.length)`. */
  | { readonly type: "message"; readonly session: SessionId; readonly topic: string; readonly bytes: Bytes }
  /** `sendMessage` or `sendRequest` takes more after it took nothing. */
  | { readonly type: "messagesWritable"; readonly session: SessionId }
  /** Must be answered with `respond` or `respondError`, even after `requestCancelled`: it counts until then. */
  | {
      readonly type: "request";
      readonly session: SessionId;
      readonly request: RequestId;
      readonly name: string;
      readonly bytes: Bytes;
    }
  | { readonly type: "requestCancelled"; readonly session: SessionId; readonly request: RequestId }
  | { readonly type: "response"; readonly session: SessionId; readonly request: RequestId; readonly bytes: Bytes }
  | {
      readonly type: "requestFailed";
      readonly session: SessionId;
      readonly request: RequestId;
      readonly code: ErrorCode;
      readonly detail: string;
    }
  | { readonly type: "datagram"; readonly session: SessionId; readonly bytes: Bytes }
  | {
      readonly type: "pong";
      readonly session: SessionId;
      readonly token: number;
      readonly rttMs: number;
      readonly path: PathId;
    }
  | RelayEvent
  | { readonly type: "presence"; readonly change: "joined" | "left"; readonly node: PresenceNode }
  /** A relay has told all who are there, or, if truncated, as many as it tells. */
  | { readonly type: "presenceComplete"; readonly isTruncated: boolean }
  /** A relay has told everybody who is there, or as many as it tells. */
  | { readonly type: "presenceComplete"; readonly isTruncated: boolean }
  | { readonly type: "closed" };

/** Figures of a node. */
export interface NodeStats {
  readonly sessions: number;
  readonly pipes: number;
  readonly handshakes: number;
  readonly dials: number;
  /** Attempts to connect under way. */
  readonly connects: number;
  /** Packages dropped before authentication, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
}

// The seam for what is built on a node but inside it: relay client and circuits.

/** What an extension hears: the endpoint's events that are not about streams, and those of its own streams. */
export type ExtensionEvent = EndpointEvent | NodeStreamEvent;

/**
 * The node as its extensions see it. Streams opened here belong to the extensions: their events go to `handleNodeEvent`
 * alone, never to the application. All calls are made from inside the extension's own methods.
 */
export interface NodeInternals {
  readonly config: NodeConfig;
  readonly env: Environment;
  /** For pipes (`allocatePipe`, `handleInput` of virtual ones), dials of their own, `attachOnPipe` and `session`. */
  readonly endpoint: Endpoint;
  /** Accepts incoming streams of a `viaduct.` protocol and offers each to `handleNodeEvent` as `streamOpened`. */
  claim(protocol: string, versions: readonly number[], options: ServeOptions): void;
  openStream(session: SessionId, options: OpenStreamOptions, now: Instant): StreamId | undefined;
  write(session: SessionId, stream: StreamId, bytes: Uint8Array, now: Instant): number;
  writeRoom(session: SessionId, stream: StreamId): number;
  /** Asks for a `writable` event when there is room again. */
  awaitRoom(session: SessionId, stream: StreamId): void;
  read(session: SessionId, stream: StreamId): ReadResult;
  finish(session: SessionId, stream: StreamId, now: Instant): void;
  reset(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void;
  stop(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void;
  /** Queues an event for the application. */
  emit(event: NodeEvent): void;
  /** What `Circuits.connect` came to: the session, or why there is none. Once, unless it was cancelled. */
  circuitDone(circuit: CircuitId, outcome: CircuitOutcome, now: Instant): void;
}

/** Number of an attempt to reach a node over a relay; never reused. */
export type CircuitId = number;

/** How an attempt over a relay ended. */
export type CircuitOutcome =
  | { readonly type: "connected"; readonly session: SessionId }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly detail: string };

/** Whom a circuit is to reach. */
export interface CircuitTarget {
  readonly id: NodeId | undefined;
  readonly name: string | undefined;
  /** Relays that the target is said to be at; those the node is registered with are tried besides. */
  readonly relays: readonly RelayTarget[];
}

/** What every extension of a node has. */
export interface NodeExtension {
  /**
   * Takes an event first. `true` means consumed: the node and the application see no more of it. A session whose
   * `sessionOpened` (of a dial from outside) or `connected` (of an own dial) was consumed is not shown as a peer until
   * the application connects to it or it uses the application. Events of type `session` reach the node in any case.
   */
  handleNodeEvent(event: ExtensionEvent, now: Instant): boolean;
  handleTimeout(now: Instant): void;
  pollTimeout(): Instant;
  /** The node closes: nothing is retried any more. */
  close(now: Instant): void;
}

/** What the node asks of `core/node/relay_client.ts`. */
export interface RelayExtension extends NodeExtension {
  addRelay(relay: RelayTarget, now: Instant): RelayId;
  setAdmission(admission: Uint8Array, now: Instant): void;
  watchPresence(now: Instant): void;
  unwatchPresence(now: Instant): void;
  presences(): Iterable<PresenceNode>;
  /** The name that relays know the node by. */
  nameOf(id: NodeId): string | undefined;
}

/** What the node asks of `core/node/circuits.ts`. */
export interface CircuitsExtension extends NodeExtension {
  /** Whether circuits are open still, or carry the last words of sessions that ended. */
  readonly isBusy: boolean;
  /** Whether some relay could be asked for the target: one given, or one that the node is registered with. */
  canReach(target: CircuitTarget): boolean;
  /** Begins an attempt; its end is told by `circuitDone`, not before this call returned. */
  connect(target: CircuitTarget, options: ConnectCommandOptions, now: Instant): CircuitId;
  cancel(circuit: CircuitId, now: Instant): void;
  /** Whether a pipe is a circuit: the node hands its outputs to `handleOutput` instead of giving them out. */
  isCircuitPipe(pipe: PipeId): boolean;
  handleOutput(output: EndpointOutput, now: Instant): void;
}

/** Builds what hangs on a node. */
export type ExtensionBuilder = (
  internals: NodeInternals,
  now: Instant,
) => {
  readonly relayClient: RelayExtension;
  readonly circuits: CircuitsExtension;
};
