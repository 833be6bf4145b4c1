/**
 * Decodes the frames of an authenticated package and hands them to a sink one by one. PROTOCOL §5.
 *
 * The invariant to hold: every count and number is bounded before it is used; whatever does not decode is a
 * `ProtocolError`, thrown to the one boundary in the session.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import type { Bytes } from "../machine.ts";
import type { Reader } from "../wire/reader.ts";
import {
  ACK_RANGES_MAX,
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
import type { StreamId } from "./session_types.ts";

/** The package asks for an acknowledgement. RFC 9000 §13.2.1. */
export const ACK_ELICITING = 1;
/** The acknowledgement should not wait: somebody waits for it. */
export const ACK_AT_ONCE = 2;

/** An ACK frame: half-open ranges `[starts[i], ends[i])`, descending. Reused by the parser. */
export interface AckFrame {
  path: number;
  delayMs: number;
  count: number;
  readonly starts: number[];
  readonly ends: number[];
}

/** Takes decoded frames. Byte fields are views into the package, which the sink owns. */
export interface FrameSink {
  onAckFrame(ack: AckFrame): void;
  onPathChallengeFrame(data: Uint8Array): void;
  onPathResponseFrame(data: Uint8Array): void;
  onPathAbandonFrame(path: number): void;
  /** Also one that holds a parity. */
  onDatagramFrame(type: number, bytes: Bytes): void;
  onCloseFrame(wireCode: number, applicationCode: number | undefined, reason: string): void;
  /** A frame that moves nothing: a budget of them is allowed. THREATS t-C16. */
  onIdleFrame(): void;
}

/** Takes the frames of streams. The `max…` methods return whether the frame moved anything. */
export interface StreamFrameSink {
  onStream(stream: StreamId, offset: number, bytes: Bytes, isFin: boolean): void;
  onResetStream(stream: StreamId, code: number, finalSize: number): void;
  onStopSending(stream: StreamId, code: number): void;
  onMaxData(max: number): boolean;
  onMaxStreamData(stream: StreamId, max: number): boolean;
  onMaxStreams(isUnidirectional: boolean, max: number): boolean;
}

/** Makes a frame to be reused by `parseFrames`. */
export function emptyAckFrame(): AckFrame {
  return { path: 0, delayMs: 0, count: 0, starts: [], ends: [] };
}

/**
 * Decodes all frames that `reader` holds. Returns `ACK_ELICITING` and `ACK_AT_ONCE` bits.
 *
 * @throws {ProtocolError} On the first frame that is not valid.
 */
export function parseFrames(reader: Reader, sink: FrameSink, streams: StreamFrameSink, ack: AckFrame): number {
  let flags = 0;
  while (!reader.isAtEnd) {
    const type = reader.u8();
    if (type >= FRAME_STREAM && type < FRAME_STREAM + 8) {
      flags |= parseStream(type, reader, sink, streams);
      continue;
    }
    switch (type) {
      case FRAME_PADDING:
        break;
      case FRAME_ACK:
        parseAck(reader, ack);
        sink.onAckFrame(ack);
        break;
      case FRAME_DATAGRAM:
      case FRAME_DATAGRAM + 1:
      case FRAME_NUMBERED_DATAGRAM:
      case FRAME_NUMBERED_DATAGRAM + 1:
        sink.onDatagramFrame(type, (type === FRAME_DATAGRAM ? reader.rest() : reader.bytes(reader.varint())) as Bytes);
        flags |= ACK_ELICITING;
        break;
      case FRAME_PATH_ABANDON:
        sink.onPathAbandonFrame(reader.varint());
        flags |= ACK_ELICITING;
        break;
      case FRAME_CLOSE: {
        const wireCode = reader.varint();
        const application = reader.varint();
        sink.onCloseFrame(wireCode, application === 0 ? undefined : application - 1, reader.string(REASON_BYTES_MAX));
        return flags; // Nothing after it counts.
      }
      default:
        flags |= parseControl(type, reader, sink, streams);
    }
  }
  return flags;
}

