/**
 * Frames of a trace as qlog names them: section "QUIC Frames" of draft-ietf-quic-qlog-quic-events-13 and, for version
 * 0.3, of -04. PATH_ABANDON is in neither, and DATAGRAM only in the younger one.
 *
 * @module
 */

import { FRAME_PATH_ABANDON } from "./frame_types.ts";
import type { TraceFrame } from "./trace.ts";

/** A value of JSON. */
export type Json = string | number | boolean | readonly Json[] | JsonObject;

/** An object of JSON; members that are `undefined` are left out. */
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/**
 * The form of a file: `0.3` is what qvis reads (main-schema-04 with quic-events-04), `quic-13` the latest draft
 * (main-schema-14 with quic-events-13).
 */
export type QlogVersion = "0.3" | "quic-13";

/** What -04 has room for in most codes. */
export const UINT32_MAX = 0xffffffff;

/** Milliseconds to the microsecond. */
export function roundMs(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** A frame as a qlog value. */
export function qlogFrame(frame: TraceFrame, version: QlogVersion): JsonObject {
  const isOld = version === "0.3";
  switch (frame.type) {
    case "padding": {
      const size = { payload_length: frame.bytes };
      return { frame_type: "padding", ...(isOld ? size : { raw: size }) };
    }
    case "ping":
      return { frame_type: "ping" };
    case "ack":
      return {
        frame_type: "ack",
        ack_delay: roundMs(frame.delayMs),
        acked_ranges: frame.ranges.map(([first, last]) => (first === last ? [first] : [first, last])),
      };
    case "stream": {
      const { stream, offset, bytes, isFin } = frame;
      // In -04 offset and length must be there and `fin` may be only if it is set; in -13 the length is in `raw`.
      const size = isOld ? { length: bytes } : { raw: { length: bytes } };
      return { frame_type: "stream", stream_id: stream, offset, ...size, fin: isFin ? true : undefined };
    }
    case "datagram":
      return { frame_type: "datagram", ...(isOld ? { length: frame.bytes } : { raw: { length: frame.bytes } }) };
    case "resetStream":
      return {
        frame_type: "reset_stream",
        stream_id: frame.stream,
        ...applicationError(frame.code, isOld),
        final_size: frame.finalSize,
      };
    case "stopSending":
      return { frame_type: "stop_sending", stream_id: frame.stream, ...applicationError(frame.code, isOld) };
    case "maxData":
      return { frame_type: "max_data", maximum: frame.max };
    case "maxStreamData":
      return { frame_type: "max_stream_data", stream_id: frame.stream, maximum: frame.max };
    case "maxStreams":
      return { frame_type: "max_streams", stream_type: streamType(frame.isUnidirectional), maximum: frame.max };
    case "dataBlocked":
      return { frame_type: "data_blocked", limit: frame.max };
    case "streamDataBlocked":
      return { frame_type: "stream_data_blocked", stream_id: frame.stream, limit: frame.max };
    case "streamsBlocked":
      return { frame_type: "streams_blocked", stream_type: streamType(frame.isUnidirectional), limit: frame.max };
    case "pathChallenge":
      return { frame_type: "path_challenge" };
    case "pathResponse":
      return { frame_type: "path_response" };
    case "pathAbandon":
      return unknownFrame(FRAME_PATH_ABANDON, isOld);
    case "close":
      return {
        frame_type: "connection_close",
        error_space: frame.applicationCode === undefined ? "transport" : "application",
        ...closeError(frame.applicationCode ?? frame.wireCode, isOld),
      };
    case "unknown":
      return unknownFrame(frame.number, isOld);
  }
}

/** Numbers of our own have no names in qlog. */
function applicationError(code: number, isOld: boolean): JsonObject {
  if (!isOld) return { error: "unknown", error_code: code };
  return { error_code: code <= UINT32_MAX ? code : "unknown" };
}

function closeError(code: number, isOld: boolean): JsonObject {
  return isOld && code > UINT32_MAX ? { error_code_value: code } : applicationError(code, isOld);
}

function unknownFrame(number: number, isOld: boolean): JsonObject {
  return { frame_type: "unknown", [isOld ? "frame_type_value" : "frame_type_bytes"]: number };
}

function streamType(isUnidirectional: boolean): string {
  return isUnidirectional ? "unidirectional" : "bidirectional";
}
