/**
 * Values of messages and requests as MessagePack, by `@msgpack/msgpack`. Why this codec: docs/dependencies.md.
 *
 * The invariant to hold: hostile bytes are a `message_invalid` error in time and memory proportional to their length.
 *
 * @module
 */

import { Decoder, Encoder } from "@msgpack/msgpack";
import { ViaductError } from "../core/error.ts";
import type { Bytes } from "../core/machine.ts";
import { isWholeValue } from "./value_scan.ts";

/** Levels of arrays and maps within each other. */
const DEPTH_MAX = 64;

/** Encodes and decodes values, with buffers of its own that are used again. */
export class ValueCodec {
  readonly #encoder = new Encoder({ maxDepth: DEPTH_MAX, ignoreUndefined: true, initialBufferSize: 4096 });
  readonly #decoder = new Decoder();

  /**
   * Encodes a value. The bytes are lent until the next call.
   *
   * @throws {ViaductError} `message_invalid` for what MessagePack cannot carry, `message_too_large` above `bytesMax`.
   */
  encode(value: unknown, bytesMax: number): Bytes {
    let bytes: Bytes;
    try {
      bytes = this.#encoder.encodeSharedRef(value) as Bytes;
    } catch (error) {
      throw new ViaductError("message_invalid", { cause: error, detail: error instanceof Error ? error.message : "" });
    }
    if (bytes.length > bytesMax) {
      throw new ViaductError("message_too_large", { detail: `${bytes.length} bytes where ${bytesMax} are allowed` });
    }
    return bytes;
  }

  /**
   * Decodes a value; byte fields are copies.
   *
   * @throws {ViaductError} `message_invalid`.
   */
  decode(bytes: Uint8Array): unknown {
    if (!isWholeValue(bytes, DEPTH_MAX)) throw new ViaductError("message_invalid", { detail: "Not one whole value" });
    try {
      return this.#decoder.decode(bytes);
    } catch (error) {
      throw new ViaductError("message_invalid", { cause: error, detail: error instanceof Error ? error.message : "" });
    }
  }
}
