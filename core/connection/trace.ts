/**
 * What a session can tell about itself while it runs: packages, losses, paths, round trips and windows. Off unless
 * somebody asks; `qlog.ts` writes it down in a form that other tools read.
 *
 * The invariant to hold: no event holds a key, a byte of what the application sent, or the data of a challenge; sizes,
 * numbers and addresses are all there is.
 *
 * @module
 */

import type { CipherName } from "../crypto/provider.ts";
import type { ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import type { PathId, PathKind, Role, StreamId } from "./session_types.ts";

/**
 * Takes the events of one session as they happen. It is called from inside the session, so that it must not call the
 * node; one that throws is not called again.
 */
export type TraceSink = (event: TraceEvent) => void;

/** Asks for the sink of a session, once and as soon as the peer proved to hold the keys; `undefined` is no trace. */
export type TraceOpener = () => TraceSink | undefined;

/** A frame of a package, without what it carries. */
export type TraceFrame =
  | { readonly type: "padding"; readonly bytes: number }
  | { readonly type: "ping" | "pathChallenge" | "pathResponse" }
  /** The first and the last number of each range, the highest range first. */
  | {
      readonly type: "ack";
      readonly path: PathId;
      readonly delayMs: number;
      readonly ranges: readonly (readonly [number, number])[];
    }
  | {
      readonly type: "stream";
      readonly stream: StreamId;
      readonly offset: number;
      readonly bytes: number;
      readonly isFin: boolean;
    }
  | { readonly type: "datagram"; readonly bytes: number }
  | { readonly type: "resetStream"; readonly stream: StreamId; readonly code: number; readonly finalSize: number }
  | { readonly type: "stopSending"; readonly stream: StreamId; readonly code: number }
  | { readonly type: "maxData" | "dataBlocked"; readonly max: number }
  | { readonly type: "maxStreamData" | "streamDataBlocked"; readonly stream: StreamId; readonly max: number }
  | { readonly type: "maxStreams" | "streamsBlocked"; readonly isUnidirectional: boolean; readonly max: number }
  | { readonly type: "pathAbandon"; readonly path: PathId }
  | { readonly type: "close"; readonly wireCode: number; readonly applicationCode: number | undefined }
  /** What cannot be read, and everything after it. */
  | { readonly type: "unknown"; readonly number: number };

/** A package that left or came. */
export interface TracePackage {
  readonly number: number;
  /** As on the wire, header and tag included. */
  readonly bytes: number;
  /** Of the key, modulo 4. */
  readonly phase: number;
  readonly frames: readonly TraceFrame[];
}

/** Why a package was not taken. */
export type TraceDropReason = "invalid" | "duplicate" | "pathRefused" | "notAuthentic";

/** What a congestion controller is doing. RFC 9002 §7.3. */
export type TraceCongestionState = "slowStart" | "congestionAvoidance" | "recovery";

/** Figures of a path that changed; the others are left out. */
export interface TraceMetrics {
  readonly leastRttMs?: number;
  readonly smoothedRttMs?: number;
  readonly latestRttMs?: number;
  readonly rttVarianceMs?: number;
  /** Probe timeouts in a row. */
  readonly probeTimeouts?: number;
  readonly windowBytes?: number;
  readonly bytesInFlight?: number;
  readonly packagesInFlight?: number;
  /** Infinity until the first loss. */
  readonly slowStartThreshold?: number;
  readonly pacingBytesPerMs?: number;
}

/** Something that happened in a session at `at`, on the owner's clock. */
export type TraceEvent = { readonly at: Instant } & (
  | {
      readonly type: "sessionStarted";
      readonly role: Role;
      readonly cipher: CipherName;
      readonly localConnectionId: number;
      readonly remoteConnectionId: number;
      readonly kind: PathKind;
      readonly remote: string;
    }
  | {
      readonly type: "sessionClosed";
      readonly code: ErrorCode;
      readonly applicationCode: number | undefined;
      readonly isRemote: boolean;
    }
  | {
      readonly type: "packageSent";
      readonly path: PathId;
      readonly package: TracePackage;
      /** It asks how large packages may be. RFC 8899 §4.1. */
      readonly isMtuProbe: boolean;
      /** It asks whether the other side is there. RFC 9002 §6.2.4. */
      readonly isProbe: boolean;
    }
  | { readonly type: "packageReceived"; readonly path: PathId; readonly package: TracePackage }
  | { readonly type: "packageDropped"; readonly bytes: number; readonly reason: TraceDropReason }
  | {
      readonly type: "packageLost";
      readonly path: PathId;
      readonly number: number;
      readonly bytes: number;
      readonly isMtuProbe: boolean;
      /** RFC 9002 §6.1.1 and §6.1.2. */
      readonly cause: "reordering" | "time";
    }
  | { readonly type: "metricsUpdated"; readonly path: PathId; readonly metrics: TraceMetrics }
  | {
      readonly type: "congestionState";
      readonly path: PathId;
      readonly from: TraceCongestionState | undefined;
      readonly to: TraceCongestionState;
    }
  /** A path is there, or leads elsewhere now. */
  | { readonly type: "pathAssigned"; readonly path: PathId; readonly kind: PathKind; readonly remote: string }
  | { readonly type: "pathValidated" | "pathAbandoned"; readonly path: PathId }
  /** How large packages may be. */
  | { readonly type: "mtuUpdated"; readonly path: PathId; readonly from: number | undefined; readonly to: number }
  /** A direction has its next key; `generation` counts from 0. */
  | { readonly type: "keyUpdated"; readonly direction: "send" | "receive"; readonly generation: number }
  | {
      readonly type: "timer";
      readonly path: PathId;
      /** What the next acknowledgement may not outlast, or what asks for a sign of life. RFC 9002 §6.1.2, §6.2. */
      readonly timer: "loss" | "probe";
      readonly change: "set" | "expired" | "cancelled";
      /** Until it expires, where it is set. */
      readonly inMs: number | undefined;
    }
);
