/**
 * What goes into an endpoint and what comes out of it. PROTOCOL §3 and §6.
 *
 * @module
 */

import type { SessionTrace, SessionTraceFacts } from "../connection/session_trace.ts";
import type { PathKind, Role, SessionConfig, SessionEvent } from "../connection/session_types.ts";
import type { Identity, NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Environment, Instant } from "../machine.ts";
import type { EarlyTickets } from "./early_tickets.ts";

/** Number of a pipe; never reused. */
export type PipeId = number;
/** Number of a flow of datagrams, from the same row as the pipes; never reused. */
export type FlowId = PipeId;
/** Number of a session within its endpoint; never reused. */
export type SessionId = number;
/** Number of an attempt to connect; never reused. */
export type DialId = number;

/** Limits and times of an endpoint. Defaults: `DEFAULT_ENDPOINT_LIMITS` in `core/node/endpoint_defaults.ts`. */
export interface EndpointLimits {
  readonly sessionsMax: number;
  readonly pipesMax: number;
  /** Accepted pipes of one host at once. A host is an IPv4 address or an IPv6 /64. */
  readonly pipesPerHostMax: number;
  /** Accepted pipes of one host: this many at once, then so many per second. THREATS t-A6. */
  readonly pipeBurstPerHost: number;
  readonly pipesPerHostPerSecondMax: number;
  /** Whether the limits per host leave the machine itself out: every local program shares its address. */
  readonly isLoopbackExempt: boolean;
  /** Accepted pipes that have proved nothing yet, at once; and from one host. THREATS t-A5. */
  readonly handshakesMax: number;
  readonly handshakesPerHostMax: number;
  /** With more than so many, who comes by datagrams must prove its address first; 0 asks always. THREATS t-C4. */
  readonly retryAboveHandshakes: number;
  /** A pipe that proved nothing is closed after this long, however busy it is. */
  readonly handshakeTimeoutMs: number;
  /** Dials at once. */
  readonly dialsMax: number;
  /** Addresses of one dial that are tried; the rest is ignored. THREATS t-G9. */
  readonly addressesMax: number;
  /** A dial takes at most this long where its options say nothing. */
  readonly dialTimeoutMs: number;
  /** A fresh pipe must have become a path of its session after this long. */
  readonly attachTimeoutMs: number;
  /** One of two handshakes between the same two nodes waits for the other at most this long. PROTOCOL §3.7. */
  readonly tieWaitMs: number;
  /** Answers to packages of unknown sessions in a second. THREATS t-C3. */
  readonly resetsPerSecondMax: number;
}

/** What an endpoint is made from. */
export interface EndpointConfig {
  readonly identity: Identity;
  readonly session: SessionConfig;
  readonly limits: EndpointLimits;
  /** Whether the owner decides about each incoming session; otherwise all are taken but those of banned nodes. */
  readonly isAcceptManual?: boolean;
  /** Lets early data in, and has tickets for it handed out. */
  readonly early?: EarlyPolicy | undefined;
  /** Makes the traces of sessions, as `traceSessions` in `core/node/trace_sessions.ts` does. */
  readonly trace?: SessionTracing | undefined;
}

/** Decides about early data. PROTOCOL §3.14. What makes tickets is handed in: who is never dialled needs none. */
export interface EarlyPolicy {
  /** Makes what hands tickets out. */
  makeTickets(env: Environment): EarlyTickets;
  /** Whether a stream that begins so may be acted on before its opener proved to be there now. Lent for the call. */
  admits(beginning: Uint8Array): boolean;
}

/** Makes the traces of sessions. What does it is handed in, so that an owner that traces nothing does not load it. */
export interface SessionTracing {
  /** Makes the trace of a session. Who it is with can be told as soon as a package came. */
  start(session: () => TracedSession, facts: SessionTraceFacts, now: Instant): SessionTrace;
}

/** A session that may be traced. */
export interface TracedSession {
  /** Which side of the handshake this end was. */
  readonly role: Role;
  /** The peer, unless it shows no key. */
  readonly remoteId: NodeId | undefined;
  /** The number by which the peer's packages name the session here. */
  readonly connectionId: number;
  /** The other end of its first path for people, as `udp://host:port`. */
  readonly remote: string;
}

/** What happened to flows of datagrams. */
export type FlowInput =
  /** A datagram came from an address that no flow was known for; `forgetFlow` follows when it is of no use. */
  | {
      readonly type: "flowOpened";
      readonly flow: FlowId;
      readonly remote: string;
      readonly remoteHost: string | undefined;
    }
  /** A datagram; lent for the call. */
  | { readonly type: "flowData"; readonly flow: FlowId; readonly bytes: Uint8Array }
  /** The last: the socket of a flow is gone. */
  | { readonly type: "flowBlocked" | "flowWritable" | "flowClosed"; readonly flow: FlowId };

