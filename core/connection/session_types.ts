/**
 * What goes into a session and what comes out of it. PROTOCOL §4-§6.
 *
 * The invariant to hold: a stream belongs to the session, never to a path; everything a path carries can be carried by
 * another one after its death.
 *
 * @module
 */

import type { CipherName } from "../crypto/provider.ts";
import type { ErrorCode } from "../error.ts";
import type { Bytes } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import type { DatagramCounts, DatagramRepair } from "./datagram_line.ts";

/** Number of a path in its session: even ones are opened by the session's initiator, odd ones by its responder. */
export type PathId = number;

/** Number of a stream: RFC 9000 §2.1 (bit 0: opened by the responder; bit 1: unidirectional). */
export type StreamId = number;

/** Which side of the handshake this end was; decides stream and path parity. */
export type Role = "initiator" | "responder";

/** How a path carries packages. */
export type PathKind = "bytes" | "messages" | "datagrams" | "relay";

/** A way to find out how much a path carries. RFC 9438, RFC 9002 §7. */
export type CongestionName = "cubic" | "new_reno";

/**
 * Which paths carry the data of a session: the best one with room (`best`), all at once (`aggregate`), everything on
 * two paths (`redundant`), or the best one alone until it dies (`backup`).
 */
export type PathPolicy = "best" | "aggregate" | "redundant" | "backup";

/** What is known of a path from outside the protocol. */
export interface PathFacts {
  readonly kind: PathKind;
  /** The other end for people, as `tcp://host:port` or `relay:<short id>`. */
  readonly remote: string;
  /** How long the handshake on it took to be answered, where that is known. */
  readonly rttMs?: number;
}

/**
 * Limits and times of one session. The defaults are those of `DEFAULT_SESSION_CONFIG` in
 * `core/connection/session_defaults.ts`, where each number has its reason.
 */
export interface SessionConfig {
  /** Bytes that the peer may have outstanding on one stream once the application has read fast. 4 MiB. */
  readonly streamWindowBytes: number;
  /** Bytes that the peer may have outstanding on all streams together, likewise. 16 MiB. */
  readonly sessionWindowBytes: number;
  /** What both begin with, or the above where that is less. 512 KiB and 2 MiB. */
  readonly streamWindowStartBytes: number;
  readonly sessionWindowStartBytes: number;
  /** Streams of each direction that the peer may have open at once. 1,024. */
  readonly streamsMax: number;
  /** Bytes that may wait or be unacknowledged on one of our streams before `write` takes no more. 4 MiB. */
  readonly sendBufferBytes: number;
  /** Datagrams that wait to be sent; the oldest is dropped first. 256. */
  readonly datagramsMax: number;
  /** Bytes of the largest datagram taken. 32 KiB. */
  readonly datagramBytesMax: number;
  /** What brings lost datagrams back, on both sides or on none. Left out, none comes back. PROTOCOL §5.5. */
  readonly datagramRepair?: DatagramRepair;
  /**
   * Milliseconds without a package in either direction after which a session that is not kept alive ends with
   * `idle_timeout`; the smaller number of both sides holds. 30,000.
   */
  readonly idleTimeoutMs: number;
  /** Milliseconds of silence on a path after which a PING goes out; 0 for never. 10,000. */
  readonly keepAliveMs: number;
  /** Milliseconds without any answer to what was sent on a path after which it is dead. 10,000. */
  readonly pathTimeoutMs: number;
  /** Bytes of the largest datagram that paths of datagrams may try. 1,452. */
  readonly datagramPathBytesMax: number;
  /** What finds out how much a path of datagrams carries. `cubic`. */
  readonly congestion: CongestionName;
  /** How data is spread over several paths. `best`. */
  readonly pathPolicy: PathPolicy;
  /** Milliseconds that a session lives without any path; the smaller number of both sides holds. 60,000. */
  readonly resumeWindowMs: number;
  /** Paths at once; the smaller number of both sides holds. 8. */
  readonly pathsMax: number;
  /** Direct paths that the side which dialled keeps up, as far as it has addresses. 1. */
  readonly pathsWanted: number;
  /** Rekey after this many bytes, packages or milliseconds under one key. 1 GiB, 2^20 and 1 h. THREATS t-A9. */
  readonly rekeyBytes: number;
  readonly rekeyPackages: number;
  readonly rekeyMs: number;
  /** Control frames waiting to be sent; more is a peer that makes us answer without reading. 1,024. THREATS t-C8. */
  readonly controlFramesMax: number;
}

/** What each side tells the other inside the handshake. PROTOCOL §3.4. */
export interface TransportParameters {
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  readonly streamsBidirectionalMax: number;
  readonly streamsUnidirectionalMax: number;
  readonly datagramBytesMax: number;
  /** Datagrams of a group that can be repaired; 0 when none can. */
  readonly datagramGroupMax: number;
  readonly idleTimeoutMs: number;
  readonly resumeWindowMs: number;
  readonly pathsMax: number;
}

/** What the handshake agreed on. */
export interface SessionSecrets {
  readonly cipher: CipherName;
  /** 32 bytes each; the session copies what it keeps. */
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** The number by which the peer's packages name this session here. */
  readonly localConnectionId: number;
  /** The number by which our packages name it there. */
  readonly remoteConnectionId: number;
}

