/**
 * Frames that are neither stream data nor datagrams, on their way out: encoded once, sent again when their path dies.
 *
 * The invariant to hold: the queue is bounded; a peer that makes us answer without taking the answers is cut off.
 * THREATS t-C7, t-C8.
 *
 * @module
 */

import { encodeUtf8 } from "../wire/utf8.ts";
import type { Writer } from "../wire/writer.ts";
import {
  FRAME_CLOSE,
  FRAME_MAX_DATA,
  FRAME_MAX_STREAM_DATA,
  FRAME_MAX_STREAMS_BIDIRECTIONAL,
  FRAME_MAX_STREAMS_UNIDIRECTIONAL,
  FRAME_PATH_ABANDON,
  FRAME_PATH_CHALLENGE,
  FRAME_PATH_RESPONSE,
  FRAME_PING,
  FRAME_RESET_STREAM,
  FRAME_STOP_SENDING,
  REASON_BYTES_MAX,
} from "./frame_types.ts";
import type { StreamId } from "./session_types.ts";

/** A control frame. Numbers that may grow until it is sent (`max…`) are filled in by `encode`. */
export type ControlFrame =
  | { readonly type: "ping"; readonly token: number }
  | { readonly type: "resetStream"; readonly stream: StreamId; readonly code: number; readonly finalSize: number }
  | { readonly type: "stopSending"; readonly stream: StreamId; readonly code: number }
  | { readonly type: "maxData" }
  | { readonly type: "maxStreamData"; readonly stream: StreamId }
  | { readonly type: "maxStreams"; readonly isUnidirectional: boolean }
  | { readonly type: "pathChallenge"; readonly data: Uint8Array }
  | { readonly type: "pathResponse"; readonly data: Uint8Array }
  | { readonly type: "pathAbandon"; readonly path: number };

/** Whether a frame means something on the path that carried it alone. */
export function isOfPath(frame: ControlFrame): boolean {
  if (frame.type === "ping") return frame.token === 0;
  return frame.type === "pathChallenge" || frame.type === "pathResponse";
}

/** Whether a frame that grants credit is in a queue already: one says all that several would. */
export function isQueued(frame: ControlFrame, queue: readonly ControlFrame[]): boolean {
  switch (frame.type) {
    case "maxData":
      return queue.some(({ type }) => type === "maxData");
    case "maxStreamData":
      return queue.some((other) => other.type === "maxStreamData" && other.stream === frame.stream);
    case "maxStreams":
      return queue.some((other) => other.type === "maxStreams" && other.isUnidirectional === frame.isUnidirectional);
    default:
      return false;
  }
}

/** Bytes of the largest control frame: RESET_STREAM with three varints. */
export const CONTROL_FRAME_BYTES_MAX = 32;

/** Numbers that a control frame takes when it is sent rather than when it was queued. */
export interface ControlNumbers {
  readonly maxData: number;
  maxStreamData(stream: StreamId): number | undefined;
  maxStreams(isUnidirectional: boolean): number;
}

/** Writes a control frame; nothing for one that has become pointless. Returns whether it wrote. */
export function encodeControlFrame(writer: Writer, frame: ControlFrame, numbers: ControlNumbers): boolean {
  switch (frame.type) {
    case "ping":
      writer.u8(FRAME_PING);
      return true;
    case "resetStream":
      writer.u8(FRAME_RESET_STREAM);
      writer.varint(frame.stream);
      writer.varint(frame.code);
      writer.varint(frame.finalSize);
      return true;
    case "stopSending":
      writer.u8(FRAME_STOP_SENDING);
      writer.varint(frame.stream);
      writer.varint(frame.code);
      return true;
    case "maxData":
      writer.u8(FRAME_MAX_DATA);
      writer.varint(numbers.maxData);
      return true;
    case "maxStreamData": {
      const max = numbers.maxStreamData(frame.stream);
      if (max === undefined) return false;
      writer.u8(FRAME_MAX_STREAM_DATA);
      writer.varint(frame.stream);
      writer.varint(max);
      return true;
    }
    case "maxStreams":
      writer.u8(frame.isUnidirectional ? FRAME_MAX_STREAMS_UNIDIRECTIONAL : FRAME_MAX_STREAMS_BIDIRECTIONAL);
      writer.varint(numbers.maxStreams(frame.isUnidirectional));
      return true;
    case "pathChallenge":
    case "pathResponse":
      writer.u8(frame.type === "pathChallenge" ? FRAME_PATH_CHALLENGE : FRAME_PATH_RESPONSE);
      writer.bytes(frame.data);
      return true;
    case "pathAbandon":
      writer.u8(FRAME_PATH_ABANDON);
      writer.varint(frame.path);
      return true;
  }
}

/** Writes a CLOSE frame: wire code, application code plus one or 0, reason. PROTOCOL §5.3. */
export function encodeCloseFrame(
  writer: Writer,
  wireCode: number,
  applicationCode: number | undefined,
  reason: string,
): void {
  const text = encodeUtf8(reason);
  writer.u8(FRAME_CLOSE);
  writer.varint(wireCode);
  writer.varint(applicationCode === undefined ? 0 : applicationCode + 1);
  const cut = text.length <= REASON_BYTES_MAX ? text : text.subarray(0, utf8Boundary(text));
  writer.varint(cut.length);
  writer.bytes(cut);
}

/** The last character boundary within `REASON_BYTES_MAX`, so that a cut reason stays well-formed. */
function utf8Boundary(text: Uint8Array): number {
  let end = REASON_BYTES_MAX;
  while (end > 0 && ((text[end] as number) & 0xc0) === 0x80) end--;
  return end;
}
