/**
 * ChaCha20-Poly1305 (RFC 8439) in WebAssembly: what seals and opens packages where the host's own takes longer to be
 * called than to compute, or is not there.
 *
 * The invariant to hold: a call copies in, computes and copies out without anything in between that could call again.
 *
 * @module
 */

import type { AeadKey } from "../../core/crypto/provider.ts";
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "../../core/crypto/provider.ts";
import type { Bytes } from "../../core/machine.ts";
import { type ChachaEngine, chachaEngine } from "./chacha_engine.ts";

/** What does the texts that WebAssembly does not. */
export interface WasmAeadOptions {
  /** The longest text for WebAssembly; longer ones go elsewhere. */
  readonly textBytesMax: number;
  /** Another implementation with the same key: of longer texts, and of all where there is no WebAssembly. */
  readonly elsewhere: (key: Uint8Array) => AeadKey;
}

/** A ChaCha20-Poly1305 key for WebAssembly, or one from elsewhere where there is none. */
export function wasmAeadKey(key: Uint8Array, options: WasmAeadOptions): AeadKey {
  const engine = chachaEngine();
  return engine === undefined ? options.elsewhere(key) : new WasmAeadKey(engine, key, options);
}

class WasmAeadKey implements AeadKey {
  readonly cipher = "chacha20-poly1305";
  readonly #engine: ChachaEngine;
  readonly #options: WasmAeadOptions;
  readonly #textBytesMax: number;
  #words: Int32Array | undefined;
  /** Made when it is first needed: a key of the host takes memory, and a quiet session never has a long text. */
  #elsewhere: AeadKey | undefined;

  constructor(engine: ChachaEngine, key: Uint8Array, options: WasmAeadOptions) {
    if (key.length !== KEY_BYTES) throw new RangeError(`Cannot use a key of ${key.length} bytes`);
    this.#engine = engine;
    this.#options = options;
    this.#textBytesMax = Math.min(options.textBytesMax, engine.textBytesMax);
    this.#words = new Int32Array(KEY_BYTES / 4);
    for (let word = 0; word < this.#words.length; word++) this.#words[word] = readWord(key, 4 * word);
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array, out: Uint8Array, offset: number): number {
    const words = this.#require(nonce);
    const length = plaintext.length;
    const engine = this.#engine;
    if (length > this.#textBytesMax || associated.length > engine.associatedBytesMax) {
      return this.#long(words).seal(nonce, associated, plaintext, out, offset);
    }
    engine.memory.set(associated, engine.associatedAt);
    engine.memory.set(plaintext, engine.inputAt);
    run(engine, 0, associated.length, length, words, nonce);
    out.set(outputView(engine, length + TAG_BYTES), offset);
    return length + TAG_BYTES;
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Bytes | undefined {
    const words = this.#require(nonce);
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const engine = this.#engine;
    if (length > this.#textBytesMax || associated.length > engine.associatedBytesMax) {
      return this.#long(words).open(nonce, associated, sealed);
    }
    engine.memory.set(associated, engine.associatedAt);
    engine.memory.set(sealed, engine.inputAt);
    if (run(engine, 1, associated.length, length, words, nonce) !== 0) return undefined;
    return new Uint8Array(outputView(engine, length)); // a copy
  }

  destroy(): void {
    this.#words?.fill(0);
    this.#words = undefined;
    this.#elsewhere?.destroy();
    this.#elsewhere = undefined;
  }

  /** Never the wiped words: sealing under a key of zeros would look like success. */
  #require(nonce: Uint8Array): Int32Array {
    if (this.#words === undefined) throw new TypeError("Cannot use a key that was destroyed");
    if (nonce.length !== NONCE_BYTES) throw new RangeError(`Cannot use a nonce of ${nonce.length} bytes`);
    return this.#words;
  }

  #long(words: Int32Array): AeadKey {
    if (this.#elsewhere === undefined) {
      const key = new Uint8Array(KEY_BYTES);
      const view = new DataView(key.buffer);
      for (let word = 0; word < words.length; word++) view.setInt32(4 * word, words[word] as number, true);
      this.#elsewhere = this.#options.elsewhere(key);
      key.fill(0);
    }
    return this.#elsewhere;
  }
}

let lastView: Uint8Array | undefined;

/** The output. Making a view costs more than copying a small package, and packages of one length come in rows. */
function outputView(engine: ChachaEngine, length: number): Uint8Array {
  if (lastView?.length !== length) {
    lastView = engine.memory.subarray(engine.outputAt, engine.outputAt + length);
  }
  return lastView;
}

function run(
  engine: ChachaEngine,
  isOpening: number,
  associatedLength: number,
  length: number,
  words: Int32Array,
  nonce: Uint8Array,
): number {
  return engine.run(
    isOpening,
    associatedLength,
    length,
    words[0] as number,
    words[1] as number,
    words[2] as number,
    words[3] as number,
    words[4] as number,
    words[5] as number,
    words[6] as number,
    words[7] as number,
    readWord(nonce, 0),
    readWord(nonce, 4),
    readWord(nonce, 8),
  );
}

/** A word in the order of RFC 8439 §2.3, whatever the order of the host. */
function readWord(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
