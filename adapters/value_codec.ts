/**
 * Values of messages and requests as MessagePack, by `@msgpack/msgpack`. Why this codec: docs/dependencies.md.
 *
 * The invariant to hold: what is encoded comes back equal, or is refused at once; hostile bytes are a
 * `message_invalid` error in time and memory proportional to their length.
 *
 * @module
 */

import {
  Decoder,
  decodeTimestampExtension,
  Encoder,
  EXT_TIMESTAMP,
  type ExtData,
  ExtensionCodec,
  type ExtensionCodecType,
} from "@msgpack/msgpack";
import { ViaductError } from "../core/error.ts";
import type { Bytes } from "../core/machine.ts";
import { isWholeValue } from "./value_scan.ts";

/** Levels of arrays and maps within each other. */
const DEPTH_MAX = 64;
const BUFFER_BYTES = 4096;

/** Encodes and decodes values, with buffers of its own that are used again. */
export class ValueCodec {
  #encoder = newEncoder();
  readonly #decoder = new Decoder({ extensionCodec: EXTENSIONS });

  /**
   * Encodes a value. The bytes are lent until the next call.
   *
   * @throws {ViaductError} `message_invalid` for what would not come back equal, `message_too_large` above `bytesMax`.
   */
  encode(value: unknown, bytesMax: number): Bytes {
    let bytes: Bytes;
    try {
      bytes = this.#encoder.encodeSharedRef(value) as Bytes;
    } catch (error) {
      throw invalid(error);
    }
    if (bytes.length > bytesMax) {
      // The buffer has grown for nothing: it must not stay.
      this.#encoder = newEncoder();
      throw new ViaductError("message_too_large", { detail: `${bytes.length} bytes where ${bytesMax} are allowed` });
    }
    return bytes;
  }

  /**
   * Decodes a value. Byte fields are views of `bytes`, which the value keeps from here on.
   *
   * @throws {ViaductError} `message_invalid`.
   */
  decode(bytes: Uint8Array): unknown {
    if (!isWholeValue(bytes, DEPTH_MAX)) throw new ViaductError("message_invalid", { detail: "Not one whole value" });
    try {
      return this.#decoder.decode(bytes);
    } catch (error) {
      throw invalid(error);
    }
  }
}

function newEncoder(): Encoder<undefined> {
  return new Encoder({
    maxDepth: DEPTH_MAX,
    ignoreUndefined: true,
    initialBufferSize: BUFFER_BYTES,
    extensionCodec: EXTENSIONS,
  });
}

function invalid(error: unknown): ViaductError {
  return new ViaductError("message_invalid", { cause: error, detail: error instanceof Error ? error.message : "" });
}

/**
 * Looks at every object on its way in: what is no array, byte array, date or plain object would arrive as something
 * else. On the way out it knows dates alone.
 */
const EXTENSIONS: ExtensionCodecType<undefined> = {
  tryToEncode(object: unknown): ExtData | null {
    if (Array.isArray(object)) return null;
    if (typeof object !== "object" || object === null) throw new TypeError(`A ${typeof object} is no value`);
    if (object instanceof Date) {
      if (Number.isNaN(object.getTime())) throw new RangeError("The date is not valid");
      return ExtensionCodec.defaultCodec.tryToEncode(object, undefined);
    }
    if (ArrayBuffer.isView(object)) {
      // `Buffer` of Node says so as well.
      if ((object as Uint8Array)[Symbol.toStringTag] === "Uint8Array") return null;
    } else {
      const prototype: unknown = Object.getPrototypeOf(object);
      // A plain object of another realm has another `Object.prototype`, but nothing above it either.
      if (prototype === null || Object.getPrototypeOf(prototype) === null) return null;
    }
    const name = (object.constructor as { name?: string } | undefined)?.name ?? "object";
    throw new TypeError(`${name} is no value: give a plain object, array, Uint8Array or Date`);
  },
  decode(data: Uint8Array, type: number): unknown {
    if (type !== EXT_TIMESTAMP) throw new RangeError(`Extension ${type} is not known`);
    return decodeTimestampExtension(data);
  },
};
