/**
 * Reads the frames of a package a second time for a trace: their kinds and numbers, never what they carry. PROTOCOL §5.
 *
 * The invariant to hold: it never throws, and takes no part in the session; what it cannot read it calls unknown.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import { Reader } from "../wire/reader.ts";
import { emptyAckFrame, parseAck } from "./frame_parser.ts";
import {
  CHALLENGE_BYTES,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_DATA_BLOCKED,
  FRAME_DATAGRAM,
  FRAME_MAX_DATA,
  FRAME_MAX_STREAM_DATA,
  FRAME_MAX_STREAMS_BIDIRECTIONAL,
  FRAME_MAX_STREAMS_UNIDIRECTIONAL,
  FRAME_NUMBERED_DATAGRAM,
  FRAME_PADDING,
  FRAME_PATH_ABANDON,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_RESET_STREAM,
  FRAME_STOP_SENDING,
  FRAME_STREAM,
  FRAME_STREAM_DATA_BLOCKED,
  FRAME_STREAMS_BLOCKED_BIDIRECTIONAL,
  FRAME_STREAMS_BLOCKED_UNIDIRECTIONAL,
  REASON_BYTES_MAX,
  STREAM_FIN_BIT,
  STREAM_LENGTH_BIT,
  STREAM_OFFSET_BIT,
} from "./frame_types.ts";
import type { TraceFrame } from "./trace.ts";

/** The frames of an opened package, in their order. */
export function describeFrames(plaintext: Uint8Array): TraceFrame[] {
  const reader = new Reader(plaintext);
  const frames: TraceFrame[] = [];
  let type = FRAME_PADDING;
  try {
    while (!reader.isAtEnd) {
      type = reader.u8();
      const frame = readFrame(type, reader);
      const last = frames.at(-1);
      // A run of padding is one entry.
      if (frame.type === "padding" && last?.type === "padding") {
        frames[frames.length - 1] = { type: "padding", bytes: last.bytes + 1 };
      } else frames.push(frame);
      // An unknown frame has an unknown end, and nothing counts after CLOSE.
      if (frame.type === "unknown" || frame.type === "close") return frames;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    frames.push({ type: "unknown", number: type });
  }
  return frames;
}

function readFrame(type: number, reader: Reader): TraceFrame {
  if (type >= FRAME_STREAM && type < FRAME_STREAM + 8) {
    const stream = reader.varint();
    const offset = (type & STREAM_OFFSET_BIT) !== 0 ? reader.varint() : 0;
    const { length } = (type & STREAM_LENGTH_BIT) !== 0 ? reader.bytes(reader.varint()) : reader.rest();
    return { type: "stream", stream, offset, bytes: length, isFin: (type & STREAM_FIN_BIT) !== 0 };
  }
  switch (type) {
    case FRAME_PADDING:
      return { type: "padding", bytes: 1 };
    case FRAME_PING:
      return { type: "ping" };
    case FRAME_ACK:
      return readAck(reader);
    case FRAME_DATAGRAM:
      return { type: "datagram", bytes: reader.rest().length };
    case FRAME_DATAGRAM + 1:
    case FRAME_NUMBERED_DATAGRAM:
    case FRAME_NUMBERED_DATAGRAM + 1:
      return { type: "datagram", bytes: reader.bytes(reader.varint()).length };
    case FRAME_RESET_STREAM:
      return { type: "resetStream", stream: reader.varint(), code: reader.varint(), finalSize: reader.varint() };
    case FRAME_STOP_SENDING:
      return { type: "stopSending", stream: reader.varint(), code: reader.varint() };
    case FRAME_MAX_DATA:
    case FRAME_DATA_BLOCKED:
      return { type: type === FRAME_MAX_DATA ? "maxData" : "dataBlocked", max: reader.varint() };
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED: {
      const name = type === FRAME_MAX_STREAM_DATA ? "maxStreamData" : "streamDataBlocked";
      return { type: name, stream: reader.varint(), max: reader.varint() };
    }
    case FRAME_MAX_STREAMS_BIDIRECTIONAL:
    case FRAME_MAX_STREAMS_UNIDIRECTIONAL:
      return {
        type: "maxStreams",
        isUnidirectional: type === FRAME_MAX_STREAMS_UNIDIRECTIONAL,
        max: reader.varint(),
      };
    case FRAME_STREAMS_BLOCKED_BIDIRECTIONAL:
    case FRAME_STREAMS_BLOCKED_UNIDIRECTIONAL:
      return {
        type: "streamsBlocked",
        isUnidirectional: type === FRAME_STREAMS_BLOCKED_UNIDIRECTIONAL,
        max: reader.varint(),
      };
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
      reader.bytes(CHALLENGE_BYTES);
      return { type: type === FRAME_PATH_CHALLENGE ? "pathChallenge" : "pathResponse" };
    case FRAME_PATH_ABANDON:
      return { type: "pathAbandon", path: reader.varint() };
    case FRAME_CLOSE: {
      const wireCode = reader.varint();
      const application = reader.varint();
      reader.string(REASON_BYTES_MAX);
      return { type: "close", wireCode, applicationCode: application === 0 ? undefined : application - 1 };
    }
    default:
      return { type: "unknown", number: type };
  }
}

function readAck(reader: Reader): TraceFrame {
  const ack = emptyAckFrame();
  parseAck(reader, ack);
  const ranges: [number, number][] = [];
  for (let index = 0; index < ack.count; index++) {
    ranges.push([ack.starts[index] as number, (ack.ends[index] as number) - 1]);
  }
  return { type: "ack", path: ack.path, delayMs: ack.delayMs, ranges };
}
