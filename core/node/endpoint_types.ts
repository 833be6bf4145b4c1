/**
 * What goes into an endpoint and what comes out of it. PROTOCOL §3 and §6.
 *
 * @module
 */

import type { PathKind, SessionConfig, SessionEvent } from "../connection/session_types.ts";
import type { Identity, NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes } from "../machine.ts";

/** Number of a pipe; never reused. */
export type PipeId = number;
/** Number of a session within its endpoint; never reused. */
export type SessionId = number;
/** Number of an attempt to connect; never reused. */
export type DialId = number;

/** Limits and times of an endpoint. Defaults: `DEFAULT_ENDPOINT_LIMITS` in `core/node/endpoint_defaults.ts`. */
export interface EndpointLimits {
  readonly sessionsMax: number;
  readonly pipesMax: number;
  readonly pipesPerHostMax: number;
  /** Handshakes that others began, in progress at once; and from one host. THREATS t-A5. */
  readonly handshakesMax: number;
  readonly handshakesPerHostMax: number;
  /** A pipe that proved nothing is closed after this long, however busy it is. */
  readonly handshakeTimeoutMs: number;
  /** A dial takes at most this long where its options say nothing. */
  readonly dialTimeoutMs: number;
  /** Answers to packages of unknown sessions in a second. THREATS t-C3. */
  readonly resetsPerSecondMax: number;
}

/** What an endpoint is made from. */
export interface EndpointConfig {
  readonly identity: Identity;
  readonly session: SessionConfig;
  readonly limits: EndpointLimits;
}

/** What happened to pipes. */
export type EndpointInput =
  | {
      readonly type: "pipeOpened";
      readonly pipe: PipeId;
      readonly kind: PathKind;
      /** The other end for people. */
      readonly remote: string;
      /** The other end's IP address, for limits; `undefined` where it is not known. */
      readonly remoteHost: string | undefined;
      readonly isDialled: boolean;
    }
  | { readonly type: "pipeFailed"; readonly pipe: PipeId; readonly code: ErrorCode; readonly detail: string }
  /** Lent for the call. On a message pipe one whole message. */
  | { readonly type: "pipeData"; readonly pipe: PipeId; readonly bytes: Uint8Array }
  | { readonly type: "pipeBlocked" | "pipeWritable" | "pipeClosed"; readonly pipe: PipeId };

/** What an endpoint wants done with pipes. */
export type EndpointOutput =
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
  | { readonly type: "connected"; readonly dial: DialId; readonly session: SessionId }
  | { readonly type: "dialFailed"; readonly dial: DialId; readonly code: ErrorCode; readonly detail: string }
  | { readonly type: "session"; readonly session: SessionId; readonly event: SessionEvent }
  /** A session has no path and this side no address to dial: the owner may bring a pipe with `attachOnPipe`. */
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
}