function parseStream(type: number, reader: Reader, sink: FrameSink, streams: StreamFrameSink): number {
  const stream = reader.varint();
  const offset = (type & STREAM_OFFSET_BIT) !== 0 ? reader.varint() : 0;
  const bytes = (type & STREAM_LENGTH_BIT) !== 0 ? reader.bytes(reader.varint()) : reader.rest();
  const isFin = (type & STREAM_FIN_BIT) !== 0;
  if (bytes.length === 0 && !isFin) sink.onIdleFrame();
  streams.onStream(stream, offset, bytes as Bytes, isFin);
  return isFin ? ACK_ELICITING | ACK_AT_ONCE : ACK_ELICITING;
}

/**
 * Reads an ACK frame after its type. RFC 9000 §19.3, with the path id in front and the delay in microseconds.
 *
 * @throws {ProtocolError} When it is not valid.
 */
export function parseAck(reader: Reader, ack: AckFrame): void {
  ack.path = reader.varint();
  let end = reader.varint() + 1;
  ack.delayMs = reader.varint() / 1000;
  const more = reader.varint();
  if (more >= ACK_RANGES_MAX) throw new ProtocolError("frame_encoding", "An acknowledgement has too many ranges");
  let start = end - 1 - reader.varint();
  ack.count = 0;
  for (;;) {
    if (start < 0) throw new ProtocolError("frame_encoding", "An acknowledgement goes below zero");
    ack.starts[ack.count] = start;
    ack.ends[ack.count] = end;
    ack.count++;
    if (ack.count > more) return;
    // RFC 9000 §19.3.1: the gap counts the missing numbers less one.
    end = start - 1 - reader.varint();
    start = end - 1 - reader.varint();
  }
}

function parseControl(type: number, reader: Reader, sink: FrameSink, streams: StreamFrameSink): number {
  switch (type) {
    case FRAME_PING:
      sink.onIdleFrame();
      return ACK_ELICITING | ACK_AT_ONCE;
    case FRAME_RESET_STREAM:
      streams.onResetStream(reader.varint(), reader.varint(), reader.varint());
      return ACK_ELICITING;
    case FRAME_STOP_SENDING:
      streams.onStopSending(reader.varint(), reader.varint());
      return ACK_ELICITING;
    case FRAME_MAX_DATA:
      if (!streams.onMaxData(reader.varint())) sink.onIdleFrame();
      return ACK_ELICITING;
    case FRAME_MAX_STREAM_DATA:
      if (!streams.onMaxStreamData(reader.varint(), reader.varint())) sink.onIdleFrame();
      return ACK_ELICITING;
    case FRAME_MAX_STREAMS_BIDIRECTIONAL:
    case FRAME_MAX_STREAMS_UNIDIRECTIONAL:
      if (!streams.onMaxStreams(type === FRAME_MAX_STREAMS_UNIDIRECTIONAL, reader.varint())) sink.onIdleFrame();
      return ACK_ELICITING;
    case FRAME_STREAM_DATA_BLOCKED:
      reader.varint();
      reader.varint();
      sink.onIdleFrame();
      return ACK_ELICITING;
    case FRAME_DATA_BLOCKED:
    case FRAME_STREAMS_BLOCKED_BIDIRECTIONAL:
    case FRAME_STREAMS_BLOCKED_UNIDIRECTIONAL:
      reader.varint();
      sink.onIdleFrame();
      return ACK_ELICITING;
    case FRAME_PATH_CHALLENGE:
      sink.onIdleFrame();
      sink.onPathChallengeFrame(reader.bytes(CHALLENGE_BYTES));
      return ACK_ELICITING | ACK_AT_ONCE;
    case FRAME_PATH_RESPONSE:
      sink.onPathResponseFrame(reader.bytes(CHALLENGE_BYTES));
      return ACK_ELICITING;
    default:
      // RFC 9000 §12.4: an unknown frame has an unknown end.
      throw new ProtocolError("frame_encoding", `A frame of type ${type} is not known`);
  }
}
