/**
 * Default limits and times of a session, each with the reason for its number.
 *
 * @module
 */

import { FEC_GROUP_MAX } from "./frame_types.ts";
import type { SessionConfig, TransportParameters } from "./session_types.ts";

/** What a session uses where its owner says nothing. */
export const DEFAULT_SESSION_CONFIG: SessionConfig = Object.freeze({
  // One window covers 100 ms at 300 Mbit/s; a stream never takes more than a quarter of the session's memory.
  streamWindowBytes: 4 * 1024 * 1024,
  sessionWindowBytes: 16 * 1024 * 1024,
  // What a peer can make us hold that is not read. No slow start outgrows it: by then the first bytes were read, and
  // the window doubles as fast as the sender's does.
  streamWindowStartBytes: 512 * 1024,
  sessionWindowStartBytes: 2 * 1024 * 1024,
  // THREATS t-C10 proposes 128; programs that open a stream per request need more, and ids are lazy here.
  streamsMax: 1024,
  sendBufferBytes: 4 * 1024 * 1024,
  datagramsMax: 256,
  datagramBytesMax: 32 * 1024,
  // RFC 9000 §10.1: quinn, msquic and quic-go agree on 30 s.
  idleTimeoutMs: 30_000,
  // A third of the idle timeout: two may be lost.
  keepAliveMs: 10_000,
  pathTimeoutMs: 10_000,
  // Ethernet less IPv6 and UDP headers; a tunnel on the way takes the rest.
  datagramPathBytesMax: 1452,
  congestion: "cubic",
  pathPolicy: "best",
  // A laptop that changes networks, a relay that restarts: the session outlives all its paths this long.
  resumeWindowMs: 60_000,
  // THREATS t-C20.
  pathsMax: 8,
  // One is enough until the program asks for more.
  pathsWanted: 1,
  // THREATS t-A9: 1 GiB, 2^20 packages or one hour under one key.
  rekeyBytes: 1024 * 1024 * 1024,
  rekeyPackages: 1024 * 1024,
  rekeyMs: 3_600_000,
  // THREATS t-C8.
  controlFramesMax: 1024,
});

/** The least that a peer may offer; smaller numbers are raised to these, larger ones cut. THREATS t-C18. */
const IDLE_TIMEOUT_MS_MIN = 5_000;
const IDLE_TIMEOUT_MS_MAX = 600_000;
const RESUME_WINDOW_MS_MAX = 3_600_000;
const WINDOW_BYTES_MAX = 2 ** 40;

/** The windows that a session begins with: what the peer is told, and what it is held to. */
export function startWindows(config: SessionConfig): Pick<SessionConfig, "streamWindowBytes" | "sessionWindowBytes"> {
  return {
    streamWindowBytes: Math.min(config.streamWindowStartBytes, config.streamWindowBytes),
    sessionWindowBytes: Math.min(config.sessionWindowStartBytes, config.sessionWindowBytes),
  };
}

/** The parameters that a config offers to the peer. PROTOCOL §3.4. */
export function transportParametersOf(config: SessionConfig): TransportParameters {
  return {
    ...startWindows(config),
    streamsBidirectionalMax: config.streamsMax,
    streamsUnidirectionalMax: config.streamsMax,
    datagramBytesMax: config.datagramBytesMax,
    datagramGroupMax: config.datagramRepair === undefined ? 0 : FEC_GROUP_MAX,
    idleTimeoutMs: config.idleTimeoutMs,
    resumeWindowMs: config.resumeWindowMs,
    pathsMax: config.pathsMax,
  };
}

/** Bounds what the peer offered before anything is computed from it. */
export function boundedParameters(offered: TransportParameters): TransportParameters {
  return {
    streamWindowBytes: clamp(offered.streamWindowBytes, 0, WINDOW_BYTES_MAX),
    sessionWindowBytes: clamp(offered.sessionWindowBytes, 0, WINDOW_BYTES_MAX),
    streamsBidirectionalMax: clamp(offered.streamsBidirectionalMax, 0, 2 ** 32),
    streamsUnidirectionalMax: clamp(offered.streamsUnidirectionalMax, 0, 2 ** 32),
    datagramBytesMax: clamp(offered.datagramBytesMax, 0, 65_000),
    datagramGroupMax: clamp(offered.datagramGroupMax, 0, FEC_GROUP_MAX),
    idleTimeoutMs: clamp(offered.idleTimeoutMs, IDLE_TIMEOUT_MS_MIN, IDLE_TIMEOUT_MS_MAX),
    resumeWindowMs: clamp(offered.resumeWindowMs, 0, RESUME_WINDOW_MS_MAX),
    pathsMax: clamp(offered.pathsMax, 1, 256),
  };
}

function clamp(value: number, least: number, most: number): number {
  return value >= least ? Math.min(value, most) : least;
}