/** What happened to pipes. */
export type PipeInput =
  | {
      readonly type: "pipeOpened";
      readonly pipe: PipeId;
      readonly kind: PathKind;
      /** The other end for people. */
      readonly remote: string;
      /** The other end's IP address, for limits; `undefined` where it is not known. */
      readonly remoteHost: string | undefined;
      /** Whether this side opened it. A virtual pipe of kind `relay` may be dialled without a `dial` output. */
      readonly isDialled: boolean;
      /** The flow that its datagrams go by, on a pipe of kind `datagrams`; several pipes may share one. */
      readonly flow?: FlowId;
    }
  | { readonly type: "pipeFailed"; readonly pipe: PipeId; readonly code: ErrorCode; readonly detail: string }
  /** Lent for the call. On a message pipe one whole message. */
  | { readonly type: "pipeData"; readonly pipe: PipeId; readonly bytes: Uint8Array }
  | { readonly type: "pipeBlocked" | "pipeWritable" | "pipeClosed"; readonly pipe: PipeId };

/** What happened outside. */
export type EndpointInput = PipeInput | FlowInput;

/** What an endpoint wants done. */
export type EndpointOutput = PipeOutput | FlowOutput;

/** What an endpoint wants done with flows of datagrams. */
export type FlowOutput =
  | { readonly type: "sendDatagram"; readonly flow: FlowId; readonly bytes: Bytes }
  /** Nothing rides on a flow any more: what comes from its address is new. */
  | { readonly type: "forgetFlow"; readonly flow: FlowId };

/** What an endpoint wants done with pipes. */
export type PipeOutput =
  | { readonly type: "send"; readonly pipe: PipeId; readonly bytes: Bytes }
  | { readonly type: "dial"; readonly pipe: PipeId; readonly address: string }
  /** Flush and end; for a pipe still being dialled: give up. */
  | { readonly type: "close" | "destroy"; readonly pipe: PipeId };

/** What an endpoint tells its owner. */
export type EndpointEvent =
  /** A new, authenticated session; comes before `connected` and before every event of the session. */
  | {
      readonly type: "sessionOpened";
      readonly session: SessionId;
      readonly remoteId: NodeId | undefined;
      readonly isInitiator: boolean;
      readonly initMessage: Bytes | undefined;
    }
  /**
   * Somebody asks for a session and `isAcceptManual` is set: answer with `acceptIncoming` or `refuseIncoming` within
   * `handshakeTimeoutMs`. Until it is accepted it may be the replay of an older request: nothing must follow from it.
   */
  | {
      readonly type: "incoming";
      /** The session's number if it comes to be. */
      readonly session: SessionId;
      readonly remoteId: NodeId | undefined;
      readonly initMessage: Bytes | undefined;
    }
  /** A dial came to a session, possibly to one that was there before. The last event of the dial. */
  | { readonly type: "connected"; readonly dial: DialId; readonly session: SessionId }
  /** A dial came to nothing. The last event of the dial. */
  | { readonly type: "dialFailed"; readonly dial: DialId; readonly code: ErrorCode; readonly detail: string }
  /** Every event of a session; `closed` is the last. `pathDown` is told however a path ended. */
  | { readonly type: "session"; readonly session: SessionId; readonly event: SessionEvent }
  /**
   * A session has no path, and this side has no address to dial or tried all of them in vain: the owner may bring a
   * pipe with `attachOnPipe`. Once for each loss of the last path.
   */
  | { readonly type: "needsPath"; readonly session: SessionId };

/** Whom to dial. */
export interface DialTarget {
  /** Who must answer; without it whoever does is taken. */
  readonly id?: NodeId;
  readonly addresses: readonly string[];
}

/** How to dial. */
export interface DialOptions {
  /** Shows no key (Noise NK); needs an id. */
  readonly isAnonymous?: boolean;
  /** Shown to the other side in the handshake: at most 200 bytes. */
  readonly initMessage?: Uint8Array;
  readonly timeoutMs?: number;
  /** What to begin the first stream with, in the first message if the node gave a ticket. PROTOCOL §3.14. */
  readonly early?: DialEarly;
}

/** The beginning of a stream that a dial opens. Whether it did is told by `takeEarlyStream` once it is `connected`. */
export interface DialEarly {
  /** Longer ones than fit the first message go on behind it. */
  readonly bytes: Uint8Array;
  /** Whether the stream ends behind it. */
  readonly isFinal: boolean;
}

/** Figures of an endpoint. */
export interface EndpointStats {
  readonly sessions: number;
  readonly pipes: number;
  /** Pipes that carry no session yet, whoever opened them. */
  readonly handshakes: number;
  readonly dials: number;
  /** What was refused or made no sense, by cause. */
  readonly dropped: Readonly<Record<string, number>>;
}
