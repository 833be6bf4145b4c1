/**
 * Frames of a WebSocket, as its server reads and writes them, for runtimes whose own server sets no bounds.
 * RFC 6455 §5.
 *
 * The invariants to hold: memory follows what arrived, never what a frame declares; a message is never longer than the
 * limit, whatever number of fragments it comes in; what breaks the rules is a number to close with, never an exception.
 *
 * @module
 */

const OPCODE_CONTINUATION = 0x0;
const OPCODE_TEXT = 0x1;
const OPCODE_BINARY = 0x2;
export const OPCODE_CLOSE = 0x8;
const OPCODE_PING = 0x9;
export const OPCODE_PONG = 0xa;
const FIN = 0x80;
const RESERVED = 0x70;
const MASK = 0x80;
/** Of a control frame. RFC 6455 §5.5. */
const CONTROL_BYTES_MAX = 125;
/** A package fits one frame; nobody has to send it in more than a few. THREATS t-E1. */
const FRAGMENTS_MAX = 64;
/** Two bytes, eight of a long length, four of the mask. */
const HEADER_BYTES_MAX = 14;

/** RFC 6455 §7.4.1. */
export const CLOSE_NORMAL = 1000;
const CLOSE_PROTOCOL_ERROR = 1002;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_TOO_BIG = 1009;

/** What a reader tells. */
export interface WebSocketFrameSink {
  /** A whole message; the bytes are lent for the call. */
  onMessage(bytes: Uint8Array): void;
  /** What has to be in the answer. */
  onPing(payload: Uint8Array): void;
  /** The other side ends the connection. */
  onClose(): void;
}

/** Splits what a client sends into messages. */
export class WebSocketFrameReader {
  readonly #sink: WebSocketFrameSink;
  readonly #messageBytesMax: number;
  readonly #header = new Uint8Array(HEADER_BYTES_MAX);
  #headerBytes = 0;
  /** Payload of the frame that is coming in; -1 while its header is. */
  #left = -1;
  #opcode = 0;
  #isFinal = false;
  readonly #mask = new Uint8Array(4);
  #maskAt = 0;
  /** The message or control frame that is coming in. */
  #message: Gathered = new Gathered();
  #control: Gathered = new Gathered();
  #fragments = 0;
  #isOver = false;

  constructor(sink: WebSocketFrameSink, messageBytesMax: number) {
    this.#sink = sink;
    this.#messageBytesMax = messageBytesMax;
  }

