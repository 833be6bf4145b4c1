/**
 * What goes into an endpoint and what comes out of it: pipes, dials, sessions. PROTOCOL §3 and §6.
 *
 * The invariant to hold: an endpoint knows pipes by number only. Who opens, carries and closes them is its owner's
 * affair, so a TCP connection, a WebSocket and a circuit over a relay are the same thing here.
 *
 * @module
 */

import type { PathId, PathKind, SessionConfig, SessionEvent } from "../connection/session_types.ts";
import type { Identity, NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";

/** Number of a pipe: given out by `allocatePipe` or in a `dial` output, never reused. */
export type PipeId = number;

/** Number of a session on this side; never reused. */
export type SessionId = number;

/** Number of an attempt to connect; never reused. */
export type DialId = number;

/** Bytes of the longest message that an initiator may show to the acceptor before it accepts. PROTOCOL §3.4. */
export const INIT_MESSAGE_BYTES_MAX = 200;

/** What happened to pipes. Inputs about a pipe that the endpoint has forgotten are ignored. */
export type EndpointInput =
  | {
      /** A pipe is up: one that was accepted, one that a `dial` output asked for, or a virtual one of the owner. */
      readonly type: "pipeOpened";
      readonly pipe: PipeId;
      readonly kind: PathKind;
      /** The other end for people. */
      readonly remote: string;
      /** The other end's IP address for limits, where it is known. */
      readonly remoteHost: string | undefined;
      /** Whether this side opened it. */
      readonly isDialled: boolean;
    }
  /** A `dial` output that did not work. */
  | { readonly type: "pipeFailed"; readonly pipe: PipeId; readonly code: ErrorCode; readonly detail: string }
  /** Bytes arrived; lent for the call. On a message pipe each input is one whole message. */
  | { readonly type: "pipeData"; readonly pipe: PipeId; readonly bytes: Uint8Array }
  /** The pipe's buffer is full: nothing is sent until `pipeWritable`. */
  | { readonly type: "pipeBlocked"; readonly pipe: PipeId }
  | { readonly type: "pipeWritable"; readonly pipe: PipeId }
  /** The pipe is gone, for whatever reason. */
  | { readonly type: "pipeClosed"; readonly pipe: PipeId };

/** What the owner has to do with pipes. After `close` or `destroy` the endpoint has forgotten the pipe. */
export type EndpointOutput =
  /** One package; on a message pipe one message. */
  | { readonly type: "send"; readonly pipe: PipeId; readonly bytes: Bytes }
  /** Open a pipe to an address; answered by `pipeOpened` or `pipeFailed`. */
  | { readonly type: "dial"; readonly pipe: PipeId; readonly address: string }
  /** Flush what was sent, then end. */
  | { readonly type: "close"; readonly pipe: PipeId }
  /** End at once; also calls off a dial that is not finished. */
  | { readonly type: "destroy"; readonly pipe: PipeId };

/** What an endpoint tells its owner. */
export type EndpointEvent =
  /** Authenticated and new. `connected` follows it where a dial led to it. */
  | {
      readonly type: "sessionOpened";
      readonly session: SessionId;
      /** Who it is; `undefined` for a client that shows no key. */
      readonly remoteId: NodeId | undefined;
      readonly isInitiator: boolean;
      /** What the initiator showed, on the acceptor's side. */
      readonly initMessage?: Bytes;
    }
  /** Somebody asks for a session and `isAcceptManual` is set: answer with `acceptIncoming` or `refuseIncoming`. */
  | {
      readonly type: "incoming";
      /** The session's number if it is accepted. */
      readonly session: SessionId;
      readonly remoteId: NodeId | undefined;
      readonly initMessage?: Bytes;
    }
  /** A dial came to a session, which may be one that was there before. The last event of the dial. */
  | { readonly type: "connected"; readonly dial: DialId; readonly session: SessionId }
  /** A dial came to nothing. The last event of the dial. */
  | { readonly type: "dialFailed"; readonly dial: DialId; readonly code: ErrorCode; readonly detail: string }
  /** Every event of a session; `closed` is the last and the session's number means nothing afterwards. */
  | { readonly type: "session"; readonly session: SessionId; readonly event: SessionEvent }
  /** All paths are gone and this side cannot dial by itself, or did so in vain: the owner may bring another pipe. */
  | { readonly type: "needsPath"; readonly session: SessionId };

/** Whom to dial. Without an id whoever answers is taken, and told by `sessionOpened`. */
export interface DialTarget {
  readonly id?: NodeId;
  /** Tried in this order, a few at a time. */
  readonly addresses: readonly string[];
}

/** How to dial. */
export interface EndpointDialOptions {
  /** Shows no key; needs a target with an id. */
  readonly isAnonymous?: boolean;
  /** Shown to the acceptor before it accepts; at most `INIT_MESSAGE_BYTES_MAX`. */
  readonly initMessage?: Uint8Array;
  /** Over all addresses; `EndpointLimits.dialTimeoutMs` by default. */
  readonly timeoutMs?: number;
}

/** Limits and times of an endpoint. Defaults with their reasons: `DEFAULT_ENDPOINT_LIMITS`. */
export interface EndpointLimits {
  /** Accepted pipes that have not proved anything yet, over all remotes. */
  readonly handshakesMax: number;
  /** The same for one remote host (an IPv4 address or an IPv6 /64). */
  readonly handshakesPerHostMax: number;
  /** From the pipe's opening to the end of its handshake, whatever arrives in between. */
  readonly handshakeTimeoutMs: number;
  /** Pipes at once. */
  readonly pipesMax: number;
  /** Accepted pipes of one remote host at once. */
  readonly pipesPerHostMax: number;
  /** Accepted pipes of one remote host: this many at once, then this many per second. */
  readonly pipeBurstPerHost: number;
  readonly pipesPerHostPerSecond: number;
  /** Whether the rate (not the numbers at once) leaves loopback addresses out. */
  readonly isLoopbackExempt: boolean;
  /** Sessions at once. */
  readonly sessionsMax: number;
  /** Dials at once. */
  readonly dialsMax: number;
  /** Addresses of one dial that are tried; the rest is ignored. */
  readonly addressesMax: number;
  /** Addresses of one dial that are tried at the same time. */
  readonly addressesParallelMax: number;
  /** The next address is tried this long after the one before, or at once when that one failed. */
  readonly addressDelayMs: number;
  /** A dial gives up after this where its options say nothing. */
  readonly dialTimeoutMs: number;
  /** A fresh pipe must carry a resumed session after this. */
  readonly attachTimeoutMs: number;
  /** Pauses between rounds of resuming: the first, and the largest; each is doubled and varied by ±50 %. */
  readonly resumeDelayMsMin: number;
  readonly resumeDelayMsMax: number;
  /** How long one of two handshakes between the same two nodes waits for the other. PROTOCOL §3.7. */
  readonly tieWaitMs: number;
  /** Stateless resets per second, over all remotes. */
  readonly resetsPerSecond: number;
}

/** What makes an endpoint. */
export interface EndpointConfig {
  readonly identity: Identity;
  readonly session: SessionConfig;
  readonly limits: EndpointLimits;
  /** Whether the owner decides about each incoming session; otherwise all but the banned are taken. */
  readonly isAcceptManual?: boolean;
}

/** What is known of a session besides the session itself. */
export interface SessionInfo {
  readonly session: SessionId;
  readonly remoteId: NodeId | undefined;
  readonly isInitiator: boolean;
  /** Whether the initiator showed no key. */
  readonly isAnonymous: boolean;
  readonly openedAt: Instant;
  /** Where this side dials to resume. */
  readonly addresses: readonly string[];
  /** The pipe of each path. */
  readonly pipes: ReadonlyMap<PathId, PipeId>;
}

/** Figures of an endpoint. */
export interface EndpointStats {
  readonly pipes: number;
  /** Pipes without a session yet, accepted or dialled. */
  readonly handshakes: number;
  readonly sessions: number;
  readonly dials: number;
  /** Accepted pipes that a limit turned away. */
  readonly pipesRefused: number;
  /** Handshakes that failed or were given up, on either side. */
  readonly handshakesFailed: number;
  /** Sessions that were refused by a ban, a limit or the owner. */
  readonly sessionsRefused: number;
  readonly resetsSent: number;
  /** Unauthenticated packages that made no sense and changed nothing. */
  readonly packagesIgnored: number;
}

