/**
 * Values on a stream: each as MessagePack with its length in front, as a varint.
 *
 * The invariant to hold: a declared length alone allocates nothing; a value never shares memory with bytes that are
 * still to be read.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";
import { MALFORMED, readVarint, varintBytes, varintBytesAt, writeVarint } from "../../core/wire/varint.ts";
import type { ValueCodec } from "../value_codec.ts";
import type { Value, WaitOptions } from "./types.ts";

const EMPTY: Bytes = new Uint8Array(0);
/** Below this, joining without spare room is as good. */
const ROOM_FROM_BYTES = 4096;
const LENGTH_BYTES_MAX = 10;

/** Where bytes come from. */
export interface ByteSource {
  read(options?: WaitOptions): Promise<Bytes | undefined>;
  /** Takes back what was read too far. */
  unread(bytes: Bytes): void;
}

/** How values are written. */
export interface FrameFormat {
  readonly codec: ValueCodec;
  readonly bytesMax: number;
}

/** A value with its length in front. */
export function encodeFrame(value: Value, { codec, bytesMax }: FrameFormat): Uint8Array {
  const bytes = codec.encode(value, bytesMax);
  const header = varintBytes(bytes.length);
  const frame = new Uint8Array(header + bytes.length);
  writeVarint(frame, 0, bytes.length);
  frame.set(bytes, header);
  return frame;
}

/** Values in order, until the bytes end. Whoever leaves early leaves the rest to the next reader. */
export async function* readFrames(
  source: ByteSource,
  { codec, bytesMax }: FrameFormat,
  options: WaitOptions,
): AsyncIterableIterator<Value> {
  let held: Bytes = EMPTY;
  let isOver = false;
  try {
    for (;;) {
      const size = readVarint(held, 0, held.length);
      if (size === MALFORMED) throw new ViaductError("message_invalid", { detail: "A length is malformed" });
      if (size > bytesMax) throw new ViaductError("message_too_large", { detail: `${size} bytes` });
      const header = size < 0 ? 0 : varintBytesAt(held, 0);
      if (size >= 0 && held.length >= header + size) {
        const value = codec.decode(valueBytes(held, header, size));
        held = held.subarray(header + size);
        yield value;
        continue;
      }
      const bytes = await source.read(options);
      if (bytes === undefined) {
        isOver = true;
        if (held.length > 0) throw new ViaductError("truncated", { detail: "The stream ended inside a message" });
        return;
      }
      held = held.length === 0 ? bytes : joined(held, bytes, size);
    }
  } finally {
    if (!isOver && held.length > 0) source.unread(held);
  }
}

/** The bytes of a value: its own, so that a program may transfer them or keep a small one without a large buffer. */
function valueBytes(held: Bytes, header: number, size: number): Uint8Array {
  const isAlone = header + size === held.length && size * 2 >= held.buffer.byteLength;
  return isAlone ? held.subarray(header) : held.slice(header, header + size);
}

/** Joins what is held with what came, with room for a whole value so that a large one is not copied each time. */
function joined(held: Bytes, bytes: Bytes, size: number): Bytes {
  const needed = held.length + bytes.length;
  const spare = held.buffer.byteLength - held.byteOffset - held.length;
  if (spare >= bytes.length && held.length > ROOM_FROM_BYTES && OWN_BUFFERS.has(held.buffer)) {
    const whole = new Uint8Array(held.buffer, held.byteOffset, needed);
    whole.set(bytes, held.length);
    return whole;
  }
  // No more than twice of what has arrived.
  const store = new Uint8Array(Math.max(needed, Math.min(size + LENGTH_BYTES_MAX, 2 * needed)));
  OWN_BUFFERS.add(store.buffer);
  store.set(held);
  store.set(bytes, held.length);
  return store.subarray(0, needed);
}

/** Buffers that `joined` made: only those may be written behind their view. */
const OWN_BUFFERS = new WeakSet<ArrayBufferLike>();