  /** Takes bytes, which it may change. Returns the number to close with when they break the rules. */
  push(chunk: Uint8Array): number | undefined {
    for (let at = 0; at < chunk.length && !this.#isOver; ) {
      if (this.#left < 0) {
        at = this.#readHeader(chunk, at);
        if (this.#left < 0) return undefined;
        const fault = this.#faultOfHeader();
        if (fault !== undefined) return this.#end(fault);
      }
      const part = chunk.subarray(at, at + this.#left);
      at += part.length;
      this.#left -= part.length;
      this.#unmask(part);
      if (this.#left > 0) this.#gathered().add(part);
      else this.#finishFrame(part);
    }
    return undefined;
  }

  #end(code: number): number {
    this.#isOver = true;
    return code;
  }

  /** Collects a header, and sets `#left` once it is whole. Returns where to go on. */
  #readHeader(chunk: Uint8Array, from: number): number {
    const header = this.#header;
    for (let at = from; at < chunk.length; ) {
      header[this.#headerBytes++] = chunk[at++] as number;
      if (this.#headerBytes < 2 || this.#headerBytes < headerBytesOf(header[1] as number)) continue;
      this.#isFinal = ((header[0] as number) & FIN) !== 0;
      this.#opcode = (header[0] as number) & 0x0f;
      this.#left = payloadBytesOf(header);
      this.#mask.set(header.subarray(this.#headerBytes - 4, this.#headerBytes));
      this.#maskAt = this.#headerBytes = 0;
      return at;
    }
    return chunk.length;
  }

  #faultOfHeader(): number | undefined {
    const [first, second] = this.#header as unknown as [number, number];
    // RFC 6455 §5.1: what a client sends is masked. §5.2: no extension was agreed on.
    if ((second & MASK) === 0 || (first & RESERVED) !== 0) return CLOSE_PROTOCOL_ERROR;
    if (this.#opcode >= OPCODE_CLOSE) {
      const isKnown = this.#opcode <= OPCODE_PONG && this.#isFinal && this.#left <= CONTROL_BYTES_MAX;
      return isKnown ? undefined : CLOSE_PROTOCOL_ERROR;
    }
    if (this.#opcode === OPCODE_TEXT) return CLOSE_UNSUPPORTED;
    const isContinuation = this.#opcode === OPCODE_CONTINUATION;
    if (!isContinuation && this.#opcode !== OPCODE_BINARY) return CLOSE_PROTOCOL_ERROR;
    if (isContinuation !== this.#fragments > 0) return CLOSE_PROTOCOL_ERROR;
    if (++this.#fragments > FRAGMENTS_MAX) return CLOSE_TOO_BIG;
    return this.#message.length + this.#left > this.#messageBytesMax ? CLOSE_TOO_BIG : undefined;
  }

  #gathered(): Gathered {
    return this.#opcode >= OPCODE_CLOSE ? this.#control : this.#message;
  }

  #finishFrame(last: Uint8Array): void {
    const gathered = this.#gathered();
    this.#left = -1;
    if (!this.#isFinal) {
      gathered.add(last);
      return;
    }
    const bytes = gathered.take(last);
    if (this.#opcode < OPCODE_CLOSE) {
      this.#fragments = 0;
      this.#sink.onMessage(bytes);
    } else if (this.#opcode === OPCODE_PING) this.#sink.onPing(bytes);
    else if (this.#opcode === OPCODE_CLOSE) {
      this.#isOver = true;
      this.#sink.onClose();
    }
  }

  #unmask(part: Uint8Array): void {
    const mask = this.#mask;
    const from = this.#maskAt;
    const [one, two, three, four] = [0, 1, 2, 3].map((index) => mask[(from + index) & 3]) as [
      number,
      number,
      number,
      number,
    ];
    const whole = part.length & ~3;
    for (let at = 0; at < whole; at += 4) {
      part[at] = (part[at] as number) ^ one;
      part[at + 1] = (part[at + 1] as number) ^ two;
      part[at + 2] = (part[at + 2] as number) ^ three;
      part[at + 3] = (part[at + 3] as number) ^ four;
    }
    for (let at = whole; at < part.length; at++) part[at] = (part[at] as number) ^ (mask[(from + at) & 3] as number);
    this.#maskAt = (from + part.length) & 3;
  }
}

/** Bytes that come in parts; room for them grows with what came. */
class Gathered {
  #bytes = new Uint8Array(0);
  length = 0;

  add(part: Uint8Array): void {
    const length = this.length + part.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, Math.min(2 * this.#bytes.length, length + 65_536)));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.length);
    this.length = length;
  }

  /** All of it with the last part, and nothing is left. A single part is given as it is. */
  take(last: Uint8Array): Uint8Array {
    if (this.length === 0) return last;
    this.add(last);
    const all = this.#bytes.subarray(0, this.length);
    this.#bytes = new Uint8Array(0);
    this.length = 0;
    return all;
  }
}

/** Bytes of a header, from its second one. */
function headerBytesOf(second: number): number {
  const length = second & 0x7f;
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + ((second & MASK) === 0 ? 0 : 4);
}

/** RFC 6455 §5.2. Above 2^53 it is not exact, and above every limit. */
function payloadBytesOf(header: Uint8Array): number {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const length = view.getUint8(1) & 0x7f;
  if (length === 126) return view.getUint16(2);
  return length === 127 ? view.getUint32(2) * 2 ** 32 + view.getUint32(6) : length;
}

/** A whole frame of a server: unmasked. */
export function encodeFrame(payload: Uint8Array, opcode: number = OPCODE_BINARY): Uint8Array {
  const { length } = payload;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = new Uint8Array(headerBytes + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, FIN | opcode);
  view.setUint8(1, headerBytes === 2 ? length : headerBytes === 4 ? 126 : 127);
  if (headerBytes === 4) view.setUint16(2, length);
  else if (headerBytes === 10) view.setUint32(6, length);
  frame.set(payload, headerBytes);
  return frame;
}

/** The payload of a close frame. RFC 6455 §5.5.1. */
export function closePayload(code: number): Uint8Array {
  return Uint8Array.of(code >> 8, code & 0xff);
}