/** One authenticated-or-not package that arrived on a pipe that this session may use. */
export interface SessionInput {
  /** A package of version 5 whose connection id is `localConnectionId`. Lent. */
  readonly package: Package;
  /** The pipe's facts: they become the path's when the package opens a new one. */
  readonly facts: PathFacts;
}

/** Bytes to send on a path: one package. */
export interface SessionOutput {
  readonly path: PathId;
  readonly bytes: Bytes;
}

/** How a session ended. */
export interface SessionClosed {
  readonly type: "closed";
  readonly code: ErrorCode;
  /** The number given to `close` by the application, if it closed with one. */
  readonly applicationCode: number | undefined;
  /** For people; at most 256 bytes from the peer. */
  readonly reason: string;
  /** Whether the peer ended it. */
  readonly isRemote: boolean;
}

/** What a session tells its owner. */
export type SessionEvent =
  /** The peer opened a stream. */
  | { readonly type: "streamOpened"; readonly stream: StreamId }
  /** `read` has something new after it returned nothing (data, the end, or a reset). */
  | { readonly type: "readable"; readonly stream: StreamId }
  /** `write` takes more after it took less than it was given. */
  | { readonly type: "writable"; readonly stream: StreamId }
  /** Everything written and the end were acknowledged. */
  | { readonly type: "delivered"; readonly stream: StreamId }
  /** The peer stopped reading: what was not acknowledged is dropped, `write` takes nothing more. */
  | { readonly type: "stopped"; readonly stream: StreamId; readonly applicationCode: number }
  /** Both directions ended and were read or reset: the number is forgotten. */
  | { readonly type: "streamClosed"; readonly stream: StreamId }
  /** A stream can be opened after `openStream` found no room. */
  | { readonly type: "streamsAvailable"; readonly isUnidirectional: boolean }
  | { readonly type: "datagram"; readonly bytes: Bytes }
  | { readonly type: "pong"; readonly token: number; readonly rttMs: number; readonly path: PathId }
  /** A path carries packages in both directions. */
  | { readonly type: "pathUp"; readonly path: PathId }
  /** A path is gone: the owner closes its pipe. What it had in flight moves to another one. */
  | { readonly type: "pathDown"; readonly path: PathId; readonly code: ErrorCode }
  /** No path is left; the resume window runs. */
  | { readonly type: "suspended" }
  /** A path is there again. */
  | { readonly type: "resumed" }
  | SessionClosed;

/** What `read` returns: data, `end` once after all data, `reset` with the peer's number, or nothing yet. */
export type ReadResult =
  | { readonly type: "data"; readonly bytes: Bytes }
  | { readonly type: "end" }
  | { readonly type: "reset"; readonly applicationCode: number }
  | undefined;

/** Figures of one path, from this end. A path that is gone is not among them any more. */
export interface PathStats {
  /** Its number in the session: even ones were opened by the side that dialled. */
  readonly path: PathId;
  /** TCP (`bytes`), WebSocket (`messages`), UDP (`datagrams`), or a circuit over a relay. */
  readonly kind: PathKind;
  /** The other end, as `udp://host:port` or `relay:<short id>`. */
  readonly remote: string;
  /** `opening` until the other end has proved that it gets what is sent. */
  readonly state: "opening" | "active" | "closed";
  /** Smoothed round-trip time in milliseconds; `undefined` before the first sample. RFC 9002 §5.3. */
  readonly rttMs: number | undefined;
  /** Its mean deviation in milliseconds. RFC 9002 §5.3. */
  readonly rttVarianceMs: number | undefined;
  /** Bytes of packages, headers and tags included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly packagesSent: number;
  readonly packagesReceived: number;
  /** Bytes sent and neither acknowledged nor given up. */
  readonly bytesInFlight: number;
  /** Bytes of the largest package that is known to get through. This and what follows: only of a path of datagrams. */
  readonly packageBytesMax?: number;
  readonly congestion?: CongestionName;
  /** Bytes that may be in flight. */
  readonly windowBytes?: number;
  /** 0 as long as nothing is known of the path. */
  readonly pacingBytesPerMs?: number;
  /** Packages that were given up, those that tried a size included. */
  readonly packagesLost?: number;
  /** Packages that were given up and had arrived. */
  readonly spuriousLosses?: number;
}

/** What only a path of datagrams has. */
export type DatagramPathStats = Required<
  Pick<
    PathStats,
    "packageBytesMax" | "congestion" | "windowBytes" | "pacingBytesPerMs" | "packagesLost" | "spuriousLosses"
  >
>;

/** Figures of a session, from this end. */
export interface SessionStats extends Readonly<DatagramCounts> {
  readonly cipher: CipherName;
  /** Those that are there now. */
  readonly paths: readonly PathStats[];
  readonly streamsOpen: number;
  /** Bytes of packages on all paths, those that are gone included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Times that this end changed its key. */
  readonly rekeys: number;
  /** Packages that could not be authenticated, came twice or were not allowed. */
  readonly packagesRejected: number;
}
